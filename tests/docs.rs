//! The manual tells the truth: its configurations load, its keys exist, its example runs.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use config::{Document, Environment};
use serde_json::Value;
use signpost::Config;

use crate::support::{client, eventually};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the manual's pages and the README.
fn pages() -> Vec<(String, String)> {
    let docs = fs::read_dir(root().join("docs")).unwrap();
    let docs = docs.map(|entry| entry.unwrap().path());
    let pages = docs.filter(|path| path.extension().is_some_and(|ending| ending == "md"));
    let pages = pages.chain([root().join("README.md")]);
    pages
        .map(|path| {
            (
                path.display().to_string(),
                fs::read_to_string(path).unwrap(),
            )
        })
        .collect()
}

/// Returns the blocks of a page that are in this language.
fn blocks<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    let fence = format!("```{language}\n");
    let blocks = page.split(&fence).skip(1);
    blocks
        .map(|rest| rest.split("```").next().unwrap())
        .collect()
}

#[test]
fn every_configuration_in_the_manual_loads() {
    let directory = tempfile::tempdir().unwrap();
    let mut count = 0;
    for (file, page) in pages() {
        for block in blocks(&page, "toml") {
            count += 1;
            // A list of services is a file of its own.
            if block.starts_with("[[services]]") {
                let path = directory.path().join("list.toml");
                fs::write(&path, block).unwrap();
                let config = format!("path = {:?}", path.display().to_string());
                let source: registry::sources::file::Config = toml::from_str(&config).unwrap();
                let (entries, refused) = source.read().unwrap();
                assert!(
                    !entries.is_empty() && refused.is_empty(),
                    "{file}: {refused:?}"
                );
                continue;
            }
            let document = Document::parse(file.as_str(), block, &Environment::default());
            let config = document.and_then(|document| Config::from_document(&document));
            assert!(config.is_ok(), "{}\n{block}", config.unwrap_err());
        }
    }
    assert!(count >= 6, "{count}");
}

/// Finds the keys that a type takes, as serde says them when it is given one that it doesn't know.
fn keys(table: &str) -> BTreeSet<String> {
    let path: Vec<&str> = table.trim_matches(['[', ']']).split('.').collect();
    let header = match table.is_empty() {
        true => String::new(),
        false => format!("{table}\n"),
    };
    let text = format!("{}{header}no_such_key = 1\n", required(&path));
    let document = Document::parse("f", text, &Environment::default()).unwrap();
    let errors = document.get::<Config>().unwrap_err().to_string();
    let expected = errors
        .lines()
        .find(|line| line.contains("unknown field `no_such_key`"));
    let expected = expected.unwrap_or_else(|| panic!("{table}: {errors}"));
    let expected = expected.split_once("expected").unwrap().1;
    let names = expected.split('`').skip(1).step_by(2);
    names.map(str::to_owned).collect()
}

/// What must stand before a table for it to be read at all.
fn required(path: &[&str]) -> &'static str {
    match path {
        ["sources", "NAME", "zookeeper", "auth"] => {
            "[sources.NAME.zookeeper]\nconnect = 'h'\npath = '/p'\n"
        }
        ["proxy", "routes", _] => "[[proxy.routes]]\nservice = 's'\n",
        _ => "",
    }
}

/// The tables of the configuration, and how the reference calls them.
const TABLES: [(&str, &str); 34] = [
    ("", "## At the top"),
    ("[dns]", "## `[dns]`"),
    ("[dns.cookies]", "### `[dns.cookies]`"),
    ("[dns.chaos]", "### `[dns.chaos]`"),
    ("[dns.reverse]", "### `[dns.reverse]`"),
    ("[dns.rate_limit]", "### `[dns.rate_limit]`"),
    ("[dns.forward]", "### `[dns.forward]`"),
    ("[[dns.zones]]", "### `[[dns.zones]]`"),
    ("[proxy]", "## `[proxy]`"),
    ("[[proxy.listeners]]", "### `[[proxy.listeners]]`"),
    ("[[proxy.routes]]", "### `[[proxy.routes]]`"),
    ("[proxy.locality]", "### `[proxy.locality]`"),
    ("[proxy.path]", "### `[proxy.path]`"),
    ("[proxy.timeouts]", "### `[proxy.timeouts]`"),
    ("[proxy.limits]", "### `[proxy.limits]`"),
    ("[proxy.retries]", "### `[proxy.retries]`"),
    ("[proxy.defaults]", "### `[proxy.defaults]`"),
    ("[proxy.defaults.check]", "### `[proxy.defaults.check]`"),
    (
        "[proxy.defaults.ejection]",
        "### `[proxy.defaults.ejection]`",
    ),
    ("[proxy.defaults.limits]", "### `[proxy.defaults.limits]`"),
    ("[proxy.defaults.dns]", "### `[proxy.defaults.dns]`"),
    ("[proxy.access_log]", "### `[proxy.access_log]`"),
    ("[admin]", "## `[admin]`"),
    ("[compat.mesos_dns]", "### `[compat.mesos_dns]`"),
    ("[compat.marathon_lb]", "### `[compat.marathon_lb]`"),
    ("[compat.bamboo]", "### `[compat.bamboo]`"),
    ("[registry]", "## `[registry]`"),
    ("[registry.limits]", "### `[registry.limits]`"),
    ("[sources.NAME.zookeeper]", "### `[sources.NAME.zookeeper]`"),
    ("[sources.NAME.bamboo]", "### `[sources.NAME.bamboo]`"),
    ("[sources.NAME.marathon]", "### `[sources.NAME.marathon]`"),
    ("[sources.NAME.mesos]", "### `[sources.NAME.mesos]`"),
    ("[sources.NAME.file]", "### `[sources.NAME.file]`"),
    ("[sources.NAME.store]", "### `[sources.NAME.store]`"),
];

