//! signpost knows which service instances are alive, and tells clients by DNS and by HTTP.
//!
//! ```text
//!  sources ──► registry ──► snapshot ──┬──► zones  ──► DNS answers
//!                                      └──► routes ──► proxied requests
//! ```
//!
//! The crates have the parts: `registry` watches stores and makes snapshots, `dns` makes answers of them,
//! `proxy` takes requests to instances, `config` reads files. This crate puts them together. [`Server`]
//! starts everything a [`Config`] describes: the registry with its sources, the views (zones and routes,
//! renewed whenever a snapshot or the configuration is new), the health manager (which tells the registry
//! what the proxy sees of instances), the workers that serve them, and the listeners that come and go with
//! the configuration. `upgrade/` hands all of it over to another process, `admin/` is the API by which
//! people and programs look in and register, `compat/` has the APIs of systems that signpost replaces
//! (both on `http_server/`), `cli/` the command line, `registrar/` the agent behind `signpost register`.
//!
//! What always holds:
//!
//! 1. Only sources speak to stores. No query and no request ever waits for a store.
//! 2. A source failure changes no answer; only what a source says does.
//! 3. Until a source has said everything a first time, a name it could own is not denied.
//! 4. One query or request sees one snapshot, and versions never go back.
//! 5. Registry state is touched by one task. No lock is taken on the two hot paths.
//! 6. What decides is pure: no I/O, no clock, no global randomness.
//! 7. Updating one service costs the same for any number of others.
//! 8. A bad configuration, record or packet changes nothing else.
//! 9. Everything has a limit, and the limit has a name.
//! 10. Nothing at `info` or above is logged per query or request but the access log.
//! 11. An update is never lost: watch first, then read; a reconnect ends in a full re-read.

mod activation;
mod admin;
mod bind;
pub mod cli;
mod compat;
mod config;
mod http_client;
mod http_server;
mod inherited;
mod listeners;
mod logs;
mod notify;
mod registrar;
mod reload;
mod server;
mod signals;
mod upgrade;
mod views;
mod workers;

pub use admin::Config as AdminConfig;
pub use compat::{BambooConfig, Config as CompatConfig, MarathonLbConfig, MesosDnsConfig};
pub use config::{Config, environment};
pub use listeners::Addresses;
pub use logs::{Config as LogConfig, Format as LogFormat};
pub use server::Server;
