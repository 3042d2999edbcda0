//! Routes for the alternatives of an expression.

use ipnet::IpNet;
use proxy::{Route, Unless, ValueMatch};

use super::{
    criterion::{Criterion, Fetch, Matching},
    expression::{Expression, Term},
};

/// The most routes of one expression: alternatives, and values of hosts in them.
const ROUTES_MAX: usize = 256;

/// Makes routes of an expression.
///
/// # Errors
///
/// Returns in words what routes can't express.
pub(super) fn of(expression: &Expression, template: &Route) -> Result<Vec<Route>, String> {
    let mut routes = Vec::new();
    for terms in &expression.alternatives {
        routes.extend(of_terms(terms, template)?);
        if routes.len() > ROUTES_MAX {
            return Err(format!("it takes more than {ROUTES_MAX} routes"));
        }
    }
    Ok(routes)
}

/// Makes a route for each host and each beginning of a path that is named, or one for any.
fn of_terms(terms: &[Term], template: &Route) -> Result<Vec<Route>, String> {
    let mut route = template.clone();
    let mut hosts: Option<Vec<String>> = None;
    let mut starts: Option<&Criterion> = None;
    for term in terms {
        let criterion = &term.criterion;
        if term.is_negated {
            route.unless.extend(exceptions(criterion)?);
            continue;
        }
        match &criterion.fetch {
            Fetch::Header(name) => match host_patterns(criterion) {
                Some(_) if template.host.is_some() => {
                    return Err("another host can't be one route's".to_owned());
                }
                Some(patterns) if hosts.is_none() => hosts = Some(patterns),
                _ => route.headers.push(header(name, criterion)?),
            },
            Fetch::Path if has_path(&route) || starts.is_some() => {
                return Err("two criteria for the path can't be one route's".to_owned());
            }
            Fetch::Path if criterion.matching == Matching::Begin => starts = Some(criterion),
            Fetch::Path => match exact_path(criterion) {
                Some(path) => route.path = Some(path),
                None => route.path_regex = Some(regex(criterion, "/")?),
            },
            Fetch::Method if !route.methods.is_empty() => {
                return Err("two criteria for the method can't be one route's".to_owned());
            }
            Fetch::Method => route.methods = criterion.values.clone(),
            Fetch::Source if !route.clients.is_empty() => {
                return Err("two criteria for the address can't be one route's".to_owned());
            }
            Fetch::Source => route.clients = networks(criterion)?,
        }
    }
    let hosts = hosts.map_or_else(|| vec![None], |all| all.into_iter().map(Some).collect());
    let count = hosts.len() * starts.map_or(1, |starts| starts.values.len());
    if count > ROUTES_MAX {
        return Err(format!("it takes more than {ROUTES_MAX} routes"));
    }
    let routes = hosts.into_iter().flat_map(|host| {
        let one = Route {
            host: host.or_else(|| template.host.clone()),
            ..route.clone()
        };
        match starts {
            None => vec![one],
            Some(criterion) => beginning(criterion, &one),
        }
    });
    Ok(routes.collect())
}

/// Makes a route for each beginning of a path.
fn beginning(criterion: &Criterion, route: &Route) -> Vec<Route> {
    let starts = criterion.values.iter().map(|start| Route {
        path_start: Some(start.clone()),
        ignore_case: criterion.ignore_case,
        ..route.clone()
    });
    starts.collect()
}

/// Makes of a criterion that must not hold what a route isn't for.
fn exceptions(criterion: &Criterion) -> Result<Vec<Unless>, String> {
    let one = |unless: Unless| Ok(vec![unless]);
    match &criterion.fetch {
        Fetch::Header(name) => match host_patterns(criterion) {
            Some(patterns) => {
                let patterns = patterns.into_iter().map(|host| Unless {
                    host: Some(host),
                    ..Unless::default()
                });
                Ok(patterns.collect())
            }
            None => one(Unless {
                headers: vec![header(name, criterion)?],
                ..Unless::default()
            }),
        },
        Fetch::Path => one(Unless {
            path_regex: Some(regex(criterion, "/")?),
            ..Unless::default()
        }),
        Fetch::Method => one(Unless {
            methods: criterion.values.clone(),
            ..Unless::default()
        }),
        Fetch::Source => one(Unless {
            clients: networks(criterion)?,
            ..Unless::default()
        }),
    }
}

