//! One run of the source: a stream of events, or a state that is read again and again.

use std::{collections::HashMap, convert::Infallible, mem, time::Duration};

use bytes::Bytes;
use futures_util::{
    FutureExt as _,
    future::{BoxFuture, OptionFuture},
};
use http::{StatusCode, header};
use tokio::{
    select,
    sync::watch,
    time::{Instant, sleep, sleep_until},
};
use url::Url;

use super::{
    cluster::{Cluster, Thing},
    config::Config,
    draft::Making,
    event::Event,
    masters::MASTERS,
    picture::Picture,
    recordio::Records,
    state::{State, States},
};
use crate::{
    Error, Key, Update, Updates,
    election::{self, Candidates, Place},
    http::{Body, Failure, Request},
};

/// How many heartbeats may be missing before a stream counts as dead.
const HEARTBEATS_MISSED: u32 = 3;

/// How soon after agents have come back everything is read again: what they no longer run was kept.
const SETTLE: Duration = Duration::from_secs(5);

/// How soon after a framework has come it is asked for where its scheduler is.
const LOOK_FOR_SCHEDULERS: Duration = Duration::from_millis(500);

/// The most redirects that are followed to the leader.
const REDIRECTS_MAX: usize = 3;

pub(super) struct Run<'a> {
    pub(super) config: &'a Config,
    pub(super) states: States,
    pub(super) making: Making,
    pub(super) cluster: &'a mut Cluster,
    pub(super) told: HashMap<Thing, Vec<Key>>,
    pub(super) updates: &'a Updates,
    /// Who leads, by the election; the list of the configuration without one.
    pub(super) masters: watch::Receiver<Candidates>,
    /// Until the first state of this run has been told.
    pub(super) is_new: bool,
}

/// What is to be done while a stream is followed, and when.
struct Agenda {
    /// How long the stream may be silent, and until when it may be now.
    silence: Duration,
    deadline: Instant,
    /// To ask where the schedulers are.
    schedulers: Option<Instant>,
    /// To read everything again.
    settle: Option<Instant>,
}

impl Agenda {
    fn new(silence: Duration) -> Self {
        Self {
            silence,
            deadline: Instant::now() + silence,
            schedulers: None,
            settle: None,
        }
    }
}

/// A leader's answer to a subscription.
enum Subscription {
    Stream(Body),
    /// It is too old for that, and its state is to be read instead.
    Unsupported,
}

