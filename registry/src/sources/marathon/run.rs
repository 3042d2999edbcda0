//! One run of the source: events that say what to read, and what was read.

use std::{
    collections::BTreeSet,
    convert::Infallible,
    mem,
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures_util::{
    FutureExt as _,
    future::{BoxFuture, OptionFuture},
};
use serde_json::value::RawValue;
use tokio::{
    select,
    sync::watch,
    time::{Instant, sleep, sleep_until},
};
use url::Url;

use super::{
    app::Making, apps::Apps, config::Config, event::About, leaders::MARATHONS, reading::Reader,
};
use crate::{
    Error, Update, Updates,
    election::{self, Candidates, Place},
    http::{Body, Events, Failure},
};

/// Of how many apps are read one by one; of more than that all are read at once.
const SINGLE_READS_MAX: usize = 16;

/// The least time from one reading of all apps to the next.
const ALL_INTERVAL_MIN: Duration = Duration::from_secs(1);

pub(super) struct Run<'a> {
    pub(super) config: &'a Config,
    pub(super) reader: Reader,
    pub(super) making: Making,
    pub(super) apps: &'a mut Apps,
    pub(super) updates: &'a Updates,
    /// Who leads, by the election; the list of the configuration without one.
    pub(super) leaders: watch::Receiver<Candidates>,
    /// Until all apps have been told a first time in this run.
    pub(super) is_new: bool,
}

/// What is to be read.
#[derive(Debug, Default)]
struct Wanted {
    all: bool,
    /// Whether nothing has happened that anybody has told: what is different then was missed.
    is_audit: bool,
    apps: BTreeSet<Arc<str>>,
}

/// What was read.
enum Read {
    /// Whether that was an audit, and all apps.
    All(bool, Vec<Box<RawValue>>),
    Apps(Vec<(Arc<str>, Option<Box<RawValue>>)>),
}

type Reading = BoxFuture<'static, Result<Read, Failure>>;

