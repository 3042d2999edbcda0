//! What is known of all apps, and what the registry has been told of them.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::SystemTime,
};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    app::{Making, Said, Telling, earlier},
    colours::{age, drained, group},
    names,
    record::{AppRecord, TaskRecord},
    verdict::{Verdict, judge},
};
use crate::{Key, Refusal, ServiceName, State, Update};

/// Holds what is known of all apps.
#[derive(Debug, Default)]
pub(super) struct Apps {
    apps: BTreeMap<Arc<str>, Known>,
    told: BTreeMap<Thing, Said>,
    /// Which of them has the name of a service, and the other way around.
    owners: HashMap<ServiceName, Thing>,
    owned: HashMap<Thing, Vec<ServiceName>>,
    /// Those whose names others have.
    waiting: BTreeSet<Thing>,
    /// Whether a name has been freed for these.
    is_freed: bool,
}

/// An app as it was last read.
#[derive(Debug)]
struct Known {
    record: AppRecord,
    /// Sorted by id.
    tasks: Vec<(TaskRecord, Verdict)>,
    refused: Vec<(String, String)>,
    /// What health checks said of a task when they last said something.
    alive: HashMap<Arc<str>, bool>,
    /// When time alone may have changed something.
    due: Option<SystemTime>,
}

/// What becomes services; in this order they get their names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Thing {
    /// All colours of one deployment.
    Colours(Arc<str>),
    App(Arc<str>),
}

impl Apps {
    /// Takes all apps, and returns what that changes; what isn't among them is gone.
    pub(super) fn replace(
        &mut self,
        all: &[Box<RawValue>],
        making: &Making,
        now: SystemTime,
    ) -> Vec<Update> {
        let mut things = BTreeSet::new();
        let mut present = BTreeSet::new();
        let mut updates = Vec::new();
        for raw in all {
            match serde_json::from_str::<AppRecord>(raw.get()) {
                Ok(record) => {
                    present.insert(Arc::clone(&record.id));
                    things.extend(self.know(record, now));
                }
                Err(error) => {
                    let (id, news) = self.refuse(raw, &error);
                    present.insert(id);
                    updates.extend(news);
                }
            }
        }
        // Of one that is told with its group, nothing is told of itself.
        let told = self.told.keys().filter_map(|thing| match thing {
            Thing::App(id) => Some(id),
            Thing::Colours(_) => None,
        });
        let known = self.apps.keys().chain(told);
        let gone: BTreeSet<_> = known.filter(|id| !present.contains(*id)).cloned().collect();
        for id in gone {
            things.extend(self.forget(&id));
        }
        updates.extend(self.tell(things, making));
        updates
    }

    /// Takes one app, and returns what that changes.
    pub(super) fn take(&mut self, raw: &RawValue, making: &Making, now: SystemTime) -> Vec<Update> {
        match serde_json::from_str::<AppRecord>(raw.get()) {
            Ok(record) => {
                let things = self.know(record, now);
                self.tell(things, making)
            }
            Err(error) => self.refuse(raw, &error).1,
        }
    }

    /// Takes that there is no such app, and returns what that changes.
    pub(super) fn remove(&mut self, id: &str, making: &Making) -> Vec<Update> {
        let things = self.forget(id);
        self.tell(things, making)
    }

    /// Returns all that the registry has been told.
    pub(super) fn reset(&self) -> Update {
        let (mut entries, mut refused) = (Vec::new(), Vec::new());
        for update in self.told.values().flat_map(BTreeMap::values) {
            match update {
                Update::Put(entry) => entries.push(entry.clone()),
                Update::Refuse(refusal) => refused.push(refusal.clone()),
                Update::Remove(_) | Update::Reset { .. } => {}
            }
        }
        Update::Reset { entries, refused }
    }

    /// Lists the apps that a deployment changes.
    pub(super) fn deployed_by(&self, deployment: &str) -> impl Iterator<Item = &Arc<str>> {
        let is_part = move |known: &Known| {
            let mut all = known.record.deployments.iter();
            all.any(|one| *one.id == *deployment)
        };
        let apps = self.apps.iter();
        apps.filter_map(move |(id, known)| is_part(known).then_some(id))
    }

    /// Takes the apps of which time alone may have changed something; they are due again when they have
    /// been read.
    pub(super) fn take_due(&mut self, now: SystemTime) -> Vec<Arc<str>> {
        let due = self.apps.iter_mut();
        let due = due.filter(|(_, known)| known.due.is_some_and(|at| at <= now));
        let due = due.map(|(id, known)| {
            known.due = None;
            Arc::clone(id)
        });
        due.collect()
    }

    /// Returns when the next app is due.
    pub(super) fn next_due(&self) -> Option<SystemTime> {
        self.apps.values().filter_map(|known| known.due).min()
    }

