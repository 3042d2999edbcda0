use registry::{State, testing};

use super::*;
use crate::Config;

#[test]
fn an_explanation_names_who_is_asked_and_who_is_left_out_and_why() {
    let mut down = testing::instance("b", "127.0.0.1", 2);
    down.state = State::Down;
    let mut portless = testing::instance("c", "127.0.0.1", 2);
    portless.ports.clear();
    let instances = [testing::instance("a", "127.0.0.1", 1), down, portless];
    let snapshot = testing::snapshot(3, [testing::service_of("web", instances)]);
    let config: Config = toml::from_str(
        "[[routes]]\nhost = \"x\"\nservice = \"web\"\n\
         [[routes]]\npath_prefix = \"/a\"\nservice = \"web\"\n\
         [[routes]]\npath_prefix = \"/a/b\"\nservice = \"web\"",
    )
    .unwrap();
    let table = RouteTable::build(&config, &[], &snapshot, None);
    let explained = table.explain(&Sample::new("Web:80", "/a/b?c"), &snapshot, 0);
    let reasons: Vec<_> = explained.routes.iter().map(|route| route.reason).collect();
    assert_eq!(
        reasons,
        [
            "the host is another one",
            "the most specific one that matches",
            "it matches, but another one is more specific",
        ]
    );
    assert_eq!(explained.endpoints[0].address.to_string(), "127.0.0.1:1");
    let left_out: Vec<_> = explained
        .left_out
        .iter()
        .map(|one| one.reason.as_str())
        .collect();
    assert_eq!(left_out, ["its state is down", "it has no TCP port"]);
    assert_eq!(explained.left_out[0].origin.path.as_ref(), "/test/b");
    let document = serde_json::to_value(&explained).unwrap();
    assert_eq!(document["routes"][1]["path_prefix"], "/a/b");
    assert_eq!(document["routes"][1]["index"], 2);
    let nowhere = table.explain(&Sample::new("nobody", "/"), &snapshot, 0);
    assert!(nowhere.verdict.starts_with("404"), "{}", nowhere.verdict);
}

#[test]
fn each_route_says_which_of_its_conditions_does_not_hold() {
    let config: Config = toml::from_str(
        "[[routes]]\nmethods = ['POST']\nservice = 'web'\n\
         [[routes]]\nheaders = [{ name = 'X-A', exact = '1' }]\nservice = 'web'\n\
         [[routes]]\nquery = [{ name = 'v' }]\nservice = 'web'\n\
         [[routes]]\nclients = ['10.0.0.0/8']\nservice = 'web'\n\
         [[routes]]\npriority = 1\npath = '/x'\nservice = 'web'\n\
         [[routes]]\nservice = 'web'",
    )
    .unwrap();
    let snapshot = testing::snapshot(3, []);
    let table = RouteTable::build(&config, &[], &snapshot, None);
    let reasons = |sample: &Sample| {
        let explained = table.explain(sample, &snapshot, 0).routes.into_iter();
        let reasons = explained.map(|route| (route.index, route.reason));
        reasons.collect::<Vec<_>>()
    };
    assert_eq!(
        reasons(&Sample::new("web", "/")),
        [
            (4, "the path is another one"),
            (0, "the method is another one"),
            (1, "the headers are others"),
            (2, "the query is another one"),
            (3, "the client is in another network"),
            (5, "the most specific one that matches"),
        ]
    );
    let sample = Sample {
        method: "POST".to_owned(),
        headers: vec![("x-a".to_owned(), "1".to_owned())],
        client: [10, 0, 0, 1].into(),
        ..Sample::new("web", "/x?v")
    };
    let outdone = "it matches, but another one has a higher priority";
    let all = reasons(&sample);
    assert_eq!(all[0], (4, "the most specific one that matches"));
    assert!(
        all[1..].iter().all(|(_, reason)| *reason == outdone),
        "{all:?}"
    );
}

#[test]
fn what_a_route_does_is_said() {
    let config: Config = toml::from_str(
        "[[routes]]\nname = 'canary'\npath = '/split'\n\
         split = [{ service = 'web', weight = 9, subset = { tags = ['v1'] } }, \
         { service = 'gone', weight = 1 }, { service = 'web', weight = 0 }]\n\
         [[routes]]\npath = '/redirect'\nredirect = { scheme = 'https', status = 301 }\n\
         [[routes]]\npath = '/respond'\nrespond = { status = 403 }\n\
         [[routes]]\npath = '/secret'\nservice = 'web'\n\
         rewrite = { headers = { set = { Authorization = 'Bearer abc' } } }",
    )
    .unwrap();
    let mut old = testing::instance("a", "127.0.0.1", 1);
    old.tags = Box::new(["v1".into()]);
    let instances = [old, testing::instance("b", "127.0.0.1", 2)];
    let snapshot = testing::snapshot(3, [testing::service_of("web", instances)]);
    let table = RouteTable::build(&config, &[], &snapshot, None);
    let explain = |path: &str| table.explain(&Sample::new("x", path), &snapshot, 0);
    let split = explain("/split");
    assert_eq!(
        split.verdict,
        "by routes[0], `canary`, to `web` (weight 9), instances of priority 0 first; \
         to `gone` (weight 1), which no source knows: 503"
    );
    assert_eq!(split.endpoints.len(), 1);
    assert_eq!(split.left_out[0].reason, "it is not in the route's subset");
    assert_eq!(
        explain("/redirect").verdict,
        "301: by routes[1], a redirect"
    );
    assert_eq!(
        explain("/respond").verdict,
        "403: by routes[2], a fixed answer"
    );
    assert_eq!(
        explain("/a/%2e%2e/%2F").verdict,
        "400: the path has an encoded slash or a backslash"
    );
    assert_eq!(explain("/a/%2e%2e//respond").path, "/respond");
    let document = serde_json::to_string(&explain("/secret")).unwrap();
    assert!(
        document.contains("Authorization") && !document.contains("abc"),
        "{document}"
    );
}

#[test]
fn an_explanation_says_how_near_and_how_fast_instances_are() {
    let mut near = testing::instance("a", "127.0.0.1", 1);
    near.locality = Some(Box::new(registry::Locality {
        region: None,
        zone: Some("z1".into()),
    }));
    let instances = [near, testing::instance("b", "127.0.0.1", 2)];
    let snapshot = testing::snapshot(1, [testing::service_of("web", instances)]);
    let explain = |config: &str| {
        let config: Config = toml::from_str(config).unwrap();
        let table = RouteTable::build(&config, &[], &snapshot, None);
        let service = "web".parse().unwrap();
        let mut endpoints = table.pool(&service).unwrap().endpoints();
        let took = std::time::Duration::from_micros(1_500);
        endpoints.next().unwrap().speed().observe(7, took);
        let explained = table.explain(&Sample::new("web", "/"), &snapshot, 7);
        let shown = explained.endpoints.into_iter();
        shown
            .map(|one| (one.distance, one.latency_ms))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        explain("locality = { zone = 'z1' }"),
        [
            (Some(Distance::SameZone), Some(1.5)),
            (Some(Distance::Elsewhere), None)
        ]
    );
    assert_eq!(explain(""), [(None, Some(1.5)), (None, None)]);
}