impl Run<'_> {
    /// Follows the leaders, one after the other, until one fails.
    pub(super) async fn run(mut self) -> Result<Infallible, Error> {
        loop {
            let patience = self.config.timeout.get();
            let known = election::known(MASTERS, &mut self.masters, patience).await?;
            let (master, subscription) = match self.subscribe(&known).await {
                Ok(found) => found,
                Err(_) if election::is_another(&mut self.masters).await => continue,
                Err(error) => return Err(error),
            };
            match subscription {
                Subscription::Stream(body) => self.follow(&master, body).await?,
                Subscription::Unsupported => self.poll(&master).await?,
            }
        }
    }

    /// Subscribes at the leader, which is found by asking all.
    async fn subscribe(&self, known: &Candidates) -> Result<(Url, Subscription), Error> {
        let mut last: Option<Error> = None;
        for (host, port) in known.in_order() {
            match self.subscribe_at(&format!("{host}:{port}")).await {
                Ok(found) => return Ok(found),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| "there is no master".into()))
    }

    async fn subscribe_at(&self, master: &str) -> Result<(Url, Subscription), Error> {
        let mut url = self.config.master_url(master)?;
        for _ in 0..=REDIRECTS_MAX {
            let api = url.join("/api/v1")?;
            let request = Request::post(&api, Bytes::from_static(br#"{"type":"SUBSCRIBE"}"#));
            let response = self.states.client.send(request).await?;
            match response.status {
                StatusCode::OK => return Ok((url, Subscription::Stream(response.body))),
                StatusCode::TEMPORARY_REDIRECT
                | StatusCode::FOUND
                | StatusCode::MOVED_PERMANENTLY
                | StatusCode::PERMANENT_REDIRECT => {
                    let to = response.headers.get(header::LOCATION);
                    let to = to.and_then(|to| to.to_str().ok()).unwrap_or_default();
                    let mut to = api.join(to).map_err(|error| Failure::new(&api, error))?;
                    to.set_path("/");
                    to.set_query(None);
                    if url.scheme() == "https" && to.scheme() != "https" {
                        let reason = format!("it redirects to `{to}`, without TLS");
                        return Err(Failure::new(&api, reason).into());
                    }
                    url = to;
                }
                StatusCode::NOT_FOUND
                | StatusCode::METHOD_NOT_ALLOWED
                | StatusCode::NOT_IMPLEMENTED => return Ok((url, Subscription::Unsupported)),
                _ => return Err(self.states.client.refused(&api, response).await.into()),
            }
        }
        Err(Failure::new(&url, "it redirects again and again").into())
    }

    /// Follows a stream of events until there is another leader, or everything is to be read again.
    async fn follow(&mut self, master: &Url, mut body: Body) -> Result<(), Error> {
        let mut records = Records::new(self.config.event_bytes_max.bytes());
        let mut agenda = Agenda::new(self.config.timeout.get());
        let mut reading: Option<BoxFuture<'static, Result<State, Error>>> = None;
        loop {
            while let Some(record) = records
                .next()
                .map_err(|reason| Failure::new(master, reason))?
            {
                let event = Event::read(&record).map_err(|reason| Failure::new(master, reason))?;
                self.take(master, event, &mut agenda).await?;
            }
            select! {
                piece = body.next() => match piece? {
                    Some(bytes) => {
                        agenda.deadline = Instant::now() + agenda.silence;
                        records.push(&bytes);
                    }
                    None => return Err(Failure::new(master, "the stream has ended").into()),
                },
                () = sleep_until(agenda.deadline) => {
                    let reason = format!("the stream has been silent for {:?}", agenda.silence);
                    return Err(Failure::new(master, reason).into());
                }
                Some(()) = OptionFuture::from(agenda.schedulers.map(sleep_until)) => {
                    agenda.schedulers = None;
                    let (states, master) = (self.states.clone(), master.clone());
                    // Events don't wait for it.
                    reading = Some(async move { states.read(&master).await }.boxed());
                }
                Some(read) = OptionFuture::from(reading.as_mut()) => {
                    reading = None;
                    self.take_schedulers(read).await;
                }
                Some(()) = OptionFuture::from(agenda.settle.map(sleep_until)) => return Ok(()),
                changed = self.masters.changed() => {
                    if changed.is_ok() && self.masters_changed(master).await {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Takes an event, and tells what it changes.
    async fn take(&mut self, master: &Url, event: Event, agenda: &mut Agenda) -> Result<(), Error> {
        match event {
            Event::Subscribed(picture, heartbeat) => {
                let silence = heartbeat * HEARTBEATS_MISSED;
                agenda.silence = silence.max(self.config.timeout.get());
                self.replace(master, *picture).await;
                agenda.schedulers = Some(Instant::now());
            }
            _ if self.is_new => {
                let reason = "the stream doesn't start with a state";
                return Err(Failure::new(master, reason).into());
            }
            Event::Refused(refusal) => self.updates.send(Update::Refuse(refusal)).await,
            event => {
                if matches!(event, Event::Framework(_)) {
                    let soon = Instant::now() + LOOK_FOR_SCHEDULERS;
                    agenda.schedulers.get_or_insert(soon);
                }
                if self.cluster.awaits(&event) {
                    agenda.settle = Some(Instant::now() + SETTLE);
                }
                let things = self.cluster.apply(event);
                self.tell(things).await;
            }
        }
        Ok(())
    }

    /// Reads the state again and again, for want of a stream, until there is another leader.
    async fn poll(&mut self, master: &Url) -> Result<(), Error> {
        let mut master = master.clone();
        let mut asked = 0;
        loop {
            let state = self.states.read(&master).await?;
            // Whoever is asked knows who leads, and only the leader knows the rest.
            if let Some((host, port)) = state
                .leader
                .filter(|one| Some(one) != place(&master).as_ref())
            {
                asked += 1;
                if asked > REDIRECTS_MAX {
                    return Err(Failure::new(&master, "each calls another one the leader").into());
                }
                master = self.config.master_url(&format!("{host}:{port}"))?;
                continue;
            }
            asked = 0;
            self.replace(&master, state.picture).await;
            select! {
                () = sleep(self.config.refresh.get()) => {}
                changed = self.masters.changed() => {
                    if changed.is_ok() && self.masters_changed(&master).await {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Takes where the schedulers are; without it they stay where they were.
    async fn take_schedulers(&mut self, read: Result<State, Error>) {
        match read {
            Ok(state) => {
                let things = self.cluster.take_schedulers(&state.picture);
                self.tell(things).await;
            }
            Err(error) => tracing::warn!(
                source = %self.updates.source(), %error,
                "the state can't be read that says where the frameworks are"
            ),
        }
    }

    /// Takes all that a master says, and tells it.
    async fn replace(&mut self, master: &Url, mut picture: Picture) {
        let refused = mem::take(&mut picture.refused);
        self.cluster.replace(picture);
        self.cluster.set_masters(self.masters_with(master));
        let (mut reset, told) = self.cluster.reset(&self.making);
        if let Update::Reset { refused: all, .. } = &mut reset {
            all.extend(refused);
        }
        self.told = told;
        self.is_new = false;
        self.updates.send(reset).await;
    }

    /// Takes what the election says; returns whether another than `master` leads.
    async fn masters_changed(&mut self, master: &Url) -> bool {
        let elected = self.masters.borrow_and_update().clone();
        let here = place(master);
        if elected.leader.is_some() && elected.leader != here {
            return true;
        }
        if self.cluster.set_masters(self.masters_with(master)) {
            self.tell(vec![Thing::Masters]).await;
        }
        false
    }

    /// Returns the masters, of which this one leads.
    fn masters_with(&self, master: &Url) -> Candidates {
        Candidates {
            leader: place(master),
            all: self.masters.borrow().all.clone(),
        }
    }

    async fn tell(&mut self, things: Vec<Thing>) {
        for thing in things {
            let updates = self.cluster.say(&thing, &self.making);
            let keys: Vec<Key> = updates.iter().filter_map(key_of).cloned().collect();
            let before = match keys.is_empty() {
                true => self.told.remove(&thing),
                false => self.told.insert(thing, keys.clone()),
            };
            for update in updates {
                self.updates.send(update).await;
            }
            let gone = before
                .into_iter()
                .flatten()
                .filter(|key| !keys.contains(key));
            for key in gone {
                self.updates.send(Update::Remove(key)).await;
            }
        }
    }
}

fn key_of(update: &Update) -> Option<&Key> {
    match update {
        Update::Put(entry) => Some(&entry.key),
        Update::Refuse(refusal) => Some(&refusal.key),
        Update::Remove(_) | Update::Reset { .. } => None,
    }
}

fn place(master: &Url) -> Option<Place> {
    Some((
        master.host_str()?.to_owned(),
        master.port_or_known_default()?,
    ))
}
