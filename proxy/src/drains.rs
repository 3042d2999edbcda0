//! Instances that leave: how long they get new requests, and how long what they have may go on.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use registry::{Change, Instance, InstanceId, Service, ServiceName, Snapshot, State};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::{Endpoint, RouteTable, pool};

/// How long after it has left an endpoint is kept even when it has nothing to do: a request may have
/// chosen it a moment before.
const LEFT_JUST_NOW: Duration = Duration::from_secs(1);

/// How many endpoints that have left are kept before those that have nothing to do are looked for.
const LEFT_KEPT_MIN: usize = 64;

/// Follows instances that drain or are gone.
///
/// An instance that DNS has told of and that drains is told no more, but clients know it for a while: as
/// long, it gets requests from here too, while it is well. Then, or at once when it is gone, it gets no
/// new ones; what it has may go on for a limited time.
///
/// Pure: time is an argument. Whoever holds it makes each table of [`Drains::view`], tells it of
/// every one ([`Drains::follow`]), and comes back when [`Drains::next`] says.
#[derive(Debug)]
pub struct Drains {
    /// How long requests and tunnels may go on.
    limit: Duration,
    snapshot: Snapshot,
    view: Snapshot,
    /// The view before this one.
    before: Snapshot,
    /// Until when draining instances get new requests.
    known: HashMap<ServiceName, BTreeMap<InstanceId, Instant>>,
    /// The same, in order.
    ends: BTreeSet<(Instant, ServiceName, InstanceId)>,
    /// By the time at which what they have is ended.
    left: BTreeMap<(Instant, u64), Left>,
    count: u64,
    /// Those whose time is over, while their requests and tunnels end.
    ended: Vec<Left>,
    /// How many that have left lead to a look for those that have nothing to do.
    kept_max: usize,
}

/// An endpoint that is in no table any more.
#[derive(Debug)]
struct Left {
    service: ServiceName,
    endpoint: Arc<Endpoint>,
    since: Instant,
}

/// Says how far an instance that leaves has come, and what it still has to do.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DrainState {
    /// How far it has come.
    pub phase: DrainPhase,
    /// Until the phase is over at the latest, in seconds; nothing when there is no next one.
    pub seconds_left: Option<f64>,
    /// Requests that it has not answered yet.
    pub requests: u64,
    /// Tunnels (WebSocket) through it.
    pub tunnels: u64,
}

/// Says how far an instance that leaves has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DrainPhase {
    /// DNS tells it no more, but clients may still know it: it gets new requests.
    Dns,
    /// It gets no new requests and finishes those it has.
    Finishing,
    /// It has nothing to do.
    Done,
}

impl Drains {
    /// Follows nobody yet; requests and tunnels may go on for `limit`.
    pub fn new(limit: Duration) -> Self {
        Self {
            limit,
            snapshot: Snapshot::default(),
            view: Snapshot::default(),
            before: Snapshot::default(),
            known: HashMap::new(),
            ends: BTreeSet::new(),
            left: BTreeMap::new(),
            count: 0,
            ended: Vec::new(),
            kept_max: LEFT_KEPT_MIN,
        }
    }

    /// Sets how long requests and tunnels of instances that leave from now on may go on.
    pub fn set_limit(&mut self, limit: Duration) {
        self.limit = limit;
    }

    /// Takes the next snapshot; `known_for` says how long clients may keep what DNS has told them of
    /// a service.
    ///
    /// Costs what has changed.
    pub fn take(&mut self, new: &Snapshot, now: Instant, known_for: impl Fn(&Service) -> Duration) {
        let old = std::mem::replace(&mut self.snapshot, new.clone());
        let mut services = self.view.services().clone();
        if services.is_empty() {
            // Nobody was told of anything before.
            services = new.services().clone();
        } else {
            for change in new.changes_since(&old) {
                let before = old.service(change.name().as_str());
                match change {
                    Change::Put(name, service) => {
                        self.renew(before, service, now, &known_for);
                        services.insert(name.clone(), self.routed(service));
                    }
                    Change::Remove(name) => {
                        self.forget(name, |_| false);
                        services.remove(name);
                    }
                }
            }
        }
        self.set_view(services);
    }

    /// Ends the time of those whose clients know no better any more; returns whether there are any.
    pub fn expire(&mut self, now: Instant) -> bool {
        let mut services = self.view.services().clone();
        let mut any = false;
        while self.ends.first().is_some_and(|(end, _, _)| *end <= now) {
            let Some((_, name, id)) = self.ends.pop_first() else {
                break;
            };
            any = true;
            self.forget(&name, |other| *other != id);
            if let Some(service) = self.snapshot.service(name.as_str()) {
                services.insert(name, self.routed(service));
            }
        }
        if any {
            self.set_view(services);
        }
        any
    }