fn has_path(route: &Route) -> bool {
    let all = [
        &route.path,
        &route.path_prefix,
        &route.path_regex,
        &route.path_start,
    ];
    all.into_iter().any(Option::is_some)
}

/// Returns a path that is compared as it is; none when case doesn't matter, or there are several.
fn exact_path(criterion: &Criterion) -> Option<String> {
    match (&*criterion.values, criterion.matching) {
        ([path], Matching::Exact) if !criterion.ignore_case => Some(path.clone()),
        _ => None,
    }
}

/// Returns the hosts of a criterion that routes can look up; they have no case and no port.
fn host_patterns(criterion: &Criterion) -> Option<Vec<String>> {
    if criterion.fetch != Fetch::Header("host".to_owned()) {
        return None;
    }
    let is_name = |text: &str| {
        let mut bytes = text.bytes();
        !text.is_empty() && bytes.all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    let pattern = |value: &String| match criterion.matching {
        Matching::Exact => is_name(value).then(|| value.clone()),
        Matching::End => {
            let below = value.strip_prefix('.').filter(|below| is_name(below))?;
            Some(format!("*.{below}"))
        }
        _ => None,
    };
    criterion.values.iter().map(pattern).collect()
}

fn header(name: &str, criterion: &Criterion) -> Result<ValueMatch, String> {
    let mut wanted = ValueMatch {
        name: name.to_owned(),
        ..ValueMatch::default()
    };
    if criterion.matching != Matching::Found {
        wanted.regex = Some(regex(criterion, "/?")?);
    }
    Ok(wanted)
}

/// Makes an expression that the whole of a value matches; `delimiters` are what parts stand between.
///
/// Of a header with several values, between commas, one has to be as it is wanted, as in HAProxy.
fn regex(criterion: &Criterion, delimiters: &str) -> Result<String, String> {
    // The case of a host doesn't matter, and its port may follow.
    let is_host = criterion.fetch == Fetch::Header("host".to_owned());
    let (before, after) = match &criterion.fetch {
        Fetch::Header(_) if is_host => ("", "(:[0-9]+)?"),
        Fetch::Header(_) => ("(.*,)?[ \t]*", "[ \t]*(,.*)?"),
        _ => ("", ""),
    };
    let delimiters = match criterion.matching {
        Matching::Domain => "/?.:",
        _ => delimiters,
    };
    // What a part may stand in, which is one value of several.
    let any = if before.is_empty() { "." } else { "[^,]" };
    let parts = criterion.values.iter().map(|value| {
        let text = escaped(value);
        let inner = escaped(value.trim_matches(|c| delimiters.contains(c)));
        Ok(match criterion.matching {
            Matching::Exact => format!("{before}{text}{after}"),
            Matching::Begin => format!("{before}{text}.*"),
            Matching::End => format!(".*{text}{after}"),
            Matching::Substring => format!(".*{text}.*"),
            Matching::Directory | Matching::Domain => {
                format!("{before}({any}*[{delimiters}])?{inner}([{delimiters}]{any}*)?{after}")
            }
            Matching::Regex => format!(".*(?:{value}).*"),
            Matching::Found | Matching::Address => {
                return Err("it isn't compared with a text".to_owned());
            }
        })
    });
    let parts: Vec<String> = parts.collect::<Result<_, String>>()?;
    let flags = match criterion.ignore_case || is_host {
        true => "(?i)",
        false => "",
    };
    match &*parts {
        [part] => Ok(format!("{flags}{part}")),
        parts => Ok(format!("{flags}(?:{})", parts.join("|"))),
    }
}

/// Takes the meaning from the signs of regular expressions.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii_punctuation() && !"/_-~%&=:,;'\"<>@!`".contains(c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// Reads addresses and networks.
fn networks(criterion: &Criterion) -> Result<Vec<IpNet>, String> {
    let networks = criterion.values.iter().map(|text| {
        let network = text.parse::<IpNet>();
        let address = || text.parse::<std::net::IpAddr>().map(IpNet::from);
        network
            .or_else(|_| address())
            .map_err(|_| format!("`{text}` is neither an address nor a network"))
    });
    networks.collect()
}
