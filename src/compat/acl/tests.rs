use proxy::{RouteTable, Sample};

use super::*;

/// Tells whether requests are those that an ACL is for; each is a method, a host, a path and headers.
fn holds(acl: &str, requests: &[(&str, &str, &str)]) -> Result<Vec<bool>, String> {
    let template = Route {
        service: Some("web".parse().unwrap()),
        ..Route::default()
    };
    let config = proxy::Config {
        routes: routes(acl, &template)?,
        ..proxy::Config::default()
    };
    if let Some(problem) = config.problems().first() {
        return Err(problem.to_string());
    }
    let snapshot = registry::Snapshot::default();
    let table = RouteTable::build(&config, &[], &snapshot, None);
    let log = proxy::AccessLog::open(&config.access_log).unwrap();
    let shared = proxy::Shared::new(&config, table, log);
    let verdicts = requests.iter().map(|(from, host, path)| {
        let mut sample = Sample::new(host, path);
        for word in from.split(' ') {
            match word.split_once('=') {
                Some((name, value)) => {
                    sample.headers.push((name.to_owned(), value.to_owned()));
                }
                None => match word.parse() {
                    Ok(client) => sample.client = client,
                    Err(_) => sample.method = word.to_owned(),
                },
            }
        }
        sample.headers.push(("Host".to_owned(), (*host).to_owned()));
        let explained = shared.explain(&sample, &snapshot);
        explained.routes.iter().any(|route| route.used)
    });
    Ok(verdicts.collect())
}

/// Says for which of the paths, at one host, an ACL holds.
fn paths<'a>(acl: &str, all: &[&'a str]) -> Vec<&'a str> {
    let requests: Vec<_> = all.iter().map(|path| ("GET", "a.example", *path)).collect();
    let holds = holds(acl, &requests).unwrap();
    let all = all.iter().zip(holds).filter(|(_, holds)| *holds);
    all.map(|(path, _)| *path).collect()
}

fn hosts<'a>(acl: &str, all: &[&'a str]) -> Vec<&'a str> {
    let requests: Vec<_> = all.iter().map(|host| ("GET", *host, "/")).collect();
    let holds = holds(acl, &requests).unwrap();
    let all = all.iter().zip(holds).filter(|(_, holds)| *holds);
    all.map(|(host, _)| *host).collect()
}

#[test]
fn paths_are_compared_in_all_ways() {
    let all = [
        "/app",
        "/App/x",
        "/app/x.html",
        "/apple",
        "/x/app/y",
        "/x/apples",
    ];
    for (acl, expected) in [
        ("path /app", &["/app"][..]),
        ("path /app /apple", &["/app", "/apple"]),
        ("path_beg /app", &["/app", "/app/x.html", "/apple"]),
        (
            "path_beg -i /app",
            &["/app", "/App/x", "/app/x.html", "/apple"],
        ),
        ("path_beg -i /APPL /x", &["/apple", "/x/app/y", "/x/apples"]),
        ("path_dir app", &["/app", "/app/x.html", "/x/app/y"]),
        (
            "path_dir -i /app/",
            &["/app", "/App/x", "/app/x.html", "/x/app/y"],
        ),
        ("path_end .html s", &["/app/x.html", "/x/apples"]),
        ("path_sub app/", &["/app/x.html", "/x/app/y"]),
        ("path_reg ^/a[a-z]+$", &["/app", "/apple"]),
        (
            "path_reg x",
            &["/App/x", "/app/x.html", "/x/app/y", "/x/apples"],
        ),
        ("path -m beg -i /app/", &["/App/x", "/app/x.html"]),
        ("path -m reg ^/x", &["/x/app/y", "/x/apples"]),
        ("path_beg -- /x/", &["/x/app/y", "/x/apples"]),
    ] {
        assert_eq!(paths(acl, &all), expected, "{acl}");
    }
}

