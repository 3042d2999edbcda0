use std::collections::BTreeMap;

use registry::{About, AppCheck, AppPort};

use super::*;
use crate::compat::dynamic::{Dynamic, Stated};

fn config(text: &str) -> Config {
    toml::from_str(&format!("groups = ['external']\n{text}")).unwrap()
}

fn app(id: &str, labels: &[(&str, &str)]) -> App {
    let service = id.rsplit('/').next().unwrap();
    let port = |(index, number): (usize, u16)| AppPort {
        service: match index {
            0 => format!("{service}.app").parse().unwrap(),
            _ => format!("port{index}.{service}.app").parse().unwrap(),
        },
        service_port: number,
        name: None,
        number: None,
        protocol: Protocol::Tcp,
    };
    let labels = labels.iter();
    App {
        id: id.into(),
        source: "apps".into(),
        labels: labels
            .map(|(key, value)| ((*key).into(), (*value).into()))
            .collect(),
        ports: [10_000, 10_001].into_iter().enumerate().map(port).collect(),
        checks: vec![AppCheck {
            protocol: "HTTP".into(),
            path: "/health".into(),
            port_index: Some(0),
            grace_seconds: 60,
            interval_seconds: 10,
            timeout_seconds: 5,
            failures_max: 2,
        }],
        ..App::default()
    }
}

fn made(config: &Config, apps: &[App]) -> Dynamic {
    let all = crate::Config {
        compat: crate::CompatConfig {
            marathon_lb: Some(config.clone()),
            ..crate::CompatConfig::default()
        },
        ..crate::Config::default()
    };
    let abouts = apps.iter().map(|app| {
        let stated = Stated {
            about: About {
                app: Some(Arc::new(app.clone())),
                rules: Vec::new(),
            },
            // One that is called so has nobody.
            has_instances: !app.id.ends_with("empty"),
        };
        (app.ports[0].service.clone(), stated)
    });
    Dynamic::make(&all, &abouts.collect(), true)
}

/// What is made of an app in the group, in TOML without names.
fn routes(labels: &[(&str, &str)]) -> (Vec<String>, Vec<String>) {
    let labels = [labels, &[("HAPROXY_GROUP", "external")]].concat();
    let dynamic = made(&config(""), &[app("/web", &labels)]);
    shown(&dynamic)
}

fn shown(dynamic: &Dynamic) -> (Vec<String>, Vec<String>) {
    let line = |route: &proxy::Route| {
        // Those of one port alone come before all others, as they should.
        assert!(route.ports.is_empty() || route.priority >= i32::MAX - 1);
        let priority = match route.ports.is_empty() {
            true => route.priority,
            false => 0,
        };
        let route = proxy::Route {
            name: None,
            priority,
            ..route.clone()
        };
        let table = toml::Table::try_from(route).unwrap();
        let pairs = table.iter().map(|(key, value)| format!("{key}={value}"));
        let line = pairs.collect::<Vec<_>>().join(" ");
        line.replace("\"\"\"\n", "\"").replace("\n\"\"\"", "\"")
    };
    let refused = dynamic.refused.iter();
    let refused = refused.map(|one| format!("{}: {}", one.path, one.reason));
    (dynamic.routes.iter().map(line).collect(), refused.collect())
}

#[test]
fn hosts_and_service_ports_lead_to_the_app() {
    let (routes, refused) = routes(&[("HAPROXY_0_VHOST", "Shop.example, www.shop.example")]);
    assert_eq!(
        routes,
        [
            r#"host="shop.example" service="web.app""#,
            r#"host="www.shop.example" service="web.app""#,
            r#"ports=[10000] service="web.app""#,
        ]
    );
    // The second port has no check from which HTTP would follow.
    assert_eq!(
        refused,
        ["/web HAPROXY_1_MODE: TCP mode is not supported; the port has no routes"]
    );
}

