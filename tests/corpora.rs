//! The inputs that fuzzing has found or was started with, run once each.

use std::{fs, path::Path};

#[path = "../dns/fuzz/bodies.rs"]
mod dns_bodies;
#[path = "../proxy/fuzz/bodies.rs"]
mod proxy_bodies;

fn each(corpus: &str, body: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(corpus);
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        body(&fs::read(entry.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(count > 20, "{corpus} has {count} inputs");
}

#[test]
fn queries_are_answered() {
    each("dns/fuzz/corpus/respond", dns_bodies::respond);
}

#[test]
fn names_are_read() {
    each("dns/fuzz/corpus/name", dns_bodies::name);
}

#[test]
fn requests_are_passed_on_or_refused() {
    each("proxy/fuzz/corpus/request", proxy_bodies::request);
}

#[test]
fn chunks_are_passed_on_or_refused() {
    each("proxy/fuzz/corpus/chunked", proxy_bodies::chunked);
}

#[test]
fn responses_are_passed_on_or_refused() {
    each("proxy/fuzz/corpus/response", proxy_bodies::response);
}

#[test]
fn proxy_headers_are_read_or_refused() {
    each(
        "proxy/fuzz/corpus/proxy_protocol",
        proxy_bodies::proxy_protocol,
    );
}