    /// Takes an app, and returns what is to be told anew.
    fn know(&mut self, record: AppRecord, now: SystemTime) -> Vec<Thing> {
        let id = Arc::clone(&record.id);
        let before = self.apps.remove(&id);
        let group_before = before.as_ref().and_then(|known| group(&known.record));
        let known = Known::new(record, before.map(|known| known.alive), now);
        let groups = [group_before, group(&known.record)].into_iter().flatten();
        let groups = groups.map(Thing::Colours);
        let things = [Thing::App(Arc::clone(&id))].into_iter().chain(groups);
        self.apps.insert(id, known);
        things.collect()
    }

    fn forget(&mut self, id: &str) -> Vec<Thing> {
        let known = self.apps.remove(id);
        let group = known.and_then(|known| group(&known.record));
        let group = group.map(Thing::Colours).into_iter();
        group.chain([Thing::App(id.into())]).collect()
    }

    /// Says that an app can't be read; what was told of it stays.
    fn refuse(&mut self, raw: &RawValue, error: &serde_json::Error) -> (Arc<str>, Vec<Update>) {
        #[derive(Deserialize, Default)]
        struct Id {
            #[serde(default)]
            id: Option<Arc<str>>,
        }
        let id: Id = serde_json::from_str(raw.get()).unwrap_or_default();
        let id = id.id.unwrap_or_else(|| "?".into());
        // It isn't asked for again before something else happens to it.
        if let Some(known) = self.apps.get_mut(&id) {
            known.due = None;
        }
        let told = self.told.entry(Thing::App(Arc::clone(&id))).or_default();
        let update = refusal(&id, error.to_string());
        let is_news =
            told.insert(Key::new(Arc::clone(&id)), update.clone()) != Some(update.clone());
        (id, is_news.then_some(update).into_iter().collect())
    }

    /// Makes of what is known what the registry has yet to be told.
    fn tell(&mut self, things: impl IntoIterator<Item = Thing>, making: &Making) -> Vec<Update> {
        let mut updates = Vec::new();
        let mut todo: BTreeSet<_> = things.into_iter().collect();
        while let Some(thing) = todo.pop_first() {
            let told = self.told.remove(&thing).unwrap_or_default();
            let had_name = self.owned.contains_key(&thing);
            let said = match self.say(&thing, making) {
                Ok(said) => said,
                Err(reason) => {
                    let key = thing.key();
                    let mut said = told.clone();
                    said.insert(Key::new(key.as_str()), refusal(&key, reason));
                    said
                }
            };
            if !had_name && self.owned.contains_key(&thing) {
                // Colours have no routes of their own as soon as they are told together.
                todo.extend(self.members(&thing));
            }
            if said.is_empty() {
                self.own(&thing, Vec::new());
            }
            if std::mem::take(&mut self.is_freed) {
                todo.append(&mut self.waiting);
            }
            let news = said
                .iter()
                .filter(|(key, update)| told.get(key) != Some(update));
            updates.extend(news.map(|(_, update)| update.clone()));
            let gone = told.keys().filter(|key| !said.contains_key(key));
            updates.extend(gone.cloned().map(Update::Remove));
            if !said.is_empty() {
                self.told.insert(thing, said);
            }
        }
        updates
    }

    fn say(&mut self, thing: &Thing, making: &Making) -> Result<Said, String> {
        let key = thing.key();
        let taken = |service: &ServiceName| {
            let owner = self.owners.get(service).filter(|owner| *owner != thing)?;
            Some(owner.key())
        };
        let telling = match thing {
            Thing::App(id) => {
                let Some(known) = self.apps.get(id) else {
                    return Ok(Said::new());
                };
                let group = group(&known.record);
                // One that is called as its group is told with that.
                if group.as_ref() == Some(id) {
                    return Ok(Said::new());
                }
                let together = group.and_then(|group| {
                    let service = names::service(&group, &making.suffix).ok()?;
                    let owner = self.owners.get(&service);
                    (owner == Some(&Thing::Colours(group))).then_some(service)
                });
                let telling = Telling::new(making, &key, id, &known.record, taken, |app| {
                    app.together = together;
                });
                telling.map(|mut telling| {
                    known.tell(&mut telling, 0, known.up().next().is_none());
                    telling
                })
            }
            Thing::Colours(id) => {
                let mut colours: Vec<_> = self.colours(id).collect();
                colours.sort_by_key(|known| age(&known.record));
                match colours.is_empty() {
                    true => return Ok(Said::new()),
                    false => together(making, &key, id, &colours, taken),
                }
            }
        };
        let telling = telling.inspect_err(|_| {
            // Whatever it is: when names are freed it may be mended.
            self.waiting.insert(thing.clone());
        })?;
        let owned: Vec<_> = telling.owned().cloned().collect();
        if owned.len() < telling.services.len() {
            self.waiting.insert(thing.clone());
        }
        let said = telling.said;
        self.own(thing, owned);
        Ok(said)
    }

    /// Notes which services are a thing's, instead of those that were.
    fn own(&mut self, thing: &Thing, services: Vec<ServiceName>) {
        let before = match services.is_empty() {
            true => self.owned.remove(thing),
            false => self.owned.insert(thing.clone(), services.clone()),
        };
        for service in before.into_iter().flatten() {
            if !services.contains(&service) {
                self.owners.remove(&service);
                self.is_freed = true;
            }
        }
        for service in services {
            self.owners.insert(service, thing.clone());
        }
    }