#[test]
fn only_apps_of_the_groups_have_routes() {
    let all = [
        app("/a", &[("HAPROXY_GROUP", "internal,external")]),
        app("/b", &[("HAPROXY_GROUP", "internal")]),
        app("/c", &[]),
        app(
            "/d",
            &[
                ("HAPROXY_GROUP", "internal"),
                ("HAPROXY_1_GROUP", "external"),
                ("HAPROXY_1_MODE", "http"),
            ],
        ),
        app(
            "/e",
            &[
                ("HAPROXY_GROUP", "external"),
                ("HAPROXY_0_ENABLED", "false"),
                ("HAPROXY_1_ENABLED", "no"),
            ],
        ),
    ];
    let services = |config: &Config| {
        let dynamic = made(config, &all);
        let services = dynamic.routes.into_iter().filter_map(|route| route.service);
        services
            .map(|service| service.as_str().to_owned())
            .collect::<Vec<_>>()
    };
    // Of those with the same service ports the first one has them.
    assert_eq!(services(&config("")), ["a.app", "port1.d.app"]);
    let all_groups: Config = toml::from_str("groups = ['*']").unwrap();
    assert_eq!(services(&all_groups), ["a.app", "port1.d.app"]);
    assert!(services(&config("strict = true")).is_empty());
    let enabled = app(
        "/a",
        &[("HAPROXY_GROUP", "external"), ("HAPROXY_0_ENABLED", "true")],
    );
    assert_eq!(made(&config("strict = true"), &[enabled]).routes.len(), 1);
    let colour = App {
        together: Some("x.app".parse().unwrap()),
        ..app("/a", &[("HAPROXY_GROUP", "external")])
    };
    assert!(made(&config(""), &[colour]).routes.is_empty());
}

#[test]
fn labels_become_what_routes_have() {
    expect(&[
        (
            &[
                ("HAPROXY_0_PATH", "-i /one /two"),
                ("HAPROXY_0_BACKEND_WEIGHT", "7"),
            ],
            &[
                r#"host="a" ignore_case=true path_start="/one" priority=7 service="web.app""#,
                r#"host="a" ignore_case=true path_start="/two" priority=7 service="web.app""#,
                r#"ports=[10000] service="web.app""#,
            ],
        ),
        (
            &[
                ("HAPROXY_0_BALANCE", "leastconn"),
                ("HAPROXY_0_PORT", "9000"),
            ],
            &[
                r#"balancer="least_request" host="a" service="web.app""#,
                r#"balancer="least_request" ports=[9000] service="web.app""#,
            ],
        ),
        (
            &[("HAPROXY_0_HTTP_BACKEND_REDIR", "/my/content")],
            &[
                r#"host="a" service="web.app""#,
                r#"host="a" path="/" redirect={ path = "/my/content", status = 301 }"#,
                r#"ports=[10000] service="web.app""#,
            ],
        ),
    ]);
}

