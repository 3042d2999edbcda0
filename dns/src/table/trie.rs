//! A persistent map from names to what stands there.
//!
//! It is a hash trie made for three things. A look-up waits for memory as seldom as it can: a place
//! or two in branches that are used all the time, the tags in a leaf, and what stands there, which
//! has its own name beside it. A copy with a change shares all but one path with the old one. And
//! there may be millions of names: leaves are split in two, so that they are never mostly empty.

use std::{
    fmt,
    hash::{BuildHasher, Hasher as _},
    sync::Arc,
};

use foldhash::fast::RandomState;
use smallvec::SmallVec;

/// How many bits of a hash choose a child of a branch.
const BRANCH_BITS: u32 = 5;

/// How many places a branch has for its children.
const PLACES: usize = 1 << BRANCH_BITS;

/// How many entries a leaf has at the most, but for hashes that have no bits left to tell them apart.
const LEAF_MAX: usize = 16;

/// The bits of a hash that choose children; those above are the tag.
const CHOOSING_BITS: u32 = u64::BITS - u8::BITS;

/// Tells under which name something stands.
pub(super) trait Named {
    fn name(&self) -> &[u8];
}

/// Holds things by their names; a copy costs nothing and shares all but what is changed in it.
#[derive(Clone)]
pub(super) struct Trie<T> {
    root: Arc<Branch<T>>,
    len: usize,
    random: RandomState,
}

#[derive(Clone)]
enum Child<T> {
    Leaf(Arc<Leaf<T>>),
    Branch(Arc<Branch<T>>),
}

/// Holds children, each at the places from its own first one up to the next one's.
///
/// A leaf has as many places as there are values of the bits that its entries needn't agree in; a
/// branch has one.
#[derive(Clone)]
struct Branch<T> {
    /// A bit for each place at which a child begins.
    firsts: u32,
    children: SmallVec<[Child<T>; PLACES]>,
}

/// Holds entries whose hashes agree in what chose the leaf.
#[derive(Clone)]
struct Leaf<T> {
    /// How many of the bits that choose a place in the branch above the entries agree in.
    bits: u32,
    /// A byte of each entry's hash: hardly ever are two names compared that aren't the same.
    tags: SmallVec<[u8; LEAF_MAX]>,
    entries: SmallVec<[Arc<T>; LEAF_MAX]>,
}

impl<T: Named + Clone> Trie<T> {
    pub(super) fn get(&self, name: &[u8]) -> Option<&T> {
        self.find(self.hash(name), name)
    }

    fn find(&self, hash: u64, name: &[u8]) -> Option<&T> {
        let mut branch = &self.root;
        let mut shift = 0;
        loop {
            match &branch.children[branch.child_at(place_of(hash, shift))] {
                Child::Branch(below) => branch = below,
                Child::Leaf(leaf) => {
                    let at = leaf.find(hash, name)?;
                    return Some(&leaf.entries[at]);
                }
            }
            shift += BRANCH_BITS;
        }
    }

    /// Returns what stands at a name, to be changed; it must keep its name.
    pub(super) fn get_mut(&mut self, name: &[u8]) -> Option<&mut T> {
        let hash = self.hash(name);
        // What isn't there must not cost a copy.
        self.find(hash, name)?;
        let mut branch = Arc::make_mut(&mut self.root);
        let mut shift = 0;
        loop {
            let child = branch.child_at(place_of(hash, shift));
            match &mut branch.children[child] {
                Child::Branch(below) => branch = Arc::make_mut(below),
                Child::Leaf(leaf) => {
                    let at = leaf.find(hash, name)?;
                    let entry = &mut Arc::make_mut(leaf).entries[at];
                    return Some(Arc::make_mut(entry));
                }
            }
            shift += BRANCH_BITS;
        }
    }

    /// Puts something at its name, in place of what stood there.
    pub(super) fn insert(&mut self, entry: T) {
        let hash = self.hash(entry.name());
        let Self { root, random, .. } = self;
        let hash_of = |entry: &T| hash_with(random, entry.name());
        let new = Arc::make_mut(root).insert(0, hash, entry, &hash_of);
        self.len += usize::from(new);
    }

    /// Removes what stands at a name, if anything does.
    pub(super) fn remove(&mut self, name: &[u8]) {
        let hash = self.hash(name);
        if self.find(hash, name).is_some() {
            Arc::make_mut(&mut self.root).remove(0, hash, name);
            self.len -= 1;
        }
    }

    fn hash(&self, name: &[u8]) -> u64 {
        hash_with(&self.random, name)
    }
}

impl<T> Trie<T> {
    /// Lists what there is, in no particular order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.root.iter()
    }
}

impl<T: Named + Clone> Branch<T> {
    /// Puts an entry at its name; returns whether there was none.
    fn insert(&mut self, shift: u32, hash: u64, entry: T, hash_of: &dyn Fn(&T) -> u64) -> bool {
        let child = self.child_at(place_of(hash, shift));
        let leaf = match &mut self.children[child] {
            Child::Branch(below) => {
                return Arc::make_mut(below).insert(shift + BRANCH_BITS, hash, entry, hash_of);
            }
            Child::Leaf(leaf) => Arc::make_mut(leaf),
        };
        if let Some(at) = leaf.find(hash, entry.name()) {
            leaf.entries[at] = Arc::new(entry);
            return false;
        }
        if leaf.entries.len() < LEAF_MAX || shift + leaf.bits >= CHOOSING_BITS {
            leaf.push(hash, Arc::new(entry));
            return true;
        }
        self.split(hash, shift, hash_of);
        self.insert(shift, hash, entry, hash_of)
    }

