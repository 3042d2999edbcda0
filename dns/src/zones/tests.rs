use std::{collections::BTreeMap, sync::Arc};

use proptest::prelude::*;
use registry::{
    Health, Instance, Observation, Port, Protocol, Reason, ServiceName, State, testing,
};

use super::*;
use crate::{
    browse::Browse,
    table::Table,
    testing::{Ask, zones, zones_by},
    wire::rtype,
};

impl Zones {
    /// What there is to see, zone by zone.
    fn content(&self) -> (Vec<(&Table, &Browse)>, &Reverse, u64) {
        let zones = self.zones.iter();
        let zones = zones.map(|zone| (&zone.table, &zone.browse));
        (zones.collect(), &self.reverse, self.version())
    }
}

/// Services whose names lie above, below and on one another, and whose instances share addresses.
pub(crate) fn services() -> impl Strategy<Value = BTreeMap<String, Service>> {
    let name = "[ab](\\.[ab]){0,2}";
    prop::collection::btree_map(
        name,
        prop::collection::btree_map("[abc]", instance(), 0..4),
        0..8,
    )
    .prop_map(|services| {
        services
            .into_iter()
            .map(|(name, instances)| {
                let instances = instances.into_iter().map(|(id, instance)| Instance {
                    id: registry::InstanceId::from_text(&id),
                    ..instance
                });
                (name.clone(), testing::service_of(&name, instances))
            })
            .collect()
    })
}

/// Host names in instances' records, the last of them in a zone.
const HOSTS: [&str; 3] = ["lb.example", "db.example", "a.b.svc.internal"];

fn instance() -> impl Strategy<Value = Instance> {
    let source = prop::sample::select(vec!["one", "two"]);
    let state = prop::sample::select(vec![State::Up, State::Up, State::Draining, State::Down]);
    let health = prop::sample::select(vec![Health::Healthy, Health::Unhealthy(Reason::Ejected)]);
    let seen = prop::option::weighted(0.4, (health, 1..=100_u8))
        .prop_map(|seen| seen.map(|(health, share)| Observation::new(health, share)));
    let port = (1..4_u16, prop::option::of("[ab]|h2|http"), any::<bool>()).prop_map(
        |(number, name, udp)| Port {
            name: name.map(|name| name.parse().unwrap()),
            number,
            protocol: if udp { Protocol::Udp } else { Protocol::Tcp },
        },
    );
    (
        0..3_u8,
        any::<bool>(),
        (state, seen),
        prop::collection::vec(port, 0..3),
        (0..3_u16, 0..2_u16),
        prop::option::weighted(0.4, prop::sample::select(&HOSTS[..])),
        source,
        prop::option::of("[ -~]{0,9}"),
    )
        .prop_map(
            |(host, v6, (state, seen), ports, (weight, priority), name, source, attribute)| {
                let mut instance = testing::instance("x", &format!("10.0.0.{host}"), 1);
                if v6 {
                    instance
                        .addresses
                        .push(format!("2001:db8::{host}").parse().unwrap());
                }
                if let Some(name) = name {
                    instance.host = Some(name.into());
                    instance.addresses.truncate(usize::from(v6));
                }
                instance.state = state;
                instance.observation = seen.unwrap_or_default();
                instance.ports = ports.into();
                instance.weight = weight;
                instance.origin.source = source.into();
                instance.priority = priority;
                let attributes = attribute.map(|value| ("k".into(), value.as_str().into()));
                instance.attributes = attributes.into_iter().collect();
                instance
            },
        )
}

/// Configurations with everything that decides what zones hold.
pub(crate) const CONFIGS: [&str; 9] = [
    "[[zones]]\ndomain = 'svc.internal'\n[[zones]]\ndomain = 'b.svc.internal'\n",
    "[[zones]]\ndomain = 'svc.internal'\nmax_answers = 1\n",
    "[[zones]]\ndomain = 'svc.internal'\nall_down = 'all'\n",
    "[ttl]\na = '1m'\n'*.b' = '2m'\n[[zones]]\ndomain = 'svc.internal'\n",
    "[[zones]]\ndomain = 'x'\nsources = ['two']\nall_down = 'all'\n[[zones]]\ndomain = 'y'\n",
    "[reverse]\nnetworks = ['10.0.0.0/8', '2001::/16']\n[[zones]]\ndomain = 'x'\n",
    "[[zones]]\ndomain = 'a.b.x'\nsources = ['one']\n[[zones]]\ndomain = 'x'\n",
    "[[zones]]\ndomain = 'svc.internal'\ncname = true\nall_down = 'all'\n",
    "[[zones]]\ndomain = 'other'\n[[zones]]\ndomain = 'svc.internal'\ncname = true\n",
];

