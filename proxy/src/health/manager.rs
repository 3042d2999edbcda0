//! The task that watches instances.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use foldhash::fast::RandomState;
use prometheus_client::collector::Collector;
use registry::{Change, Controls, InstanceId, Observation, Service, ServiceName, Snapshot};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};

use super::{
    Alert, ServiceHealth,
    metrics::Numbers,
    outcomes::Sample,
    probe::{self, Failure},
    schedule::{self, Due, Schedule},
    state::ServiceState,
};
use crate::{Config, RouteTable, Shared, config::ServicePolicy};

/// How often counters of endpoints are read, and how exact the times of ejection and slow start are.
const TICK: Duration = Duration::from_secs(1);

/// How many alerts wait for the task at the most; what is beyond is seen with the next tick.
const ALERTS_MAX: usize = 1024;

/// How many questions wait for the task at the most.
const COMMANDS_MAX: usize = 16;

/// Speaks with the task that watches instances; may be copied freely.
///
/// The task ends when all copies are gone, or the registry.
#[derive(Debug, Clone)]
pub struct HealthManager {
    commands: mpsc::Sender<Command>,
    numbers: Arc<Numbers>,
}

/// What the registry is told of an instance.
type Told = (ServiceName, InstanceId, Observation);

#[derive(Debug)]
enum Command {
    Configure(Box<Policies>),
    Show(ServiceName, oneshot::Sender<Option<ServiceHealth>>),
}

/// Finds the policy of a service.
#[derive(Debug)]
struct Policies {
    default: Arc<ServicePolicy>,
    own: HashMap<ServiceName, Arc<ServicePolicy>, RandomState>,
    checks_max: usize,
}

impl HealthManager {
    /// Starts to watch the services of the registry that `config` has watched; tells the registry.
    ///
    /// Must be called on the tokio runtime of the control plane, once for `shared`. `seed` is where
    /// the random times of checks begin.
    pub fn start(config: &Config, shared: &Arc<Shared>, controls: &Controls, seed: u64) -> Self {
        let (commands, received) = mpsc::channel(COMMANDS_MAX);
        let (alerts, alerted) = mpsc::channel(ALERTS_MAX);
        shared.set_alerts(alerts);
        let numbers = Arc::<Numbers>::default();
        let task = Task {
            policies: Policies::new(config),
            shared: Arc::clone(shared),
            snapshot: Arc::default(),
            snapshots: controls.snapshots(),
            controls: controls.clone(),
            services: BTreeMap::new(),
            dirty: BTreeSet::new(),
            schedule: Schedule::default(),
            turns: 0,
            probes: JoinSet::new(),
            numbers: Arc::clone(&numbers),
            random: fastrand::Rng::with_seed(seed),
        };
        tokio::spawn(task.run(received, alerted));
        Self { commands, numbers }
    }

    /// Goes on by another configuration; what is known and still asked for stays.
    pub async fn configure(&self, config: &Config) {
        let policies = Box::new(Policies::new(config));
        // It fails only when the task has ended, with the process.
        self.commands.send(Command::Configure(policies)).await.ok();
    }

    /// Shows what is seen of a service; `None` when it isn't watched.
    pub async fn show(&self, service: &ServiceName) -> Option<ServiceHealth> {
        let (answer, answered) = oneshot::channel();
        let command = Command::Show(service.clone(), answer);
        self.commands.send(command).await.ok()?;
        answered.await.ok()?
    }

    /// Tells whether so many instances of a service are unhealthy that all are used.
    pub fn fail_open(&self, service: &str) -> bool {
        self.numbers.fail_open(service)
    }

    /// Returns the numbers, to be registered with a registry of metrics.
    pub fn metrics(&self) -> Box<dyn Collector> {
        Box::new(Arc::clone(&self.numbers))
    }
}

impl Policies {
    fn new(config: &Config) -> Self {
        let own = config.services.keys();
        Self {
            default: Arc::new(config.service("")),
            own: own
                .map(|name| (name.clone(), Arc::new(config.service(name.as_str()))))
                .collect(),
            checks_max: config.limits.checks,
        }
    }

    /// Returns the policy of a service that is watched.
    fn of(&self, name: &ServiceName) -> Option<&Arc<ServicePolicy>> {
        let policy = self.own.get(name).unwrap_or(&self.default);
        Some(policy).filter(|policy| policy.watches())
    }
}

/// A check that is over.
#[derive(Debug)]
struct Done {
    due: Due,
    began: Instant,
    result: Result<(), Failure>,
}