#[test]
fn the_reference_has_every_key_and_no_other() {
    let page = fs::read_to_string(root().join("docs/configuration.md")).unwrap();
    let sections: BTreeSet<&str> = [
        "dns", "proxy", "admin", "compat", "registry", "sources", "log",
    ]
    .into();
    let nested = [
        "rate_limit",
        "forward",
        "zones",
        "cookies",
        "chaos",
        "reverse",
        "listeners",
        "locality",
        "routes",
        "timeouts",
        "limits",
        "retries",
        "access_log",
        "defaults",
        "services",
        "check",
        "ejection",
    ];
    let log = ("[log]", "## `[log]`");
    for (table, heading) in TABLES.into_iter().chain([log]) {
        let start = page
            .find(&format!("{heading}\n"))
            .unwrap_or_else(|| panic!("{heading}"));
        let section = &page[start + heading.len()..];
        let section = section.split("\n##").next().unwrap();
        let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
        let cells = rows.map(|row| row.split(" |").next().unwrap());
        let documented: BTreeSet<String> = cells
            .flat_map(|cell| cell.split(", "))
            .map(|key| key.trim_matches('`').split('.').next().unwrap().to_owned())
            .collect();
        let is_table = |key: &String| match table {
            "" => sections.contains(key.as_str()),
            // A route's own timeouts are in its table.
            "[[proxy.routes]]" => false,
            // Elsewhere it is the name of a file.
            "[proxy]" if key == "path" => true,
            // A zone has a single one.
            "[dns]" if key == "ttl" => true,
            // Resolvers of domains.
            "[dns.forward]" => false,
            "[proxy.defaults]" if key == "dns" => true,
            _ => nested.contains(&key.as_str()),
        };
        let known: BTreeSet<String> = keys(table)
            .into_iter()
            .filter(|key| !is_table(key))
            .collect();
        assert_eq!(documented, known, "{heading}");
    }
}

#[test]
fn the_defaults_in_the_reference_are_those_of_the_program() {
    let page = fs::read_to_string(root().join("docs/configuration.md")).unwrap();
    let mut count = 0;
    for (table, heading) in TABLES {
        // Of lists, sources and other systems' APIs there are none by default.
        if ["[[", "[sources", "[compat"]
            .iter()
            .any(|one| table.starts_with(one))
        {
            continue;
        }
        let start = page.find(&format!("{heading}\n")).unwrap();
        let section = page[start + heading.len()..].split("\n##").next().unwrap();
        for row in section.lines().filter_map(|line| line.strip_prefix("| `")) {
            let mut cells = row.split(" | ");
            let key = cells.next().unwrap().trim_end_matches('`');
            let Some(default) = cells.next().and_then(|cell| cell.strip_prefix('`')) else {
                continue;
            };
            let text = format!("{table}\n{key} = {}\n", default.trim_end_matches('`'));
            let document = Document::parse("f", text, &Environment::default()).unwrap();
            assert_eq!(
                Config::from_document(&document),
                Ok(Config::default()),
                "{heading} {key}"
            );
            count += 1;
        }
    }
    assert!(count > 30, "{count}");
}

