use super::*;

fn problems(text: &str) -> Vec<String> {
    let config: Config = toml::from_str(text).unwrap();
    let found = config.problems().into_iter();
    found
        .map(|one| format!("{}: {}", one.key, one.reason))
        .collect()
}

#[test]
fn nothing_said_means_one_listener_on_loopback() {
    let config: Config = toml::from_str("").unwrap();
    assert_eq!(config, Config::default());
    assert_eq!(config.listeners[0].listen.to_string(), "127.0.0.1:8080");
    assert!(config.problems().is_empty());
}

#[test]
fn every_key_has_its_place() {
    let text = r#"
        host_routing = false
        balancer = "round_robin"
        trusted_proxies = ["10.0.0.0/8", "::1/128"]
        request_id_header = "X-Trace"
        request_id_returned = true
        via = "gate-1.example.com"
        [[listeners]]
        listen = "127.0.0.1:1"
        protocol = "http"
        proxy_protocol = ["10.0.0.0/8"]
        [[routes]]
        name = "api"
        priority = -1
        host = "*.example.com"
        path_prefix = "/api"
        methods = ["GET", "PURGE"]
        headers = [{ name = "X-A", exact = "1" }, { name = "x-b", present = false }]
        query = [{ name = "v", prefix = "2" }, { name = "w", regex = "[0-9]+" }]
        clients = ["10.0.0.0/8"]
        service = "shop"
        balancer = "p2c"
        timeouts = { request = "5s", connect = "1s", stream_idle = "9s" }
        subset = { tags = ["a"], attributes = { b = "c" } }
        mirror = { service = "shop-next", subset = { tags = ["a"] }, percent = 0.5 }
        rewrite = { strip_prefix = true, host = "shop", headers = { set = { a = "b" } } }
        response_headers = { set = { a = "b" }, add = { c = "d" }, remove = ["e"] }
        sticky = { cookie = "seat", ttl = "8h", secure = true, same_site = "none" }
        retries = { attempts = 2, body_bytes = "1KiB" }
        [[routes]]
        path = "/split"
        split = [{ service = "a", weight = 1 }, { service = "b", weight = 0, subset = { tags = ["x"] } }]
        [[routes]]
        path = "/redirect"
        redirect = { scheme = "https", host = "x", port = 81, path = "/", status = 307 }
        [[routes]]
        path = "/respond"
        respond = { status = 410, body = "gone", content_type = "text/plain" }
        [path]
        dot_segments = "reject"
        merge_slashes = false
        encoded_slash = "decode"
        [timeouts]
        idle = "5s"
        [limits]
        header_bytes = "16KiB"
        [retries]
        attempts = 1
        [access_log]
        enabled = true
        path = "access.log"
    "#;
    assert_eq!(problems(text), [""; 0]);
    assert!(toml::from_str::<Config>("routs = []").is_err());
}

#[test]
fn problems_name_the_key_and_the_value() {
    let text = r#"
        request_id_header = "Content_Length"
        via = "a b"
        [[listeners]]
        listen = "127.0.0.1:1"
        [[listeners]]
        listen = "127.0.0.1:1"
        [[routes]]
        host = "a b"
        service = "x"
        [[routes]]
        host = "web"
        path_prefix = "api"
        service = "x"
        [[routes]]
        host = "Web."
        path_prefix = "/api/"
        service = "x"
        [[routes]]
        host = "web"
        path_prefix = "/api"
        service = "x"
        [[routes]]
        host = "web:80"
        service = "x"
        [limits]
        headers = 1000
        [timeouts]
        idle = "0s"
        [retries]
        attempts = 0
    "#;
    assert_eq!(
        problems(text),
        [
            "listeners[1].listen: `127.0.0.1:1` is listened on twice",
            "routes[0].host: `a b` is neither a host nor `*.` and a host",
            "routes[1].path_prefix: `api` does not begin with a slash",
            "routes[4].host: `web:80` has a port, which routes don't look at",
            "routes[3]: matches just what routes[2] matches, and would never be used",
            "request_id_header: `Content_Length` is a header with a meaning of its own",
            "via: `a b` is not a name such as \"proxy-1.example.com\"",
            "timeouts.idle: `0s` leaves no time",
            "limits.headers: `1000` is not between 1 and 256",
            "retries.attempts: `0` attempts would answer no request",
        ]
    );
}

