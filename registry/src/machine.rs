//! The registry's task.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    net::IpAddr,
    sync::Arc,
};

use tokio::{
    sync::{mpsc, oneshot, watch},
    task::AbortHandle,
    time::Instant,
};

use crate::{
    Backoff, Config, Controls, LimitedService, Registry, ServiceName, Snapshot, SourceStatus,
    Update, Updates, Writer, clock,
    controls::{Command, Drain},
    hosts::Hosts,
    source::{Message, Report, What},
    sources,
    status::REFUSALS_LISTED_MAX,
    supervise::supervise,
    version::VersionFile,
};

/// How many messages wait for the task; sources wait when there are more.
const MESSAGES_MAX: usize = 4096;

/// How many messages go into one snapshot at the most.
const BATCH_MAX: usize = 1024;

/// The task: it takes messages in batches and publishes a snapshot after each.
///
/// The first change is published at once; those that come meanwhile make the next batch.
struct Machine {
    config: Config,
    registry: Registry,
    running: BTreeMap<Arc<str>, Running>,
    generation: u64,
    hosts: Hosts,
    /// The names whose failed look-up was logged, until one works.
    unresolved: HashSet<Arc<str>>,
    /// Sources that are not in the configuration any more.
    leaving: BTreeSet<Arc<str>>,
    /// The services whose excess of instances was logged.
    limited: HashSet<ServiceName>,
    version: VersionFile,
    messages: mpsc::WeakSender<Message>,
    snapshots: watch::Sender<Arc<Snapshot>>,
}

/// Who is to be told when the snapshot is out.
enum Answer {
    Version(oneshot::Sender<u64>),
    Drain(Drain),
}