    /// Removes the entry at a name, and what is left over of the children around it.
    fn remove(&mut self, shift: u32, hash: u64, name: &[u8]) {
        let place = place_of(hash, shift);
        let child = self.child_at(place);
        match &mut self.children[child] {
            Child::Leaf(leaf) => {
                let leaf = Arc::make_mut(leaf);
                if let Some(at) = leaf.find(hash, name) {
                    leaf.tags.swap_remove(at);
                    leaf.entries.swap_remove(at);
                }
                self.join(place);
            }
            Child::Branch(below) => {
                let branch = Arc::make_mut(below);
                branch.remove(shift + BRANCH_BITS, hash, name);
                if let [Child::Leaf(only)] = &mut branch.children[..] {
                    Arc::make_mut(only).bits = BRANCH_BITS;
                    self.children[child] = Child::Leaf(Arc::clone(only));
                    self.join(place);
                }
            }
        }
    }
}

impl<T> Branch<T> {
    /// Returns which child has a place.
    fn child_at(&self, place: u32) -> usize {
        let up_to_it = self.firsts << (u32::BITS - 1 - place);
        up_to_it.count_ones() as usize - 1
    }

    /// Makes two of the leaf that a hash leads to, by the first bit that its entries needn't agree in.
    fn split(&mut self, hash: u64, shift: u32, hash_of: &dyn Fn(&T) -> u64) {
        let place = place_of(hash, shift);
        let child = self.child_at(place);
        let Child::Leaf(leaf) = &mut self.children[child] else {
            return;
        };
        if leaf.bits == BRANCH_BITS {
            let mut below = Self::from_leaf(Leaf {
                bits: 0,
                tags: leaf.tags.clone(),
                entries: leaf.entries.clone(),
            });
            below.split(hash, shift + BRANCH_BITS, hash_of);
            self.children[child] = Child::Branch(Arc::new(below));
            return;
        }
        let bits = leaf.bits + 1;
        let half = 1 << (BRANCH_BITS - bits);
        let (mut low, mut high) = (Leaf::new(bits), Leaf::new(bits));
        for entry in &leaf.entries {
            let hash = hash_of(entry);
            let side = match place_of(hash, shift) & half {
                0 => &mut low,
                _ => &mut high,
            };
            side.push(hash, Arc::clone(entry));
        }
        let first = place & !(2 * half - 1);
        self.firsts |= 1 << (first | half);
        self.children[child] = Child::Leaf(Arc::new(low));
        self.children.insert(child + 1, Child::Leaf(Arc::new(high)));
    }

    /// Makes one of the leaf at a place and the one that it was split from, as long as both are half
    /// empty.
    fn join(&mut self, place: u32) {
        loop {
            let child = self.child_at(place);
            let Child::Leaf(leaf) = &self.children[child] else {
                return;
            };
            if leaf.bits == 0 {
                return;
            }
            let size = 1 << (BRANCH_BITS - leaf.bits);
            let first = place & !(2 * size - 1);
            let (low, high) = (self.child_at(first), self.child_at(first | size));
            let (Child::Leaf(one), Child::Leaf(other)) =
                (&self.children[low], &self.children[high])
            else {
                return;
            };
            let len = one.entries.len() + other.entries.len();
            if one.bits != other.bits || len > LEAF_MAX / 2 {
                return;
            }
            let mut joined = Leaf::new(leaf.bits - 1);
            for leaf in [one, other] {
                joined.tags.extend_from_slice(&leaf.tags);
                joined.entries.extend(leaf.entries.iter().cloned());
            }
            self.children[low] = Child::Leaf(Arc::new(joined));
            self.children.remove(high);
            self.firsts &= !(1 << (first | size));
        }
    }

    fn from_leaf(leaf: Leaf<T>) -> Self {
        Self {
            firsts: 1,
            children: SmallVec::from_iter([Child::Leaf(Arc::new(leaf))]),
        }
    }

    fn iter(&self) -> Box<dyn Iterator<Item = &T> + '_> {
        Box::new(self.children.iter().flat_map(|child| match child {
            Child::Branch(below) => below.iter(),
            Child::Leaf(leaf) => Box::new(leaf.entries.iter().map(AsRef::as_ref)),
        }))
    }
}

impl<T> Leaf<T> {
    fn new(bits: u32) -> Self {
        Self {
            bits,
            tags: SmallVec::new(),
            entries: SmallVec::new(),
        }
    }

    fn push(&mut self, hash: u64, entry: Arc<T>) {
        self.tags.push(tag(hash));
        self.entries.push(entry);
    }
}

impl<T: Named> Leaf<T> {
    fn find(&self, hash: u64, name: &[u8]) -> Option<usize> {
        let tag = tag(hash);
        let mut all = self.tags.iter().zip(&self.entries);
        all.position(|(one, entry)| *one == tag && entry.name() == name)
    }
}

impl<T> Default for Trie<T> {
    fn default() -> Self {
        Self {
            root: Arc::new(Branch::from_leaf(Leaf::new(0))),
            len: 0,
            random: RandomState::default(),
        }
    }
}

impl<T: Named + Clone + PartialEq> PartialEq for Trie<T> {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.iter().all(|one| other.get(one.name()) == Some(one))
    }
}

impl<T: Named + Clone + Eq> Eq for Trie<T> {}

impl<T: fmt::Debug> fmt::Debug for Trie<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

fn hash_with(random: &RandomState, name: &[u8]) -> u64 {
    let mut hasher = random.build_hasher();
    hasher.write(name);
    hasher.finish()
}

/// Returns the place in a branch that has used up `shift` bits of a hash above it.
fn place_of(hash: u64, shift: u32) -> u32 {
    (hash >> shift) as u32 % PLACES as u32
}

fn tag(hash: u64) -> u8 {
    (hash >> CHOOSING_BITS) as u8
}

#[cfg(test)]
mod tests;