impl Run<'_> {
    /// Follows the leaders, one after the other, until one fails.
    pub(super) async fn run(mut self) -> Result<Infallible, Error> {
        loop {
            let patience = self.config.timeout.get();
            let known = election::known(MARATHONS, &mut self.leaders, patience).await?;
            let (marathon, events) = match self.listen(&known).await {
                Ok(found) => found,
                Err(_) if election::is_another(&mut self.leaders).await => continue,
                Err(error) => return Err(error),
            };
            match events {
                Some(body) => self.follow(&marathon, body).await?,
                None => self.poll(&marathon).await?,
            }
        }
    }

    /// Listens to the leader, which any other one leads to.
    async fn listen(&self, known: &Candidates) -> Result<(Url, Option<Body>), Error> {
        let mut last: Option<Error> = None;
        for (host, port) in known.in_order() {
            let url = format!("{}://{host}:{port}", self.config.scheme());
            match self.reader.events(&Url::parse(&url)?).await {
                Ok(found) => return Ok(found),
                Err(error) => last = Some(error.into()),
            }
        }
        Err(last.unwrap_or_else(|| "there is no Marathon".into()))
    }

    /// Follows the events of a Marathon until another one leads, or this one has been silent for long.
    async fn follow(&mut self, marathon: &Url, mut body: Body) -> Result<(), Error> {
        let mut events = Events::new(self.config.answer_bytes_max.bytes());
        let silence = self.config.silence.get();
        let mut deadline = Instant::now() + silence;
        let mut refresh = Instant::now() + self.config.refresh.get();
        let mut wanted = Wanted {
            all: true,
            ..Wanted::default()
        };
        // All apps are not read one time after the other, whatever happens.
        let mut all_from = Instant::now();
        let mut reading: Option<Reading> = None;
        loop {
            while let Some(data) = events
                .next()
                .map_err(|reason| Failure::new(marathon, reason))?
            {
                self.want(&mut wanted, About::of(&data));
            }
            if reading.is_none()
                && let Some(next) = wanted.next(self.is_new, Instant::now() >= all_from)
            {
                if next.all {
                    all_from = Instant::now() + ALL_INTERVAL_MIN;
                }
                reading = Some(self.read(marathon, next));
            }
            let due = self.until_due();
            let is_idle = reading.is_none();
            select! {
                biased;
                // What has come is looked at before what was read is judged.
                piece = body.next() => match piece? {
                    Some(bytes) => {
                        deadline = Instant::now() + silence;
                        events.push(&bytes);
                    }
                    None => return Err(Failure::new(marathon, "the stream of events has ended").into()),
                },
                changed = self.leaders.changed() => {
                    if changed.is_ok() && self.leads_no_more(marathon) {
                        return Ok(());
                    }
                }
                Some(read) = OptionFuture::from(reading.as_mut()) => {
                    reading = None;
                    self.take(read?, wanted.is_empty()).await;
                }
                () = sleep_until(refresh) => {
                    refresh = Instant::now() + self.config.refresh.get();
                    wanted.is_audit |= wanted.is_empty() && is_idle;
                    wanted.all = true;
                }
                () = sleep_until(all_from), if is_idle && wanted.all => {}
                Some(()) = OptionFuture::from(due.map(sleep)), if is_idle => {
                    wanted.apps.extend(self.apps.take_due(SystemTime::now()));
                }
                () = sleep_until(deadline) => {
                    let source = self.updates.source();
                    tracing::warn!(
                        %source, %marathon, ?silence,
                        "no word of events, not even that there are none; they are asked for again"
                    );
                    return Ok(());
                }
            }
        }
    }

    /// Reads all apps again and again, for want of events, until another Marathon leads.
    async fn poll(&mut self, marathon: &Url) -> Result<(), Error> {
        loop {
            let all = Wanted {
                all: true,
                ..Wanted::default()
            };
            let read = self.read(marathon, all).await?;
            self.take(read, false).await;
            select! {
                () = sleep(self.config.refresh.get()) => {}
                changed = self.leaders.changed() => {
                    if changed.is_ok() && self.leads_no_more(marathon) {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Notes what is to be read for an event.
    fn want(&self, wanted: &mut Wanted, about: About) {
        wanted.is_audit &= about == About::Nothing;
        match about {
            About::Nothing => {}
            About::All => wanted.all = true,
            About::Apps(apps) => wanted.apps.extend(apps),
            About::Deployment(id, apps) => {
                let known = self.apps.deployed_by(&id).cloned();
                let all: BTreeSet<_> = known.chain(apps).collect();
                wanted.all |= all.is_empty();
                wanted.apps.extend(all);
            }
        }
    }

    fn read(&self, marathon: &Url, wanted: Wanted) -> Reading {
        let (reader, marathon) = (self.reader.clone(), marathon.clone());
        async move {
            let is_path = |id: &Arc<str>| {
                let mut bytes = id.bytes();
                id.starts_with('/')
                    && bytes.all(|b| b.is_ascii_alphanumeric() || b"/-._".contains(&b))
            };
            if wanted.all || !wanted.apps.iter().all(is_path) {
                let all = reader.all(&marathon).await?;
                return Ok(Read::All(wanted.is_audit, all));
            }
            let mut apps = Vec::new();
            for id in wanted.apps {
                match reader.one(&marathon, &id).await {
                    Ok(app) => apps.push((id, app)),
                    // One that fails alone says nothing of the others.
                    Err(error) => {
                        tracing::debug!(app = %id, %error, "an app can't be read alone");
                        return Ok(Read::All(false, reader.all(&marathon).await?));
                    }
                }
            }
            Ok(Read::Apps(apps))
        }
        .boxed()
    }

    /// Takes what was read, and tells what it changes; `is_settled` says that no event is unread, so
    /// that a difference has been missed.
    async fn take(&mut self, read: Read, is_settled: bool) {
        let (making, now) = (&self.making, SystemTime::now());
        let updates = match read {
            Read::All(is_audit, all) => {
                let updates = self.apps.replace(&all, making, now);
                if mem::take(&mut self.is_new) {
                    self.updates.send(self.apps.reset()).await;
                    return;
                }
                if is_audit && is_settled {
                    self.updates.audited(updates.len() as u64).await;
                }
                updates
            }
            Read::Apps(apps) => {
                let apps = apps.into_iter();
                let updates = apps.flat_map(|(id, app)| match app {
                    Some(app) => self.apps.take(&app, making, now),
                    None => self.apps.remove(&id, making),
                });
                updates.collect::<Vec<Update>>()
            }
        };
        for update in updates {
            self.updates.send(update).await;
        }
    }

    /// Takes what the election says; returns whether another one leads.
    fn leads_no_more(&mut self, marathon: &Url) -> bool {
        let elected = self.leaders.borrow_and_update().leader.clone();
        elected.is_some() && elected != place(marathon)
    }

    /// Returns how long it is until time alone may change something.
    fn until_due(&self) -> Option<Duration> {
        let due = self.apps.next_due()?;
        Some(due.duration_since(SystemTime::now()).unwrap_or_default())
    }
}

impl Wanted {
    fn is_empty(&self) -> bool {
        !self.all && self.apps.is_empty()
    }

    /// Takes what is to be read next: single apps at first, and all when they may be read, which at the
    /// beginning of a run is all that counts.
    fn next(&mut self, is_new: bool, may_read_all: bool) -> Option<Self> {
        self.all |= self.apps.len() > SINGLE_READS_MAX;
        self.is_audit &= self.apps.is_empty();
        if self.all && may_read_all {
            return Some(mem::take(self));
        }
        if is_new || self.apps.is_empty() || self.apps.len() > SINGLE_READS_MAX {
            return None;
        }
        Some(Self {
            apps: mem::take(&mut self.apps),
            ..Self::default()
        })
    }
}

fn place(marathon: &Url) -> Option<Place> {
    let host = marathon.host_str()?.to_owned();
    Some((host, marathon.port_or_known_default()?))
}