/// The task; it alone changes what is known.
struct Task {
    policies: Policies,
    shared: Arc<Shared>,
    /// The one that was looked at last.
    snapshot: Arc<Snapshot>,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    controls: Controls,
    services: BTreeMap<ServiceName, ServiceState>,
    /// Services of which something may have changed.
    dirty: BTreeSet<ServiceName>,
    schedule: Schedule,
    /// How many checks were planned.
    turns: u64,
    /// Checks under way.
    probes: JoinSet<Done>,
    numbers: Arc<Numbers>,
    random: fastrand::Rng,
}

impl Task {
    async fn run(
        mut self,
        mut commands: mpsc::Receiver<Command>,
        mut alerts: mpsc::Receiver<Alert>,
    ) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.take_snapshot();
        let mut told = self.settle();
        loop {
            if !told.is_empty() && self.controls.observe(told).await.is_err() {
                return;
            }
            let due = self.next_check();
            let next_check = async {
                match due {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            let mut next = Vec::new();
            tokio::select! {
                changed = self.snapshots.changed() => match changed {
                    Ok(()) => self.take_snapshot(),
                    Err(_) => return,
                },
                command = commands.recv() => match command {
                    Some(command) => next = self.obey(command),
                    None => return,
                },
                Some(alert) = alerts.recv() => self.look_at(&alert),
                Some(result) = self.probes.join_next() => match result {
                    Ok(done) => self.take_result(done),
                    Err(error) => tracing::error!(%error, "a health check could not be run"),
                },
                () = next_check => self.begin_checks(),
                _ = ticks.tick(), if !self.services.is_empty() => self.tick(),
            }
            next.extend(self.settle());
            told = next;
        }
    }

    /// Does what is asked; returns what is no longer said.
    fn obey(&mut self, command: Command) -> Vec<Told> {
        match command {
            Command::Show(service, answer) => {
                let state = self.services.get(&service);
                let shown = state.map(|state| ServiceHealth::of(state, Instant::now()));
                // Who asked may be gone.
                answer.send(shown).ok();
                Vec::new()
            }
            Command::Configure(policies) => {
                self.policies = *policies;
                self.configure()
            }
        }
    }

    /// Goes over all services; returns what is no longer said.
    fn configure(&mut self) -> Vec<Told> {
        let now = Instant::now();
        let snapshot = Arc::clone(&self.snapshot);
        let mut retracted = Vec::new();
        for (name, service) in snapshot.services() {
            let policy = self.policies.of(name).cloned();
            match (policy, self.services.get_mut(name)) {
                (Some(policy), Some(state)) => {
                    if *state.policy() != policy {
                        state.set_policy(policy);
                        self.plan_checks(name, now);
                        self.dirty.insert(name.clone());
                    }
                }
                (Some(_), None) => self.take_service(name, service, true, now),
                (None, _) => {
                    self.numbers.remove(name);
                    let state = self.services.remove(name);
                    let told = state.into_iter().flat_map(ServiceState::retract);
                    retracted.extend(told.map(|(id, nothing)| (name.clone(), id, nothing)));
                }
            }
        }
        retracted
    }

    /// Takes the newest snapshot; costs what has changed in it.
    fn take_snapshot(&mut self) {
        let new = Arc::clone(&self.snapshots.borrow_and_update());
        let old = std::mem::replace(&mut self.snapshot, Arc::clone(&new));
        let now = Instant::now();
        // What a source says first is only new to us.
        let is_complete = old.unsynced().is_empty();
        for change in new.changes_since(&old) {
            match change {
                Change::Put(name, service) => self.take_service(name, service, is_complete, now),
                Change::Remove(name) => {
                    // What the registry knew of its instances it has forgotten.
                    self.services.remove(name);
                    self.numbers.remove(name);
                }
            }
        }
    }

    fn take_service(
        &mut self,
        name: &ServiceName,
        service: &Service,
        is_complete: bool,
        now: Instant,
    ) {
        let Some(policy) = self.policies.of(name) else {
            return;
        };
        match self.services.get_mut(name) {
            Some(state) => state.update(service, is_complete, now),
            None => {
                let state = ServiceState::new(service, Arc::clone(policy), now);
                self.services.insert(name.clone(), state);
            }
        }
        self.plan_checks(name, now);
        self.dirty.insert(name.clone());
    }

    /// Has those checked at once that aren't checked yet.
    fn plan_checks(&mut self, name: &ServiceName, now: Instant) {
        let Some(state) = self.services.get_mut(name) else {
            return;
        };
        for (id, turn) in state.plan(&mut self.turns) {
            let service = name.clone();
            self.schedule.push(now, Due { service, id, turn });
        }
    }

    /// Returns when there is a check to begin and room for it.
    fn next_check(&self) -> Option<Instant> {
        let has_room = self.probes.len() < self.policies.checks_max;
        self.schedule.next().filter(|_| has_room)
    }

    fn begin_checks(&mut self) {
        let now = Instant::now();
        while self.probes.len() < self.policies.checks_max
            && let Some(due) = self.schedule.pop(now)
        {
            let Some(state) = self.services.get_mut(&due.service) else {
                continue;
            };
            let Some(targets) = state.begin_check(&due.id, due.turn) else {
                continue;
            };
            let policy = Arc::clone(state.policy());
            self.probes.spawn(async move {
                let result = match &policy.check {
                    Some(check) => probe::run(check, due.service.as_str(), &targets).await,
                    None => Ok(()),
                };
                Done {
                    due,
                    began: now,
                    result,
                }
            });
        }
    }

    fn take_result(&mut self, done: Done) {
        let (due, now) = (done.due, Instant::now());
        let Some(state) = self.services.get_mut(&due.service) else {
            return;
        };
        let changed = match done.result {
            Ok(()) => state.check(&due.id, due.turn, Ok(()), now),
            Err(Failure::Unwell(reason)) => state.check(&due.id, due.turn, Err(reason), now),
            Err(Failure::Unasked(reason)) => {
                let (service, instance) = (&due.service, &due.id);
                tracing::debug!(%service, %instance, %reason, "a health check is left out");
                state.leave_check_out();
                false
            }
        };
        self.numbers.set(&due.service, state);
        if changed {
            self.dirty.insert(due.service.clone());
        }
        if let Some(check) = &state.policy().check {
            let chance = self.random.f64();
            let pause = schedule::interval(check.interval.get(), check.jitter, chance);
            self.schedule.push((done.began + pause).max(now), due);
        }
    }

    /// Looks at the instance that a worker has told of.
    fn look_at(&mut self, alert: &Alert) {
        let Some(state) = self.services.get_mut(&alert.service) else {
            return;
        };
        let table = self.shared.table();
        let all = samples(&table, &alert.service, state.policy());
        let samples = all.filter(|(id, _)| **id == alert.id);
        state.sample(samples, Instant::now());
        self.dirty.insert(alert.service.clone());
    }

    /// Looks at what endpoints have counted, and at the time.
    fn tick(&mut self) {
        let (table, now) = (self.shared.table(), Instant::now());
        for (name, state) in &mut self.services {
            let policy = Arc::clone(state.policy());
            if state.has_draining() {
                let pool = table.pool(name);
                state.note_use(|id| pool.is_some_and(|pool| pool.named(id.as_str()).is_some()));
            }
            let any_bad =
                policy.ejection.is_some() && state.sample(samples(&table, name, &policy), now);
            if any_bad || state.depends_on_time() {
                self.dirty.insert(name.clone());
            }
        }
    }

    /// Decides on the services of which something may have changed; returns what is to be said.
    fn settle(&mut self) -> Vec<Told> {
        let now = Instant::now();
        let mut told = Vec::new();
        for name in std::mem::take(&mut self.dirty) {
            let Some(state) = self.services.get_mut(&name) else {
                continue;
            };
            let before = state.fail_open();
            let changes = state.settle(now);
            match (before, state.fail_open()) {
                (false, true) => tracing::warn!(
                    service = %name,
                    "too few instances are healthy: health is not believed, and all are used"
                ),
                (true, false) => {
                    tracing::info!(service = %name, "enough instances are healthy again");
                }
                _ => {}
            }
            self.numbers.set(&name, state);
            told.extend(
                changes
                    .into_iter()
                    .map(|(id, observation)| (name.clone(), id, observation)),
            );
        }
        told
    }
}

/// Reads what a service's endpoints have counted, and has workers tell of those that fail.
fn samples<'t>(
    table: &'t RouteTable,
    service: &ServiceName,
    policy: &ServicePolicy,
) -> impl Iterator<Item = (&'t InstanceId, Sample)> + use<'t> {
    let limit = policy
        .ejection
        .map(|ejection| ejection.consecutive_failures);
    let limit = limit.filter(|limit| *limit != 0).unwrap_or(u32::MAX);
    let pool = table.pool(service).into_iter();
    pool.flat_map(|pool| pool.endpoints()).map(move |endpoint| {
        endpoint.outcomes().set_alert(limit);
        (&endpoint.id, endpoint.outcomes().sample())
    })
}

#[cfg(test)]
mod tests;
