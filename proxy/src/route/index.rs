//! Routes by host and path, so that finding one takes no longer where there are many.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use memchr::memrchr;
use smallvec::SmallVec;

use super::{
    is_below,
    pattern::{HostPattern, PathPattern},
    rule::Rule,
};

/// How many prefixes of one host are compared one by one; where there are more they are looked up.
///
/// Each is somewhere else in memory, so comparing some costs what a look-up does.
const COMPARED_MAX: usize = 4;

/// The place of a rule in the order of all: the lower one is used.
pub(crate) type Rank = u32;

/// What no rule has.
const NONE: Rank = Rank::MAX;

/// The rules that are for the same hosts and paths, the one to be used first.
type Ranks = SmallVec<[Rank; 2]>;

/// Finds rules by host and path.
#[derive(Debug, Default)]
pub(crate) struct Index {
    exact: HashMap<Box<str>, Paths, RandomState>,
    /// By what the hosts are below.
    below: HashMap<Box<str>, Paths, RandomState>,
    any: Paths,
    /// The lowest ranks in `below` and in `any`.
    below_first: Option<Rank>,
    any_first: Option<Rank>,
    /// Rules differ in priority, so that not always the most specific one is used.
    mixed: bool,
}

/// Finds the rules of one host by path.
#[derive(Debug, Default)]
struct Paths {
    exact: HashMap<Box<str>, Ranks, RandomState>,
    /// In the order of their ranks.
    regexes: Vec<(PathPattern, Rank)>,
    prefixes: Prefixes,
    starts: Starts,
    folded_starts: Starts,
}

/// Finds rules by how a path begins.
#[derive(Debug, Default)]
struct Starts {
    all: HashMap<Box<str>, Ranks, RandomState>,
    /// How many bytes they have, each once, the longest first.
    lengths: Vec<usize>,
}

#[derive(Debug, Default)]
struct Prefixes {
    /// In the order of their lowest ranks; empty when there are too many.
    few: Vec<(Box<str>, Ranks)>,
    many: HashMap<Box<str>, Ranks, RandomState>,
    /// The longest one in `many`, in bytes.
    bytes_max: usize,
}

impl Index {
    /// Builds the index of some rules, which stand in their order.
    pub(crate) fn build(rules: Vec<(Rank, &Rule)>) -> Self {
        let mut index = Self {
            mixed: rules
                .first()
                .zip(rules.last())
                .is_some_and(|((_, first), (_, last))| first.priority != last.priority),
            ..Self::default()
        };
        for (rank, rule) in rules {
            let paths = match &rule.host {
                HostPattern::Exact(host) => index.exact.entry(host.clone()).or_default(),
                HostPattern::Below(host) => {
                    index.below_first.get_or_insert(rank);
                    index.below.entry(host.clone()).or_default()
                }
                HostPattern::Any => {
                    index.any_first.get_or_insert(rank);
                    &mut index.any
                }
            };
            paths.add(&rule.path, rank);
        }
        index
    }

    /// Finds the lowest rank for a host in lower case and a path in its normal form.
    ///
    /// `holds` tells whether the rule's further conditions hold.
    pub(crate) fn find(
        &self,
        host: &str,
        path: &str,
        holds: impl Fn(Rank) -> bool,
    ) -> Option<Rank> {
        let mut best = NONE;
        if let Some(paths) = self.exact.get(host) {
            best = paths.find(path, best, self.mixed, &holds);
        }
        if self.below_first.is_some_and(|first| first < best) {
            for parent in parents(host) {
                if let Some(paths) = self.below.get(parent) {
                    best = paths.find(path, best, self.mixed, &holds);
                }
                if best != NONE && !self.mixed {
                    break;
                }
            }
        }
        if self.any_first.is_some_and(|first| first < best) {
            best = self.any.find(path, best, self.mixed, &holds);
        }
        (best != NONE).then_some(best)
    }

