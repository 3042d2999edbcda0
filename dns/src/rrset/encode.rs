//! Makes sets of records.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use super::{List, Lists, RrSet};
use crate::{
    name::Name,
    wire::{OWNER_IS_QUESTION, fixed, rtype},
};

/// The most bytes of attributes in a TXT record; those that don't fit are left out.
const TXT_BYTES_MAX: usize = 8192;

/// The longest string in a TXT record (RFC 1035, section 3.3).
const STRING_BYTES_MAX: usize = 255;

/// How much more an instance of weight 1 weighs than one of weight 0, which should get hardly
/// anything.
const WEIGHT_STEP: u32 = 100;

/// The most that weights are summed up to: their sums must stay within 32 bits.
const WEIGHT_SUM_MAX: u32 = u32::MAX - WEIGHT_STEP * u16::MAX as u32;

/// Makes A and AAAA records: each address once, with the weight of all who share it, in hundredths.
pub(crate) fn addresses(weighted: impl Iterator<Item = (IpAddr, u32)>, ttl: u32) -> Vec<RrSet> {
    let mut weights = BTreeMap::<IpAddr, u32>::new();
    for (address, weight) in weighted {
        let sum = weights.entry(address).or_default();
        *sum = sum.saturating_add(weight.max(1));
    }
    let v6 = weights.split_off(&IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED));
    [(rtype::A, weights), (rtype::AAAA, v6)]
        .into_iter()
        .filter(|(_, weights)| !weights.is_empty())
        .map(|(rtype, weights)| {
            let mut builder = Builder::new(rtype, ttl);
            for address in weights.keys() {
                builder.push(&[octets(address).as_ref()]);
            }
            builder.weights = sums(weights.values().copied());
            builder.finish()
        })
        .collect()
}

/// What one SRV record says.
pub(crate) struct Srv<'a> {
    pub(crate) priority: u16,
    pub(crate) weight: u16,
    pub(crate) port: u16,
    pub(crate) target: Name,
    /// The target's addresses.
    pub(crate) addresses: &'a [IpAddr],
}

/// Makes SRV records, and the address records that go with them; `None` when there are none.
pub(crate) fn srv(records: &[Srv<'_>], ttl: u32) -> Option<RrSet> {
    let mut builder = Builder::new(rtype::SRV, ttl);
    for record in records {
        let mut numbers = [0; 6];
        let values = [record.priority, record.weight, record.port];
        for (to, number) in numbers.chunks_exact_mut(2).zip(values) {
            to.copy_from_slice(&number.to_be_bytes());
        }
        builder.push(&[&numbers, record.target.as_bytes(), &[0]]);
        builder.push_additional(record.addresses);
    }
    builder.finish_some()
}

/// Makes the TXT record of an instance: its attributes as `key=value` (RFC 6763, section 6).
///
/// An attribute that can't be written so is left out, for half a value is a wrong one: a key that
/// is empty, has a `=` or isn't printable ASCII, or more than 255 bytes in all.
pub(crate) fn txt(attributes: &BTreeMap<Arc<str>, Arc<str>>, ttl: u32) -> RrSet {
    let mut strings = Vec::new();
    for (key, value) in attributes {
        let len = key.len() + 1 + value.len();
        let good = |byte| matches!(byte, b' '..=b'~') && byte != b'=';
        let fits = len <= STRING_BYTES_MAX && strings.len() + 1 + len <= TXT_BYTES_MAX;
        if fits && !key.is_empty() && key.bytes().all(good) {
            strings.push(len as u8);
            strings.extend([key.as_bytes(), b"=", value.as_bytes()].concat());
        }
    }
    if strings.is_empty() {
        strings.push(0);
    }
    let mut builder = Builder::new(rtype::TXT, ttl);
    builder.push(&[&strings]);
    builder.finish()
}

/// Makes PTR records; `None` when there are none.
pub(crate) fn ptr<'a>(targets: impl Iterator<Item = &'a Name>, ttl: u32) -> Option<RrSet> {
    let mut builder = Builder::new(rtype::PTR, ttl);
    for target in targets {
        builder.push(&[target.as_bytes(), &[0]]);
    }
    builder.finish_some()
}

