//! Names in the configuration: domains and mailboxes.

use std::{fmt, str::FromStr};

use crate::name::{LABEL_BYTES_MAX, Name, NameBuf};

/// Names a domain, such as `svc.internal`, in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Domain(Name);

impl Domain {
    pub(crate) fn name(&self) -> &Name {
        &self.0
    }

    /// Tells whether this domain is part of another one, and not the same.
    pub(super) fn is_below(&self, other: &Self) -> bool {
        self != other && self.0.relative_to(&other.0).is_some()
    }
}

impl FromStr for Domain {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |reason: &str| format!("`{text}` is not a domain: {reason}");
        let odd = |c: &char| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_' | '.');
        if let Some(c) = text.chars().find(odd) {
            return Err(wrong(&format!("it has {c:?}")));
        }
        let bare = text.strip_suffix('.').unwrap_or(text);
        if bare
            .split('.')
            .any(|label| label.starts_with('-') || label.ends_with('-'))
        {
            return Err(wrong("a label starts or ends with `-`"));
        }
        Name::parse(text)
            .map(Self)
            .map_err(|reason| wrong(&format!("it {reason}")))
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Names a mailbox as the SOA record has it (RFC 1035, section 3.3.13): a name whose first label is
/// the part before the `@`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Mailbox {
    text: String,
    name: Name,
}

impl Mailbox {
    /// Returns the mailbox `hostmaster` in a domain (RFC 2142, section 7).
    pub(crate) fn hostmaster(domain: &Name) -> Option<Name> {
        let mut name = NameBuf::default();
        name.push("hostmaster")
            .and_then(|()| name.extend(domain.as_bytes()))
            .ok()?;
        Some(name.finish())
    }

    pub(crate) fn name(&self) -> &Name {
        &self.name
    }
}

impl FromStr for Mailbox {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("`{text}` is not a mailbox such as \"admin@example.com\"");
        let (local, domain) = text.split_once('@').ok_or_else(wrong)?;
        let domain: Domain = domain
            .parse()
            .map_err(|reason| format!("{}: {reason}", wrong()))?;
        if local.is_empty() || local.len() > LABEL_BYTES_MAX || !local.is_ascii() {
            return Err(wrong());
        }
        let mut name = NameBuf::default();
        name.push(local)
            .and_then(|()| name.extend(domain.0.as_bytes()))
            .map_err(|_| wrong())?;
        Ok(Self {
            text: text.to_owned(),
            name: name.finish(),
        })
    }
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
