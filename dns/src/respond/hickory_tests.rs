//! What is answered is what hickory's server answers that has loaded the exported zone.

use std::{cell::RefCell, collections::BTreeSet, net::SocketAddr, sync::Arc};

use futures_util::{FutureExt, StreamExt};
use hickory_proto::{op::Message, rr::Record, serialize::txt::Parser};
use hickory_server::{
    net::{BufDnsStreamHandle, runtime::TokioTime, xfer::Protocol},
    server::{Request as ServerRequest, RequestHandler, ResponseHandle},
    store::in_memory::InMemoryZoneHandler,
    zone_handler::{AxfrPolicy, Catalog, ZoneType},
};
use proptest::{
    prelude::*,
    test_runner::{TestError, TestRunner},
};

use super::*;
use crate::{
    testing::{Ask, CLIENT, lines, zones_by},
    zones::tests::services,
};

const DOMAIN: &str = "svc.internal";

/// How many sets of services there are, and how many queries about each.
const CASES: u32 = 100;
const QUERIES: usize = 60;

/// Both answers to one query.
struct Case {
    qtype: u16,
    /// Whether the exported zone has the name, or one below it.
    exported: bool,
    ours: Said,
    theirs: Said,
}

/// What an answer says.
#[derive(Debug, PartialEq, Eq, Clone)]
struct Said {
    rcode: u16,
    authoritative: bool,
    answers: Vec<String>,
    authorities: Vec<String>,
}

/// One reason for answers to differ.
struct Exception {
    reason: &'static str,
    /// Changes hickory's answer to ours as far as the reason goes.
    correct: fn(&mut Case),
}

const EXCEPTIONS: &[Exception] = &[
    Exception {
        reason: "a zone can't have names without records, such as a service with nobody up",
        correct: |case| {
            if !case.exported && case.ours.rcode == 0 && case.theirs.rcode == 3 {
                case.theirs.rcode = 0;
            }
        },
    },
    Exception {
        reason: "ANY gets one small record (RFC 8482)",
        correct: |case| {
            if case.qtype == rtype::ANY && !case.theirs.answers.is_empty() {
                case.theirs.answers.retain(|_| false);
                case.theirs
                    .answers
                    .extend(case.ours.answers.first().cloned());
            }
        },
    },
    Exception {
        reason: "hickory adds the name server where SOA is asked for",
        correct: |case| {
            if case.qtype == rtype::SOA && !case.theirs.answers.is_empty() {
                case.theirs
                    .authorities
                    .retain(|line| !line.contains(" NS "));
            }
        },
    },
];

impl Said {
    fn new(message: &Message) -> Self {
        let section = |records: &[Record]| {
            let lines = lines(records).into_iter();
            let mut lines: Vec<_> = lines.map(|line| lower_names(&line)).collect();
            lines.sort();
            lines
        };
        Self {
            rcode: u16::from(message.metadata.response_code),
            authoritative: message.metadata.authoritative,
            answers: section(&message.answers),
            authorities: section(&message.authorities),
        }
    }
}

/// Writes the names in a record in lower case, for we repeat the question's.
fn lower_names(line: &str) -> String {
    let [owner, ttl, rtype, content] = line.splitn(4, ' ').collect::<Vec<_>>()[..] else {
        panic!("{line}");
    };
    let names = format!("{} {ttl} {rtype}", owner.to_ascii_lowercase());
    match rtype {
        "TXT" => format!("{names} {content}"),
        _ => format!("{names} {}", content.to_ascii_lowercase()),
    }
}

/// Returns a server that has loaded a zone.
fn catalog(file: &str) -> Catalog {
    let (origin, records) = Parser::new(file, None, None).parse().expect(file);
    let zone: InMemoryZoneHandler =
        InMemoryZoneHandler::new(origin.clone(), records, ZoneType::Primary, AxfrPolicy::Deny)
            .expect("a zone has what it needs");
    let mut catalog = Catalog::new();
    catalog.upsert(origin.into(), vec![Arc::new(zone)]);
    catalog
}

/// Asks the server, which has nothing to wait for.
fn ask(catalog: &Catalog, query: &[u8]) -> Message {
    let client = SocketAddr::new(CLIENT, 53);
    let request = ServerRequest::from_bytes(query.to_vec(), client, Protocol::Tcp).unwrap();
    let (sender, mut answers) = BufDnsStreamHandle::new(client);
    let handle = ResponseHandle::new(client, sender, Protocol::Tcp);
    let handled = catalog.handle_request::<_, TokioTime>(&request, handle);
    handled.now_or_never().expect("an answer is there at once");
    let answer = answers
        .next()
        .now_or_never()
        .flatten()
        .expect("there is an answer");
    Message::from_vec(answer.bytes()).unwrap()
}

