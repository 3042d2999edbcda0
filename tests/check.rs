//! `signpost check`, and what other verbs say to bad input.

use std::{fs, path::Path, process::Command};

use crate::support::signpost::{PROGRAM, Signpost};

/// Runs a verb in a directory; returns exit code, output and errors.
fn verb(directory: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(PROGRAM)
        .args(arguments)
        .current_dir(directory)
        .env_remove("SIGNPOST_ADMIN")
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

fn check(config: &str) -> (Option<i32>, String, String) {
    let directory = tempfile::tempdir().unwrap();
    let list = "[[services]]\nname = 'shop'\ninstances = ['127.0.0.1:80', '127.0.0.1:99999']\n";
    fs::write(directory.path().join("list.toml"), list).unwrap();
    fs::write(directory.path().join("s.toml"), config).unwrap();
    verb(directory.path(), &["check", "s.toml"])
}

#[test]
fn a_good_file_is_said_to_be_good() {
    let (status, output, errors) = check("[[proxy.listeners]]\nlisten = '127.0.0.1:8080'\n");
    assert_eq!(
        (status, output.as_str()),
        (Some(0), "s.toml: ok\n"),
        "{errors}"
    );
}

#[test]
fn what_may_not_be_meant_so_is_said_and_is_no_mistake() {
    let (status, output, errors) =
        check("[[dns.zones]]\ndomain = 'a.test'\n[[dns.zones]]\ndomain = 'b.a.test'\n");
    assert_eq!((status, output.as_str()), (Some(0), "s.toml: ok\n"));
    assert_eq!(
        errors,
        "warning: s.toml:4:1: dns.zones[1].domain: \
         names of zones[0] (`a.test`) at and below `b.a.test` are hidden by this zone\n"
    );
}

#[test]
fn a_route_that_is_never_used_is_told_of() {
    let (status, _, errors) = check(
        "[[proxy.routes]]\npriority = 1\npath_prefix = '/api'\nrespond = { status = 404 }\n\
         [[proxy.routes]]\nhost = 'shop.test'\npath = '/api/v1'\nrespond = {}\n",
    );
    assert_eq!(status, Some(0));
    assert!(
        errors.contains(
            "s.toml:5:1: proxy.routes[1]: never used: routes[0] matches all of it and has a higher priority"
        ),
        "{errors}"
    );
}

#[test]
fn mistakes_are_found_with_their_place() {
    for (config, expected) in [
        (
            "[proxy]\nrutes = []\n",
            "s.toml:2:1: proxy.rutes: unknown field",
        ),
        ("[proxy]\nrutes = []\n", "did you mean `routes`?"),
        (
            "[dns]\nlisten = ['127.0.0.1:53']\n[admin]\nlisten = '127.0.0.1:53'\n",
            "s.toml:4:1: admin.listen: 127.0.0.1:53 is taken by dns.listen[0]",
        ),
        (
            "[[dns.zones]]\ndomain = 'a.test'\n[[dns.zones]]\ndomain = 'A.test.'\n",
            "s.toml:4:1: dns.zones[1].domain: `a.test` is the domain of zones[0] too",
        ),
        (
            "[sources.list.file]\npath = 'list.toml'\n[[proxy.routes]]\nservice = 'shopp'\n",
            "s.toml:4:1: proxy.routes[0].service: no source knows service `shopp`",
        ),
        (
            "[sources.list.file]\npath = 'list.toml'\n",
            "list.toml#shop.instances[1]: port 99999 is not between 1 and 65535",
        ),
        (
            "[sources.zk.zookeeper]\nconnect = ''\npath = '/x'\n",
            "sources.zk.zookeeper.connect",
        ),
        ("[sources.zk.zookeper]\n", "did you mean `zookeeper`?"),
        (
            "[admin]\ntoken_file = 'none'\n",
            "s.toml:2:1: admin.token_file: can't read none",
        ),
        (
            "[dns.cookies]\nsecret_file = 's.toml'\n",
            "s.toml:2:1: dns.cookies.secret_file: s.toml: line 1 is not 32 hexadecimal digits",
        ),
        (
            "[dns]\nlisten = ['${NO_SUCH_VARIABLE}']\n",
            "`NO_SUCH_VARIABLE` is not set",
        ),
    ] {
        let (status, output, errors) = check(config);
        assert_eq!(status, Some(1), "{config}: {output}{errors}");
        assert!(errors.contains(expected), "{config}: {errors}");
    }
}

#[test]
fn what_only_a_running_server_knows_is_compared_with_it() {
    let signpost = Signpost::start("");
    signpost.put("shop", "one", r#"{"address": "127.0.0.1", "port": 80}"#);
    let file = signpost.directory().join("new.toml");
    let file = file.to_str().unwrap();
    fs::write(file, "[[proxy.routes]]\nservice = 'shop'\n").unwrap();
    let output = signpost.verb(&["check", file]);
    assert_eq!(output.status.code(), Some(0));
    let note = String::from_utf8(output.stderr).unwrap();
    assert!(note.contains("check with --live"), "{note}");
    assert_eq!(
        signpost.verb(&["check", "--live", file]).status.code(),
        Some(0)
    );
    fs::write(file, "[[proxy.routes]]\nservice = 'shopp'\n").unwrap();
    let output = signpost.verb(&["check", "--live", file]);
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(
        errors.contains("no source knows service `shopp`"),
        "{errors}"
    );
}

#[test]
fn exit_codes_are_as_documented() {
    let directory = tempfile::tempdir().unwrap();
    let status = |arguments: &[&str]| verb(directory.path(), arguments).0;
    assert_eq!(status(&["version"]), Some(0));
    assert_eq!(status(&["check", "none.toml"]), Some(1));
    assert_eq!(
        status(&["services", "--admin", "http://127.0.0.1:1"]),
        Some(1)
    );
    assert_eq!(status(&["frobnicate"]), Some(2));
    let register = [
        "register",
        "--service",
        "a b",
        "--port",
        "80",
        "--to",
        "http://x",
    ];
    assert_eq!(status(&register), Some(2));
    let (status, _, errors) = verb(
        directory.path(),
        &[
            "register",
            "--service",
            "web",
            "--port",
            "80",
            "--to",
            "ftp://x",
        ],
    );
    assert_eq!(status, Some(2));
    assert!(
        errors.contains("--to: `ftp://x` is not a URL such as"),
        "{errors}"
    );
    let (status, _, errors) = verb(directory.path(), &["watch", "/x", "--", "true"]);
    assert_eq!(status, Some(2));
    assert!(
        errors.contains("doesn't start with `zookeeper://`"),
        "{errors}"
    );
}

#[test]
fn services_are_listed_for_people_and_for_programs() {
    let signpost = Signpost::start("");
    signpost.put(
        "web",
        "one",
        r#"{"address": "127.0.0.1", "port": 80, "weight": 3}"#,
    );
    let text = |arguments: &[&str]| {
        let output = signpost.verb(arguments);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(
        text(&["services"]),
        "SERVICE  AVAILABLE  INSTANCES  DRAINING\nweb      1          1          0\n"
    );
    assert!(text(&["services", "web"]).contains("one       127.0.0.1  80     3"));
    let json: serde_json::Value = serde_json::from_str(&text(&["services", "-o", "json"])).unwrap();
    assert_eq!(json["services"][0]["name"], "web");
    assert!(text(&["deregister", "web", "one"]).contains("web/one removed"));
    assert_eq!(signpost.verb(&["services", "web"]).status.code(), Some(1));
}