proptest! {
    #[test]
    fn an_update_gives_what_a_fresh_build_gives(
        config in prop::sample::select(&CONFIGS[..]),
        steps in prop::collection::vec(services(), 1..5),
    ) {
        let config = toml::from_str(config).unwrap();
        let mut snapshot = Snapshot::default();
        let mut zones = Zones::build(&config, &snapshot);
        for (version, services) in (1..).zip(steps) {
            // As the registry does it: from the old one, so that they share what is the same.
            let mut all = snapshot.services().clone();
            for name in snapshot.services().keys() {
                if !services.contains_key(name.as_str()) {
                    all.remove(name);
                }
            }
            for service in services.into_values() {
                if all.get(&service.name).map(AsRef::as_ref) != Some(&service) {
                    all.insert(service.name.clone(), Arc::new(service));
                }
            }
            snapshot = Snapshot::new(version, all, Arc::default());
            zones = zones.update(&snapshot);
            let fresh = Zones::build(&config, &snapshot);
            prop_assert_eq!(zones.content(), fresh.content());
        }
    }
}

#[test]
fn an_update_leaves_the_old_zones_as_they_were() {
    let old = zones([testing::service("web", &[("a", 1)])]);
    let new = old.update(&testing::snapshot(8, []));
    let ask = Ask::new("web.svc.internal", rtype::A);
    assert_eq!(ask.of(&old).answers().len(), 1);
    assert_eq!(ask.of(&new).rcode(), "NXDOMAIN");
    assert_eq!((old.version(), new.version()), (7, 8));
    let fresh = zones([]);
    assert_eq!(new.content().0, fresh.content().0);
}

#[test]
fn the_serial_is_the_low_half_of_the_version() {
    let version = (5 << 32) + 9;
    let zones = Zones::build(&Config::default(), &testing::snapshot(version, []));
    let soa = Ask::new("svc.internal", rtype::SOA).of(&zones).order();
    assert_eq!(
        soa,
        ["ns.svc.internal. hostmaster.svc.internal. 9 3600 600 604800 5"]
    );
}

#[test]
fn the_soa_record_lives_as_long_as_what_it_denies() {
    for (ttl, negative, soa) in [("7s", "11s", 11), ("11s", "7s", 11)] {
        let config = format!(
            "[[zones]]\ndomain = 'svc.internal'\nttl = '{ttl}'\nnegative_ttl = '{negative}'\n"
        );
        let zones = zones_by(&config, []);
        let ask = |name, qtype| Ask::new(name, qtype).of(&zones);
        let ttl_of = |lines: Vec<String>| lines[0].split(' ').nth(1).unwrap().to_owned();
        let asked = ttl_of(ask("svc.internal", rtype::SOA).answers());
        assert_eq!(asked, soa.to_string());
        let denial = ttl_of(ask("no.svc.internal", rtype::A).authorities());
        assert_eq!(denial + "s", negative);
        let file = zones.export("svc.internal").unwrap();
        assert!(file.contains(&format!("\nsvc.internal. {soa} IN SOA ")));
    }
}

#[test]
fn the_name_server_is_where_we_listen_unless_a_service_is_called_so() {
    let config: Config = toml::from_str(
        "listen = [\"0.0.0.0:53\", \"192.0.2.1:53\", \"[2001:db8::1]:53\", \"192.0.2.1:54\"]",
    )
    .unwrap();
    let ask = |zones: &Zones| {
        let ask = |qtype| Ask::new("ns.svc.internal", qtype).of(zones).order();
        [ask(rtype::A), ask(rtype::AAAA)].concat()
    };
    let zones = Zones::build(&config, &testing::snapshot(1, []));
    assert_eq!(ask(&zones), ["192.0.2.1", "2001:db8::1"]);
    let hidden = zones.update(&testing::snapshot(2, [testing::service("ns", &[("a", 1)])]));
    assert_eq!(ask(&hidden), ["127.0.0.1"]);
    assert_eq!(
        ask(&hidden.update(&testing::snapshot(3, []))),
        ["192.0.2.1", "2001:db8::1"]
    );
}

#[test]
fn many_instances_at_one_address_are_told_up_to_a_limit() {
    let crowd = |ids: std::ops::Range<u16>| {
        let version = u64::from(ids.end);
        let instances = ids.map(|n| testing::instance(&format!("i{n:03}"), "10.0.0.1", 80));
        testing::snapshot(version, [testing::service_of("web", instances)])
    };
    let zones = Zones::build(&Config::default(), &crowd(0..100));
    let ptr = |zones: &Zones| {
        let ask = Ask::new("1.0.0.10.in-addr.arpa", rtype::PTR);
        ask.by(zones, crate::Transport::Tcp, 0).answers()
    };
    assert_eq!(ptr(&zones).len(), 32);
    assert!(ptr(&zones)[0].ends_with("i000.web.svc.internal."));
    let later = zones.update(&crowd(50..90));
    assert_eq!(ptr(&later).len(), 32);
    assert!(ptr(&later)[0].ends_with("i050.web.svc.internal."));
}

#[test]
fn names_that_dns_could_not_carry_are_left_out() {
    let label = "x".repeat(63);
    let long = format!("{label}.{label}");
    let name: ServiceName = long.parse().unwrap();
    let mut service = testing::service("web", &[(&label, 1)]);
    service.name = name;
    let zones = zones([service]);
    assert_eq!(
        Ask::new(&format!("{long}.svc.internal"), 1)
            .of(&zones)
            .answers()
            .len(),
        1
    );
    let instance = format!("{label}.{long}.svc.internal");
    assert_eq!(Ask::new(&instance, 1).of(&zones).answers().len(), 1);
}
