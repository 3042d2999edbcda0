//! Configuration for the other crates: a file becomes a value, or errors that say where and why.
//!
//! A [`Document`] is one parsed TOML file. It expands `${NAME}` and `${NAME:-default}` in strings, takes
//! overrides from `SIGNPOST_SECTION_KEY` environment variables, and turns into any `serde` type. Every
//! [`Error`] names file, line, key and reason; an unknown key comes with a guess at the one that was
//! meant, and all unknown keys are found in one go.
//!
//! Each crate owns the struct it is configured by, close to the code that obeys it, and checks what serde
//! cannot in a function that returns [`Problem`]s: a key path and a reason, without a file. The
//! [`Document`] knows where the key stands and makes an [`Error`] of each.
//!
//! [`Watcher`] says when a file or a directory has changed. [`Duration`], [`Size`], [`Secret`] and
//! [`ClientTls`] are the words that the crates' structs share.

mod document;
mod duration;
mod environment;
mod error;
mod position;
mod secret;
mod size;
mod tls;
mod watch;

pub use document::Document;
pub use duration::Duration;
pub use environment::Environment;
pub use error::{Error, Errors, Problem};
pub use secret::Secret;
pub use size::Size;
pub use tls::ClientTls;
pub use watch::{WatchError, Watcher};
