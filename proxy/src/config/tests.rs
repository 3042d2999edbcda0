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
        host = "*.example.com"
        path_prefix = "/api"
        service = "shop"
        balancer = "p2c"
        timeouts = { request = "5s", connect = "1s", stream_idle = "9s" }
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
            "routes[3]: matches just what routes[2] matches, and would never be used",
            "routes[4].host: `web:80` has a port, which routes don't look at",
            "request_id_header: `Content_Length` is a header with a meaning of its own",
            "via: `a b` is not a name such as \"proxy-1.example.com\"",
            "timeouts.idle: `0s` leaves no time",
            "limits.headers: `1000` is not between 1 and 256",
            "retries.attempts: `0` attempts would answer no request",
        ]
    );
}

#[test]
fn a_route_to_nowhere_is_found() {
    let text = "[[routes]]\nservice = \"web\"\n[[routes]]\npath_prefix = \"/a\"\nservice = \"api\"";
    let config: Config = toml::from_str(text).unwrap();
    let dangling = config.dangling(|service| service.as_str() == "web");
    assert_eq!(dangling.len(), 1);
    assert_eq!(dangling[0].key, "routes[1].service");
}
