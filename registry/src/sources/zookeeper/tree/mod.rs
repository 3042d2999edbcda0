//! What is known below the root, what has to be read again, and what is about to be removed.
//!
//! Pure: reads and times come from outside, updates go out. An event only marks a path; what counts
//! is what a read then finds.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use crate::{Entry, Key, Refusal, Update};

/// Tells which state of a znode has been read; both are transaction ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Version {
    /// Tells a znode from an earlier one with the same path: `czxid`.
    pub(super) created: i64,
    /// Grows with every change, and with every new creation: `mzxid`.
    pub(super) modified: i64,
}

/// Holds what a read has found at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) version: Version,
    pub(super) says: Result<Entry, Refusal>,
}

/// Holds everything that one complete scan has found, by relative path.
#[derive(Debug)]
pub(super) struct Scan<T> {
    pub(super) found: BTreeMap<Arc<str>, T>,
    /// The services whose children may not be listed: nothing is known of these.
    pub(super) unlisted: HashSet<Arc<str>>,
    /// How many znodes were left out because of the limit.
    pub(super) left_out: usize,
}

impl<T> Scan<T> {
    pub(super) fn new() -> Self {
        Self {
            found: BTreeMap::new(),
            unlisted: HashSet::new(),
            left_out: 0,
        }
    }

    /// Tells whether the scan would have found this path if it existed.
    fn covers(&self, path: &str) -> bool {
        let service = path.split_once('/').map(|(service, _)| service);
        service.is_none_or(|service| !self.unlisted.contains(service))
    }
}

/// Keeps the books.
#[derive(Debug)]
pub(crate) struct Tree {
    known: HashMap<Arc<str>, Known>,
    /// The paths that have to be read again, or are being read.
    marks: HashMap<Arc<str>, Mark>,
    /// The marked paths that nobody reads yet, each once, in the order of their events.
    waiting: VecDeque<Arc<str>>,
    /// When the known znodes that have vanished are given up; those that are marked are left out.
    leaving: BTreeSet<(Instant, Arc<str>)>,
    /// The paths marked since a comparison has begun.
    touched: Option<HashSet<Arc<str>>>,
    full: bool,
    removal_delay: Duration,
    records_max: usize,
}

#[derive(Debug)]
struct Known {
    node: Node,
    /// When it is given up, if it has vanished.
    leaves: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Waiting,
    Reading,
    /// It is being read, and something has happened to it since.
    ReadingAndChanged,
}

impl Tree {
    /// Returns how many records are read at the most.
    pub(super) fn records_max(&self) -> usize {
        self.records_max
    }

    pub(crate) fn new(removal_delay: Duration, records_max: usize) -> Self {
        Self {
            known: HashMap::new(),
            marks: HashMap::new(),
            waiting: VecDeque::new(),
            leaving: BTreeSet::new(),
            touched: None,
            full: false,
            removal_delay,
            records_max,
        }
    }

    /// Begins another run: what is known is kept until the run has read everything.
    ///
    /// Whatever it reads counts as newer, for the ensemble may have been set up anew meanwhile.
    pub(super) fn restart(&mut self) {
        self.abandon_reads();
        for known in self.known.values_mut() {
            known.node.version.modified = i64::MIN;
        }
    }

    /// Notes that something has happened at a path.
    ///
    /// A new path above the limit is left to the next comparison, which may find room for it.
    pub(super) fn mark(&mut self, path: &str) {
        let room = self.known.len() + self.waiting.len() < self.records_max;
        if !room && !self.known.contains_key(path) && !self.marks.contains_key(path) {
            self.full = true;
            return;
        }
        let path: Arc<str> = path.into();
        if let Some(at) = self.known.get(&path).and_then(|known| known.leaves) {
            self.leaving.remove(&(at, Arc::clone(&path)));
        }
        if let Some(touched) = &mut self.touched {
            touched.insert(Arc::clone(&path));
        }
        match self.marks.get_mut(&path) {
            Some(Mark::Waiting) => {}
            Some(mark) => *mark = Mark::ReadingAndChanged,
            None => {
                self.marks.insert(Arc::clone(&path), Mark::Waiting);
                self.waiting.push_back(path);
            }
        }
    }

    /// Takes the next path to read; the answer goes to [`Tree::read`].
    pub(super) fn next_read(&mut self) -> Option<Arc<str>> {
        let path = self.waiting.pop_front()?;
        self.marks.insert(Arc::clone(&path), Mark::Reading);
        Some(path)
    }

    /// Takes what a read has found (`None`: no such znode); returns what there is to say.
    pub(super) fn read(
        &mut self,
        path: &Arc<str>,
        found: Option<Node>,
        now: Instant,
    ) -> Option<Update> {
        if self.marks.remove(path) == Some(Mark::ReadingAndChanged) {
            self.mark(path);
        }
        match found {
            Some(node) => self.hold(path, node),
            None => {
                self.let_go(path, now);
                None
            }
        }
    }

    /// Forgets the reads and the comparison that are under way; what was being read is marked
    /// again.
    pub(super) fn abandon_reads(&mut self) {
        self.touched = None;
        for (path, mark) in &mut self.marks {
            if *mark != Mark::Waiting {
                *mark = Mark::Waiting;
                self.waiting.push_back(Arc::clone(path));
            }
        }
    }