    /// Returns the snapshot as routes see it, in which those that still get requests are up, and the one
    /// before it.
    pub fn view(&self) -> (&Snapshot, &Snapshot) {
        (&self.view, &self.before)
    }

    /// Notes which endpoints of the table `old`, made of the view before, aren't in `new` any more.
    pub fn follow(&mut self, old: &RouteTable, new: &RouteTable, now: Instant) {
        self.count_anew(now);
        for change in self.view.changes_since(&self.before) {
            let service = change.name();
            let endpoints = old
                .pool(service)
                .into_iter()
                .flat_map(|pool| pool.endpoints());
            for endpoint in endpoints.filter(|endpoint| !new.contains(service, endpoint)) {
                self.count += 1;
                let left = Left {
                    service: service.clone(),
                    endpoint: Arc::clone(endpoint),
                    since: now,
                };
                self.left.insert((now + self.limit, self.count), left);
            }
        }
        if self.left.len() > self.kept_max {
            self.left.retain(|_, left| left.is_wanted(now));
            self.kept_max = LEFT_KEPT_MIN.max(2 * self.left.len());
        }
    }

    /// Has the time of those begin now whose instance was there in the view before, and has left.
    fn count_anew(&mut self, now: Instant) {
        let changes = self.view.changes_since(&self.before);
        let changed: HashSet<ServiceName> = changes.map(|one| one.name().clone()).collect();
        let (view, before) = (&self.view, &self.before);
        let has_left = |left: &Left| {
            changed.contains(&left.service) && left.is_there(before) && !left.is_there(view)
        };
        let moved = self.left.extract_if(.., |_, left| has_left(left));
        let moved: Vec<_> = moved.collect();
        let moved = moved.into_iter();
        self.left
            .extend(moved.map(|((_, number), left)| ((now + self.limit, number), left)));
    }

    /// Returns the endpoints whose requests and tunnels have gone on for too long.
    ///
    /// One whose instance is there at the same address keeps what it has: it is back, or was left out
    /// for another reason. It is looked at again later, for then it may be gone.
    pub fn overdue(&mut self, now: Instant) -> Vec<Arc<Endpoint>> {
        self.ended.retain(|left| left.endpoint.in_flight() > 0);
        let later = self.left.split_off(&(now, u64::MAX));
        let due = std::mem::replace(&mut self.left, later);
        let busy = due
            .into_iter()
            .filter(|(_, left)| left.endpoint.in_flight() > 0);
        let mut endpoints = Vec::new();
        for ((_, number), left) in busy {
            if left.is_there(&self.view) {
                self.left.insert((now + self.limit, number), left);
            } else {
                endpoints.push(Arc::clone(&left.endpoint));
                self.ended.push(left);
            }
        }
        endpoints
    }

    /// Returns when there is something to do next: [`Drains::expire`] or [`Drains::overdue`].
    pub fn next(&self) -> Option<Instant> {
        let known = self.ends.first().map(|(end, _, _)| *end);
        let left = self.left.first_key_value().map(|((end, _), _)| *end);
        known.into_iter().chain(left).min()
    }

    /// Lists the instances of a service that drain, and those that are gone and still have something to
    /// do; `table` is the newest.
    pub fn states(
        &self,
        table: &RouteTable,
        service: &ServiceName,
        now: Instant,
    ) -> BTreeMap<InstanceId, DrainState> {
        let known = self.known.get(service);
        let pool = table.pool(service);
        let mut states = BTreeMap::new();
        let instances = self.snapshot.service(service.as_str());
        let instances = instances.into_iter().flat_map(|one| &one.instances);
        for instance in instances.filter(|one| one.state == State::Draining) {
            let mut state = DrainState::default();
            if let Some(end) = known.and_then(|known| known.get(&instance.id)) {
                state.phase = DrainPhase::Dns;
                state.seconds_left = Some(end.saturating_duration_since(now).as_secs_f64());
                if let Some((_, endpoint)) = pool.and_then(|pool| pool.endpoint_of(instance)) {
                    state.add(endpoint);
                }
            }
            states.insert(instance.id.clone(), state);
        }
        let left = self.left.iter().map(|((end, _), left)| (*end, left));
        let left = left.chain(self.ended.iter().map(|left| (now, left)));
        let busy = |left: &Left| left.service == *service && left.endpoint.in_flight() > 0;
        for (end, left) in left.filter(|(_, left)| busy(left) && !left.is_there(&self.view)) {
            let state = states.entry(left.endpoint.id.clone()).or_default();
            state.add(&left.endpoint);
            if state.phase == DrainPhase::Done {
                state.phase = DrainPhase::Finishing;
                state.seconds_left = Some(end.saturating_duration_since(now).as_secs_f64());
            }
        }
        states
    }

