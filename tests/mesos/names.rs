//! Every form of record that Mesos-DNS makes.

use super::{cluster, start};
use crate::support::{eventually, mesos_master::MesosMaster, signpost::Signpost};

/// The names, types and answers; the answers in the order in which they sort.
type Table = &'static [(&'static str, &'static str, &'static [&'static str])];

const ALL_SOURCES: Table = &[
    ("liquor-store.marathon", "A", &["10.3.0.1", "10.3.0.2"]),
    (
        "liquor-store.marathon.slave",
        "A",
        &["1.2.3.11", "1.2.3.12"],
    ),
    ("car-store.marathon.slave", "A", &["1.2.3.11"]),
    ("nginx.marathon", "A", &["10.3.0.3"]),
    ("poseidon.marathon", "A", &[]),
    ("poseidon.marathon.slave", "A", &[]),
    ("master", "A", &["127.0.0.1"]),
    ("master0", "A", &["127.0.0.1"]),
    ("leader", "A", &["127.0.0.1"]),
    ("slave", "A", &["1.2.3.10", "1.2.3.11", "1.2.3.12"]),
    ("some-box.chronoswithaspaceandmixe", "A", &["1.2.3.11"]),
    ("marathon", "A", &["1.2.3.11"]),
    ("toy-store.ipv6-framework", "AAAA", &["fd01:b::1:8000:2"]),
    ("toy-store.ipv6-framework.slave", "AAAA", &["2001:db8::1"]),
    ("ipv6-framework", "AAAA", &["2001:db8::1"]),
    ("slave", "AAAA", &["2001:db8::1"]),
    ("_poseidon._tcp.marathon", "SRV", &[]),
    (
        "_liquor-store._tcp.marathon",
        "SRV",
        &[
            "0 1 443 liquor-store-4dfjd-0.marathon.mesos.",
            "0 1 443 liquor-store-zasmd-1.marathon.mesos.",
            "0 1 80 liquor-store-4dfjd-0.marathon.mesos.",
            "0 1 80 liquor-store-zasmd-1.marathon.mesos.",
        ],
    ),
    ("_liquor-store._udp.marathon", "SRV", &[]),
    ("_liquor-store.marathon", "SRV", &[]),
    (
        "_https._liquor-store._tcp.marathon",
        "SRV",
        &[
            "0 1 443 liquor-store-4dfjd-0.marathon.mesos.",
            "0 1 443 liquor-store-zasmd-1.marathon.mesos.",
        ],
    ),
    (
        "_http._liquor-store._tcp.marathon",
        "SRV",
        &[
            "0 1 80 liquor-store-4dfjd-0.marathon.mesos.",
            "0 1 80 liquor-store-zasmd-1.marathon.mesos.",
        ],
    ),
    (
        "_car-store._tcp.marathon",
        "SRV",
        &[
            "0 1 31364 car-store-zinaz-0.marathon.slave.mesos.",
            "0 1 31365 car-store-zinaz-0.marathon.slave.mesos.",
        ],
    ),
    (
        "_car-store._udp.marathon",
        "SRV",
        &[
            "0 1 31364 car-store-zinaz-0.marathon.slave.mesos.",
            "0 1 31365 car-store-zinaz-0.marathon.slave.mesos.",
        ],
    ),
    ("car-store-zinaz-0.marathon.slave", "A", &["1.2.3.11"]),
    ("liquor-store-zasmd-1.marathon", "A", &["10.3.0.2"]),
    ("_slave._tcp", "SRV", &["0 1 5051 slave.mesos."]),
    (
        "_framework._tcp.marathon",
        "SRV",
        &["0 1 25501 marathon.mesos."],
    ),
];

const HOST: Table = &[
    ("liquor-store.marathon", "A", &["1.2.3.11", "1.2.3.12"]),
    ("nginx.marathon", "A", &["1.2.3.11"]),
    ("toy-store.ipv6-framework", "AAAA", &["2001:db8::1"]),
];

const MESOS_HOST: Table = &[
    ("nginx.marathon", "A", &["10.3.0.3"]),
    ("liquor-store.marathon", "A", &["1.2.3.11", "1.2.3.12"]),
];

const NETINFO: Table = &[
    ("toy-store.ipv6-framework", "A", &["12.0.1.2", "12.0.1.3"]),
    ("toy-store.ipv6-framework", "AAAA", &["fd01:b::1:8000:2"]),
];

const DOCKER_HOST: Table = &[
    ("liquor-store.marathon", "A", &["10.3.0.1", "10.3.0.2"]),
    ("nginx.marathon", "A", &["1.2.3.11"]),
];

fn compare(signpost: &Signpost, table: Table) {
    for (name, kind, expected) in table {
        let answer = signpost.dig(&[&format!("{name}.mesos"), kind]);
        assert_eq!(answer, *expected, "{name} {kind}");
    }
}

#[test]
fn every_record_is_as_mesos_dns_makes_it() {
    for (sources, table) in [
        ("['netinfo', 'docker', 'mesos', 'host']", ALL_SOURCES),
        ("['host']", HOST),
        ("['mesos', 'host']", MESOS_HOST),
        ("['netinfo']", NETINFO),
        ("['docker', 'host']", DOCKER_HOST),
    ] {
        let master = MesosMaster::start(cluster::state());
        let signpost = start(&master, &format!("ip_sources = {sources}"), "rfc952 = true");
        compare(&signpost, table);
        let port = master.address().port();
        let leader = signpost.dig(&["_leader._tcp.mesos", "SRV"]);
        assert_eq!(leader, [format!("0 1 {port} leader.mesos.")]);
    }
}

#[test]
fn a_task_that_starts_is_there_with_its_event() {
    let master = MesosMaster::start(cluster::state());
    let signpost = start(&master, "", "");
    let (framework, task) = cluster::late();
    assert!(signpost.dig(&["late.marathon.mesos", "A"]).is_empty());
    master.add(framework, &task);
    eventually("it is there", || {
        signpost.dig(&["late.marathon.mesos", "A"]) == ["1.2.3.11"]
    });
}
