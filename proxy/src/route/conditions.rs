//! What a route asks of a request besides host and path.

use ipnet::IpNet;
use regex::bytes::Regex;

use super::{
    facets::Facets,
    pattern::{HostPattern, PathPattern, regex},
};
use crate::config::{self, PathRules, Scheme, Unless};

/// Holds a route's conditions, all of which must hold.
#[derive(Debug)]
pub(crate) struct Conditions {
    scheme: Option<Scheme>,
    /// Any of these; all when there are none.
    methods: Box<[Box<str>]>,
    headers: Box<[Wanted]>,
    query: Box<[Wanted]>,
    /// Any of these networks; all when there are none.
    clients: Box<[IpNet]>,
    /// None of these.
    unless: Box<[Exception]>,
}

/// Says which requests a route isn't for.
#[derive(Debug)]
struct Exception {
    config: Unless,
    host: HostPattern,
    path: PathPattern,
    conditions: Option<Box<Conditions>>,
}

/// Says what the values of one header or parameter should be.
#[derive(Debug, PartialEq)]
struct Wanted {
    /// Of headers in lower case.
    name: Box<str>,
    value: Value,
}

/// Says what one of the values should be.
#[derive(Debug)]
enum Value {
    /// There is one, whatever it is.
    Present,
    /// There is none.
    Absent,
    Exact(Box<[u8]>),
    Prefix(Box<[u8]>),
    Regex(Box<str>, Regex),
}

impl Conditions {
    /// Prepares the conditions of a route; `None` when it has none.
    ///
    /// # Errors
    ///
    /// Returns the key and what is wrong with its value.
    pub(crate) fn of(
        route: &config::Route,
        rules: PathRules,
    ) -> Result<Option<Box<Self>>, (String, String)> {
        let wanted = |key: &str, all: &[config::ValueMatch]| -> Result<Box<[Wanted]>, _> {
            let all = all.iter().enumerate().map(|(at, one)| {
                let within =
                    |(name, reason): (&str, String)| (format!("{key}[{at}].{name}"), reason);
                Wanted::of(one, key == "headers").map_err(within)
            });
            all.collect()
        };
        let conditions = Self {
            scheme: route.scheme,
            methods: route
                .methods
                .iter()
                .map(|one| one.as_str().into())
                .collect(),
            headers: wanted("headers", &route.headers)?,
            query: wanted("query", &route.query)?,
            clients: route.clients.iter().map(IpNet::trunc).collect(),
            unless: Exception::all_of(route, rules)?,
        };
        Ok((conditions.count() > 0).then(|| Box::new(conditions)))
    }

    /// Returns how many there are.
    pub(crate) fn count(&self) -> usize {
        usize::from(self.scheme.is_some())
            + usize::from(!self.methods.is_empty())
            + self.headers.len()
            + self.query.len()
            + usize::from(!self.clients.is_empty())
            + self.unless.len()
    }

    /// Tells whether all hold.
    ///
    /// `host` is in lower case, `path` in its normal form.
    pub(crate) fn hold(&self, host: &str, path: &str, facets: &Facets<'_>) -> bool {
        self.failed(host, path, facets).is_none()
    }

    /// Names the first kind of condition that doesn't hold.
    pub(crate) fn failed(
        &self,
        host: &str,
        path: &str,
        facets: &Facets<'_>,
    ) -> Option<&'static str> {
        if self.scheme.is_some_and(|scheme| scheme != facets.scheme()) {
            return Some("the scheme is another one");
        }
        let mut methods = self.methods.iter();
        if !self.methods.is_empty() && !methods.any(|one| **one == *facets.method) {
            return Some("the method is another one");
        }
        let in_lines = |one: &Wanted| one.value.is_among(facets.values(&one.name));
        if !self.headers.iter().all(in_lines) {
            return Some("the headers are others");
        }
        let in_query = |one: &Wanted| {
            let parameters = facets.parameters().iter();
            let named = parameters.filter(|(name, _)| **name == *one.name.as_bytes());
            one.value.is_among(named.map(|(_, value)| &**value))
        };
        if !self.query.iter().all(in_query) {
            return Some("the query is another one");
        }
        let client = |network: &IpNet| network.contains(&facets.client());
        if !self.clients.is_empty() && !self.clients.iter().any(client) {
            return Some("the client is in another network");
        }
        let mut unless = self.unless.iter();
        if unless.any(|one| one.is_for(host, path, facets)) {
            return Some("one of `unless` is for it");
        }
        None
    }

    /// Tells whether they hold wherever those of `other` do, as far as that is easy to tell.
    pub(crate) fn follow_from(&self, other: Option<&Self>) -> bool {
        let Some(other) = other else {
            return false;
        };
        let methods = self.methods.is_empty()
            || (!other.methods.is_empty()
                && other.methods.iter().all(|one| self.methods.contains(one)));
        let within = |one: &IpNet| self.clients.iter().any(|network| network.contains(one));
        let clients = self.clients.is_empty()
            || (!other.clients.is_empty() && other.clients.iter().all(within));
        let follow = |ours: &[Wanted], theirs: &[Wanted]| {
            let mut ours = ours.iter();
            ours.all(|one| theirs.iter().any(|other| one.follows_from(other)))
        };
        let mut unless = self.unless.iter();
        let unless = unless.all(|one| other.unless.iter().any(|two| one.config == two.config));
        let scheme = self.scheme.is_none() || self.scheme == other.scheme;
        scheme
            && methods
            && clients
            && unless
            && follow(&self.headers, &other.headers)
            && follow(&self.query, &other.query)
    }
}

