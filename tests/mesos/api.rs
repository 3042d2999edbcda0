//! The HTTP API of Mesos-DNS.

use serde_json::{Value, json};

use super::{cluster, start};
use crate::support::{mesos_master::MesosMaster, run, signpost::Signpost};

const API: &str = "rfc952 = true\nttl = '60s'\nname_server = 'ns1.mesos'\n\
    hostmaster = 'root@ns1.mesos'\n[compat.mesos_dns]\nlisten = '127.0.0.1:0'";

const SOURCES: &str = "ip_sources = ['netinfo', 'docker', 'mesos', 'host']";

/// Asks with `curl`; returns status, type and body.
fn curl(signpost: &Signpost, path: &str, more: &[&str]) -> (String, String, String) {
    let address = signpost.listens("mesos-dns api listens")[0];
    let url = format!("http://{address}{path}");
    let format = "\n%{http_code} %{content_type}";
    let text = run("curl", &[&["-s", "-w", format, &url][..], more].concat());
    let (body, last) = text.rsplit_once('\n').unwrap();
    let (status, kind) = last.split_once(' ').unwrap();
    (status.to_owned(), kind.to_owned(), body.to_owned())
}

fn get(signpost: &Signpost, path: &str) -> Value {
    let (status, kind, body) = curl(signpost, path, &[]);
    assert_eq!(
        (status.as_str(), kind.as_str()),
        ("200", "application/json")
    );
    serde_json::from_str(&body).unwrap()
}

#[test]
fn names_are_told_as_mesos_dns_tells_them() {
    let master = MesosMaster::start(cluster::state());
    let signpost = start(&master, SOURCES, API);
    let (port, host) = (master.address().port().to_string(), "leader.mesos.");
    for name in ["leader.mesos", "LEADER.mesos.", "leader.*.mesos"] {
        let hosts = get(&signpost, &format!("/v1/hosts/{name}"));
        assert_eq!(hosts, json!([{"host": host, "ip": "127.0.0.1"}]), "{name}");
    }
    let service = "_leader._tcp.mesos.";
    let services = get(&signpost, &format!("/v1/services/{service}"));
    let leader = json!([{"service": service, "host": host, "ip": "127.0.0.1", "port": port}]);
    assert_eq!(services, leader);
    let toys = get(&signpost, "/v1/hosts/toy-store.ipv6-framework.mesos");
    let ips: Vec<_> = toys
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["ip"])
        .collect();
    assert_eq!(ips, ["12.0.1.2", "12.0.1.3", "fd01:b::1:8000:2"]);
    // Nothing is one empty object.
    let nothing = get(&signpost, "/v1/services/_myservice._tcp.mesos.");
    assert_eq!(
        nothing,
        json!([{"service": "", "host": "", "ip": "", "port": ""}])
    );
    assert_eq!(
        get(&signpost, "/v1/hosts/x.mesos"),
        json!([{"host": "", "ip": ""}])
    );
    let (_, _, text) = curl(&signpost, "/v1/hosts/x.mesos", &[]);
    assert_eq!(text, "[\n  {\n   \"host\": \"\",\n   \"ip\": \"\"\n  }\n ]");
}

#[test]
fn everything_is_listed_where_that_is_allowed() {
    let master = MesosMaster::start(cluster::state());
    let signpost = start(&master, SOURCES, API);
    let all = get(&signpost, "/v1/enumerate");
    let frameworks = all["frameworks"].as_array().unwrap();
    let named = |name: &str| {
        let found = frameworks.iter().find(|one| one["name"] == name);
        found.unwrap_or_else(|| panic!("{name} in {all:#}"))
    };
    assert_eq!(named("nopid")["tasks"], json!([]));
    let tasks = named("marathon")["tasks"].as_array().unwrap();
    let nginx = tasks.iter().find(|one| one["name"] == "nginx").unwrap();
    assert_eq!(nginx["id"], "nginx.1bc32344-3dda-11e4-a088-c20493233aa5");
    let records = nginx["records"].as_array().unwrap();
    let own = json!({"name": "nginx.marathon.mesos.", "host": "10.3.0.3", "rtype": "A"});
    assert!(records.contains(&own), "{records:#?}");
    let cars = tasks.iter().find(|one| one["name"] == "car-store").unwrap();
    let port = json!({"name": "_car-store._tcp.marathon.slave.mesos.",
        "host": "car-store-zinaz-0.marathon.slave.mesos.:31364", "rtype": "SRV"});
    assert!(
        cars["records"].as_array().unwrap().contains(&port),
        "{cars:#}"
    );

    let zone = get(&signpost, "/v1/axfr");
    let about = ["TTL", "Mname", "Rname", "Domain"].map(|key| zone[key].clone());
    let expected = json!([60, "ns1.mesos.", "root.ns1.mesos.", "mesos"]);
    assert_eq!(json!(about), expected);
    let records = &zone["Records"];
    assert_eq!(records["As"]["leader.mesos."], json!(["127.0.0.1"]));
    assert_eq!(records["AAAAs"]["slave.mesos."], json!(["2001:db8::1"]));
    assert_eq!(
        records["SRVs"]["_framework._tcp.marathon.mesos."],
        json!(["marathon.mesos.:25501"])
    );

    signpost.write_config(&format!(
        "[sources.cluster.mesos]\nmasters = ['{}']\n[[dns.zones]]\ndomain = 'mesos'\n\
         scheme = 'mesos'\n[compat.mesos_dns]\nlisten = '127.0.0.1:0'\nenumeration = false\n",
        master.address()
    ));
    crate::support::eventually("it is hidden", || {
        curl(&signpost, "/v1/enumerate", &[]).0 == "404"
    });
}

#[test]
fn the_configuration_is_told_without_secrets_and_the_rest_is_refused() {
    let master = MesosMaster::start(cluster::state());
    let source =
        format!("{SOURCES}\n[sources.cluster.mesos.auth]\nuser = 'u'\npassword_file = 'p'");
    let directory = std::sync::Arc::new(tempfile::tempdir().unwrap());
    std::fs::write(directory.path().join("p"), "very-secret").unwrap();
    let signpost = Signpost::start_in(
        directory,
        &format!(
            "[sources.cluster.mesos]\nmasters = ['{}']\n{source}\n\
             [[dns.zones]]\ndomain = 'mesos'\nscheme = 'mesos'\n{API}\n",
            master.address()
        ),
    );
    let (_, _, text) = curl(&signpost, "/v1/config", &[]);
    assert!(!text.contains("secret\""), "{text}");
    let config: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(config["Domain"], "mesos");
    assert_eq!(config["MesosAuthentication"], "basic");
    assert_eq!(config["Masters"], json!([master.address().to_string()]));
    assert_eq!(
        config["IPSources"],
        json!(["netinfo", "docker", "mesos", "host"])
    );
    assert_eq!(get(&signpost, "/v1/version")["Service"], "Mesos-DNS");
    for (path, more, status) in [
        ("/v1/hosts/leader.mesos/ports", &[][..], "501"),
        ("/v1/nothing", &[], "404"),
        ("/", &[], "404"),
        ("/v1/version", &["-X", "POST"], "405"),
        ("/v1/version", &["-H", "Accept: text/html"], "406"),
        ("/v1/version", &["-H", "Accept: application/json"], "200"),
    ] {
        assert_eq!(curl(&signpost, path, more).0, status, "{path}");
    }
}
