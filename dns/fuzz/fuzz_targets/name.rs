//! Any text as a domain, a mailbox and a name to be explained.
#![no_main]

#[path = "../bodies.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::name(data));