#[test]
fn labels_become_what_keeps_clients_away_or_at_an_instance() {
    expect(&[
        (
            &[("HAPROXY_0_REDIRECT_TO_HTTPS", "true")],
            &[
                r#"host="a" service="web.app""#,
                r#"host="a" redirect={ scheme = "https", status = 301 } scheme="http""#,
                r#"ports=[10000] service="web.app""#,
            ],
        ),
        (
            &[(
                "HAPROXY_0_BACKEND_NETWORK_ALLOWED_ACL",
                "10.0.0.0/8 127.0.0.1",
            )],
            &[
                r#"host="a" service="web.app""#,
                r#"host="a" respond={ body = "the client's network is not allowed", content_type = "text/plain; charset=utf-8", status = 403 } unless=[{ clients = ["10.0.0.0/8", "127.0.0.1/32"] }]"#,
                r#"ports=[10000] service="web.app""#,
                r#"ports=[10000] respond={ body = "the client's network is not allowed", content_type = "text/plain; charset=utf-8", status = 403 } unless=[{ clients = ["10.0.0.0/8", "127.0.0.1/32"] }]"#,
            ],
        ),
        (
            &[
                ("HAPROXY_0_HTTP_BACKEND_PROXYPASS_PATH", "/api/"),
                ("HAPROXY_0_PATH", "/api"),
            ],
            &[
                r#"host="a" path_prefix="/api" priority=1 rewrite={ host = "a", strip_prefix = true } service="web.app""#,
                r#"ports=[10000] service="web.app""#,
            ],
        ),
        (
            &[("HAPROXY_0_HTTP_BACKEND_REVPROXY_PATH", "/my/content")],
            &[
                r#"host="a" location={ hosts = ["a"], path = "/my/content" } service="web.app""#,
                r#"location={ hosts = ["a"], path = "/my/content" } ports=[10000] service="web.app""#,
            ],
        ),
        (
            &[("HAPROXY_0_USE_HSTS", "true"), ("HAPROXY_0_STICKY", "yes")],
            &[
                r#"host="a" response_headers={ set = { strict-transport-security = "max-age=15768000" } } service="web.app" sticky={ cookie = "mesosphere_server_id", ttl = "1h" }"#,
                r#"ports=[10000] response_headers={ set = { strict-transport-security = "max-age=15768000" } } service="web.app" sticky={ cookie = "mesosphere_server_id", ttl = "1h" }"#,
            ],
        ),
    ]);
}

/// Labels, and the routes that are made of them.
type Case<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str]);