#[test]
fn the_quick_start_works_as_printed() {
    let signpost = crate::support::signpost::Signpost::start("");
    let page = fs::read_to_string(root().join("README.md")).unwrap();
    let quick_start = page.split("## Quick start").nth(1).unwrap();
    let quick_start = quick_start.split("### With ZooKeeper").next().unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let upstream = free.local_addr().unwrap().port().to_string();
    drop(free);
    let dns = signpost.dns().port().to_string();
    let program = crate::support::signpost::PROGRAM;
    let replaced = |text: &str| {
        text.replace("9000", &upstream)
            .replace("5300", &dns)
            .replace(
                "http://127.0.0.1:8080",
                &format!("http://{}", signpost.proxy()),
            )
            .replace("http://127.0.0.1:8081", &signpost.admin())
            .replace("cargo run --release --", program)
    };
    // The first block starts the server, which runs already.
    let blocks = blocks(quick_start, "console");
    let mut script = String::from("trap 'kill $(jobs -p)' EXIT\n");
    let mut expected = String::new();
    for line in blocks[1..].iter().flat_map(|block| block.lines()) {
        let line = replaced(line);
        match line.strip_prefix("$ ") {
            // What is started in the background says too much, and has to be there for what follows.
            Some(command) if command.ends_with('&') => script.push_str(&format!(
                "{} >/dev/null 2>&1 &\nuntil curl -s -o /dev/null http://127.0.0.1:{upstream}/; do sleep 0.1; done\n",
                command.trim_end_matches('&')
            )),
            Some(command) => script.push_str(&format!("{command}\n")),
            None if line.starts_with("  ") => {
                script.truncate(script.trim_end().len());
                script.push_str(&format!("\n{line}\n"));
            }
            None => expected.push_str(&format!("{line}\n")),
        }
    }
    let output = Command::new("bash")
        .args(["-euc", &script])
        .env("SIGNPOST_ADMIN", signpost.admin())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}\n{text}{errors}");
    let mut printed = text.lines();
    for line in expected.lines() {
        assert!(
            printed.any(|one| one == line),
            "{line} is missing:\n{text}{errors}"
        );
    }
    for part in [
        "Directory listing",
        "web      1          1",
        "rcode: NOERROR",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn the_documented_commands_and_paths_exist() {
    let help = crate::support::run(crate::support::signpost::PROGRAM, &["--help"]);
    let operations = fs::read_to_string(root().join("docs/operations.md")).unwrap();
    for verb in [
        "run",
        "check",
        "services",
        "explain",
        "drain",
        "register",
        "deregister",
        "watch",
        "zone",
        "reload",
        "version",
    ] {
        assert!(help.contains(&format!("\n  {verb} ")), "{verb}: {help}");
        assert!(operations.contains(&format!("`signpost {verb}")), "{verb}");
    }
    let signpost = crate::support::signpost::Signpost::start("");
    for path in [
        "/healthz",
        "/readyz",
        "/metrics",
        "/v1/services",
        "/v1/sources",
        "/v1/zones",
    ] {
        assert!(operations.contains(path), "{path}");
        eventually("the page is good", || signpost.get(path).0 == 200);
    }
    let metrics = signpost.metrics();
    let described = metrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "));
    let of_dns = described.filter(|line| line.starts_with("signpost_dns_"));
    let mut count = 0;
    for (name, kind) in of_dns.map(|line| line.split_once(' ').unwrap()) {
        let ending = if kind == "counter" { "_total" } else { "" };
        let row = format!("\n| `{name}{ending}` |");
        assert!(operations.contains(&row), "{name} {kind}");
        count += 1;
    }
    assert!(count > 5, "{metrics}");
    for path in [
        "/v1/explain/dns/a.svc.internal",
        "/v1/explain/route?host=a&path=/",
    ] {
        assert_eq!(signpost.get(path).0, 200, "{path}");
    }
}

/// The example as a process; it is killed when this is dropped.
struct Example(Child);

impl Drop for Example {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Returns the example's program, which cargo builds beside the tests.
fn example() -> PathBuf {
    let program = Path::new(crate::support::signpost::PROGRAM);
    let path = program.parent().unwrap().join("examples/fibonacci");
    assert!(path.exists(), "{}: cargo build --examples", path.display());
    path
}

#[test]
fn the_example_computes_by_dns_and_through_the_proxy() {
    for through in [&[][..], &["--through-proxy"]] {
        let process = Command::new(example())
            .args(through)
            .env("SIGNPOST_ADMIN_LISTEN", "127.0.0.1:0")
            .env("SIGNPOST_DNS_LISTEN", "[\"127.0.0.1:0\"]")
            .env("SIGNPOST_PROXY_LISTENERS", "[{ listen = \"127.0.0.1:0\" }]")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut example = Example(process);
        let errors = example.0.stderr.take().unwrap();
        let mut lines = std::io::BufRead::lines(std::io::BufReader::new(errors));
        let ready = lines.find_map(|line| {
            line.unwrap()
                .strip_prefix("ready: curl http://")
                .map(|rest| rest.split('/').next().unwrap().to_owned())
        });
        let proxy = ready.unwrap().parse().unwrap();
        let request = b"GET /fibonacci/15 HTTP/1.1\r\nHost: any\r\nConnection: close\r\n\r\n";
        let answer = client::exchange(proxy, request);
        assert!(answer.ends_with("\r\n\r\n610\n"), "{answer}");

        let output = example.0.stdout.take().unwrap();
        let mut lines = std::io::BufRead::lines(std::io::BufReader::new(output));
        let line: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        let instance = line["signpost.instance"].as_str().unwrap();
        assert!(instance.starts_with("fibonacci-"), "{line}");
        assert!(line["event.duration"].as_u64().unwrap() > 0, "{line}");
    }
}