#[test]
fn problems_of_matching_are_found() {
    let text = r#"
        [[routes]]
        name = "a"
        path = "/x"
        path_prefix = "/y"
        service = "x"
        [[routes]]
        name = "a"
        path_regex = "/("
        service = "x"
        [[routes]]
        path = "/%zz"
        service = "x"
        [[routes]]
        path_prefix = "/a/%2F/b"
        methods = ["get", "A B", "CONNECT"]
        service = "x"
        [[routes]]
        headers = [{ name = "a b" }, { name = "a", exact = "1", prefix = "2" }]
        service = "x"
        [[routes]]
        query = [{ name = "a", regex = "[" }]
        [[routes]]
        ports = [80, 0]
        ignore_case = true
        unless = [{}, { host = "a:1", methods = ["get"] }, { path_regex = "(" }]
        service = "x"
    "#;
    assert_eq!(
        problems(text),
        [
            "routes[0]: a route has at most one of `path`, `path_prefix`, `path_start` and \
             `path_regex`",
            "routes[1].path_regex: `/(`: unclosed group",
            "routes[1].name: `a` is what routes[0] is called",
            "routes[2].path: `/%zz` matches nothing, as the path has a malformed percent-encoding",
            "routes[3].path_prefix: `/a/%2F/b` matches nothing, as the path has an encoded slash or \
             a backslash",
            "routes[3].methods[0]: `get` is not in upper case, as methods are",
            "routes[3].methods[1]: `A B` is not a method",
            "routes[3].methods[2]: `CONNECT` is refused before routes are looked at",
            "routes[4].headers[0].name: `a b` is not the name of a header",
            "routes[4].headers[1].name: there is more than one of `exact`, `prefix`, `regex` and \
             `present`",
            "routes[5].query[0].regex: `[`: unclosed character class",
            "routes[5]: a route has just one of `service`, `split`, `redirect` and `respond`",
            "routes[6].ports[1]: `0` is not a port",
            "routes[6].ignore_case: there is no `path_start` in which case could matter",
            "routes[6].unless[0]: it says nothing, and so no request would be left",
            "routes[6].unless[1].host: `a:1` has a port, which routes don't look at",
            "routes[6].unless[1].methods[0]: `get` is not in upper case, as methods are",
            "routes[6].unless[2].path_regex: `(`: unclosed group",
        ]
    );
}

#[test]
fn problems_of_actions_are_found() {
    let routes = [
        "service = 'x'\nrespond = {}",
        "service = 'x'\nsubset = {}",
        "subset = { tags = ['a'] }\nredirect = { scheme = 'https' }",
        "split = [{ service = 'x', weight = 0 }, { service = 'y', weight = 0, subset = {} }]",
        "redirect = { status = 304, host = 'a:80', port = 0, path = '//x' }",
        "redirect = { strip_prefix = true, path = '/a?b' }",
        "redirect = {}",
        "path_prefix = '/a'\nredirect = { replace_prefix = '/b' }",
        "respond = { status = 101 }",
        "respond = { status = 204, body = 'x' }",
        "respond = { content_type = \"a\\r\\nb\" }",
    ];
    let lines = |(n, text): (usize, &str)| format!("[[routes]]\nhost = 'h{n}'\n{text}\n");
    let text: String = routes.into_iter().enumerate().map(lines).collect();
    assert_eq!(
        problems(&text),
        [
            "routes[0]: a route has just one of `service`, `split`, `redirect` and `respond`",
            "routes[1].subset: it has neither `tags` nor `attributes`",
            "routes[2].subset: it is a part of the `service`, and there is none",
            "routes[3].split[1].subset: it has neither `tags` nor `attributes`",
            "routes[3].split: no share has a weight above 0",
            "routes[4].redirect.status: `304` is not 301, 302, 303, 307 or 308",
            "routes[4].redirect.host: `a:80` is not a host without a port",
            "routes[4].redirect.port: `0` is not a port",
            "routes[4].redirect.path: `//x` is not a path that begins with one slash",
            "routes[5].redirect.path: `/a?b` is not a path that begins with one slash",
            "routes[5].redirect: there is more than one of `path`, `strip_prefix` and `replace_prefix`",
            "routes[5].redirect: the route has no `path_prefix` to be replaced",
            "routes[6].redirect: it leads to where it comes from",
            "routes[8].respond.status: `101` is not between 200 and 599",
            "routes[9].respond.body: an answer with status 204 has no body",
            "routes[10].respond.content_type: it is not the value of a header",
        ]
    );
}

