//! Everything that needs a real server or the whole program.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on ends by panicking"
)]

mod support;
mod zookeeper;