    /// Takes a complete scan; returns everything there is.
    ///
    /// What has vanished stays until its delay is over: its owner may be about to register it
    /// again.
    pub(super) fn commit(&mut self, scan: Scan<Node>, root: Key, now: Instant) -> Update {
        let vanished = self.missing_in(&scan);
        for (path, node) in scan.found {
            // What changed is in the reset.
            drop(self.hold(&path, node));
        }
        for path in vanished {
            self.let_go(&path, now);
        }
        if self.removal_delay.is_zero() {
            drop(self.expire(now));
        }
        self.full = scan.left_out > 0;
        let mut known: Vec<_> = self.known.iter().collect();
        known.sort_unstable_by_key(|(path, _)| *path);
        let (mut entries, mut refused) = (Vec::with_capacity(known.len()), Vec::new());
        for (_, known) in known {
            match known.node.says.clone() {
                Ok(entry) => entries.push(entry),
                Err(refusal) => refused.push(refusal),
            }
        }
        if scan.left_out > 0 {
            let reason = format!(
                "{} records more than records_max = {}: they are left out",
                scan.left_out, self.records_max
            );
            refused.push(Refusal { key: root, reason });
        }
        Update::Reset { entries, refused }
    }

    /// Notes that a comparison begins: what is marked from now on is not the comparison's business.
    pub(super) fn begin_comparison(&mut self) {
        self.touched = Some(self.marks.keys().cloned().collect());
    }

    /// Compares a complete scan with what is known and marks what differs; returns how many znodes
    /// had changed without an event.
    ///
    /// Refused znodes are marked too: an access list may have changed, for which there is no event.
    pub(super) fn compare(&mut self, scan: &Scan<Version>) -> u64 {
        let touched = self.touched.take().unwrap_or_default();
        let mut suspects = self.missing_in(scan);
        suspects.retain(|path| self.known[path].leaves.is_none());
        for (path, version) in &scan.found {
            match self.known.get(path) {
                Some(known) if known.leaves.is_none() && known.node.version == *version => {}
                None if self.full && self.known.len() >= self.records_max => {}
                _ => suspects.push(Arc::clone(path)),
            }
        }
        suspects.retain(|path| !touched.contains(path));
        let refused: Vec<_> = self.refused().collect();
        self.full = scan.left_out > 0;
        for path in suspects.iter().chain(&refused) {
            self.mark(path);
        }
        suspects.len() as u64
    }

    /// Gives up the znodes whose delay is over; one that has to be read again is left alone until
    /// then.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<Update> {
        let mut updates = Vec::new();
        while self.next_deadline().is_some_and(|at| at <= now) {
            let gone = self.leaving.pop_first();
            let known = gone.and_then(|(_, path)| self.known.remove(&path));
            updates.extend(known.map(|known| Update::Remove(key_of(known.node))));
        }
        updates
    }

    /// Returns when [`Tree::expire`] has something to do next.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.leaving.first().map(|(at, _)| *at)
    }

    /// Keeps a node unless a newer state of it is known; returns what there is to say.
    fn hold(&mut self, path: &Arc<str>, node: Node) -> Option<Update> {
        let Some(known) = self.known.get_mut(path) else {
            let update = update_of(node.says.clone());
            let known = Known { node, leaves: None };
            self.known.insert(Arc::clone(path), known);
            return Some(update);
        };
        if node.version.modified < known.node.version.modified {
            return None;
        }
        if let Some(at) = known.leaves.take() {
            self.leaving.remove(&(at, Arc::clone(path)));
        }
        let changed = known.node.says != node.says;
        known.node = node;
        changed.then(|| update_of(known.node.says.clone()))
    }

    /// Notes that a znode has vanished; the delay counts from the first time.
    fn let_go(&mut self, path: &Arc<str>, now: Instant) {
        let Some(known) = self.known.get_mut(path) else {
            return;
        };
        let at = *known.leaves.get_or_insert(now + self.removal_delay);
        if !self.marks.contains_key(path) {
            self.leaving.insert((at, Arc::clone(path)));
        }
    }

    fn missing_in<T>(&self, scan: &Scan<T>) -> Vec<Arc<str>> {
        self.known
            .keys()
            .filter(|path| !scan.found.contains_key(*path) && scan.covers(path))
            .cloned()
            .collect()
    }

    fn refused(&self) -> impl Iterator<Item = Arc<str>> {
        self.known
            .iter()
            .filter(|(_, known)| known.node.says.is_err() && known.leaves.is_none())
            .map(|(path, _)| Arc::clone(path))
    }
}

fn update_of(says: Result<Entry, Refusal>) -> Update {
    match says {
        Ok(entry) => Update::Put(entry),
        Err(refusal) => Update::Refuse(refusal),
    }
}

fn key_of(node: Node) -> Key {
    match node.says {
        Ok(entry) => entry.key,
        Err(refusal) => refusal.key,
    }
}

#[cfg(test)]
mod law;
#[cfg(test)]
mod tests;