/// Makes the CNAME record of an alias.
pub(crate) fn cname(target: &Name, ttl: u32) -> RrSet {
    let mut builder = Builder::new(rtype::CNAME, ttl);
    builder.push(&[target.as_bytes(), &[0]]);
    builder.finish()
}

/// Collects records of one type.
pub(super) struct Builder {
    rtype: u16,
    ttl: u32,
    bytes: Vec<u8>,
    ends: Vec<u32>,
    weights: Vec<u32>,
    /// The additional records of all, and where those of each end; empty where no record has any.
    additional: (Vec<u8>, Vec<u32>),
}

impl Builder {
    /// Starts with none.
    pub(super) fn new(rtype: u16, ttl: u32) -> Self {
        Self {
            rtype,
            ttl,
            bytes: Vec::new(),
            ends: Vec::new(),
            weights: Vec::new(),
            additional: (Vec::new(), Vec::new()),
        }
    }

    /// Adds a record whose content is made of parts.
    pub(super) fn push(&mut self, content: &[&[u8]]) {
        let len = content.iter().map(|part| part.len()).sum();
        self.bytes.extend(OWNER_IS_QUESTION);
        self.bytes.extend(fixed(self.rtype, self.ttl, len));
        for part in content {
            self.bytes.extend(*part);
        }
        self.ends.push(self.bytes.len() as u32);
    }

    /// Lets the addresses of the last record's target go with it.
    pub(super) fn push_additional(&mut self, addresses: &[IpAddr]) {
        let (bytes, ends) = &mut self.additional;
        for address in addresses {
            let content = octets(address);
            let content = content.as_ref();
            bytes.extend(fixed(address_type(address), self.ttl, content.len()));
            bytes.extend(content);
        }
        ends.push(bytes.len() as u32);
    }

    /// Makes the set; `None` when there is no record.
    pub(super) fn finish_some(self) -> Option<RrSet> {
        (!self.ends.is_empty()).then(|| self.finish())
    }

    /// Makes the set, without a list of ends where the records are equally long.
    fn finish(self) -> RrSet {
        let size = self.ends[0];
        let equal = (1..).zip(&self.ends).all(|(nth, end)| *end == nth * size);
        let record_bytes = u16::try_from(size).ok().filter(|_| equal).unwrap_or(0);
        let ends = match record_bytes {
            0 => &self.ends[..],
            _ => &[],
        };
        let (additional, additional_ends) = self.additional;
        let mut bytes = self.bytes;
        bytes.extend(additional);
        let mut lists = Lists::default();
        lists.push(List::Ends, ends, &mut bytes);
        lists.push(List::Weights, &self.weights, &mut bytes);
        lists.push(List::AdditionalEnds, &additional_ends, &mut bytes);
        RrSet {
            rtype: self.rtype,
            record_bytes,
            count: self.ends.len() as u32,
            lists,
            bytes: bytes.into(),
            limit: None,
        }
    }
}

/// Returns what an instance's weight counts for among others: something, also where it is 0.
pub(super) fn share(weight: u16) -> u32 {
    (u32::from(weight) * WEIGHT_STEP).max(1)
}

/// Sums weights up; empty when they are all equal.
pub(super) fn sums(weights: impl Iterator<Item = u32> + Clone) -> Vec<u32> {
    let mut others = weights.clone();
    let first = others.next();
    if others.all(|weight| Some(weight) == first) {
        return Vec::new();
    }
    // Only absurd totals are scaled down; nobody's weight becomes 0.
    let total: u64 = weights.clone().map(u64::from).sum();
    let scale = total / u64::from(WEIGHT_SUM_MAX) + 1;
    let mut sum = 0;
    weights
        .map(|weight| {
            sum += (u64::from(weight) / scale).max(1) as u32;
            sum
        })
        .collect()
}

fn address_type(address: &IpAddr) -> u16 {
    match address {
        IpAddr::V4(_) => rtype::A,
        IpAddr::V6(_) => rtype::AAAA,
    }
}

fn octets(address: &IpAddr) -> impl AsRef<[u8]> + use<> {
    match address {
        IpAddr::V4(v4) => smallvec::SmallVec::<[u8; 16]>::from_slice(&v4.octets()),
        IpAddr::V6(v6) => smallvec::SmallVec::from_slice(&v6.octets()),
    }
}
