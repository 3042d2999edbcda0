use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Item {
    name: [u8; 4],
    value: u32,
}

impl Named for Item {
    fn name(&self) -> &[u8] {
        &self.name
    }
}

fn item(n: u32, value: u32) -> Item {
    Item {
        name: n.to_be_bytes(),
        value,
    }
}

/// Returns the entries, having checked that each is where its hash leads.
fn contents(trie: &Trie<Item>) -> BTreeMap<[u8; 4], u32> {
    let all: BTreeMap<_, _> = trie.iter().map(|item| (item.name, item.value)).collect();
    assert_eq!(all.len(), trie.len);
    for (name, value) in &all {
        assert_eq!(trie.get(name).map(|item| item.value), Some(*value));
    }
    all
}

/// Returns how many leaves there are.
fn leaves<T>(branch: &Branch<T>) -> usize {
    let each = branch.children.iter().map(|child| match child {
        Child::Leaf(_) => 1,
        Child::Branch(below) => leaves(below),
    });
    each.sum()
}

#[test]
fn many_entries_fill_the_leaves_and_leave_none_when_they_go() {
    let mut trie = Trie::default();
    let count = 20_000;
    for n in 0..count {
        trie.insert(item(n, n));
    }
    assert_eq!(contents(&trie).len(), count as usize);
    let fill = count as usize / leaves(&trie.root);
    assert!((LEAF_MAX / 2..=LEAF_MAX).contains(&fill), "{fill}");
    for n in 0..count {
        trie.remove(&n.to_be_bytes());
    }
    assert_eq!((trie.len, leaves(&trie.root)), (0, 1));
}

#[test]
fn entries_whose_hashes_are_the_same_are_told_apart() {
    let mut branch = Branch::from_leaf(Leaf::new(0));
    let same = |_: &Item| 7;
    for n in 0..100 {
        assert!(branch.insert(0, 7, item(n, n), &same));
    }
    assert!(!branch.insert(0, 7, item(50, 1), &same));
    assert_eq!(branch.iter().count(), 100);
    for n in 0..100_u32 {
        branch.remove(0, 7, &n.to_be_bytes());
    }
    assert_eq!((branch.iter().count(), leaves(&branch)), (0, 1));
}

#[derive(Debug, Clone)]
enum Step {
    Insert(u32, u32),
    Change(u32, u32),
    Remove(u32),
    Keep,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let name = 0..200_u32;
    let step = prop_oneof![
        6 => (name.clone(), any::<u32>()).prop_map(|(n, value)| Step::Insert(n, value)),
        2 => (name.clone(), any::<u32>()).prop_map(|(n, value)| Step::Change(n, value)),
        4 => name.prop_map(Step::Remove),
        1 => Just(Step::Keep),
    ];
    prop::collection::vec(step, 0..600)
}

proptest! {
    /// It is what an ordinary map is, and an older version of it stays what it was.
    #[test]
    fn it_holds_what_a_map_holds(steps in steps()) {
        let mut trie = Trie::default();
        let mut map = BTreeMap::new();
        let mut kept = Vec::new();
        for step in steps {
            match step {
                Step::Insert(n, value) => {
                    trie.insert(item(n, value));
                    map.insert(n.to_be_bytes(), value);
                }
                Step::Change(n, value) => {
                    let entry = trie.get_mut(&n.to_be_bytes());
                    prop_assert_eq!(entry.is_some(), map.contains_key(&n.to_be_bytes()));
                    if let Some(entry) = entry {
                        entry.value = value;
                        map.insert(n.to_be_bytes(), value);
                    }
                }
                Step::Remove(n) => {
                    trie.remove(&n.to_be_bytes());
                    map.remove(&n.to_be_bytes());
                }
                Step::Keep => kept.push((trie.clone(), map.clone())),
            }
            prop_assert_eq!(trie.len, map.len());
        }
        kept.push((trie, map));
        for (trie, map) in &kept {
            prop_assert_eq!(&contents(trie), map);
        }
    }

    #[test]
    fn how_it_came_about_makes_no_difference(mut names in prop::collection::vec(0..100_u32, 0..100)) {
        let fill = |names: &[u32]| {
            let mut trie = Trie::default();
            names.iter().for_each(|n| trie.insert(item(*n, 0)));
            trie
        };
        let one = fill(&names);
        names.reverse();
        let mut other = fill(&names);
        prop_assert_eq!(&one, &other);
        if let Some(n) = names.first() {
            other.get_mut(&n.to_be_bytes()).unwrap().value = 1;
            prop_assert_ne!(&one, &other);
        }
    }
}