impl Exception {
    fn all_of(route: &config::Route, rules: PathRules) -> Result<Box<[Self]>, (String, String)> {
        let all = route.unless.iter().enumerate().map(|(at, one)| {
            let within = |key: &str| match key {
                "" => format!("unless[{at}]"),
                key => format!("unless[{at}].{key}"),
            };
            let route = one.as_route();
            let path = PathPattern::of(&route, rules);
            let conditions = Conditions::of(&route, rules);
            Ok(Self {
                config: one.clone(),
                host: HostPattern::of(&route),
                path: path.map_err(|(key, reason)| (within(key), reason))?,
                conditions: conditions.map_err(|(key, reason)| (within(&key), reason))?,
            })
        });
        all.collect()
    }

    fn is_for(&self, host: &str, path: &str, facets: &Facets<'_>) -> bool {
        let conditions = self.conditions.as_deref();
        self.host.matches(host)
            && self.path.matches(path)
            && conditions.is_none_or(|conditions| conditions.hold(host, path, facets))
    }
}

impl Wanted {
    fn of(one: &config::ValueMatch, is_header: bool) -> Result<Self, (&'static str, String)> {
        let value = match (&one.exact, &one.prefix, &one.regex, one.present) {
            (Some(exact), None, None, None) => Value::Exact(exact.as_bytes().into()),
            (None, Some(prefix), None, None) => Value::Prefix(prefix.as_bytes().into()),
            (None, None, Some(text), None) => match regex(text) {
                Ok(regex) => Value::Regex(text.as_str().into(), regex),
                Err(reason) => return Err(("regex", reason)),
            },
            (None, None, None, None | Some(true)) => Value::Present,
            (None, None, None, Some(false)) => Value::Absent,
            _ => {
                let reason = "there is more than one of `exact`, `prefix`, `regex` and `present`";
                return Err(("name", reason.to_owned()));
            }
        };
        let name = match is_header {
            true => one.name.to_ascii_lowercase(),
            false => one.name.clone(),
        };
        Ok(Self {
            name: name.into(),
            value,
        })
    }

    fn follows_from(&self, other: &Self) -> bool {
        self.name == other.name
            && match (&self.value, &other.value) {
                (ours, theirs) if ours == theirs => true,
                (Value::Present, theirs) => *theirs != Value::Absent,
                (ours @ (Value::Prefix(_) | Value::Regex(..)), Value::Exact(value)) => {
                    ours.is_among([&**value].into_iter())
                }
                (Value::Prefix(ours), Value::Prefix(theirs)) => theirs.starts_with(ours),
                _ => false,
            }
    }
}

impl Value {
    /// Tells whether one of the values is as it should be.
    fn is_among<'v>(&self, mut values: impl Iterator<Item = &'v [u8]>) -> bool {
        match self {
            Self::Present => values.next().is_some(),
            Self::Absent => values.next().is_none(),
            Self::Exact(wanted) => values.any(|value| value == &**wanted),
            Self::Prefix(wanted) => values.any(|value| value.starts_with(wanted)),
            Self::Regex(_, regex) => values.any(|value| regex.is_match(value)),
        }
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Present, Self::Present) | (Self::Absent, Self::Absent) => true,
            (Self::Exact(a), Self::Exact(b)) | (Self::Prefix(a), Self::Prefix(b)) => a == b,
            (Self::Regex(a, _), Self::Regex(b, _)) => a == b,
            _ => false,
        }
    }
}
