//! One criterion: what of a request is looked at, how, and what it should be.

use super::words::Word;

/// What a criterion asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Criterion {
    pub(super) fetch: Fetch,
    pub(super) matching: Matching,
    pub(super) ignore_case: bool,
    /// Any of these.
    pub(super) values: Vec<String>,
}

/// What of a request is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fetch {
    /// A header by its name in lower case.
    Header(String),
    Path,
    Method,
    /// The client's address.
    Source,
}

/// How a value is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Matching {
    Exact,
    Begin,
    End,
    Substring,
    /// Whole parts between slashes.
    Directory,
    /// Whole parts between dots, slashes and colons.
    Domain,
    Regex,
    /// It is there.
    Found,
    /// An address or a network.
    Address,
}

/// The criteria, each with what it looks at, and whether an ending says how.
const NAMES: [(&str, bool); 4] = [
    ("hdr", true),
    ("path", true),
    ("method", false),
    ("src", false),
];

/// The endings of criteria, which are also the words of `-m`.
const ENDINGS: [(&str, Matching); 8] = [
    ("str", Matching::Exact),
    ("beg", Matching::Begin),
    ("end", Matching::End),
    ("sub", Matching::Substring),
    ("dir", Matching::Directory),
    ("dom", Matching::Domain),
    ("reg", Matching::Regex),
    ("found", Matching::Found),
];

impl Criterion {
    /// Reads a criterion with its flags and values.
    ///
    /// # Errors
    ///
    /// Returns in words what it can't be.
    pub(super) fn parse(words: &[Word]) -> Result<Self, String> {
        let (name, rest) = words.split_first().ok_or("there is no criterion")?;
        let (fetch, mut matching) = fetch(&name.text)?;
        let mut ignore_case = false;
        let mut rest = rest.iter();
        let mut values = Vec::new();
        while let Some(word) = rest.next() {
            if !values.is_empty() || !word.text.starts_with('-') || word.is_quoted {
                values.push(word.text.clone());
                continue;
            }
            match word.text.as_str() {
                "-i" => ignore_case = true,
                "-m" => {
                    let how = rest.next().ok_or("`-m` doesn't say how")?;
                    matching = ending(&how.text, &fetch)
                        .ok_or_else(|| format!("`-m {}` is not supported", how.text))?;
                }
                "--" => values.extend(rest.by_ref().map(|word| word.text.clone())),
                flag => return Err(format!("the flag `{flag}` is not supported")),
            }
        }
        if let Some(value) = values.iter().find(|value| value.contains("{{")) {
            return Err(format!("`{value}` is a template, and not what one makes"));
        }
        match (matching, values.is_empty()) {
            (Matching::Found, false) => Err("`-m found` has no values".to_owned()),
            (Matching::Found, true) | (_, false) => Ok(Self {
                fetch,
                matching,
                ignore_case,
                values,
            }),
            (_, true) => Err(format!("`{}` has no value", name.text)),
        }
    }

    /// Tells whether a word is the name of a criterion.
    pub(super) fn is_name(word: &Word) -> bool {
        !word.is_quoted && fetch(&word.text).is_ok()
    }
}

/// Reads the name of a criterion, such as `hdr_dom(host)`.
fn fetch(text: &str) -> Result<(Fetch, Matching), String> {
    let unknown = || format!("`{text}` is not a criterion that is supported");
    let (name, argument) = match text.split_once('(') {
        Some((name, rest)) => (name, Some(rest.strip_suffix(')').ok_or_else(unknown)?)),
        None => (text, None),
    };
    let name = name.strip_prefix("req.").unwrap_or(name);
    let (base, end) = match name.split_once('_') {
        Some((base, end)) => (base, Some(end)),
        None => (name, None),
    };
    let known = NAMES.iter().find(|(name, _)| *name == base);
    let (_, has_endings) = known.ok_or_else(unknown)?;
    let fetch = match (base, argument) {
        ("hdr", Some(name)) if !name.is_empty() && !name.contains(',') => {
            Fetch::Header(name.to_ascii_lowercase())
        }
        ("path", None) => Fetch::Path,
        ("method", None) => Fetch::Method,
        ("src", None) => Fetch::Source,
        _ => return Err(unknown()),
    };
    let matching = match (end, &fetch) {
        (None, Fetch::Source) => Matching::Address,
        (None, _) => Matching::Exact,
        (Some("str" | "found"), _) => return Err(unknown()),
        (Some(end), _) if *has_endings => ending(end, &fetch).ok_or_else(unknown)?,
        (Some(_), _) => return Err(unknown()),
    };
    Ok((fetch, matching))
}

/// Reads how something is compared.
fn ending(text: &str, fetch: &Fetch) -> Option<Matching> {
    let found = ENDINGS.iter().find(|(name, _)| *name == text);
    let matching = found.map(|(_, matching)| *matching);
    match fetch {
        Fetch::Source => (text == "ip").then_some(Matching::Address),
        Fetch::Method => matching.filter(|one| matches!(one, Matching::Exact)),
        Fetch::Path => matching.filter(|one| *one != Matching::Found),
        Fetch::Header(_) => matching,
    }
}