/// A name that is one of a zone's, or like it.
#[derive(Debug, Clone)]
struct Wanted {
    known: prop::sample::Index,
    above: usize,
    below: Vec<&'static str>,
    upper: bool,
    qtype: u16,
}

fn wanted() -> impl Strategy<Value = Wanted> {
    let label = prop::sample::select(vec!["a", "b", "c", "_a", "_tcp", "_udp", "ns", "*", "x"]);
    let qtype = prop_oneof![
        4 => prop::sample::select(vec![rtype::A, rtype::AAAA, rtype::SRV, rtype::TXT]),
        4 => prop::sample::select(vec![rtype::HTTPS, rtype::SVCB, rtype::NS, rtype::SOA]),
        2 => prop::sample::select(vec![rtype::ANY, rtype::CNAME, rtype::PTR, 15, 43, 65_280]),
    ];
    let below = prop_oneof![
        2 => Just(Vec::new()),
        1 => prop::collection::vec(label, 1..3),
    ];
    (
        any::<prop::sample::Index>(),
        0..3_usize,
        below,
        any::<bool>(),
        qtype,
    )
        .prop_map(|(known, above, below, upper, qtype)| Wanted {
            known,
            above,
            below,
            upper,
            qtype,
        })
}

impl Wanted {
    fn name(&self, known: &[String]) -> String {
        let known = self.known.get(known).as_str();
        let mut labels = self.below.clone();
        labels.extend(known.split('.').skip(self.above));
        let name = labels.join(".");
        if self.upper {
            name.to_ascii_uppercase()
        } else {
            name
        }
    }
}

/// The names that have a record in a file, and those above them in the zone.
fn exported(file: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for line in file.lines().filter(|line| !line.starts_with([';', '$'])) {
        let mut name = line.split(' ').next().unwrap().trim_end_matches('.');
        while name.ends_with(DOMAIN) {
            names.insert(name.to_owned());
            name = name.split_once('.').unwrap().1;
        }
    }
    names
}

#[test]
fn hickory_answers_the_same() {
    // No wildcards: hickory finds them at names that exist, and beyond others (RFC 4592).
    let config = prop::sample::select(&["", "cname = true"][..]);
    let queries = prop::collection::vec(wanted(), QUERIES);
    let seen = RefCell::new(vec![0; EXCEPTIONS.len()]);
    let mut runner = TestRunner::new(ProptestConfig::with_cases(CASES));
    let run = runner.run(
        &(config, services(), queries),
        |(config, services, queries)| {
            let config = format!("[[zones]]\ndomain = '{DOMAIN}'\n{config}\n");
            let zones = zones_by(&config, services.into_values());
            let file = zones.export(DOMAIN).unwrap();
            let catalog = catalog(&file);
            let exported = exported(&file);
            let names = zones.zones()[0]
                .table
                .nodes()
                .map(|(name, _)| name.to_string());
            let mut known: Vec<_> = names.map(|name| format!("{name}.{DOMAIN}")).collect();
            known.sort();
            for query in queries {
                let name = query.name(&known);
                let ask_us = Ask::new(&name, query.qtype);
                let mut case = Case {
                    qtype: query.qtype,
                    exported: exported.contains(&name.to_ascii_lowercase()),
                    ours: Said::new(&ask_us.by(&zones, Transport::Tcp, 1).message),
                    theirs: Said::new(&ask(&catalog, &ask_us.bytes())),
                };
                for (exception, count) in EXCEPTIONS.iter().zip(&mut *seen.borrow_mut()) {
                    let before = case.theirs.clone();
                    (exception.correct)(&mut case);
                    *count += usize::from(before != case.theirs);
                }
                prop_assert_eq!(
                    &case.ours,
                    &case.theirs,
                    "{} {}\n{}",
                    name,
                    query.qtype,
                    file
                );
            }
            Ok(())
        },
    );
    if let Err(TestError::Fail(reason, _) | TestError::Abort(reason)) = run {
        panic!("{reason}");
    }
    for (exception, count) in EXCEPTIONS.iter().zip(seen.into_inner()) {
        assert!(count > 0, "this doesn't occur: {}", exception.reason);
    }
}
