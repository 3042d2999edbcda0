//! The page for rules, in a real browser.

use std::{
    env,
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Command, Stdio},
};

use serde_json::json;

use super::cluster::Cluster;
use crate::support::{marathon::task, skip};

/// Where screenshots go that are to be kept.
const KEEP: &str = "SIGNPOST_SCREENSHOTS";

#[test]
fn a_person_with_a_keyboard_manages_rules_and_sees_what_happens() {
    for program in ["chromium", "node"] {
        if Command::new(program).arg("--version").output().is_err() {
            skip(&format!("{program} is not installed"));
            return;
        }
    }
    let Some(cluster) = Cluster::start("") else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let pictures = env::var_os(KEEP).map_or_else(|| directory.path().to_owned(), PathBuf::from);
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/scripts/page.mjs");
    let mut browser = Command::new("node")
        .arg(script)
        .arg(format!("{}/", cluster.api()))
        .arg(&pictures)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(browser.stdout.take().unwrap()).lines();
    let mut said = Vec::new();
    for line in lines.map_while(Result::ok) {
        if line == "do: scale" {
            cluster.marathon.change("/web", |app| {
                app["tasks"][0]["state"] = json!("TASK_KILLING");
                let port = app["tasks"][0]["ports"][0].as_u64().unwrap();
                let second = task("web.2", u16::try_from(port).unwrap());
                app["tasks"].as_array_mut().unwrap().push(second);
            });
        }
        said.push(line);
    }
    let status = browser.wait().unwrap();
    assert!(status.success(), "{said:?}");
    assert_eq!(said, ["do: scale", "ok"]);
    let stored = r#"{"version":"2","config":{"Acl":"hdr(host) -i shop.example","Priority":"7"}}"#;
    assert_eq!(cluster.read("%2Fweb"), stored);
    assert_eq!(cluster.to("shop.example", "/"), "web");
    for name in ["bamboo-page.png", "bamboo-error.png"] {
        let picture = std::fs::read(pictures.join(name)).unwrap();
        assert!(picture.starts_with(b"\x89PNG"), "{name}");
    }
}
