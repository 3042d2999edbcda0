//! Zones as master files, which other name servers read (RFC 1035, section 5).

mod names;
mod text;

#[cfg(test)]
mod tests;

use std::{
    cmp::Ordering,
    fmt::{self, Write},
};

use names::Contents;
use serde::Serialize;
use smallvec::SmallVec;

use crate::{
    Scheme, Zones,
    name::{self, Name},
};

/// Enough room for the starts of a name's labels, each of which takes two bytes at least.
const LABELS_ROOM: usize = 128;

/// Says what a zone is and how much there is in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ZoneSummary {
    /// The domain, in lower case and without a final dot.
    pub domain: String,
    /// How the zone names services; `None` for a reverse zone.
    pub scheme: Option<Scheme>,
    /// The zone's serial number, the low half of the snapshot's version.
    pub serial: u32,
    /// The names that have records.
    pub names: usize,
    /// The records.
    pub records: usize,
}

impl Zones {
    /// Lists the zones, as in the configuration, and then the reverse zones; costs what there is in
    /// them.
    pub fn summaries(&self) -> Vec<ZoneSummary> {
        let all = self.all_contents();
        all.map(|contents| self.summary(contents)).collect()
    }

    /// Writes the zone of a domain as a master file; `None` when there is no such zone.
    ///
    /// Every record is on a line of its own, under its whole name, so that lines can be searched,
    /// sorted and compared. What no record can say is in comments.
    pub fn export(&self, domain: &str) -> Option<String> {
        let domain = Name::parse(domain).ok()?;
        let mut all = self.all_contents();
        let contents = all.find(|contents| contents.words().domain == domain)?;
        let mut file = String::new();
        // A string has room for everything.
        self.write(contents, &mut file).ok();
        Some(file)
    }

    fn all_contents(&self) -> impl Iterator<Item = Contents<'_>> {
        let zones = self.zones().iter().map(Contents::Services);
        zones.chain(self.reverse().networks().iter().map(Contents::Addresses))
    }

    fn summary(&self, contents: Contents<'_>) -> ZoneSummary {
        // The domain itself has SOA and NS.
        let (mut names, mut records) = (1, 2);
        for (_, standing) in contents.names(self) {
            let before = records;
            standing
                .each_record(&mut |_, _, _| {
                    records += 1;
                    Ok(())
                })
                .ok();
            names += usize::from(records > before);
        }
        ZoneSummary {
            domain: contents.words().domain.to_string(),
            scheme: contents.scheme(),
            serial: self.serial(),
            names,
            records,
        }
    }

    fn write(&self, contents: Contents<'_>, file: &mut String) -> fmt::Result {
        self.write_head(contents, file)?;
        let mut names: Vec<_> = contents.names(self);
        names.sort_unstable_by(|(one, _), (other, _)| canonical(one, other));
        for (name, standing) in &names {
            let owner = text::Absolute(name.as_bytes());
            let before = file.len();
            standing.each_record(&mut |rtype, ttl, content| {
                writeln!(file, "{owner} {ttl} IN {}", text::Record(rtype, content))
            })?;
            if file.len() == before && standing.is_bare() {
                writeln!(file, "; {owner} exists without a record")?;
            }
        }
        Ok(())
    }

    /// Writes what stands at the top: what isn't in the file, how it is to be read, SOA and NS.
    fn write_head(&self, contents: Contents<'_>, file: &mut String) -> fmt::Result {
        let words = contents.words();
        let domain = text::Absolute(words.domain.as_bytes());
        let version = self.version();
        writeln!(file, "; {domain} at version {version} of what is known")?;
        for source in contents.awaited(self) {
            writeln!(file, "; not complete: waiting for {source}")?;
        }
        if contents.is_limited() {
            let max = words.max_answers;
            writeln!(
                file,
                "; an answer has {max} of a name's records of a type (max_answers)"
            )?;
        }
        for cut in contents.cuts() {
            let cut = text::Absolute(cut.as_bytes());
            writeln!(file, "; {cut}{domain} is a zone of its own")?;
        }
        let (ttl, soa_ttl) = (words.ttl, words.soa_ttl());
        let server = text::Absolute(words.name_server.as_bytes());
        let mailbox = text::Absolute(words.hostmaster.as_bytes());
        let [serial, refresh, retry, expire, minimum] = words.soa_numbers(self.serial());
        writeln!(file, "$ORIGIN {domain}\n$TTL {ttl}")?;
        writeln!(
            file,
            "{domain} {soa_ttl} IN SOA {server} {mailbox} {serial} {refresh} {retry} {expire} {minimum}"
        )?;
        writeln!(file, "{domain} {ttl} IN NS {server}")
    }
}

/// Compares names as they are sorted: by their labels from the right (RFC 4034, section 6.1).
fn canonical(one: &Name, other: &Name) -> Ordering {
    from_right(one.as_bytes()).cmp(from_right(other.as_bytes()))
}

/// Lists the labels of a name from the right; takes no memory, for all names are compared many times.
fn from_right(name: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut starts = SmallVec::<[u8; LABELS_ROOM]>::new();
    let mut start = 0;
    for label in name::labels(name) {
        // A name has less than 256 bytes.
        starts.push(start as u8);
        start += 1 + label.len();
    }
    let mut end = start;
    starts.into_iter().rev().map(move |start| {
        let start = usize::from(start);
        let label = &name[start + 1..end];
        end = start;
        label
    })
}