/// A source with its supervisor.
struct Running {
    config: sources::Config,
    generation: u64,
    task: AbortHandle,
    writer: Option<Writer>,
    /// When the registry stops waiting for its first `Reset`.
    deadline: Option<Instant>,
    status: SourceStatus,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Starts the registry's task on the current tokio runtime, without sources.
///
/// It ends when the last copy of the [`Controls`] is gone.
pub fn start(config: Config) -> Controls {
    start_after(config, 0)
}

/// As [`start`], with versions above `version`, such as those of the process that this one replaces.
pub fn start_after(config: Config, version: u64) -> Controls {
    let (sender, receiver) = mpsc::channel(MESSAGES_MAX);
    let seconds = clock::timestamp().as_millis() / 1000;
    let (version_file, version) = VersionFile::open(&config.state_dir, seconds, version);
    let registry = Registry::new(version, config.limits);
    let (snapshots, published) = watch::channel(Arc::new(registry.snapshot()));
    let hosts = Hosts::new(
        config.resolve_interval.get(),
        config.limits.hosts_max,
        sender.downgrade(),
    );
    let machine = Machine {
        config,
        registry,
        running: BTreeMap::new(),
        generation: 0,
        hosts,
        unresolved: HashSet::new(),
        leaving: BTreeSet::new(),
        limited: HashSet::new(),
        version: version_file,
        messages: sender.downgrade(),
        snapshots,
    };
    tokio::spawn(machine.run(receiver));
    Controls::new(sender, published)
}

impl Machine {
    async fn run(mut self, mut receiver: mpsc::Receiver<Message>) {
        let mut batch = Vec::with_capacity(BATCH_MAX);
        loop {
            let deadline = self.next_deadline();
            let wake = async {
                match deadline {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                count = receiver.recv_many(&mut batch, BATCH_MAX) => {
                    if count == 0 {
                        return;
                    }
                }
                () = wake => {}
            }
            let mut answers = Vec::new();
            for message in batch.drain(..) {
                match message {
                    Message::Report(report) => self.take(report),
                    Message::Command(command) => answers.extend(self.obey(command)),
                    Message::Resolved(name, result) => self.resolved(&name, result),
                }
            }
            let now = Instant::now();
            self.stop_waiting(now);
            self.remove_leaving();
            self.publish();
            self.look_up_hosts(now);
            for answer in answers {
                self.answer(answer);
            }
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        let sources = self.running.values().filter_map(|running| running.deadline);
        sources.chain(self.hosts.next_due()).min()
    }

    fn take(&mut self, report: Report) {
        let Some(running) = self.running.get_mut(&report.source) else {
            return;
        };
        if running.generation != report.generation {
            return;
        }
        let now = clock::timestamp();
        let status = &mut running.status;
        match report.what {
            What::Update(update) => {
                status.updates += 1;
                status.last_update = Some(now);
                log_refusals(&report.source, &update);
                if let Update::Reset { entries, .. } = &update {
                    if !status.synced || status.stale_since.is_some() {
                        let (source, entries) = (&report.source, entries.len());
                        tracing::info!(%source, entries, "source has synced");
                    }
                    status.synced = true;
                    status.stale_since = None;
                    running.deadline = None;
                }
                self.registry.apply(&report.source, update);
            }
            What::Audited(drift) => {
                status.audits += 1;
                status.drift += drift;
                if drift > 0 {
                    let source = &report.source;
                    tracing::warn!(%source, drift, "an audit found changes that were missed");
                }
            }
            What::Stale(reason) => {
                if status.stale_since.is_none() {
                    let source = &report.source;
                    tracing::warn!(
                        %source, error = %reason, "store is away; what it said is still served"
                    );
                }
                status.lose(now, reason);
                self.registry.lose(&report.source);
            }
            What::Failed(reason) => {
                status.failures += 1;
                status.lose(now, reason);
                self.registry.lose(&report.source);
            }
        }
    }

    /// Does what is asked; returns who is to be told when the snapshot is out.
    fn obey(&mut self, command: Command) -> Option<Answer> {
        // Each time: who asked may be gone, and then nobody needs the answer.
        match command {
            Command::SetSources(sources, answer) => {
                self.set_sources(sources);
                return Some(Answer::Version(answer));
            }
            Command::Flush(answer) => return Some(Answer::Version(answer)),
            Command::Observe(observations) => {
                for (service, id, observation) in observations {
                    self.registry.observe(service, id, observation);
                }
            }
            Command::Drain(drain) => {
                let (service, id) = (drain.service.clone(), drain.id.clone());
                self.registry.drain(service, id, drain.drained);
                return Some(Answer::Drain(drain));
            }
            Command::Statuses(answer) => {
                answer.send(self.statuses()).ok();
            }
            Command::Writer(name, answer) => {
                let wanted = |one: &Arc<str>| name.as_ref().is_none_or(|name| **one == **name);
                let mut running = self.running.iter().filter(|(name, _)| wanted(name));
                let writer = running.find_map(|(_, running)| running.writer.clone());
                answer.send(writer).ok();
            }
            Command::Writers(answer) => {
                let running = self.running.values();
                let writers = running.filter_map(|running| running.writer.clone());
                answer.send(writers.collect()).ok();
            }
            Command::Lookups(answer) => {
                answer.send(self.hosts.first_lookups()).ok();
            }
        }
        None
    }

    /// Says that what was asked for is in the snapshot.
    fn answer(&self, answer: Answer) {
        let version = self.registry.version();
        // Who asked may be gone.
        match answer {
            Answer::Version(answer) => answer.send(version).ok(),
            Answer::Drain(Drain {
                service,
                id,
                drained,
                answer,
            }) => {
                let exists = self.registry.has_instance(&service, &id);
                if exists {
                    tracing::info!(%service, instance = %id, drained, "an operator decides on draining");
                }
                answer.send(exists.then_some(version)).ok().map(drop)
            }
        };
    }

    fn set_sources(&mut self, sources: BTreeMap<String, sources::Config>) {
        let gone: Vec<_> = self
            .running
            .keys()
            .filter(|name| !sources.contains_key(&***name))
            .cloned()
            .collect();
        self.leaving.clear();
        for name in gone {
            // One that has files open must let go of them: another may be about to open them.
            match self.running[&name].writer.is_some() {
                true => self.remove_source(&name),
                false => drop(self.leaving.insert(name)),
            }
        }
        for (name, config) in sources {
            let same = |running: &Running| running.config == config;
            if !self.running.get(name.as_str()).is_some_and(same) {
                self.start_source(name.into(), config);
            }
        }
    }

    /// Removes the sources that were taken out of the configuration, once those that may know the same
    /// services under another name have synced or are waited for no longer.
    fn remove_leaving(&mut self) {
        let waits = |running: &Running| running.deadline.is_some();
        if self.leaving.is_empty() || self.running.values().any(waits) {
            return;
        }
        for name in std::mem::take(&mut self.leaving) {
            self.remove_source(&name);
        }
    }

    fn remove_source(&mut self, name: &Arc<str>) {
        tracing::info!(source = %name, "source removed");
        self.running.remove(name);
        self.registry.remove_source(name);
    }

    fn start_source(&mut self, name: Arc<str>, config: sources::Config) {
        // The old one first: two at a time could not open the same files.
        let old = self.running.remove(&name);
        let kind = config.kind();
        let status = status(&name, kind, old.as_ref().map(|old| &old.status));
        drop(old);
        tracing::info!(source = %name, kind, "source started");
        self.registry.add_source(&name);
        self.generation += 1;
        let source = config.clone().build();
        let writer = source.writer();
        let updates = Updates::new(Arc::clone(&name), self.generation, self.messages.clone());
        let backoff = Backoff::new(self.config.backoff_min.get(), self.config.backoff_max.get());
        let task = tokio::spawn(supervise(source, updates, backoff)).abort_handle();
        let deadline = Instant::now() + self.config.start_deadline.get();
        let running = Running {
            config,
            generation: self.generation,
            task,
            writer,
            deadline: (!status.synced).then_some(deadline),
            status,
        };
        self.running.insert(name, running);
    }

    fn stop_waiting(&mut self, now: Instant) {
        for (name, running) in &mut self.running {
            if running.deadline.is_some_and(|deadline| deadline <= now) {
                running.deadline = None;
                let waited = self.config.start_deadline;
                tracing::warn!(
                    source = %name, %waited,
                    "source has not synced; names it may own are denied from now on"
                );
                self.registry.stop_waiting(name);
            }
        }
    }

    fn publish(&mut self) {
        if let Some(snapshot) = self.registry.publish() {
            self.version.reserve(snapshot.version());
            self.snapshots.send_replace(Arc::new(snapshot));
            self.log_limited();
        }
    }

    fn log_limited(&mut self) {
        let limited = self.registry.limited();
        self.limited.retain(|service| limited.contains_key(service));
        for (service, left_out) in limited {
            if self.limited.insert(service.clone()) {
                let max = self.config.limits.instances_per_service_max;
                tracing::warn!(
                    %service, left_out, max,
                    "service has too many instances (instances_per_service_max)"
                );
            }
        }
    }

    fn look_up_hosts(&mut self, now: Instant) {
        if self.registry.take_hosts_changed() {
            let registry = &self.registry;
            self.hosts
                .keep(registry.hosts(), |name| registry.has_host(name), now);
            self.unresolved.retain(|name| registry.has_host(name));
        }
        self.hosts.start_due(now);
    }

    fn resolved(&mut self, name: &Arc<str>, result: Result<Vec<IpAddr>, String>) {
        self.hosts.done(name, result.is_ok(), Instant::now());
        match result {
            Ok(addresses) => {
                self.unresolved.remove(name);
                self.registry.resolve(name, addresses);
            }
            Err(error) => {
                if self.unresolved.insert(Arc::clone(name)) {
                    tracing::warn!(host = %name, %error, "can't resolve a host name of a record");
                }
            }
        }
    }

    fn statuses(&self) -> Vec<SourceStatus> {
        let statuses = self.running.iter().map(|(name, running)| {
            let (entries, instances, refused) = self.registry.counts(name);
            let refusals = self.registry.refused(name).take(REFUSALS_LISTED_MAX);
            let limited = self.registry.limited().iter();
            let limited = limited.filter(|(service, _)| self.registry.speaks_of(name, service));
            let limited = limited.map(|(service, left_out)| LimitedService {
                service: service.clone(),
                left_out: *left_out,
            });
            SourceStatus {
                entries,
                instances,
                refused,
                refusals: refusals.collect(),
                limited: limited.collect(),
                ..running.status.clone()
            }
        });
        statuses.collect()
    }
}

/// Makes the status of a source that starts. What the `old` one of this name said is served until the
/// new one has synced, and gets no younger.
fn status(name: &str, kind: &'static str, old: Option<&SourceStatus>) -> SourceStatus {
    SourceStatus {
        name: name.to_owned(),
        kind,
        synced: old.is_some_and(|old| old.synced),
        stale_since: old.and_then(|old| old.stale_since),
        last_error: None,
        last_update: None,
        updates: 0,
        failures: 0,
        audits: 0,
        drift: 0,
        entries: 0,
        instances: 0,
        refused: 0,
        refusals: Vec::new(),
        limited: Vec::new(),
    }
}

/// Logs what can't be read; of a whole store full of it, the first few.
fn log_refusals(source: &str, update: &Update) {
    const LOGGED_MAX: usize = 10;
    let refused = match update {
        Update::Refuse(refusal) => std::slice::from_ref(refusal),
        Update::Reset { refused, .. } => refused,
        Update::Put(_) | Update::Remove(_) => &[],
    };
    for refusal in refused.iter().take(LOGGED_MAX) {
        tracing::warn!(
            source, path = %refusal.key, reason = %refusal.reason, "record refused"
        );
    }
    if let Some(more) = refused
        .len()
        .checked_sub(LOGGED_MAX)
        .filter(|more| *more > 0)
    {
        tracing::warn!(source, more, "more records refused");
    }
}

#[cfg(test)]
mod tests;