#[test]
fn hosts_are_compared_in_all_ways() {
    let all = [
        "shop.example",
        "SHOP.example:8080",
        "api.shop.example",
        "shopping.example",
        "shop.example.org",
    ];
    for (acl, expected) in [
        ("hdr(host) -i shop.example", &all[..2]),
        (
            "hdr(Host) shop.example shopping.example",
            &["shop.example", "SHOP.example:8080", "shopping.example"],
        ),
        (
            "hdr_beg(host) -i shop",
            &[
                "shop.example",
                "SHOP.example:8080",
                "shopping.example",
                "shop.example.org",
            ],
        ),
        (
            "hdr_beg(host) -i shop.",
            &["shop.example", "SHOP.example:8080", "shop.example.org"],
        ),
        (
            "hdr_dom(host) -i shop",
            &[
                "shop.example",
                "SHOP.example:8080",
                "api.shop.example",
                "shop.example.org",
            ],
        ),
        ("hdr_dom(host) -i example", &all),
        ("hdr_end(host) .example", &all[..4]),
        ("hdr_end(host) ng.example", &["shopping.example"]),
        ("hdr_reg(host) ^api[.]", &["api.shop.example"]),
        ("hdr_sub(host) ppi", &["shopping.example"]),
        ("req.hdr(host) -m end .org", &["shop.example.org"]),
    ] {
        assert_eq!(hosts(acl, &all), expected, "{acl}");
    }
}

#[test]
fn the_rest_of_a_request_is_looked_at_too() {
    let requests = [
        ("GET", "a", "/"),
        ("PUT", "a", "/x"),
        ("GET 10.1.2.3", "a", "/"),
        ("GET X-Env=Live", "b", "/"),
        ("POST x-env=test 192.0.2.1", "b", "/x"),
    ];
    for (acl, expected) in [
        ("method PUT POST", [false, true, false, false, true]),
        (
            "src 10.0.0.0/8 192.0.2.1",
            [false, false, true, false, true],
        ),
        ("src -m ip 10.1.2.3", [false, false, true, false, false]),
        ("hdr(x-env) Live", [false, false, false, true, false]),
        ("hdr(x-env) -i live TEST", [false, false, false, true, true]),
        ("hdr(x-env) -m found", [false, false, false, true, true]),
        ("hdr_beg(x-env) te", [false, false, false, false, true]),
        (
            "{ hdr(host) a } { path_beg /x }",
            [false, true, false, false, false],
        ),
        (
            "{ hdr(host) a } !{ path_beg /x }",
            [true, false, true, false, false],
        ),
        (
            "{ hdr(host) b } or { path /x }",
            [false, true, false, true, true],
        ),
        (
            "{ method PUT } || { hdr(host) b } ! { src 192.0.2.0/24 }",
            [false, true, false, true, false],
        ),
        (
            "hdr(host) a and !path /x",
            [true, false, true, false, false],
        ),
        ("path /x or hdr(host) b", [false, true, false, true, true]),
        ("! hdr(host) a b", [false; 5]),
        (
            "{ hdr(host) -i a } { hdr_end(host) a }",
            [true, true, true, false, false],
        ),
        (
            "{ src 0.0.0.0/0 } !{ hdr(x-env) -m found } !{ method PUT }",
            [true, false, true, false, false],
        ),
    ] {
        assert_eq!(holds(acl, &requests).unwrap(), expected, "{acl}");
    }
}

#[test]
fn what_is_no_acl_or_none_for_routes_is_told() {
    for (acl, reason) in [
        ("", "it is empty"),
        (
            "this is no acl",
            "`this` is not a criterion that is supported",
        ),
        ("path_beg", "`path_beg` has no value"),
        (
            "path_len 7",
            "`path_len` is not a criterion that is supported",
        ),
        ("hdr host", "`hdr` is not a criterion that is supported"),
        (
            "hdr(host",
            "`hdr(host` is not a criterion that is supported",
        ),
        (
            "urlp(x) 1",
            "`urlp(x)` is not a criterion that is supported",
        ),
        ("path_beg -f /etc/paths", "the flag `-f` is not supported"),
        ("path -m int 7", "`-m int` is not supported"),
        (
            "src example.com",
            "`example.com` is neither an address nor a network",
        ),
        (
            "hdr_dom(host) -i {{MesosDnsId}}",
            "`{{MesosDnsId}}` is a template, and not what one makes",
        ),
        ("{ path /a", "a brace is never closed"),
        ("path /a { path /b }", "`path` stands outside of braces"),
        ("{ path /a } or", "there is nothing before or after an `or`"),
        ("{ path /a } !", "nothing comes after a `!`"),
        (
            "{ path_beg /a } { path_end .html }",
            "two criteria for the path can't be one route's",
        ),
    ] {
        assert_eq!(holds(acl, &[]).unwrap_err(), reason, "{acl}");
    }
    let regex = holds("path_reg ^/(", &[]).unwrap_err();
    assert!(regex.contains("path_regex"), "{regex}");
    let many = format!("hdr(host) {}", "a ".repeat(300));
    assert!(
        holds(&many, &[])
            .unwrap_err()
            .contains("more than 256 routes")
    );
}
