//! Masters behind TLS, with certificates of either side and a login by a signed claim.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use serde_json::json;
use tempfile::TempDir;

use super::cluster;
use crate::support::{eventually, mesos_master::MesosMaster, run, signpost::Signpost};

/// Runs `openssl` in a directory.
fn openssl(directory: &Path, arguments: &str) {
    let script = format!("cd {} && openssl {arguments} 2>&1", directory.display());
    run("sh", &["-c", &script]);
}

/// Makes an authority, certificates of it for server and client, and an account's pair of keys.
fn keys(directory: &Path) {
    let new = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2";
    for name in ["ca", "other"] {
        let subject = format!("-subj /CN={name}");
        let files = format!("-keyout {name}.key -out {name}.pem");
        openssl(directory, &format!("req -x509 {new} {files} {subject}"));
    }
    fs::write(directory.join("names"), "subjectAltName=IP:127.0.0.1").unwrap();
    for name in ["server", "client"] {
        let files = format!("-keyout {name}.key -out {name}.csr -subj /CN={name}");
        openssl(directory, &format!("req {new} {files}"));
        let by = "-CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names";
        openssl(
            directory,
            &format!("x509 -req -in {name}.csr {by} -out {name}.pem"),
        );
    }
    openssl(directory, "genrsa -out account.key 2048");
    openssl(directory, "rsa -in account.key -pubout -out account.pub");
}

/// What stands before a master; it ends when it is dropped.
struct Front {
    process: Child,
    port: u16,
}

impl Front {
    fn start(master: &MesosMaster, directory: &Path) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scripts/secure_front.py");
        let mut process = Command::new("/usr/bin/python3")
            .args([script, &master.address().port().to_string()])
            .arg(directory)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        let port = line.trim().parse().unwrap();
        Self { process, port }
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// Starts a signpost that believes certificates of `ca`, and logs in with `key`.
fn start(front: &Front, directory: &Path, ca: &str, key: &str) -> Signpost {
    let at = |name: &str| directory.join(name).display().to_string();
    let private_key = fs::read_to_string(at(key)).unwrap();
    let account = json!({"uid": "signpost", "private_key": private_key,
        "login_endpoint": format!("https://127.0.0.1:{}/login", front.port)});
    let name = format!("{ca}-{key}.json");
    fs::write(at(&name), account.to_string()).unwrap();
    Signpost::start(&format!(
        "[sources.cluster.mesos]\nmasters = ['127.0.0.1:{}']\nhttps = true\n\
         [sources.cluster.mesos.tls]\nca_file = '{}'\ncert_file = '{}'\nkey_file = '{}'\n\
         [sources.cluster.mesos.auth]\nscheme = 'jwt'\naccount_file = '{}'\n\
         [[dns.zones]]\ndomain = 'mesos'\nscheme = 'mesos'\n",
        front.port,
        at(ca),
        at("client.pem"),
        at("client.key"),
        at(&name),
    ))
}

fn failure(signpost: &Signpost) -> String {
    let mut reason = String::new();
    eventually("the source has failed", || {
        let sources = signpost.get("/v1/sources").1;
        reason = sources[0]["last_error"].to_string();
        sources[0]["failures"].as_u64().unwrap() > 0
    });
    reason
}

#[test]
fn masters_are_followed_over_tls_by_who_can_show_who_it_is() {
    let (master, files) = (
        MesosMaster::start(cluster::state()),
        TempDir::new().unwrap(),
    );
    let directory = files.path();
    keys(directory);
    let front = Front::start(&master, directory);

    let signpost = start(&front, directory, "ca.pem", "account.key");
    eventually("the state has come", || {
        signpost.dig(&["chronos.marathon.mesos", "A"]) == ["1.2.3.11"]
    });
    let (framework, task) = cluster::late();
    master.add(framework, &task);
    eventually("events come", || {
        signpost.dig(&["late.marathon.mesos", "A"]) == ["1.2.3.11"]
    });

    let deceived = start(&front, directory, "other.pem", "account.key");
    let reason = failure(&deceived);
    assert!(reason.contains("certificate"), "{reason}");

    openssl(directory, "genrsa -out stranger.key 2048");
    let stranger = start(&front, directory, "ca.pem", "stranger.key");
    let reason = failure(&stranger);
    assert!(
        reason.contains("/login") && reason.contains("401"),
        "{reason}"
    );
}
