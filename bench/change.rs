//! Measures what one changed instance costs, how long everything takes to load, and what it occupies.
//!
//! For each number of services, with ten instances each: the time from the first `Reset` to finished zones
//! and routes, the memory of the process by instance, and the CPU time from a `Put` to published zones, and on to
//! published routes, the median and the worst of many. The steps are those of the program: registry, snapshot,
//! zones, swap, instances that leave, routes, swap.
//!
//! `cargo bench --bench change [-- INSTANCES [SERVICES]]`, for at most so many services

#![allow(
    clippy::print_stdout,
    reason = "a benchmark prints what it has measured"
)]

mod support;

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use dns::Zones;
use proxy::{Drains, RouteTable};
use registry::{Limits, Registry, Snapshot, Update};
use support::{SOURCE, argument, cpu, entries, entry, resident_bytes};
use tokio::time::Instant;

/// The allocator of the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How many changes are measured.
const CHANGES: usize = 2000;

const SERVICES: [usize; 3] = [1_000, 10_000, 100_000];

fn main() {
    let instances = argument(1, 10);
    println!(
        "| services | instances | loaded in s | bytes/instance | zones µs, median | p99 | with routes µs, median | p99 |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    let most = argument(2, SERVICES[2]);
    for services in SERVICES.into_iter().filter(|services| *services <= most) {
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
    let mut views = Views::build(&snapshot);
    let loaded = cpu() - made;
    let total = services * instances;
    let bytes = resident_bytes().saturating_sub(before) / total;
    let costs: Vec<[Duration; 2]> = (0..CHANGES)
        .map(|n| {
            change(
                &mut registry,
                &source,
                &mut views,
                n * 7919 % services,
                n % instances,
                n,
            )
        })
        .collect();
    let micros = |part: usize, percent: usize| {
        let mut costs: Vec<_> = costs.iter().map(|cost| cost[part]).collect();
        costs.sort_unstable();
        costs[CHANGES * percent / 100].as_secs_f64() * 1e6
    };
    println!(
        "| {services} | {total} | {:.2} | {bytes} | {:.1} | {:.1} | {:.1} | {:.1} |",
        loaded.as_secs_f64(),
        micros(0, 50),
        micros(0, 99),
        micros(1, 50),
        micros(1, 99),
    );
}

/// What queries and requests see, and what makes it.
struct Views {
    zones: ArcSwap<Zones>,
    routes: ArcSwap<RouteTable>,
    drains: Drains,
}

impl Views {
    fn build(snapshot: &Snapshot) -> Self {
        let mut drains = Drains::new(Duration::from_secs(300));
        drains.take(snapshot, Instant::now(), |_| Duration::ZERO);
        let (view, _) = drains.view();
        let routes = RouteTable::build(&proxy::Config::default(), &[], view, None);
        Self {
            zones: ArcSwap::from_pointee(Zones::build(&dns::Config::default(), snapshot)),
            routes: ArcSwap::from_pointee(routes),
            drains,
        }
    }
}

/// Gives an instance another weight; returns what it costs until the zones are published, and until the
/// routes are.
fn change(
    registry: &mut Registry,
    source: &str,
    views: &mut Views,
    service: usize,
    instance: usize,
    n: usize,
) -> [Duration; 2] {
    let put = Update::Put(entry(service, instance, 2 + n as u16));
    let start = cpu();
    registry.apply(source, put);
    let snapshot: Snapshot = registry.publish().expect("the weight is another one");
    let new = views.zones.load().update(&snapshot);
    views.zones.store(Arc::new(new));
    let zones = cpu() - start;
    let (now, old) = (Instant::now(), views.routes.load_full());
    views
        .drains
        .take(&snapshot, now, |_| Duration::from_secs(5));
    let (view, before) = views.drains.view();
    let new = old.update(before, view);
    views.drains.follow(&old, &new, now);
    views.routes.store(Arc::new(new));
    [zones, cpu() - start]
}
