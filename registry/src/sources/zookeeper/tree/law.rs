//! The law of the tree: whatever happens in whatever order, what was told ends up as the truth.

use proptest::prelude::*;

use super::{
    tests::{DELAY, node, tree},
    *,
};

/// One thing that happens to a model of the store, or to the tree that follows it.
#[derive(Debug, Clone)]
enum Step {
    Write(u8),
    Delete(u8),
    /// Starts to read a marked path: the answer is what the store holds now.
    Ask,
    /// Takes the answer to the n-th question.
    Answer(usize),
    /// The connection is lost, a record is written or deleted, and everything is read again.
    Lose(u8, bool),
    Compare,
    Wait,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..4_u8).prop_map(Step::Write),
        3 => (0..4_u8).prop_map(Step::Delete),
        5 => Just(Step::Ask),
        5 => (0..3_usize).prop_map(Step::Answer),
        1 => (0..4_u8, any::<bool>()).prop_map(|(n, write)| Step::Lose(n, write)),
        1 => Just(Step::Compare),
        2 => Just(Step::Wait),
    ];
    prop::collection::vec(step, 0..60)
}

/// A store with one event per change, the tree that follows it, and what it has told.
struct World {
    store: BTreeMap<Arc<str>, Node>,
    zxid: i64,
    tree: Tree,
    told: BTreeMap<String, Entry>,
    asked: Vec<(Arc<str>, Option<Node>)>,
    now: Instant,
}

impl World {
    fn take(&mut self, step: Step) -> Result<(), TestCaseError> {
        let path = |n| format!("web/{n}");
        match step {
            Step::Write(n) => {
                self.change(&path(n), true);
                self.tree.mark(&path(n));
            }
            Step::Delete(n) => {
                self.change(&path(n), false);
                self.tree.mark(&path(n));
            }
            Step::Ask => {
                if let Some(path) = self.tree.next_read() {
                    let answer = self.store.get(&path).cloned();
                    self.asked.push((path, answer));
                }
            }
            Step::Answer(n) if n < self.asked.len() => {
                let (path, answer) = self.asked.remove(n);
                let update = self.tree.read(&path, answer, self.now);
                self.tell(update);
            }
            Step::Answer(_) => {}
            Step::Lose(n, write) => {
                self.asked.clear();
                self.tree.abandon_reads();
                self.change(&path(n), write);
                let mut scan = Scan::new();
                scan.found = self.store.clone();
                let reset = self.tree.commit(scan, Key::new("/"), self.now);
                self.tell(Some(reset));
            }
            Step::Compare => {
                self.tree.begin_comparison();
                let mut scan = Scan::new();
                let versions = self.store.iter();
                scan.found = versions
                    .map(|(p, node)| (Arc::clone(p), node.version))
                    .collect();
                prop_assert_eq!(self.tree.compare(&scan), 0, "every change had an event");
            }
            Step::Wait => {
                self.now += DELAY / 2;
                for update in self.tree.expire(self.now) {
                    self.tell(Some(update));
                }
            }
        }
        Ok(())
    }

    fn change(&mut self, path: &str, write: bool) {
        self.zxid += 1;
        if !write {
            self.store.remove(path);
            return;
        }
        let created = self.store.get(path).map(|node| node.version.created);
        let port = u16::try_from(self.zxid).unwrap();
        let node = node(path, created.unwrap_or(self.zxid), self.zxid, port);
        self.store.insert(path.into(), node);
    }

    fn tell(&mut self, update: Option<Update>) {
        match update {
            Some(Update::Reset { entries, .. }) => {
                let entries = entries.into_iter();
                self.told = entries.map(|e| (e.key.to_string(), e)).collect();
            }
            Some(Update::Put(entry)) => {
                self.told.insert(entry.key.to_string(), entry);
            }
            Some(Update::Remove(key)) => {
                self.told
                    .remove(key.as_str())
                    .expect("only what was told is removed");
            }
            Some(Update::Refuse(refusal)) => panic!("{refusal:?}"),
            None => {}
        }
    }
}

proptest! {
    #[test]
    fn what_was_told_ends_up_as_what_the_store_holds(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let now = runtime.block_on(async { Instant::now() });
        let mut world = World {
            store: BTreeMap::new(),
            zxid: 0,
            tree: tree(),
            told: BTreeMap::new(),
            asked: Vec::new(),
            now,
        };
        for step in steps {
            world.take(step)?;
        }
        for _ in 0..20 {
            world.take(Step::Ask)?;
            world.take(Step::Answer(0))?;
        }
        for _ in 0..3 {
            world.take(Step::Wait)?;
        }
        let store: Vec<_> = world.store.values().map(|node| node.says.clone().unwrap()).collect();
        let told: Vec<_> = world.told.values().cloned().collect();
        prop_assert_eq!(told, store);
    }
}
