//! Where other name servers may answer differently, and why.

use super::{
    Case, Kind,
    answer::{
        Difference,
        Part::{self, Additionals, Answers, Authorities, Code, Edns, Flags},
        Side,
    },
    services::NAMESAKES,
};

/// One reason for answers to differ.
pub(super) struct Exception {
    pub(super) reason: &'static str,
    parts: &'static [Part],
    applies: fn(&Case<'_>, &Difference) -> bool,
}

impl Exception {
    /// Tells whether there may be a difference for this reason.
    pub(super) fn permits(&self, difference: &Difference, case: &Case<'_>) -> bool {
        self.parts.contains(&difference.part) && (self.applies)(case, difference)
    }
}

const NXDOMAIN: u16 = 3;
const REFUSED: u16 = 5;
const BADVERS: u16 = 16;
const PTR: u16 = 12;
const ANY: u16 = 255;
const RRSIG: u16 = 46;
const NSEC: u16 = 47;
const SVCB: u16 = 64;
const HTTPS: u16 = 65;

/// Where NSD stops to add what wasn't asked for, over UDP on IPv4.
const NSD_MINIMAL_BYTES: usize = 1480;

/// The exceptions; the first that applies is the one that counts.
pub(super) const EXCEPTIONS: &[Exception] = &[
    Exception {
        reason: "addresses outside of our networks have names, each a zone of its own",
        parts: &[Code, Flags, Answers, Authorities],
        applies: |case, _| {
            let name = case.query.name.to_ascii_lowercase();
            name == "1.2.0.192.in-addr.arpa." && case.theirs.code == REFUSED
        },
    },
    Exception {
        reason: "CD is repeated as by validating servers (RFC 4035, section 3.2.2)",
        parts: &[Flags],
        applies: |_, difference| difference.what == "CD" && difference.side == Side::Ours,
    },
    Exception {
        reason: "a zone can't have names without records, such as a service with nobody up",
        parts: &[Code],
        applies: |case, _| {
            let denied = case.theirs.code == NXDOMAIN && case.ours.code == 0;
            denied && case.names.is_bare(&case.query.name)
        },
    },
    Exception {
        reason: "nor does such a name keep the wildcard above away from it and those below",
        parts: &[Code, Answers, Authorities, Additionals],
        applies: |case, _| {
            let denied = case.ours.code != REFUSED && case.ours.answers.is_empty();
            denied && case.theirs.code == 0 && case.names.is_below_bare(&case.query.name)
        },
    },
    Exception {
        reason: "wildcards make up no names with an underscore",
        parts: &[Code, Answers, Authorities, Additionals],
        applies: |case, _| {
            let underscored = case
                .query
                .name
                .split('.')
                .any(|label| label.starts_with('_'));
            let denied = case.ours.code == NXDOMAIN && case.theirs.code == 0;
            denied
                && underscored
                && case
                    .query
                    .name
                    .to_ascii_lowercase()
                    .ends_with(".opt.internal.")
        },
    },
    Exception {
        reason: "names below that of a wildcard itself are made up too",
        parts: &[Code, Answers, Authorities, Additionals],
        applies: |case, _| {
            let denied = case.theirs.code == NXDOMAIN && case.ours.code == 0;
            denied && case.query.name[1..].contains(".*.")
        },
    },
    Exception {
        reason: "Knot looks for signatures and denials beside an alias (RFC 4034, section 3)",
        parts: &[Answers, Authorities],
        applies: |case, _| {
            let asked = [RRSIG, NSEC].contains(&case.query.qtype);
            let alias = |answer: &String| answer.contains(" CNAME ");
            case.kind == Kind::Knot && asked && case.ours.answers.iter().any(alias)
        },
    },
    Exception {
        reason: "names in PTR records are encoded in advance, and so not compressed",
        parts: &[Flags, Answers],
        applies: |case, _| {
            let cut = case.ours.truncated && !case.theirs.truncated;
            cut && !case.query.tcp && case.query.qtype == PTR
        },
    },
    Exception {
        reason: "ANY gets one small record (RFC 8482)",
        parts: &[Flags, Answers, Authorities, Additionals],
        applies: |case, _| {
            let small = |answer: &String| answer.contains(" HINFO rfc8482 ");
            case.query.qtype == ANY && case.ours.answers.iter().all(small)
        },
    },
    Exception {
        reason: "NSD repeats the zone's name server in every answer",
        parts: &[Authorities, Additionals],
        applies: |case, difference| {
            let what = &difference.what;
            let server = what.contains(" NS ns.") || what.starts_with("ns.");
            case.kind == Kind::Nsd && difference.side == Side::Theirs && server
        },
    },
    Exception {
        reason: "NSD 4.6 brings no addresses along with SVCB and HTTPS",
        parts: &[Additionals],
        applies: |case, difference| {
            let asked = [SVCB, HTTPS].contains(&case.query.qtype);
            case.kind == Kind::Nsd && difference.side == Side::Ours && asked
        },
    },
    Exception {
        reason: "targets that are services too are told with the addresses of the instance",
        parts: &[Additionals],
        applies: |_, difference| {
            let owner = difference.what.split(' ').next().unwrap();
            NAMESAKES.contains(&owner)
        },
    },
    Exception {
        reason: "NSD forgets that signatures were asked for when it doesn't know EDNS's version",
        parts: &[Edns],
        applies: |case, _| case.kind == Kind::Nsd && case.ours.code == BADVERS,
    },
    Exception {
        reason: "a set without room is told as far as it goes; the others tell none of it",
        parts: &[Answers],
        applies: |case, difference| {
            let cut = !case.query.tcp && case.ours.truncated && case.theirs.truncated;
            cut && difference.side == Side::Ours && case.theirs.answers.is_empty()
        },
    },
    Exception {
        reason: "NSD brings addresses along only up to the size of an unfragmented datagram",
        parts: &[Additionals],
        applies: |case, difference| {
            let udp = case.kind == Kind::Nsd && !case.query.tcp;
            udp && difference.side == Side::Ours && case.ours.length > NSD_MINIMAL_BYTES
        },
    },
];