    /// Lists the rules whose hosts and paths include all of these, as far as that is easy to tell.
    pub(crate) fn covering(&self, host: &HostPattern, path: &PathPattern) -> Vec<Rank> {
        let mut hosts: Vec<&Paths> = Vec::new();
        match host {
            HostPattern::Exact(host) => {
                hosts.extend(self.exact.get(host));
                hosts.extend(parents(host).filter_map(|parent| self.below.get(parent)));
            }
            HostPattern::Below(host) => {
                hosts.extend(self.below.get(host));
                hosts.extend(parents(host).filter_map(|parent| self.below.get(parent)));
            }
            HostPattern::Any => {}
        }
        hosts.push(&self.any);
        let mut ranks = Vec::new();
        for paths in hosts {
            paths.covering(path, &mut ranks);
        }
        ranks
    }
}

impl Paths {
    fn add(&mut self, pattern: &PathPattern, rank: Rank) {
        match pattern {
            PathPattern::Exact(path) => self.exact.entry(path.clone()).or_default().push(rank),
            PathPattern::Regex(..) => self.regexes.push((pattern.clone(), rank)),
            PathPattern::Prefix(prefix) => self.prefixes.add(prefix, rank),
            PathPattern::Start(start) => self.starts.add(start, rank),
            PathPattern::FoldedStart(start) => self.folded_starts.add(start, rank),
        }
    }

    /// Returns the lowest rank of a rule that matches, or `best` when none is lower.
    fn find(&self, path: &str, mut best: Rank, mixed: bool, holds: &impl Fn(Rank) -> bool) -> Rank {
        if !self.exact.is_empty()
            && let Some(ranks) = self.exact.get(path)
        {
            best = lowest(ranks, best, holds);
            if best != NONE && !mixed {
                return best;
            }
        }
        for (pattern, rank) in &self.regexes {
            if *rank >= best {
                break;
            }
            if pattern.matches(path) && holds(*rank) {
                best = *rank;
                break;
            }
        }
        if best != NONE && !mixed {
            return best;
        }
        if !self.starts.all.is_empty() {
            best = self.starts.find(path.as_bytes(), best, mixed, holds);
        }
        if !self.folded_starts.all.is_empty() {
            let mut lower: SmallVec<[u8; 256]> = SmallVec::from_slice(path.as_bytes());
            lower.make_ascii_lowercase();
            best = self.folded_starts.find(&lower, best, mixed, holds);
        }
        self.prefixes.find(path, best, mixed, holds)
    }

    fn covering(&self, path: &PathPattern, ranks: &mut Vec<Rank>) {
        match path {
            PathPattern::Exact(path) => {
                ranks.extend(self.exact.get(path).into_iter().flatten());
                let regexes = self.regexes.iter();
                let matching = regexes.filter(|(pattern, _)| pattern.matches(path));
                ranks.extend(matching.map(|(_, rank)| rank));
            }
            PathPattern::Regex(..) => {
                let same = self.regexes.iter().filter(|(pattern, _)| pattern == path);
                ranks.extend(same.map(|(_, rank)| rank));
            }
            PathPattern::Prefix(_) | PathPattern::Start(_) | PathPattern::FoldedStart(_) => {}
        }
        // An expression says too little of how its paths begin.
        match path {
            PathPattern::Exact(text) | PathPattern::Start(text) => {
                self.starts.covering(text, ranks);
                self.folded_starts
                    .covering(&text.to_ascii_lowercase(), ranks);
            }
            PathPattern::FoldedStart(text) => self.folded_starts.covering(text, ranks),
            PathPattern::Prefix(_) | PathPattern::Regex(..) => {}
        }
        self.prefixes.covering(path.top(), ranks);
    }
}

impl Starts {
    fn add(&mut self, start: &str, rank: Rank) {
        if let Err(at) = self
            .lengths
            .binary_search_by(|length| start.len().cmp(length))
        {
            self.lengths.insert(at, start.len());
        }
        self.all.entry(start.into()).or_default().push(rank);
    }

    fn find(
        &self,
        path: &[u8],
        mut best: Rank,
        mixed: bool,
        holds: &impl Fn(Rank) -> bool,
    ) -> Rank {
        let before = best;
        for length in &self.lengths {
            let begin = path
                .get(..*length)
                .and_then(|begin| std::str::from_utf8(begin).ok());
            if let Some(ranks) = begin.and_then(|begin| self.all.get(begin)) {
                best = lowest(ranks, best, holds);
                if best != before && !mixed {
                    break;
                }
            }
        }
        best
    }

