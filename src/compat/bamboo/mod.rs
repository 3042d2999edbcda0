//! Bamboo: rules that say which requests an app gets.
//!
//! The rules are told by a source `bamboo`, the apps by a source `marathon`; `rules` makes routes of both.

mod config;
mod rules;

pub use self::config::Config;
pub(super) use self::rules::make;
