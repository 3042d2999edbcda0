//! Bamboo: rules that say which requests an app gets, its HTTP API, and a page.
//!
//! The rules are told by a source `bamboo`, the apps by a source `marathon`; `rules` makes routes of both.
//! The API has the paths, verbs and JSON of Bamboo's: `state` shows what is known, `request` reads what is
//! to be written, `storage` writes it to ZooKeeper. The `page` shows an `overview` and hears by `events`
//! when that is another one.

mod api;
mod config;
mod events;
mod overview;
mod page;
mod request;
mod rules;
mod state;
mod storage;

pub(crate) use self::api::Bamboo;
pub use self::config::Config;
pub(super) use self::rules::make;
