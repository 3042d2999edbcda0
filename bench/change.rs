//! Measures what one changed instance costs, how long everything takes to load, and what it occupies.
//!
//! For each number of services, with ten instances each: the time from the first `Reset` to finished zones,
//! the memory of the process by instance, and the CPU time from a `Put` to published zones, the median and
//! the worst of many. The steps are those of the program: registry, snapshot, zones, swap.
//!
//! `cargo bench --bench change [-- INSTANCES]`

#![allow(
    clippy::print_stdout,
    reason = "a benchmark prints what it has measured"
)]

mod support;

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use dns::Zones;
use registry::{Limits, Registry, Snapshot, Update};
use support::{SOURCE, argument, cpu, entries, entry, resident_bytes};

/// The allocator of the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How many changes are measured.
const CHANGES: usize = 2000;

const SERVICES: [usize; 3] = [1_000, 10_000, 100_000];

fn main() {
    let instances = argument(1, 10);
    println!("| services | instances | loaded in s | bytes/instance | change µs, median | p99 |");
    println!("|---|---|---|---|---|---|");
    for services in SERVICES {
        measure(services, instances);
    }
}

fn measure(services: usize, instances: usize) {
    let source = Arc::clone(&SOURCE);
    let before = resident_bytes();
    let mut registry = Registry::new(0, Limits::default());
    registry.add_source(&source);
    let reset = Update::Reset {
        entries: entries(services, instances),
        refused: Vec::new(),
    };
    let made = cpu();
    registry.apply(&source, reset);
    let snapshot = registry.publish().expect("there are services now");
    let zones = ArcSwap::from_pointee(Zones::build(&dns::Config::default(), &snapshot));
    let loaded = cpu() - made;
    let total = services * instances;
    let bytes = resident_bytes().saturating_sub(before) / total;
    let mut costs: Vec<Duration> = (0..CHANGES)
        .map(|n| {
            change(
                &mut registry,
                &source,
                &zones,
                n * 7919 % services,
                n % instances,
                n,
            )
        })
        .collect();
    costs.sort_unstable();
    let micros = |cost: Duration| cost.as_secs_f64() * 1e6;
    println!(
        "| {services} | {total} | {:.2} | {bytes} | {:.1} | {:.1} |",
        loaded.as_secs_f64(),
        micros(costs[CHANGES / 2]),
        micros(costs[CHANGES * 99 / 100]),
    );
}

/// Gives an instance another weight; returns what it costs until the zones are published.
fn change(
    registry: &mut Registry,
    source: &str,
    zones: &ArcSwap<Zones>,
    service: usize,
    instance: usize,
    n: usize,
) -> Duration {
    let put = Update::Put(entry(service, instance, 2 + n as u16));
    let start = cpu();
    registry.apply(source, put);
    let snapshot: Snapshot = registry.publish().expect("the weight is another one");
    let new = zones.load().update(&snapshot);
    zones.store(Arc::new(new));
    cpu() - start
}