/// Checks what is made of an app with one port, at the host `a`, and these labels.
fn expect(cases: &[Case<'_>]) {
    let vhost = ("HAPROXY_0_VHOST", "a");
    let off = ("HAPROXY_1_ENABLED", "false");
    for (labels, expected) in cases {
        let (made, refused) = routes(&[&[vhost, off], *labels].concat());
        assert_eq!(made, *expected, "{labels:?}");
        assert!(refused.is_empty(), "{refused:?}");
    }
}

#[test]
fn labels_of_nonsense_are_told_and_the_rest_is_used() {
    let (made, refused) = routes(&[
        ("HAPROXY_0_VHOST", "a,b c"),
        ("HAPROXY_0_BACKEND_WEIGHT", "heavy"),
        ("HAPROXY_0_BALANCE", "uri"),
        ("HAPROXY_0_PORT", "0"),
        ("HAPROXY_0_BIND_ADDR", "eth0"),
        ("HAPROXY_0_SSL_CERT", "/etc/x.pem"),
        ("HAPROXY_0_BACKEND_HEAD", "backend {backend}"),
        ("HAPROXY_0_HTTP_BACKEND_REVPROXY_PATH", "x"),
        ("HAPROXY_1_BACKEND_NETWORK_ALLOWED_ACL", "everybody"),
        ("HAPROXY_2_VHOST", "c"),
        ("HAPROXY_HEAD", "global"),
        ("HAPROXY_x", "y"),
    ]);
    // Without its address and its certificate the port would be open to more than it should.
    assert_eq!(made, [r#"host="a" service="web.app""#]);
    let of = |label: &str| {
        let mut lines = refused
            .iter()
            .filter(|line| line.starts_with(&format!("/web {label}: ")));
        let line = lines
            .next()
            .unwrap_or_else(|| panic!("{label}: {refused:?}"));
        assert!(lines.next().is_none(), "{label}");
        line.clone()
    };
    assert!(of("HAPROXY_0_VHOST").contains("`b c`"));
    assert!(of("HAPROXY_0_BACKEND_WEIGHT").contains("`heavy` is not a number"));
    assert!(of("HAPROXY_0_BALANCE").contains("`uri` is none of"));
    assert!(of("HAPROXY_0_PORT").contains("`0` is not a port"));
    assert!(of("HAPROXY_0_BIND_ADDR").contains("`eth0` is not an address"));
    assert!(of("HAPROXY_0_SSL_CERT").contains("TLS"));
    assert!(of("HAPROXY_0_BACKEND_HEAD").contains("template"));
    assert!(of("HAPROXY_0_HTTP_BACKEND_REVPROXY_PATH").contains("`x` is not a path"));
    assert!(of("HAPROXY_1_BACKEND_NETWORK_ALLOWED_ACL").contains("`everybody`"));
    assert!(of("HAPROXY_2_VHOST").contains("the app has 2 ports"));
    assert!(of("HAPROXY_HEAD").contains("template"));
    assert!(of("HAPROXY_x").contains("template"));
}

#[test]
fn what_would_be_open_without_its_label_is_closed() {
    for (auth, expected) in [
        ("realm:user:$5$x", "users.user: it is no whole hash"),
        ("realm:user:$1$salt$xyz", "users.user: its kind"),
        ("realm:user", "it is not `realm:user:hash`"),
        ("a:b:c:d", "it is not `realm:user:hash`"),
    ] {
        let (made, refused) = routes(&[
            ("HAPROXY_0_VHOST", "a"),
            ("HAPROXY_0_AUTH", auth),
            ("HAPROXY_1_ENABLED", "false"),
        ]);
        assert_eq!((made.len(), refused.len()), (0, 1));
        let start = format!("/web HAPROXY_0_AUTH: {expected}");
        assert!(refused[0].starts_with(&start), "{refused:?}");
    }
}

#[test]
fn a_password_is_asked_for_where_a_host_leads() {
    let auth = "shop:ann:$5$saltsalt$0IyaXrmV7.sGNS6tirgqHLqX/G.FBvgkYA.lpPdS5sA";
    let asked = r#"auth={ realm = "shop", users = { ann = "(hidden)" } }"#;
    let at_host = format!(r#"{asked} host="a" service="web.app""#);
    let at_root = format!(r#"{asked} host="a" path="/" redirect={{ path = "/x", status = 301 }}"#);
    expect(&[
        (
            &[
                ("HAPROXY_0_AUTH", auth),
                ("HAPROXY_0_HTTP_BACKEND_REDIR", "/x"),
            ],
            &[&at_host, &at_root, r#"ports=[10000] service="web.app""#],
        ),
        (
            &[
                ("HAPROXY_0_AUTH", auth),
                ("HAPROXY_0_REDIRECT_TO_HTTPS", "true"),
            ],
            &[
                &at_host,
                r#"host="a" redirect={ scheme = "https", status = 301 } scheme="http""#,
                r#"ports=[10000] service="web.app""#,
            ],
        ),
    ]);
}

#[test]
fn apps_are_named_by_a_header_on_a_port_of_its_own() {
    let config = config("app_id_listen = '127.0.0.1:9091'\nservice_ports = false");
    let web = app(
        "/g/web",
        &[("HAPROXY_GROUP", "external"), ("HAPROXY_1_MODE", "http")],
    );
    let web = App {
        ports: app("/web", &[]).ports,
        ..web
    };
    let (routes, refused) = shown(&made(&config, &[web]));
    assert_eq!(
        routes,
        [
            "ports=[9091] respond={ body = \"no app has the id of X-Marathon-App-Id\", \
             content_type = \"text/plain; charset=utf-8\", status = 503 }",
            r#"headers=[{ exact = "/g/web", name = "x-marathon-app-id" }] ports=[9091] service="web.app""#,
        ]
    );
    assert_eq!(refused, [""; 0]);
}

#[test]
fn instances_are_asked_as_marathon_does() {
    let grouped = app("/web", &[("HAPROXY_GROUP", "external")]);
    let dynamic = made(&config(""), std::slice::from_ref(&grouped));
    let check = dynamic.services["web.app"].check.as_ref().unwrap();
    assert_eq!((check.path.as_str(), check.fall), ("/health", 3));
    assert_eq!(check.status[0].to_string(), "200-399");
    assert_eq!(check.interval.to_string(), "10s");
    let without = made(&config("health_checks = false"), &[grouped]);
    assert_eq!(without.services, BTreeMap::new());
}

#[test]
fn one_service_port_is_for_one_app() {
    let labels = [
        ("HAPROXY_GROUP", "external"),
        ("HAPROXY_1_ENABLED", "false"),
    ];
    let dynamic = made(&config(""), &[app("/a", &labels), app("/b", &labels)]);
    assert_eq!((dynamic.listeners.len(), dynamic.routes.len()), (1, 1));
    let (_, refused) = shown(&dynamic);
    assert_eq!(refused, ["/b HAPROXY_0_PORT: port 10000 is that of /a"]);
}

#[test]
fn what_would_be_open_wider_than_it_says_is_closed() {
    for label in [
        ("HAPROXY_0_BIND_ADDR", "10.0.0.1,10.0.0.2"),
        ("HAPROXY_0_BIND_OPTIONS", "ca-file x verify required"),
        ("HAPROXY_0_SSL_CERT", "/etc/x.pem"),
    ] {
        let (routes, refused) =
            routes(&[label, ("HAPROXY_0_VHOST", "a"), ("HAPROXY_1_ENABLED", "no")]);
        assert_eq!(routes, [r#"host="a" service="web.app""#], "{label:?}");
        assert!(refused[0].contains("is not listened on"), "{refused:?}");
    }
    let denying = (
        "HAPROXY_0_BACKEND_HEAD",
        "backend {backend}\n  http-request deny if x",
    );
    let (routes, refused) = routes(&[
        denying,
        ("HAPROXY_0_VHOST", "a"),
        ("HAPROXY_1_ENABLED", "no"),
    ]);
    assert_eq!((routes.len(), refused.len()), (0, 1));
    assert!(refused[0].contains("keeps somebody away"), "{refused:?}");
}

#[test]
fn ports_of_the_file_are_its_own() {
    let labels = |port| {
        let labels = [
            ("HAPROXY_GROUP", "external"),
            ("HAPROXY_0_PORT", port),
            ("HAPROXY_1_ENABLED", "no"),
        ];
        made(&config("bind_addr = '127.0.0.2'"), &[app("/web", &labels)])
    };
    // The proxy listens at 127.0.0.1:8080, and routes look at ports alone.
    let taken = labels("8080");
    assert_eq!((taken.routes.len(), taken.listeners.len()), (0, 0));
    assert!(
        taken.refused[0].reason.contains("proxy.listeners[0]"),
        "{:?}",
        taken.refused
    );
    assert_eq!(labels("8082").listeners.len(), 1);
    let few = config("listeners_max = 1");
    let labels = [("HAPROXY_GROUP", "external"), ("HAPROXY_1_MODE", "http")];
    let dynamic = made(&few, &[app("/web", &labels)]);
    assert_eq!((dynamic.listeners.len(), dynamic.refused.len()), (1, 1));
    assert!(dynamic.refused[0].reason.contains("listeners_max"));
}

#[test]
fn of_apps_that_want_the_same_the_first_has_it_unless_it_has_nobody() {
    let labels = [
        ("HAPROXY_GROUP", "external"),
        ("HAPROXY_0_VHOST", "x"),
        ("HAPROXY_1_ENABLED", "no"),
    ];
    let hosts = |ids: [&str; 2]| {
        let dynamic = made(&config(""), &ids.map(|id| app(id, &labels)));
        let hosts = dynamic
            .routes
            .into_iter()
            .filter(|route| route.host.is_some());
        let services = hosts.filter_map(|route| route.service);
        services
            .map(|service| service.as_str().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(hosts(["/b/alpha", "/a/zeta"]), ["zeta.app", "alpha.app"]);
    assert_eq!(hosts(["/a/empty", "/b/web"]), ["web.app", "empty.app"]);
}

#[test]
fn apps_with_labels_are_reached_by_these_alone() {
    let dynamic = made(&config(""), &[app("/web", &[])]);
    let names: Vec<_> = dynamic.unnamed.iter().map(|name| name.as_str()).collect();
    assert_eq!(names, ["port1.web.app", "web.app"]);
}
