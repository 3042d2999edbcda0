//! Queries that chance makes.

use fastrand::Rng;

use super::names::Names;

/// The type of the record that EDNS is in.
const OPT: u16 = 41;

/// One query, and how it is sent.
#[derive(Debug, Clone)]
pub(super) struct Query {
    /// With a final dot.
    pub(super) name: String,
    pub(super) qtype: u16,
    pub(super) tcp: bool,
    /// The message, whose first two bytes are anybody's to set.
    pub(super) bytes: Vec<u8>,
}

impl Query {
    /// Makes a query.
    pub(super) fn random(names: &Names, rng: &mut Rng) -> Self {
        let mut name = names.name(rng);
        if rng.bool() {
            let flip = |c: char| match rng.bool() {
                true => c.to_ascii_uppercase(),
                false => c,
            };
            name = name.chars().map(flip).collect();
        }
        let common = [1, 28, 33, 16, 64, 65];
        let others = [
            2, 5, 6, 12, 15, 35, 39, 43, 46, 47, 48, 52, 99, 255, 257, 65_280,
        ];
        let qtype = match rng.u8(..4) {
            0 => others[rng.usize(..others.len())],
            _ => common[rng.usize(..common.len())],
        };
        let payloads = [
            None,
            Some(512),
            Some(1232),
            Some(4096),
            Some(0),
            Some(u16::MAX),
        ];
        let payload = payloads[rng.usize(..payloads.len())];
        Self {
            bytes: message(&name, qtype, payload, rng),
            name,
            qtype,
            tcp: rng.u8(..4) == 0,
        }
    }

    /// Returns how many bytes the question has.
    pub(super) fn question_bytes(&self) -> usize {
        // The dots become lengths; the name has one more of these, and type and class follow.
        match self.name.as_str() {
            "." => 5,
            name => name.len() + 5,
        }
    }
}

fn message(name: &str, qtype: u16, payload: Option<u16>, rng: &mut Rng) -> Vec<u8> {
    // RD, AD and CD as may be.
    let flags = rng.u16(..) & 0x0130;
    let mut bytes = vec![0, 0];
    let counts = [1, 0, 0, u16::from(payload.is_some())];
    bytes.extend([flags].iter().chain(&counts).flat_map(|n| n.to_be_bytes()));
    for label in name.split('.').filter(|label| !label.is_empty()) {
        bytes.push(label.len() as u8);
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes.extend([qtype, 1].iter().flat_map(|n| n.to_be_bytes()));
    if let Some(payload) = payload {
        let version = u16::from(rng.u8(..50) == 0);
        let dnssec_ok = if rng.bool() { 0x8000 } else { 0 };
        let options = options(rng);
        let fields = [OPT, payload, version, dnssec_ok, options.len() as u16];
        bytes.push(0);
        bytes.extend(fields.iter().flat_map(|n| n.to_be_bytes()));
        bytes.extend(options);
    }
    bytes
}

/// Makes no option or one that nobody knows.
fn options(rng: &mut Rng) -> Vec<u8> {
    if rng.bool() {
        return Vec::new();
    }
    let content: Vec<u8> = (0..rng.usize(..20)).map(|_| rng.u8(..)).collect();
    let head = [rng.u16(65_001..65_500), content.len() as u16];
    let mut option: Vec<u8> = head.iter().flat_map(|n| n.to_be_bytes()).collect();
    option.extend(content);
    option
}
