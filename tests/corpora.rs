//! The inputs that fuzzing has found or was started with, run once each.

use std::{fs, path::Path};

#[path = "../dns/fuzz/bodies.rs"]
mod dns_bodies;

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
