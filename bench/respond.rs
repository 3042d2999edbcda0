//! Answers queries without sockets: what is left of a query's cost when the system's part is taken away.
//!
//! `cargo bench --bench respond [-- SERVICES QUERIES KIND]` prints nanoseconds for each kind of query.
//! `bench/instructions.py` runs it under callgrind, where the figures are the same on a noisy machine.

#![allow(
    clippy::print_stdout,
    reason = "a benchmark prints what it has measured"
)]

mod support;

use dns::{Request, Transport, Zones, respond};
use registry::{Limits, Registry, Update};
use support::{argument, cpu, entries};

/// The allocator of the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const INSTANCES: usize = 4;
const QUERY_TYPE_A: u16 = 1;
const QUERY_TYPE_SRV: u16 = 33;

fn main() {
    let (services, queries) = (argument(1, 2000), argument(2, 1_000_000));
    let zones = zones(services);
    let mixes: [(&str, Vec<Vec<u8>>); 3] = [
        (
            "A",
            each(services, |n| {
                query(&format!("s{n}.svc.internal"), QUERY_TYPE_A)
            }),
        ),
        (
            "SRV",
            each(services, |n| {
                query(&format!("_s{n}._tcp.svc.internal"), QUERY_TYPE_SRV)
            }),
        ),
        (
            "NXDOMAIN",
            each(services, |n| {
                query(&format!("no-s{n}.svc.internal"), QUERY_TYPE_A)
            }),
        ),
    ];
    let wanted = std::env::args().find(|argument| mixes.iter().any(|(kind, _)| kind == argument));
    for (kind, messages) in &mixes {
        if wanted.as_ref().is_some_and(|wanted| wanted != kind) {
            continue;
        }
        let start = cpu();
        let bytes = answer_all(&zones, messages, queries);
        let each = (cpu() - start).as_secs_f64() * 1e9 / queries as f64;
        println!("{kind}: {each:.0} ns, {} bytes", bytes / queries.max(1));
    }
}

/// Answers so many queries; returns how long the answers are together.
#[inline(never)]
fn answer_all(zones: &Zones, messages: &[Vec<u8>], queries: usize) -> usize {
    let mut out = [0; 4096];
    let mut bytes = 0;
    for n in 0..queries {
        let request = Request {
            message: &messages[n % messages.len()],
            client: [127, 0, 0, 1].into(),
            transport: Transport::Udp,
            keepalive: None,
            now: 0,
            seed: n as u64,
        };
        if let dns::Outcome::Answered { bytes: more, .. } = respond(zones, &request, &mut out) {
            bytes += more;
        }
    }
    bytes
}

fn zones(services: usize) -> Zones {
    let mut registry = Registry::new(0, Limits::default());
    registry.add_source(&support::SOURCE);
    let entries = entries(services, INSTANCES);
    registry.apply(
        &support::SOURCE,
        Update::Reset {
            entries,
            refused: Vec::new(),
        },
    );
    let snapshot = registry.publish().expect("there are services now");
    Zones::build(&dns::Config::default(), &snapshot)
}

/// Makes a query for each service, in an order that jumps about.
fn each(services: usize, query: impl Fn(usize) -> Vec<u8>) -> Vec<Vec<u8>> {
    (0..services).map(|n| query(n * 7919 % services)).collect()
}

fn query(name: &str, qtype: u16) -> Vec<u8> {
    let mut bytes = vec![0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        bytes.push(label.len() as u8);
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes.extend(qtype.to_be_bytes());
    bytes.extend([0, 1]);
    bytes
}
