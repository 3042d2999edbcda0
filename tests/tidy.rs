//! The house rules that a compiler doesn't check.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The longest a file may be, in lines, its tests not counted.
const FILE_LINES_MAX: usize = 800;

/// The longest a function may be, in lines.
const FUNCTION_LINES_MAX: usize = 70;

/// The longest a line of code or comment may be, in characters.
const COLUMNS_MAX: usize = 110;

/// Where things are decided, and so neither clock nor chance nor the outside world is asked.
const PURE: [&str; 35] = [
    "registry/src/backoff.rs",
    "registry/src/instance.rs",
    "registry/src/merge.rs",
    "registry/src/name.rs",
    "registry/src/observation.rs",
    "registry/src/registry.rs",
    "registry/src/registry",
    "registry/src/registration.rs",
    "registry/src/service.rs",
    "registry/src/snapshot.rs",
    "registry/src/update.rs",
    "registry/src/weights.rs",
    "registry/src/store/lease.rs",
    "registry/src/formats",
    "registry/src/sources/zookeeper/tree",
    "dns/src/cookie.rs",
    "dns/src/excerpt.rs",
    "dns/src/export",
    "dns/src/name.rs",
    "dns/src/policy.rs",
    "dns/src/rate_limit",
    "dns/src/respond",
    "dns/src/reverse",
    "dns/src/rrset",
    "dns/src/schemes",
    "dns/src/ttl.rs",
    "dns/src/wire",
    "dns/src/zones",
    "proxy/src/balancers",
    "proxy/src/drains.rs",
    "proxy/src/health/schedule.rs",
    "proxy/src/health/state",
    "proxy/src/pool.rs",
    "proxy/src/proxy_protocol.rs",
    "proxy/src/route",
];

/// What a pure file doesn't name.
const IMPURE: [&str; 13] = [
    "Instant::now(",
    "SystemTime",
    "fastrand::u",
    "fastrand::f64",
    "Rng::new",
    "std::env",
    "std::fs",
    "TcpListener",
    "TcpStream",
    "UdpSocket",
    "tokio::spawn",
    "tokio::sync",
    "thread::",
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the Rust files below a folder, with paths relative to the project.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_below(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn sources() -> Vec<(String, String)> {
    let folders = [
        "src",
        "config/src",
        "registry/src",
        "dns/src",
        "proxy/src",
        "tests",
        "examples",
    ];
    let files = folders
        .iter()
        .flat_map(|folder| files_below(&root().join(folder)));
    let sources: Vec<_> = files
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            let name = path.strip_prefix(root()).unwrap();
            (name.display().to_string(), text)
        })
        .collect();
    assert!(sources.len() > 100, "{}", sources.len());
    sources
}

/// Cuts a file's tests off.
fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests {").next().unwrap()
}

fn fail_if_any(what: &str, found: &[String]) {
    assert!(found.is_empty(), "{what}:\n{}", found.join("\n"));
}

#[test]
fn files_are_short() {
    let long = sources().into_iter().filter_map(|(name, text)| {
        let lines = without_tests(&text).lines().count();
        (lines > FILE_LINES_MAX).then(|| format!("{name}: {lines} lines"))
    });
    fail_if_any("too long", &long.collect::<Vec<_>>());
}

#[test]
fn lines_fit() {
    let mut long = Vec::new();
    for (name, text) in sources() {
        // Tests may have long literals.
        for (number, line) in (1..).zip(without_tests(&text).lines()) {
            let code = !name.starts_with("tests/") && !line.contains('"');
            if code && line.chars().count() > COLUMNS_MAX {
                long.push(format!("{name}:{number}"));
            }
        }
    }
    fail_if_any("too wide", &long);
}

#[test]
fn functions_are_short() {
    let mut long = Vec::new();
    // A test may tell a long story.
    let code = sources()
        .into_iter()
        .filter(|(name, _)| !name.starts_with("tests/"));
    for (name, text) in code {
        let mut open: Option<(usize, String, String)> = None;
        for (number, line) in (1..).zip(without_tests(&text).lines()) {
            let start = line.trim_start();
            let is_function = [
                "fn ",
                "pub fn ",
                "pub(crate) fn ",
                "pub(super) fn ",
                "async fn ",
            ]
            .iter()
            .any(|word| start.starts_with(word))
                || (start.starts_with("pub") && start.contains(" fn "));
            if open.is_none() && is_function && !line.ends_with(';') {
                let indent = line[..line.len() - start.len()].to_owned();
                open = Some((number, format!("{indent}}}"), start.to_owned()));
            }
            if let Some((from, end, head)) = &open
                && line == end
            {
                let lines = number - from + 1;
                if lines > FUNCTION_LINES_MAX {
                    long.push(format!("{name}:{from}: {lines} lines: {head}"));
                }
                open = None;
            }
        }
    }
    fail_if_any("too long", &long);
}

#[test]
fn what_decides_is_pure() {
    let mut impure = Vec::new();
    let sources = sources();
    for pure in PURE {
        let mut matched = false;
        for (name, text) in &sources {
            if !name.starts_with(pure) || name.ends_with("tests.rs") || name.ends_with("law.rs") {
                continue;
            }
            matched = true;
            for word in IMPURE {
                if without_tests(text).contains(word) {
                    impure.push(format!("{name}: {word}"));
                }
            }
        }
        assert!(matched, "{pure} is not there any more");
    }
    fail_if_any("not pure", &impure);
}

#[test]
fn nothing_is_put_off() {
    // Put together, so that this file isn't found itself.
    let words = [
        ["TO", "DO"],
        ["FIX", "ME"],
        ["todo", "!("],
        ["unimplemented", "!("],
        ["#[ig", "nore"],
    ];
    let mut found = Vec::new();
    for (name, text) in sources() {
        for word in words.map(|parts| parts.concat()) {
            if text.contains(&word) {
                found.push(format!("{name}: {word}"));
            }
        }
    }
    fail_if_any("put off", &found);
}

#[test]
fn metrics_have_the_names_of_their_crates() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for (name, text) in sources() {
        let crate_name = name.split('/').next().unwrap();
        for literal in text.split("\"signpost_").skip(1) {
            let metric = literal.split('"').next().unwrap();
            let good = match crate_name {
                "dns" | "proxy" => metric.starts_with(&format!("{crate_name}_")),
                "src" => ["registry_", "config_", "build"]
                    .iter()
                    .any(|start| metric.starts_with(start)),
                _ => true,
            };
            count += 1;
            if !good || metric.ends_with("_total") {
                wrong.push(format!("{name}: signpost_{metric}"));
            }
        }
    }
    assert!(count > 15, "{count}");
    fail_if_any("names", &wrong);
}
