//! How one record of a store becomes instances.
//!
//! A format is one file with two functions, `fits` (does a text look like it?) and `parse`, and one
//! line in the list below, whose order is the order in which [`Format::Auto`] tries them. Parsing
//! is pure: what a store knows about a record besides its bytes comes as a [`Record`].

mod curator;
mod host_port;
mod json_object;
mod kazoo_list;
mod value;

use std::{str, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{Instance, InstanceId, Key, Origin, Timestamp};

/// The size above which a record is refused, in bytes: no format needs as much.
pub const RECORD_BYTES_MAX: usize = 64 << 10;

macro_rules! formats {
    ($($(#[$doc:meta])* $format:ident = $module:ident,)*) => {
        /// Names a way in which a record says where its instances are.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Format {
            /// Whichever of the others each record looks like.
            #[default]
            Auto,
            $($(#[$doc])* $format,)*
        }

        /// Finds the format that a text looks like.
        fn recognize(text: &str) -> Option<Format> {
            $(if $module::fits(text) {
                return Some(Format::$format);
            })*
            None
        }

        fn parse_text(
            format: Format,
            text: &str,
            record: &Record<'_>,
        ) -> Result<Vec<Instance>, String> {
            match format {
                Format::Auto => match recognize(text) {
                    Some(format) => parse_text(format, text, record),
                    None => Err(format!("`{}` looks like no known format", value::shown(text))),
                },
                $(Format::$format => $module::parse(text, record),)*
            }
        }
    };
}

formats! {
    /// The JSON that Apache Curator's service discovery writes, and Spring Cloud with it.
    Curator = curator,
    /// A JSON object with `host` and `port`, such as `{"host": "10.0.0.1", "port": 80}`.
    JsonObject = json_object,
    /// A JSON list of host and port, as kazoo's users write it: `["127.0.0.1", "9099"]`.
    KazooList = kazoo_list,
    /// Plain text: `10.0.0.1:80`, `[::1]:80`, `db.example.com:80`.
    HostPort = host_port,
}

/// Says what a store knows about a record besides its bytes.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// The source's name in the configuration.
    pub source: &'a Arc<str>,
    /// The record's place in the store.
    pub key: &'a Key,
    /// The last part of that place, such as a znode's name: the instance's id unless the bytes give
    /// one.
    pub name: &'a str,
    /// The store's count of changes to the record.
    pub revision: Option<u64>,
    /// When the record was created.
    pub since: Option<Timestamp>,
}

impl Record<'_> {
    /// Creates the instance that this record is about, without addresses and ports.
    fn instance(&self, id: Option<&str>) -> Instance {
        let origin = Origin {
            source: Arc::clone(self.source),
            path: self.key.into(),
            revision: self.revision,
            since: self.since,
        };
        Instance::new(InstanceId::from_text(id.unwrap_or(self.name)), origin)
    }
}

/// Reads the instances that a record names.
///
/// # Errors
///
/// Returns in words what is wrong with the bytes.
pub fn parse(format: Format, bytes: &[u8], record: &Record<'_>) -> Result<Vec<Instance>, String> {
    if bytes.len() > RECORD_BYTES_MAX {
        let size = bytes.len();
        return Err(format!("{size} bytes, more than {RECORD_BYTES_MAX}"));
    }
    let text = str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        format!("binary rubbish: invalid UTF-8 at byte {at}")
    })?;
    match text.trim() {
        "" => Err("the record is empty".to_owned()),
        text => parse_text(format, text, record),
    }
}

#[cfg(test)]
mod tests;
