use proptest::{collection::btree_map, prelude::*};
use registry::{Service, testing};

use super::{
    pattern::{HostPattern, PathPattern},
    *,
};
use crate::{Algorithm, Balancer, Scheme, balancers::Request, config};

fn table(routes: &[(&str, &str, &str)], services: &[&str]) -> RouteTable {
    let text = |text: &&str| (!text.is_empty()).then(|| (*text).to_owned());
    let config = Config {
        routes: routes
            .iter()
            .map(|(host, path, service)| config::Route {
                host: text(host),
                path_prefix: text(path),
                service: Some(service.parse().unwrap()),
                ..config::Route::default()
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

/// The table of routes in TOML, each to a service that doesn't exist.
fn table_of(routes: &str) -> RouteTable {
    let config: Config = toml::from_str(routes).unwrap();
    assert_eq!(config.problems(), []);
    RouteTable::build(&config, &[], &testing::snapshot(7, []), None)
}

/// A GET from this machine without header lines.
fn plain() -> Facets<'static> {
    Facets::new("GET", &[], None, [127, 0, 0, 1].into(), &[])
}

fn service<'t>(table: &'t RouteTable, host: &str, path: &str) -> Option<&'t str> {
    table.find(host, path, &plain()).map(name)
}

/// The service that a request goes to.
fn name(matched: Matched<'_>) -> &str {
    match matched {
        Matched::Rule(rule) => rule.action.targets()[0].service.as_str(),
        Matched::Named(pool) => pool.service.as_str(),
    }
}

fn rule(matched: Option<Matched<'_>>) -> Option<&Rule> {
    matched.and_then(Matched::rule)
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
fn no_name_leads_past_a_password() {
    let config =
        "[[routes]]\nhost = 'a'\nservice = 'web'\nauth = { realm = 'r', users = { u = 'h' } }";
    let config: Config = toml::from_str(config).unwrap();
    let snapshot = testing::snapshot(
        1,
        ["web", "other"].map(|name| testing::service_of(name, [])),
    );
    let table = RouteTable::build(&config, &["svc.internal".to_owned()], &snapshot, None);
    let service = |host| table.service(host, "/").map(ServiceName::as_str);
    assert_eq!(service("a"), Some("web"));
    assert_eq!(service("other"), Some("other"));
    assert_eq!(service("web"), None);
    assert_eq!(service("web.svc.internal"), None);
}

#[test]
fn without_host_routing_only_routes_count() {
    let config = Config {
        host_routing: false,
        ..Config::default()
    };
    let snapshot = testing::snapshot(1, [testing::service("web", &[("a", 1)])]);
    let table = RouteTable::build(&config, &[], &snapshot, None);
    assert!(table.find("web", "/", &plain()).is_none());
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
    let rule = rule(table.find("web", "/", &plain())).unwrap();
    let target = &rule.action.targets()[0];
    assert_eq!(target.service.as_str(), "other");
    assert!(table.pool_of(target).is_none());
}

#[test]
fn a_route_may_have_a_balancer_of_its_own() {
    let config = Config {
        routes: vec![config::Route {
            service: Some("web".parse().unwrap()),
            balancer: Some(Balancer::from(Algorithm::RoundRobin)),
            ..config::Route::default()
        }],
        ..Config::default()
    };
    let snapshot = testing::snapshot(1, [testing::service("web", &[("a", 1)])]);
    let table = RouteTable::build(&config, &[], &snapshot, None);
    let rule = rule(table.find("x", "/", &plain())).unwrap();
    assert_eq!(rule.balancer, Balancer::from(Algorithm::RoundRobin));
    let pool = table.pool_of(&rule.action.targets()[0]).unwrap();
    assert!(pick(pool, rule.balancer, &[]).is_some());
    assert!(pick(pool, Balancer::default(), &[]).is_some());
}

#[test]
fn a_subset_is_made_anew_when_its_service_changes() {
    let config: Config = toml::from_str(
        "[[routes]]\nhost = 'v2'\nservice = 'web'\n\
         subset = { tags = ['v2'], attributes = { track = 'canary' } }\n\
         [[routes]]\nsplit = [{ service = 'web', weight = 1, subset = { tags = ['v1'] } }]",
    )
    .unwrap();
    assert_eq!(config.problems(), []);
    let instance = |id: &str, tag: &str, track: &str| {
        let mut instance = testing::instance(id, "127.0.0.1", 1);
        instance.tags = Box::new([tag.into()]);
        instance.attributes.insert("track".into(), track.into());
        instance
    };
    let services = |last: &str| {
        let all = [
            instance("a", "v1", "canary"),
            instance("b", "v2", "stable"),
            instance("c", "v2", "canary"),
            instance(last, "v2", "canary"),
        ];
        [testing::service_of("web", all)]
    };
    let old = testing::snapshot(1, services("d"));
    let before = RouteTable::build(&config, &[], &old, None);
    let ids = |table: &RouteTable, host: &str| {
        let rule = rule(table.find(host, "/", &plain())).unwrap();
        let pool = table.pool_of(&rule.action.targets()[0]).unwrap();
        let mut tried = Vec::new();
        while let Some(next) = pick(pool, rule.balancer, &tried).map(Arc::clone) {
            assert!(table.contains(&pool.service, &next), "{next:?}");
            tried.push(next);
        }
        let mut ids: Vec<_> = tried.iter().map(|one| one.id.to_string()).collect();
        ids.sort();
        ids
    };
    assert_eq!(ids(&before, "v2"), ["c", "d"]);
    assert_eq!(ids(&before, "x"), ["a"]);
    let new = testing::snapshot(2, services("e"));
    let after = before.update(&old, &new);
    assert_eq!(ids(&after, "v2"), ["c", "e"]);
    let reloaded = RouteTable::build(&config, &[], &new, Some(&after));
    assert_eq!(ids(&reloaded, "v2"), ["c", "e"]);
}

/// What a table says of all services, to compare two.
fn contents(table: &RouteTable) -> Vec<(String, bool, Vec<String>)> {
    let mut all: Vec<_> = table
        .pools
        .iter()
        .map(|(name, pools)| {
            let pool = &pools.whole;
            let mut tried = Vec::new();
            while let Some(next) = pick(pool, Balancer::default(), &tried).map(Arc::clone) {
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
        for (name, pools) in &before.pools {
            let pool = &pools.whole;
            let mut tried = Vec::new();
            while let Some(endpoint) = pick(pool, Balancer::default(), &tried).map(Arc::clone) {
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

/// Routes of all kinds, `service` numbered by their places.
fn all_kinds(paths_per_host: usize) -> String {
    let hosts = [
        "",
        "host = 'a.b.c'",
        "host = '*.b.c'",
        "host = '*.c'",
        "host = 'a'",
    ];
    let mut paths = vec![
        "",
        "path = '/a'",
        "path = '/a/b'",
        "path_prefix = '/a'",
        "path_prefix = '/a/b/c'",
        "path_regex = '/a/?.*'",
        "path_regex = '/[ab]'",
        "path_start = '/a'",
        "path_start = '/A/B'\nignore_case = true",
        "path_start = '/a/b/'",
    ];
    let more: Vec<_> = (0..paths_per_host)
        .map(|n| format!("path_prefix = '/a/{n}'"))
        .collect();
    paths.extend(more.iter().map(String::as_str));
    let conditions = [
        "",
        "methods = ['GET']",
        "methods = ['PUT']\npriority = 1",
        "methods = ['PUT']\nheaders = [{ name = 'a', present = false }]",
        "unless = [{ path_prefix = '/a/b' }, { host = 'b', methods = ['GET'] }]",
        "ports = [8080]",
        "scheme = 'https'",
    ];
    let mut text = String::new();
    for (n, conditions) in conditions.into_iter().enumerate() {
        for host in hosts {
            for (m, path) in paths.iter().enumerate() {
                // Not all of them, so that the less specific ones are needed too.
                if (n + m) % 2 == 0 {
                    let route =
                        format!("[[routes]]\n{host}\n{path}\n{conditions}\nservice = 'x'\n");
                    text.push_str(&route);
                }
            }
        }
    }
    text
}

#[test]
fn what_is_found_is_the_first_that_matches_in_the_documented_order() {
    for paths_per_host in [0, 40] {
        let table = table_of(&all_kinds(paths_per_host));
        let rules = table.routes().rules();
        let hosts = ["", "a.b.c", "x.b.c", "b.c", "x.y.b.c", "x.c", "a", "b"];
        let paths = [
            "/", "/a", "/a/", "/a/b", "/a/b/c/d", "/b", "/a/7", "/a/7/x", "/a/777", "/ab", "/A/bc",
            "*",
        ];
        let methods = ["GET", "PUT", "POST"];
        let config: Config = toml::from_str(&all_kinds(paths_per_host)).unwrap();
        let covered = coverage::covered(&config);
        assert!(!covered.is_empty());
        for (host, path) in hosts
            .iter()
            .flat_map(|host| paths.map(|path| (*host, path)))
        {
            for (method, port) in methods.into_iter().flat_map(|one| [(one, 80), (one, 8080)]) {
                let facets = Facets::new(method, &[], None, [127, 0, 0, 1].into(), &[]);
                let facets = facets.at_port(port).by(match port {
                    80 => Scheme::Http,
                    _ => Scheme::Https,
                });
                let found = rule(table.find(host, path, &facets));
                let matches = |rule: &&Rule| {
                    rule.is_at(port)
                        && rule.host.matches(host)
                        && rule.path.matches(path)
                        && rule.holds(host, path, &facets)
                };
                let first = rules.iter().find(matches);
                assert_eq!(
                    found.map(|rule| rule.place),
                    first.map(|rule| rule.place),
                    "{method} {host} {path} {port}"
                );
                let is_used =
                    |one: &coverage::Covered| first.is_some_and(|rule| rule.place == one.place);
                assert!(!covered.iter().any(is_used), "{method} {host} {path}");
            }
        }
    }
}

#[test]
fn the_order_is_priority_then_host_then_path_then_conditions_then_place() {
    let all = [
        "",
        "methods = ['GET']",
        "path_prefix = '/a'",
        "path_prefix = '/a/b'",
        "path_regex = '/a.*'",
        "path = '/a'",
        "path = '/a'\nmethods = ['GET']",
        "path = '/a'\nquery = [{ name = 'x' }, { name = 'y' }]",
        "host = '*.c'",
        "host = '*.b.c'",
        "host = 'c'",
        "priority = 2",
        "priority = -1\nhost = 'c'\npath = '/a'",
        "path = '/a'\nclients = ['10.0.0.0/8']",
    ];
    let text = all.map(|route| format!("[[routes]]\n{route}\nservice = 'web'\n"));
    let table = table_of(&text.concat());
    let places = table.routes().rules().iter().map(|rule| rule.place);
    let places: Vec<_> = places.collect();
    assert_eq!(places, [11, 10, 9, 8, 7, 6, 13, 5, 4, 3, 2, 1, 0, 12]);
}

#[test]
fn conditions_are_looked_at_in_lines_query_and_address() {
    let table = table_of(
        "[[routes]]\nmethods = ['PUT']\nservice = 'put'\n\
         [[routes]]\nheaders = [{ name = 'X-Canary', regex = 'y(es)?' }]\nservice = 'canary'\n\
         [[routes]]\nquery = [{ name = 'v', prefix = '2.' }, { name = 'old', present = false }]\n\
         service = 'second'\n\
         [[routes]]\nclients = ['192.0.2.0/24']\nservice = 'near'\n\
         [[routes]]\nheaders = [{ name = 'a' }, { name = 'a', present = false }]\nservice = 'never'\n\
         [[routes]]\nservice = 'rest'",
    );
    let line = |name, value: &'static str| httparse::Header {
        name,
        value: value.as_bytes(),
    };
    let yes = [line("x-canary", "no"), line("X-CANARY", "yes")];
    let no = [line("x-canary", "yesno"), line("a", "")];
    let (here, near) = ([127, 0, 0, 1].into(), [192, 0, 2, 7].into());
    for (method, headers, query, peer, expected) in [
        ("PUT", &no[..], None, here, "put"),
        ("GET", &yes, None, here, "canary"),
        ("GET", &no, Some("v=2%2E1"), here, "second"),
        ("GET", &no, Some("v=2.1&old"), here, "rest"),
        ("GET", &no, Some("v=12."), near, "near"),
        ("GET", &[], None, here, "rest"),
    ] {
        let facets = Facets::new(method, headers, query, peer, &[]);
        let found = name(table.find("x", "/", &facets).unwrap());
        assert_eq!(found, expected, "{method} {query:?} {peer}");
    }
}

#[test]
fn a_path_may_begin_in_the_middle_of_a_part() {
    let table = table_of(
        "[[routes]]\npath_prefix = '/app'\nservice = 'app'\n\
         [[routes]]\npath_start = '/app'\nservice = 'start'\n\
         [[routes]]\npath_start = '/app/'\nservice = 'below'\n\
         [[routes]]\npath_start = '/APPLE'\nignore_case = true\nservice = 'apple'",
    );
    for (path, expected) in [
        ("/app", Some("app")),
        ("/app/x", Some("below")),
        ("/apply", Some("start")),
        ("/Apples", Some("apple")),
        ("/apples", Some("apple")),
        ("/App", None),
        ("/", None),
    ] {
        assert_eq!(service(&table, "x", path), expected, "{path}");
    }
}

#[test]
fn a_route_is_for_the_ports_that_it_names_and_not_for_its_exceptions() {
    let table = table_of(
        "[[routes]]\nhost = 'shop'\nservice = 'shop'\n\
         [[routes]]\nports = [9000, 9001]\nservice = 'api'\n\
         [[routes]]\nports = [9001]\nhost = 'shop'\nunless = [{ path_prefix = '/x' },\
         { clients = ['10.0.0.0/8'], methods = ['PUT'] }]\nservice = 'inner'",
    );
    let near = [10, 0, 0, 1].into();
    for (method, port, host, path, peer, expected) in [
        ("GET", 80, "shop", "/", near, Some("shop")),
        ("GET", 80, "other", "/", near, None),
        ("GET", 9000, "shop", "/", near, Some("api")),
        ("GET", 9001, "shop", "/", near, Some("inner")),
        ("GET", 9001, "shop", "/x/y", near, Some("api")),
        ("PUT", 9001, "shop", "/", near, Some("api")),
        (
            "PUT",
            9001,
            "shop",
            "/",
            [11, 0, 0, 1].into(),
            Some("inner"),
        ),
    ] {
        let facets = Facets::new(method, &[], None, peer, &[]).at_port(port);
        let found = table.find(host, path, &facets).map(name);
        assert_eq!(found, expected, "{method} {port} {host} {path} {peer}");
    }
}

#[test]
fn rules_that_cover_a_pattern_are_found_by_host_and_path() {
    let table = table_of(&all_kinds(40));
    let rules = table.routes().rules();
    let covering = |host: &str, path: &str| {
        let (host, path) = (
            HostPattern::Exact(host.into()),
            PathPattern::Exact(path.into()),
        );
        let ranks = table.routes().covering(&[], &host, &path).into_iter();
        let mut places: Vec<_> = ranks.map(|rank| rules[rank as usize].place).collect();
        places.sort_unstable();
        places
    };
    for (host, path) in [("a.b.c", "/a/b"), ("x.b.c", "/a/7/x"), ("q", "/a")] {
        let matching = rules
            .iter()
            .filter(|rule| rule.is_at(80) && rule.host.matches(host) && rule.path.matches(path));
        let mut places: Vec<_> = matching.map(|rule| rule.place).collect();
        places.sort_unstable();
        assert_eq!(covering(host, path), places, "{host}{path}");
    }
}

fn pick<'p>(pool: &'p Pool, kind: Balancer, tried: &[Arc<Endpoint>]) -> Option<&'p Arc<Endpoint>> {
    let request = Request {
        tried,
        ..Request::default()
    };
    pool.pick(kind, request)
}
