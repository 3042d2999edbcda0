//! The services that the benchmarks are run over, and a clock that counts the thread's own CPU.

#![allow(dead_code, reason = "each benchmark uses what it needs")]

use std::{
    fs,
    sync::{Arc, LazyLock},
    time::Duration,
};

use nix::time::{ClockId, clock_gettime};
use registry::{Entry, Key, testing};

/// Returns the CPU time that this thread has used, user and system.
pub(crate) fn cpu() -> Duration {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("every Linux has the clock");
    Duration::from(time)
}

/// The name of the source that the services come from; its records share it.
pub(crate) static SOURCE: LazyLock<Arc<str>> = LazyLock::new(|| "bench".into());

/// Makes the record of instance `instance` of service `service`: one of each pair is at one address.
pub(crate) fn entry(service: usize, instance: usize, weight: u16) -> Entry {
    let host = format!(
        "10.{}.{}.{}",
        service / 250 % 250,
        service % 250,
        instance + 1
    );
    let mut one = testing::instance(&format!("i{instance}"), &host, 9000);
    one.weight = weight;
    let key = Key::new(format!("/services/s{service}/i{instance}"));
    one.origin.source = Arc::clone(&SOURCE);
    one.origin.path = (&key).into();
    let service = format!("s{service}").parse().expect("is a name");
    Entry::new(key, service, vec![one])
}

/// Makes the records of so many services with so many instances each.
pub(crate) fn entries(services: usize, instances: usize) -> Vec<Entry> {
    (0..services)
        .flat_map(|service| (0..instances).map(move |instance| entry(service, instance, 1)))
        .collect()
}

/// Returns a number from the command line by its place.
pub(crate) fn argument(place: usize, default: usize) -> usize {
    let given = std::env::args().filter(|argument| !argument.starts_with("--"));
    given
        .skip(place)
        .find_map(|argument| argument.parse().ok())
        .unwrap_or(default)
}

/// Returns how much memory the process occupies.
pub(crate) fn resident_bytes() -> usize {
    let status = fs::read_to_string("/proc/self/statm").expect("there is a /proc");
    let pages = status
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<usize>().ok());
    pages.unwrap_or(0) * 4096
}
