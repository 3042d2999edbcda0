//! The names of zones, and names like them.

use std::{
    collections::{BTreeMap, BTreeSet},
    iter,
};

use fastrand::Rng;

/// How many records of a name are many.
const LARGE: usize = 12;

/// The names of zones.
pub(super) struct Names {
    domains: Vec<String>,
    /// Those in the files, also in their comments, by the name above them.
    known: Vec<Vec<String>>,
    /// Those that have a record or a name below them that has one.
    existing: BTreeSet<String>,
    /// Those that are said to exist without a record, and the names above them.
    bare: BTreeSet<String>,
    /// Those whose records have no room in a small answer.
    large: Vec<String>,
    /// Those above the known ones that aren't known themselves.
    between: Vec<String>,
}

impl Names {
    /// Finds the names in master files, by their domains.
    pub(super) fn of(zones: &[(&str, String)]) -> Self {
        let mut known = BTreeMap::<_, BTreeSet<String>>::new();
        let (mut existing, mut bare) = (BTreeSet::new(), BTreeSet::new());
        let mut records = BTreeMap::<_, usize>::new();
        for (domain, file) in zones {
            for line in file.lines() {
                let name = line.trim_start_matches("; ").split(' ').next().unwrap();
                if !name.ends_with(&format!(".{domain}.")) {
                    continue;
                }
                let (_, parent) = name.split_once('.').unwrap();
                known.entry(parent).or_default().insert(name.to_owned());
                let found = if line.starts_with(';') {
                    &mut bare
                } else {
                    &mut existing
                };
                found.insert(name.to_owned());
                let domain = format!("{domain}.");
                found.extend(
                    above(name)
                        .take_while(|name| *name != domain)
                        .map(str::to_owned),
                );
                *records.entry(name).or_default() += 1;
            }
        }
        let mut between = &existing | &bare;
        for names in known.values() {
            between = &between - names;
        }
        let large = records.iter().filter(|(_, count)| **count > LARGE);
        Self {
            domains: zones
                .iter()
                .map(|(domain, _)| format!("{domain}."))
                .collect(),
            known: known
                .into_values()
                .map(|names| names.into_iter().collect())
                .collect(),
            large: large.map(|(name, _)| (*name).to_owned()).collect(),
            between: between.into_iter().collect(),
            existing,
            bare,
        }
    }

    /// Tells whether a name exists of which the files can't say so: without a record there or below.
    pub(super) fn is_bare(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        let wildcards = above(&name).map(|above| format!("*.{above}"));
        let mut candidates = wildcards.chain([name.clone()]);
        !self.existing.contains(&name) && candidates.any(|name| self.bare.contains(&name))
    }

    /// Tells whether that is so of a name or of one above it.
    pub(super) fn is_below_bare(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        self.is_bare(&name) || above(&name).any(|name| self.bare.contains(name))
    }

    /// Makes a name: one of these, one like them or another one.
    pub(super) fn name(&self, rng: &mut Rng) -> String {
        // Many stand below a few.
        let siblings = &self.known[rng.usize(..self.known.len())];
        let known = &siblings[rng.usize(..siblings.len())];
        let domain = &self.domains[rng.usize(..self.domains.len())];
        let below = |labels: &str, name: &str| format!("{labels}.{name}");
        match rng.u8(..100) {
            ..40 => known.clone(),
            40..45 => self.large[rng.usize(..self.large.len())].clone(),
            45..55 => self.between[rng.usize(..self.between.len())].clone(),
            55..68 => neighbour(known, rng),
            68..78 => below(&label(rng), known),
            78..82 => below(&below(&label(rng), &label(rng)), known),
            82..92 => below(&label(rng), domain),
            92..94 => domain.clone(),
            94..96 => below("*", known),
            // As long as a name can be, and so cut off in front that it still is one.
            96..97 => {
                let long = below(&vec!["z".repeat(20); 12].join("."), known);
                let from = long.len().saturating_sub(253);
                long[from..].trim_start_matches('.').to_owned()
            }
            97..99 => {
                let others = [
                    "example.com.",
                    "internal.",
                    "xsvc.internal.",
                    "svc.internal.com.",
                    "1.2.0.192.in-addr.arpa.",
                    "in-addr.arpa.",
                    ".",
                ];
                others[rng.usize(..others.len())].to_owned()
            }
            _ => format!("0{}.0.0.10.in-addr.arpa.", rng.u8(..3)),
        }
    }
}

/// Lists the names above a name.
fn above(name: &str) -> impl Iterator<Item = &str> {
    iter::successors(parent(name), |name| parent(name))
}

fn parent(name: &str) -> Option<&str> {
    Some(name.split_once('.')?.1)
}

/// Changes one character of a name's first label, adds one or takes one away.
fn neighbour(name: &str, rng: &mut Rng) -> String {
    let (first, rest) = name.split_once('.').unwrap();
    let mut label: Vec<char> = first.chars().collect();
    let at = rng.usize(..label.len());
    match rng.u8(..3) {
        0 => label[at] = rng.lowercase(),
        1 if label.len() < 63 => label.insert(at, '-'),
        _ if label.len() > 1 => {
            label.remove(at);
        }
        _ => label.push('0'),
    }
    format!("{}.{rest}", label.iter().collect::<String>())
}

fn label(rng: &mut Rng) -> String {
    let known = [
        "a", "i0", "web", "_tcp", "_udp", "_http", "ns", "group0", "*", "10", "0",
    ];
    match rng.bool() {
        true => known[rng.usize(..known.len())].to_owned(),
        false => (0..rng.usize(1..=12)).map(|_| rng.alphanumeric()).collect(),
    }
}
