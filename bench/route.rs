//! Measures what it costs to find a request's route, by how many routes there are.
//!
//! For each number of hosts and of paths of a host: the time to build the table, the memory that it occupies by
//! route, and the CPU time of one look-up, with hosts and paths drawn at random, so that caches help as little as
//! they do with real clients. Half of the look-ups are for a path below the one of the route.
//!
//! `cargo bench --bench route [-- LOOKUPS]`

#![allow(
    clippy::print_stdout,
    reason = "a benchmark prints what it has measured"
)]

mod support;

use proxy::{Config, Route, RouteTable};
use registry::testing;
use support::{argument, cpu, resident_bytes};

/// The allocator of the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How many hosts, and how many paths each has.
const SIZES: [(usize, usize); 5] = [
    (10, 10),
    (1_000, 10),
    (10_000, 10),
    (10, 1_000),
    (1_000, 100),
];

/// How many requests are drawn before the look-ups are measured.
const SAMPLES: usize = 1 << 16;

fn main() {
    let lookups = argument(1, 2_000_000);
    println!(
        "| hosts × paths | routes | built in s | bytes/route | ns/look-up | ns/look-up, no route |"
    );
    println!("|---|---|---|---|---|---|");
    for (hosts, paths) in SIZES {
        measure(hosts, paths, lookups);
    }
}

fn measure(hosts: usize, paths: usize, lookups: usize) {
    let routes = (0..hosts).flat_map(|host| {
        (0..paths).map(move |path| Route {
            host: Some(format!("host-{host}.example.com")),
            path_prefix: Some(format!("/api/part-{path}")),
            service: Some("web".parse().expect("is a name")),
            ..Route::default()
        })
    });
    let config = Config {
        routes: routes.collect(),
        ..Config::default()
    };
    let snapshot = testing::snapshot(1, [testing::service("web", &[("a", 1)])]);
    let before = resident_bytes();
    let start = cpu();
    let table = RouteTable::build(&config, &[], &snapshot, None);
    let built = cpu() - start;
    let total = hosts * paths;
    let bytes = resident_bytes().saturating_sub(before) / total;
    let mut random = fastrand::Rng::with_seed(7);
    let mut sample = |known: bool| {
        let (host, path) = (random.usize(..hosts), random.usize(..paths));
        let below = if random.bool() { "/items/17" } else { "" };
        let top = if known { "api" } else { "app" };
        (
            format!("host-{host}.example.com"),
            format!("/{top}/part-{path}{below}"),
        )
    };
    let known: Vec<_> = (0..SAMPLES).map(|_| sample(true)).collect();
    let unknown: Vec<_> = (0..SAMPLES).map(|_| sample(false)).collect();
    println!(
        "| {hosts} × {paths} | {total} | {:.2} | {bytes} | {:.0} | {:.0} |",
        built.as_secs_f64(),
        nanos(&table, &known, lookups, true),
        nanos(&table, &unknown, lookups, false),
    );
}

/// Returns the CPU time of one look-up.
fn nanos(table: &RouteTable, samples: &[(String, String)], lookups: usize, found: bool) -> f64 {
    let start = cpu();
    let mut count = 0;
    for (host, path) in samples.iter().cycle().take(lookups) {
        count += usize::from(table.service(host, path).is_some());
    }
    let spent = cpu() - start;
    assert_eq!(count, if found { lookups } else { 0 }, "all or nothing");
    spent.as_nanos() as f64 / lookups as f64
}
