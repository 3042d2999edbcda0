//! How Mesos-DNS says that there is nothing, and what it says of its zone.

use super::{cluster, start};
use crate::support::{mesos_master::MesosMaster, run, signpost::Signpost};

/// An answer as `dig` prints it.
#[derive(Debug)]
struct Answer {
    status: String,
    answers: Vec<String>,
    authorities: Vec<String>,
    additionals: Vec<String>,
}

fn ask(signpost: &Signpost, name: &str, kind: &str) -> Answer {
    let address = signpost.dns();
    let (server, port) = (format!("@{}", address.ip()), address.port().to_string());
    let all = ["-p", &port, "+tries=1", "+time=5", "+nocookie", name, kind];
    let text = run("dig", &[&[server.as_str()][..], &all].concat());
    let status = text.split_once("status: ").unwrap().1;
    let section = |title: &str| {
        let begin = format!(";; {title} SECTION:\n");
        let lines = text.split_once(&begin).map_or("", |(_, lines)| lines);
        let lines = lines.lines().take_while(|line| !line.is_empty());
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        let mut lines: Vec<_> = lines.map(words).collect();
        lines.sort();
        lines
    };
    Answer {
        status: status.split(',').next().unwrap().to_owned(),
        answers: section("ANSWER"),
        authorities: section("AUTHORITY"),
        additionals: section("ADDITIONAL"),
    }
}

const COMPAT: &str = "rfc952 = true\ncompat = 'mesos-dns'\nttl = '60s'\nnegative_ttl = '60s'\n\
    name_server = 'ns1.mesos'\nhostmaster = 'root@ns1.mesos'";

fn is_soa(records: &[String], owner: &str) -> bool {
    let begin = format!("{owner} 60 IN SOA ns1.mesos. root.ns1.mesos. ");
    matches!(records, [one] if one.starts_with(&begin) && one.ends_with(" 60 600 86400 60"))
}

#[test]
fn answers_are_in_the_manner_of_mesos_dns_where_that_is_said() {
    let master = MesosMaster::start(cluster::state());
    let sources = "ip_sources = ['netinfo', 'docker', 'mesos', 'host']";
    let signpost = start(&master, sources, COMPAT);

    for name in ["chronos.marathon.mesos.", "cHrOnOs.MARATHON.mesoS."] {
        let found = ask(&signpost, name, "A");
        let answer = found.answers[0].to_ascii_lowercase();
        assert_eq!(answer, "chronos.marathon.mesos. 60 in a 1.2.3.11");
    }
    let liquor = ask(&signpost, "_liquor-store._tcp.marathon.mesos.", "SRV");
    assert_eq!(liquor.answers.len(), 4);
    let addresses = [
        "liquor-store-4dfjd-0.marathon.mesos. 60 IN A 10.3.0.1",
        "liquor-store-zasmd-1.marathon.mesos. 60 IN A 10.3.0.2",
    ];
    assert_eq!(liquor.additionals, addresses);
    let cars = ask(&signpost, "_car-store._udp.marathon.mesos.", "SRV");
    assert_eq!(cars.answers.len(), 2);
    let address = ["car-store-zinaz-0.marathon.slave.mesos. 60 IN A 1.2.3.11"];
    assert_eq!(cars.additionals, address);

    for (name, kind, status) in [
        ("_car-store._udp.marathon.mesos.", "A", "NOERROR"),
        ("chronos.marathon.mesos.", "AAAA", "NOERROR"),
        ("missing.mesos.", "A", "NXDOMAIN"),
        ("missing.mesos.", "AAAA", "NXDOMAIN"),
        ("marathon.slave.mesos.", "A", "NXDOMAIN"),
        ("non-existing.mesos.", "SOA", "NOERROR"),
    ] {
        let denied = ask(&signpost, name, kind);
        assert_eq!(
            (denied.status.as_str(), denied.answers.len()),
            (status, 0),
            "{name} {kind}"
        );
        assert!(is_soa(&denied.authorities, name), "{denied:?}");
    }
    let servers = ask(&signpost, "non-existing.mesos.", "NS");
    assert_eq!(
        servers.authorities,
        ["non-existing.mesos. 60 IN NS ns1.mesos."]
    );
    let denied = ask(&signpost, "_missing._tcp.mesos.", "SRV");
    assert_eq!(
        (denied.status.as_str(), denied.authorities.len()),
        ("NOERROR", 0)
    );
    let server = ask(&signpost, "ns1.mesos.", "A");
    assert_eq!(server.answers, ["ns1.mesos. 60 IN A 127.0.0.1"]);
}

#[test]
fn otherwise_denials_are_those_of_the_rfcs() {
    let master = MesosMaster::start(cluster::state());
    let signpost = start(&master, "", "");
    let denied = ask(&signpost, "_missing._tcp.mesos.", "SRV");
    assert_eq!(denied.status, "NXDOMAIN");
    assert!(denied.authorities[0].starts_with("mesos. "), "{denied:?}");
    let above = ask(&signpost, "marathon.slave.mesos.", "A");
    assert_eq!((above.status.as_str(), above.answers.len()), ("NOERROR", 0));
}