    /// Lists the apps of a group.
    fn colours(&self, name: &str) -> impl Iterator<Item = &Known> {
        let all = self.apps.values();
        all.filter(move |one| group(&one.record).as_deref() == Some(name))
    }

    /// Lists the apps of which a thing is made, besides itself.
    fn members(&self, thing: &Thing) -> Vec<Thing> {
        match thing {
            Thing::App(_) => Vec::new(),
            Thing::Colours(id) => {
                let colours = self.colours(id);
                let ids = colours.map(|known| Arc::clone(&known.record.id));
                ids.map(Thing::App).collect()
            }
        }
    }
}

/// Tells all colours of a deployment as one, by what the oldest says of itself.
fn together<'a>(
    making: &'a Making,
    key: &'a str,
    id: &str,
    colours: &[&Known],
    taken: impl Fn(&ServiceName) -> Option<String>,
) -> Result<Telling<'a>, String> {
    let (new, old) = colours.split_last().ok_or("there is none")?;
    let first = old.first().unwrap_or(new);
    let mut telling = Telling::new(making, key, id, &first.record, taken, |app| {
        let ids = colours.iter().map(|one| Arc::clone(&one.record.id));
        app.colours = ids.collect();
    })?;
    let well = new.up().count();
    let instances = old.iter().map(|one| one.record.instances).sum();
    let mut left = match drained(instances, &new.record, well) {
        _ if old.is_empty() => 0,
        Ok(count) => count,
        Err(reason) => {
            telling.refuse_key(Key::new(format!("{key} of {}", new.record.id)), reason);
            0
        }
    };
    let is_anybody = colours.iter().any(|one| one.up().next().is_some());
    for known in old {
        let count = left.min(known.up().count());
        known.tell(&mut telling, count, !is_anybody);
        left -= count;
    }
    new.tell(&mut telling, 0, !is_anybody);
    Ok(telling)
}

impl Known {
    fn new(record: AppRecord, before: Option<HashMap<Arc<str>, bool>>, now: SystemTime) -> Self {
        let before = before.unwrap_or_default();
        let mut known = Self {
            tasks: Vec::new(),
            refused: Vec::new(),
            alive: HashMap::new(),
            due: None,
            record,
        };
        for raw in &known.record.tasks {
            let task = match serde_json::from_str::<TaskRecord>(raw.get()) {
                Ok(task) => task,
                Err(error) => {
                    known.refused.push((task_id(raw), error.to_string()));
                    continue;
                }
            };
            let was_alive = before.get(&task.id).copied();
            let Some(verdict) = judge(&known.record, &task, was_alive, now) else {
                continue;
            };
            let is_alive = verdict.is_alive.map(|alive| (Arc::clone(&task.id), alive));
            known.alive.extend(is_alive);
            known.due = earlier(known.due, verdict.until);
            known.tasks.push((task, verdict));
        }
        // They have been read, and may be large.
        known.record.tasks = Vec::new();
        known.tasks.sort_by(|(a, _), (b, _)| a.id.cmp(&b.id));
        known
    }

    /// Lists the tasks that clients are sent to.
    fn up(&self) -> impl Iterator<Item = &TaskRecord> {
        let tasks = self.tasks.iter();
        tasks.filter_map(|(task, verdict)| (verdict.state == State::Up).then_some(task))
    }

    /// Tells its tasks; of those that are up, the first `drained` as such that get nothing new.
    ///
    /// Where nobody is up, clients are sent to the lost: it may be Marathon that is.
    fn tell(&self, telling: &mut Telling<'_>, drained: usize, is_nobody_up: bool) {
        let mut left = drained;
        for (task, verdict) in &self.tasks {
            let state = match verdict.state {
                State::Up if left > 0 => {
                    left -= 1;
                    State::Draining
                }
                State::Down if verdict.is_lost && is_nobody_up => State::Up,
                state => state,
            };
            let verdict = Verdict {
                state,
                ..verdict.clone()
            };
            telling.add(&self.record, task, &verdict);
        }
        for (task, reason) in &self.refused {
            telling.refuse(task, reason.clone());
        }
    }
}

impl Thing {
    /// Returns what the keys of its records begin with.
    fn key(&self) -> String {
        match self {
            Self::App(id) => id.to_string(),
            Self::Colours(id) => format!("deployment group {id}"),
        }
    }
}

fn refusal(key: &str, reason: String) -> Update {
    Update::Refuse(Refusal {
        key: Key::new(key),
        reason,
    })
}

/// Returns the id of a task that can't be read, as far as it has one.
fn task_id(raw: &RawValue) -> String {
    #[derive(Deserialize)]
    struct Id {
        id: String,
    }
    let id = serde_json::from_str::<Id>(raw.get());
    id.map_or_else(|_| "?".to_owned(), |id| id.id)
}

#[cfg(test)]
mod tests;
