use proptest::{collection::btree_map, prelude::*};
use registry::testing;

use super::*;

fn table(routes: &[(&str, &str, &str)], services: &[&str]) -> RouteTable {
    let text = |text: &&str| (!text.is_empty()).then(|| (*text).to_owned());
    let config = Config {
        routes: routes
            .iter()
            .map(|(host, path, service)| config::Route {
                host: text(host),
                path_prefix: text(path),
                service: service.parse().unwrap(),
                balancer: None,
                timeouts: config::RouteTimeouts::default(),
            })
            .collect(),
        ..Config::default()
    };
    let services = services
        .iter()
        .map(|name| testing::service(name, &[("a", 1)]));
    let domains = ["svc.internal.".to_owned(), "internal".to_owned()];
    RouteTable::build(&config, &domains, &testing::snapshot(7, services), None)
}

fn service<'t>(table: &'t RouteTable, host: &str, path: &str) -> Option<&'t str> {
    table
        .find(host, path)
        .map(|matched| matched.service.as_str())
}

#[test]
fn a_host_names_a_service_with_and_without_its_domain() {
    let table = table(&[], &["web", "web.prod"]);
    for (host, expected) in [
        ("web.svc.internal", Some("web")),
        ("WEB.SVC.Internal", Some("web")),
        ("web.prod.svc.internal", Some("web.prod")),
        ("web.internal", Some("web")),
        ("web", Some("web")),
        ("web.example.com", None),
        ("svc.internal", None),
        ("xsvc.internal", None),
        ("", None),
    ] {
        assert_eq!(service(&table, host, "/"), expected, "{host}");
    }
    assert_eq!(service(&table, &"x".repeat(300), "/"), None);
}

#[test]
fn without_host_routing_only_routes_count() {
    let config = Config {
        host_routing: false,
        ..Config::default()
    };
    let snapshot = testing::snapshot(1, [testing::service("web", &[("a", 1)])]);
    let table = RouteTable::build(&config, &[], &snapshot, None);
    assert!(table.find("web", "/").is_none());
}

#[test]
fn the_most_specific_route_counts() {
    let table = table(
        &[
            ("", "", "rest"),
            ("", "/api", "any-api"),
            ("*.example.com", "/api", "wild-api"),
            ("*.shop.example.com", "", "deep"),
            ("shop.example.com", "", "shop"),
            ("Shop.Example.com.", "/api/v2/", "shop-v2"),
            ("shop.example.com", "/api", "shop-api"),
        ],
        &[],
    );
    for (host, path, expected) in [
        ("shop.example.com", "/", "shop"),
        ("SHOP.example.com", "/api", "shop-api"),
        ("shop.example.com", "/api/x", "shop-api"),
        ("shop.example.com", "/apiary", "shop"),
        ("shop.example.com", "/api/v2", "shop-v2"),
        ("shop.example.com", "/api/v2/x", "shop-v2"),
        ("a.shop.example.com", "/api", "deep"),
        ("x.y.example.com", "/api/", "wild-api"),
        ("x.example.com", "/", "rest"),
        ("example.com", "/api", "any-api"),
        ("example.com", "*", "rest"),
        ("", "/api", "any-api"),
    ] {
        assert_eq!(service(&table, host, path), Some(expected), "{host}{path}");
    }
}

#[test]
fn a_route_comes_before_a_service_of_the_same_name_and_stays_without_instances() {
    let table = table(&[("web", "", "other")], &["web"]);
    let matched = table.find("web", "/").unwrap();
    assert_eq!(matched.service.as_str(), "other");
    assert!(matched.pool.is_none());
}

#[test]
fn a_route_may_have_a_balancer_of_its_own() {
    let config = Config {
        routes: vec![config::Route {
            host: None,
            path_prefix: None,
            service: "web".parse().unwrap(),
            balancer: Some(Balancer::RoundRobin),
            timeouts: config::RouteTimeouts::default(),
        }],
        ..Config::default()
    };
    let snapshot = testing::snapshot(1, [testing::service("web", &[("a", 1)])]);
    let table = RouteTable::build(&config, &[], &snapshot, None);
    let matched = table.find("x", "/").unwrap();
    assert_eq!(matched.balancer, Balancer::RoundRobin);
    assert!(
        matched
            .pool
            .unwrap()
            .pick(matched.balancer, 0, &[])
            .is_some()
    );
    assert!(matched.pool.unwrap().pick(Balancer::P2c, 0, &[]).is_some());
}

/// What a table says of all services, to compare two.
fn contents(table: &RouteTable) -> Vec<(String, bool, Vec<String>)> {
    let mut all: Vec<_> = table
        .pools
        .iter()
        .map(|(name, pool)| {
            let mut tried = Vec::new();
            while let Some(next) = pool.pick(Balancer::P2c, 0, &tried).map(Arc::clone) {
                tried.push(next);
            }
            let mut ids: Vec<_> = tried.iter().map(|one| one.address.to_string()).collect();
            ids.sort();
            (name.as_str().to_owned(), pool.is_empty(), ids)
        })
        .collect();
    all.sort();
    all
}

fn services() -> impl Strategy<Value = Vec<Service>> {
    btree_map("[a-e]", btree_map("[x-z]", 0..3_u16, 0..3), 0..5).prop_map(|services| {
        let service = |(name, instances): (String, std::collections::BTreeMap<String, u16>)| {
            let instances: Vec<_> = instances.iter().map(|(id, n)| (id.as_str(), *n)).collect();
            testing::service(&name, &instances)
        };
        services.into_iter().map(service).collect()
    })
}

proptest! {
    #[test]
    fn an_updated_table_is_a_fresh_one(old in services(), new in services()) {
        let old = testing::snapshot(1, old);
        let new = testing::snapshot(2, new);
        let config = Config::default();
        let before = RouteTable::build(&config, &[], &old, None);
        let updated = before.update(&old, &new);
        let fresh = RouteTable::build(&config, &[], &new, Some(&before));
        prop_assert_eq!(contents(&updated), contents(&fresh));
        prop_assert_eq!(updated.version(), 2);
        // Who is in both tables at one address is one endpoint, counters and all.
        for (name, pool) in &before.pools {
            let mut tried = Vec::new();
            while let Some(endpoint) = pool.pick(Balancer::P2c, 0, &tried).map(Arc::clone) {
                let at_same_address = new.service(name.as_str()).is_some_and(|service| {
                    let instance = service.instance(&endpoint.id);
                    instance.and_then(|one| crate::pool::address(one)) == Some(endpoint.address)
                });
                prop_assert_eq!(updated.contains(name, &endpoint), at_same_address);
                tried.push(endpoint);
            }
        }
    }
}