    /// Counts the instances that are gone, or moved, and still have something to do, by service.
    pub fn gone(&self) -> BTreeMap<ServiceName, usize> {
        let mut gone: BTreeMap<_, usize> = BTreeMap::new();
        let left = self.left.values().chain(&self.ended);
        for left in left.filter(|left| self.is_gone(left)) {
            *gone.entry(left.service.clone()).or_default() += 1;
        }
        gone
    }

    /// Tells whether an endpoint has something to do and no instance says so.
    fn is_gone(&self, left: &Left) -> bool {
        let service = self.snapshot.service(left.service.as_str());
        let instance = service.and_then(|service| service.instance(&left.endpoint.id));
        let drains = instance.is_some_and(|instance| instance.state == State::Draining);
        !drains && left.endpoint.in_flight() > 0 && !left.is_there(&self.view)
    }

    /// Notes who has begun to drain, and forgets who drains no more.
    fn renew(
        &mut self,
        old: Option<&Arc<Service>>,
        new: &Service,
        now: Instant,
        known_for: impl Fn(&Service) -> Duration,
    ) {
        let drains = |one: &Arc<Instance>| one.state == State::Draining;
        self.forget(&new.name, |id| new.instance(id).is_some_and(drains));
        let Some(old) = old else {
            return;
        };
        for instance in new.instances.iter().filter(|one| drains(one)) {
            let was_told = |one: &Arc<Instance>| one.exclusion_told().is_none();
            if !old.instance(&instance.id).is_some_and(was_told) {
                continue;
            }
            let known_for = known_for(old);
            if !known_for.is_zero() {
                let (name, id) = (new.name.clone(), instance.id.clone());
                let known = self.known.entry(name.clone()).or_default();
                known.insert(id.clone(), now + known_for);
                self.ends.insert((now + known_for, name, id));
            }
        }
    }

    /// Forgets until when the instances of a service get requests, but for those to `keep`.
    fn forget(&mut self, service: &ServiceName, keep: impl Fn(&InstanceId) -> bool) {
        let Some(known) = self.known.get_mut(service) else {
            return;
        };
        known.retain(|id, end| {
            let kept = keep(id);
            if !kept {
                self.ends.remove(&(*end, service.clone(), id.clone()));
            }
            kept
        });
        if known.is_empty() {
            self.known.remove(service);
        }
    }

    /// Returns a service as routes see it.
    fn routed(&self, service: &Arc<Service>) -> Arc<Service> {
        let Some(known) = self.known.get(&service.name) else {
            return Arc::clone(service);
        };
        let mut routed = Service::clone(service);
        for instance in &mut routed.instances {
            if known.contains_key(&instance.id) {
                Arc::make_mut(instance).state = State::Up;
            }
        }
        Arc::new(routed)
    }

    fn set_view(&mut self, services: imbl::OrdMap<ServiceName, Arc<Service>>) {
        let snapshot = &self.snapshot;
        let view = Snapshot::new(snapshot.version(), services, snapshot.unsynced().into());
        self.before = std::mem::replace(&mut self.view, view);
    }
}

impl Left {
    /// Tells whether its instance is up at the same address, be it well or not.
    fn is_there(&self, view: &Snapshot) -> bool {
        let service = view.service(self.service.as_str());
        let instance = service.and_then(|service| service.instance(&self.endpoint.id));
        let up = instance.filter(|instance| instance.state == State::Up);
        let place = up.and_then(|instance| pool::place(instance));
        place == Some(self.endpoint.address)
    }

    /// Tells whether it has something to do, or may get it.
    fn is_wanted(&self, now: Instant) -> bool {
        self.endpoint.in_flight() > 0 || now < self.since + LEFT_JUST_NOW
    }
}

impl Default for DrainState {
    /// Nothing is left to do.
    fn default() -> Self {
        Self {
            phase: DrainPhase::Done,
            seconds_left: None,
            requests: 0,
            tunnels: 0,
        }
    }
}

impl DrainState {
    fn add(&mut self, endpoint: &Endpoint) {
        let tunnels = endpoint.tunnels();
        self.tunnels += tunnels;
        self.requests += endpoint.in_flight().saturating_sub(tunnels);
    }
}

#[cfg(test)]
mod tests;