#[test]
fn problems_of_rewrites_are_found() {
    let routes = [
        "respond = {}\nrewrite = { host = 'a' }",
        "service = 'x'\nrewrite = { strip_prefix = true, host = 'a b' }",
        "path_prefix = '/a'\nservice = 'x'\nrewrite = { strip_prefix = true, replace_prefix = 'b' }",
        "service = 'x'\nrewrite = { host = '[::1]:80', headers = { set = { Host = 'a', b = 'c' } } }",
        "service = 'x'\nresponse_headers = { set = { a = \"x\\r\\ny\" }, add = { B = '1', b = '2' } }",
        "service = 'x'\nresponse_headers = { remove = ['Transfer-Encoding', 'a b', 'x-forwarded-for'] }",
    ];
    let lines = |(n, text): (usize, &str)| format!("[[routes]]\nhost = 'h{n}'\n{text}\n");
    let text: String = routes.into_iter().enumerate().map(lines).collect();
    assert_eq!(
        problems(&text),
        [
            "routes[0].rewrite: no instance gets the requests of this route",
            "routes[1].rewrite: the route has no `path_prefix` to be replaced",
            "routes[1].rewrite.host: `a b` is not a host",
            "routes[2].rewrite.replace_prefix: `b` is not a path that begins with one slash",
            "routes[2].rewrite: there are both `strip_prefix` and `replace_prefix`",
            "routes[3].rewrite.headers.set.Host: the host is changed by `rewrite.host`",
            "routes[4].response_headers.set.a: the value can't stand in a header",
            "routes[4].response_headers.add.b: it is there in another case, too",
            "routes[5].response_headers.remove[0]: `Transfer-Encoding` is written by the proxy itself",
            "routes[5].response_headers.remove[1]: `a b` is not the name of a header",
            "routes[5].response_headers.remove[2]: `x-forwarded-for` is written by the proxy itself",
        ]
    );
}

#[test]
fn problems_of_stickiness_are_found() {
    let routes = [
        "service = 'x'\nsticky = {}",
        "service = 'x'\nsticky = { cookie = 'a b', client = true }",
        "respond = {}\nsticky = { header = 'a:', ttl = '500ms' }",
        "service = 'x'\nsticky = { cookie = 'a', same_site = 'none' }",
    ];
    let lines = |(n, text): (usize, &str)| format!("[[routes]]\nhost = 'h{n}'\n{text}\n");
    let text: String = routes.into_iter().enumerate().map(lines).collect();
    assert_eq!(
        problems(&format!("sticky_key_file = '/dev/null'\n{text}")),
        [
            "routes[0].sticky: it has just one of `cookie`, `header` and `client`",
            "routes[1].sticky: it has just one of `cookie`, `header` and `client`",
            "routes[1].sticky.cookie: `a b` is not the name of a cookie",
            "routes[2].sticky.header: `a:` is not the name of a header",
            "routes[2].sticky.ttl: `500ms` is not between 1s and 400 days",
            "routes[2].sticky: no instance gets the requests of this route",
            "routes[3].sticky.same_site: clients take `none` only of a cookie that is `secure`",
            "sticky_key_file: /dev/null is empty",
        ]
    );
}

#[test]
fn routes_that_are_never_used_are_found() {
    let warnings = |text: &str| {
        let config: Config = toml::from_str(text).unwrap();
        assert_eq!(config.problems(), []);
        let warnings = config.warnings().into_iter();
        warnings.map(|one| one.to_string()).collect::<Vec<_>>()
    };
    let all = [
        "priority = 1\npath_prefix = '/api'",
        "host = 'x.example.com'\npath_prefix = '/api/v1'",
        "host = 'x.example.com'\npath_prefix = '/apiary'",
        "path_regex = '/api/v[0-9]+'",
        "host = '*.example.com'\npath = '/a'\nmethods = ['GET', 'PUT']",
        "host = '*.example.com'\npath = '/a'\nmethods = ['PUT']",
        "host = '*.example.com'\npath = '/a'\nmethods = ['PUT', 'POST']",
        "headers = [{ name = 'A', prefix = 'x' }]\nclients = ['10.0.0.0/8']",
        "headers = [{ name = 'a', exact = 'xy' }]\nclients = ['10.1.0.0/16']",
        "headers = [{ name = 'a', exact = 'z' }]\nclients = ['10.1.0.0/16']",
        "query = [{ name = 'a' }]",
        "query = [{ name = 'a', present = false }]",
        "",
    ];
    let text = all.map(|route| format!("[[routes]]\n{route}\nservice = 'web'\n"));
    assert_eq!(
        warnings(&text.concat()),
        [
            "routes[1]: never used: routes[0] matches all of it and has a higher priority",
            "routes[3]: never used: routes[0] matches all of it and has a higher priority",
            "routes[5]: never used: routes[4] matches all of it and comes before it",
            "routes[8]: never used: routes[7] matches all of it and comes before it",
        ]
    );
}

#[test]
fn a_route_to_nowhere_is_found_and_so_are_options_of_nobody() {
    let text = "[[routes]]\nservice = \"web\"\n[[routes]]\npath_prefix = \"/a\"\nservice = \"api\"\n\
        [services.web]\n[services.\"a.b\"]\n";
    let config: Config = toml::from_str(text).unwrap();
    let dangling = config.dangling(|service| service.as_str() == "web");
    let keys: Vec<_> = dangling
        .iter()
        .map(|problem| problem.key.as_str())
        .collect();
    assert_eq!(keys, ["routes[1].service", "services.a.b"]);
}