    /// Adds those that are for all paths that begin with `text`.
    fn covering(&self, text: &str, ranks: &mut Vec<Rank>) {
        for length in &self.lengths {
            let found = text.get(..*length).and_then(|begin| self.all.get(begin));
            ranks.extend(found.into_iter().flatten());
        }
    }
}

impl Prefixes {
    fn add(&mut self, prefix: &str, rank: Rank) {
        if self.many.is_empty() {
            if let Some((_, ranks)) = self.few.iter_mut().find(|(one, _)| **one == *prefix) {
                ranks.push(rank);
                return;
            }
            if self.few.len() < COMPARED_MAX {
                self.few.push((prefix.into(), Ranks::from_slice(&[rank])));
                return;
            }
            self.many.extend(self.few.drain(..));
            let lengths = self.many.keys().map(|one| one.len());
            self.bytes_max = lengths.max().unwrap_or(0);
        }
        self.bytes_max = self.bytes_max.max(prefix.len());
        self.many.entry(prefix.into()).or_default().push(rank);
    }

    fn find(&self, path: &str, mut best: Rank, mixed: bool, holds: &impl Fn(Rank) -> bool) -> Rank {
        for (prefix, ranks) in &self.few {
            if ranks[0] >= best {
                break;
            }
            if is_below(path, prefix) {
                best = lowest(ranks, best, holds);
            }
        }
        if !self.many.is_empty() {
            for prefix in tops(path, self.bytes_max) {
                if let Some(ranks) = self.many.get(prefix) {
                    best = lowest(ranks, best, holds);
                    if best != NONE && !mixed {
                        break;
                    }
                }
            }
        }
        best
    }

    fn covering(&self, path: &str, ranks: &mut Vec<Rank>) {
        let few = self.few.iter().filter(|(prefix, _)| is_below(path, prefix));
        ranks.extend(few.flat_map(|(_, ranks)| ranks));
        let many = tops(path, self.bytes_max).filter_map(|prefix| self.many.get(prefix));
        ranks.extend(many.flatten());
    }
}

/// Returns the first rank below `best` whose rule's conditions hold, or `best`.
fn lowest(ranks: &Ranks, best: Rank, holds: &impl Fn(Rank) -> bool) -> Rank {
    let mut lower = ranks.iter().copied().take_while(|rank| *rank < best);
    lower.find(|rank| holds(*rank)).unwrap_or(best)
}

/// Lists what a host is below of: for `a.b.c` it is `b.c`, then `c`.
fn parents(host: &str) -> impl Iterator<Item = &str> {
    host.match_indices('.').map(|(at, _)| &host[at + 1..])
}

/// Lists what a path is at or below of, the longest first: for `/a/b` it is that, `/a`, and nothing.
///
/// What is longer than `bytes_max` is left out, and not looked at.
fn tops(path: &str, bytes_max: usize) -> impl Iterator<Item = &str> {
    let bytes = path.as_bytes();
    let above = move |end: usize| memrchr(b'/', &bytes[..end]).unwrap_or(0);
    let mut next = Some(match bytes.len() > bytes_max {
        true => above(bytes_max + 1),
        false => bytes.len(),
    });
    std::iter::from_fn(move || {
        let end = next?;
        next = (end > 0).then(|| above(end));
        path.get(..end)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tops_of_a_path_are_whole_segments() {
        let all = |path, bytes_max| tops(path, bytes_max).collect::<Vec<_>>();
        assert_eq!(all("/a/bc", 9), ["/a/bc", "/a", ""]);
        assert_eq!(all("/a/bc", 5), ["/a/bc", "/a", ""]);
        assert_eq!(all("/a/bc", 4), ["/a", ""]);
        assert_eq!(all("/a/bc/", 5), ["/a/bc", "/a", ""]);
        assert_eq!(all("/a/bc", 0), [""]);
        assert_eq!(all("*", 3), ["*", ""]);
    }
}
