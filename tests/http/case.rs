//! The corpus: one file for each part of RFC 9110 and 9112, one table for each thing that a client sends.

use std::{fs, path::Path};

use serde::Deserialize;

/// Says what a client sends and what becomes of it.
///
/// Text stands for bytes: each character is the byte of its number, so `\u00e9` is the byte 0xe9.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    /// What it is about, as a sentence.
    pub(super) name: String,
    /// The clause that decides it, such as `9112 6.3`; the file's where left out.
    #[serde(default)]
    pub(super) clause: String,
    /// What the configuration says in `[proxy]`.
    #[serde(default)]
    pub(super) config: String,
    /// What the client sends.
    pub(super) send: String,
    /// How often the letter `a` stands where `send` has `{fill}`.
    #[serde(default)]
    fill: usize,
    /// Whether the client ends its sending after that.
    #[serde(default)]
    pub(super) ends: bool,
    /// The requests that the server gets: method, target, and the body if it has one.
    #[serde(default)]
    pub(super) arrives: Vec<String>,
    /// Header and trailer lines that some request that arrives has, with names in lower case.
    #[serde(default)]
    pub(super) carries: Vec<String>,
    /// Names of headers and trailers that no request that arrives has.
    #[serde(default)]
    pub(super) lacks: Vec<String>,
    /// What follows the last request on its way, once the server has switched protocols.
    #[serde(default)]
    pub(super) tunnels: String,
    /// The statuses of the answers that the client gets.
    pub(super) answers: Vec<u16>,
    /// The reason that the last answer names, where it is one of the proxy's own.
    #[serde(default)]
    pub(super) reason: String,
    /// Whether the connection is closed after the last answer; where not, one more request is sent.
    #[serde(default)]
    pub(super) closes: bool,
    /// Which of the two parsers of others can't read what arrives though it is good, and why.
    #[serde(default)]
    pub(super) unread_by: Unread,
}

/// Says why a parser can't read what is good.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Unread {
    pub(super) node: Option<String>,
    pub(super) h11: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    clause: String,
    case: Vec<Case>,
}

impl Case {
    /// Returns the bytes that the client sends.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let text = self.send.replace("{fill}", &"a".repeat(self.fill));
        bytes(&text)
    }
}

/// Turns text of the corpus into bytes.
pub(super) fn bytes(text: &str) -> Vec<u8> {
    let byte = |character| u8::try_from(u32::from(character)).unwrap();
    text.chars().map(byte).collect()
}

/// Turns bytes into text as the corpus has it.
pub(super) fn text(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

/// Reads all cases.
pub(super) fn all() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/http");
    let paths = fs::read_dir(folder).unwrap();
    let mut paths: Vec<_> = paths.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "toml"));
    paths.sort();
    let mut cases = Vec::new();
    for path in paths {
        let text = fs::read_to_string(&path).unwrap();
        let file = toml::from_str::<File>(&text);
        let file = file.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        cases.extend(file.case.into_iter().map(|case| Case {
            clause: match case.clause.is_empty() {
                true => file.clause.clone(),
                false => case.clause,
            },
            ..case
        }));
    }
    cases
}
