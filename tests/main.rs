//! Everything that needs a real server or the whole program.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on ends by panicking"
)]

mod admin;
mod agents;
mod bad_input;
mod check;
mod corpora;
mod differential;
mod docs;
mod drain;
mod ensemble;
mod faults;
mod forward;
mod health;
mod http;
mod marathon;
mod mesos;
mod pipeline;
mod reload;
mod slow_clients;
mod support;
mod tidy;
mod upgrade;
mod zero_loss;
mod zookeeper;
