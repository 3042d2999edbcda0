//! Bamboo's rules in a real ZooKeeper, as routes and by its API.

use serde_json::{Value, json};

use super::{
    cluster::{Cluster, PATH},
    config,
};
use crate::support::{
    client::{exchange, request, request_with, status},
    eventually, free_ports,
    marathon::{Marathon, app, task},
    signpost::Signpost,
    upstream::Upstream,
};

/// Sends a request; returns status and body as it is.
fn ask(method: &str, url: &str, body: &str) -> (u16, String) {
    let rest = url.strip_prefix("http://").unwrap();
    let (authority, path) = rest.split_at(rest.find('/').unwrap());
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    );
    let answer = exchange(authority.parse().unwrap(), request.as_bytes());
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    (status(&answer), body.to_owned())
}

#[test]
fn rules_that_others_write_are_routes_and_an_outage_changes_nothing() {
    let Some(mut cluster) = Cluster::start("") else {
        return;
    };
    assert_eq!(cluster.to("shop.example", "/"), "404");
    cluster.write("%2Fweb", "hdr(host) -i shop.example");
    eventually("the first form", || {
        cluster.to("shop.example", "/") == "web"
    });
    let second = r#"{"version":"2","config":{"Acl":"path_beg /api","Priority":"1","x":"y"}}"#;
    cluster.write("%2Fgroup%2Fapi", second);
    eventually("the second form", || {
        cluster.to("shop.example", "/api/x") == "api"
    });
    assert_eq!(cluster.to("shop.example", "/x"), "web");
    // A rule for an app that isn't there is for nobody.
    cluster.write("%2Fgone", "path_beg /x");
    cluster.write("%2Frubbish", "\u{1}\u{2}");
    cluster.write("%2Fweb", "this is no acl");
    eventually("all is told", || cluster.refused().len() == 2);
    let refused = cluster.refused();
    assert!(
        refused[0].starts_with(&format!("{PATH}/%2Frubbish: ")),
        "{refused:?}"
    );
    assert!(
        refused[1].contains("`this` is not a criterion"),
        "{refused:?}"
    );
    assert_eq!(cluster.to("shop.example", "/api/x"), "api");
    cluster.write("%2Fweb", "path /only");
    eventually("the rule is another one", || {
        cluster.to("any", "/only") == "web"
    });

    cluster.ensemble.kill_all();
    eventually("the source is stale", || {
        let sources = cluster.signpost.get("/v1/sources").1;
        let sources = sources.as_array().unwrap();
        sources
            .iter()
            .any(|one| one["name"] == "rules" && !one["stale_since"].is_null())
    });
    assert_eq!(
        (cluster.to("any", "/only"), cluster.to("any", "/api")),
        ("web".into(), "api".into())
    );
}

#[test]
fn the_api_reads_writes_and_deletes_as_bamboo_does() {
    let Some(cluster) = Cluster::start("") else {
        return;
    };
    let api = cluster.api();
    let services = format!("{api}/api/services");
    assert_eq!(
        ask("GET", &format!("{api}/status"), ""),
        (200, "OK".to_owned())
    );
    assert_eq!(ask("GET", &services, ""), (200, "{}".to_owned()));
    let rule = r#"{"id":"/web","acl":"hdr(host) -i shop.example"}"#;
    let (status, body) = request("POST", &services, rule);
    assert_eq!(status, 200);
    assert_eq!(
        body,
        json!({"Id": "/web", "Acl": "hdr(host) -i shop.example", "Config": null})
    );
    let stored = r#"{"version":"2","config":{"Acl":"hdr(host) -i shop.example"}}"#;
    assert_eq!(cluster.read("%2Fweb"), stored);
    // Who has written finds it, and so do requests.
    let known = request("GET", &services, "").1;
    assert_eq!(known["/web"]["Config"]["Acl"], "hdr(host) -i shop.example");
    eventually("it is a route", || cluster.to("shop.example", "/") == "web");
    let changed = r#"{"Id":"web","Config":{"Acl":"path_beg /web","Priority":"5","note":"n"}}"#;
    assert_eq!(request("PUT", &format!("{services}/web"), changed).0, 200);
    eventually("it is another one", || cluster.to("any", "/web/x") == "web");
    let callback = format!("{api}/api/marathon/event_callback");
    assert_eq!(
        ask("POST", &callback, r#"{"eventType":"x"}"#),
        (200, "Got it!".to_owned())
    );
    assert_eq!(
        ask("DELETE", &format!("{services}/%2Fweb"), ""),
        (200, "null".to_owned())
    );
    assert_eq!(ask("GET", &services, ""), (200, "{}".to_owned()));
    eventually("it is gone", || cluster.to("any", "/web/x") == "404");

    for (method, path, body, reason) in [
        ("POST", "", "rubbish", "Unable to decode JSON request\n"),
        ("POST", "", r#"{"acl":"path /"}"#, "can not use empty ID\n"),
        (
            "POST",
            "",
            r#"{"id":"/a","acl":"nothing"}"#,
            "`nothing` is not a criterion that is supported\n",
        ),
        (
            "PUT",
            "/b",
            r#"{"id":"/a","acl":"path /"}"#,
            "the path is that of `/b`, and the id is `/a`\n",
        ),
        ("DELETE", "/", "", "can not use empty ID\n"),
    ] {
        let answer = ask(method, &format!("{services}{path}"), body);
        assert_eq!(answer, (400, reason.to_owned()), "{method} {body}");
    }
    let (status, reason) = ask("DELETE", &format!("{services}/gone"), "");
    assert_eq!(status, 400);
    assert!(
        reason.contains("/marathon-haproxy/state/%2Fgone: "),
        "{reason}"
    );
}

#[test]
fn the_state_is_that_of_bamboo() {
    let Some(cluster) = Cluster::start("default_rules = true\n") else {
        return;
    };
    cluster.write("%2Fweb", "path_beg /x");
    let url = format!("{}/api/state", cluster.api());
    eventually("the rule is known", || {
        !request("GET", &url, "").1["Services"]["/web"].is_null()
    });
    let state = request("GET", &url, "").1;
    let expected = json!({"/web": {"Id": "/web", "Acl": "path_beg /x",
        "Config": {"Acl": "path_beg /x"}}});
    assert_eq!(state["Services"], expected);
    let ids: Vec<_> = state["Apps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|app| &app["Id"])
        .collect();
    assert_eq!(ids, ["/group/api", "/web"]);
    let mut api: Value = state["Apps"][0].clone();
    let port = api["Tasks"][0]["Port"].take();
    api["Tasks"][0]["Ports"].take();
    assert!(port.as_u64().unwrap() > 0);
    let expected = json!({
        "Id": "/group/api", "MesosDnsId": "api-group", "EscapedId": "::group::api",
        "HealthCheckPath": "", "HealthCheckProtocol": "", "HealthChecks": [],
        "ReadinessCheckPath": "", "ServicePort": 10001, "ServicePorts": [10001],
        "Tasks": [{"Id": "api.1", "Host": "127.0.0.1", "Port": null, "Ports": null,
            "Alive": true, "State": "TASK_RUNNING", "Ready": true}],
        "Env": {"A": "b"}, "Labels": {}, "SplitId": ["", "group", "api"],
        "ipAddress": {"discovery": {"ports": null}},
    });
    assert_eq!(api, expected);
    // An app without a rule has Bamboo's default one.
    eventually("by its id", || cluster.to("any", "/Group/API/x") == "api");
    assert_eq!(cluster.to("any", "/web"), "404");
}

#[test]
fn while_rules_are_not_known_no_app_is_open_by_default() {
    let (web, ports) = (Upstream::start("web"), free_ports(2));
    let marathon = Marathon::start();
    let tasks = [task("web.1", web.port())];
    marathon.put(&app("/web", 10_000, json!({}), &tasks));
    // Where the rules should be nobody listens.
    let nowhere = format!(
        "[registry]\nstart_deadline = '200ms'\n[compat.bamboo]\ndefault_rules = true\n\
         listen = '127.0.0.1:{}'\n[sources.rules.bamboo]\nzk = 'zk://127.0.0.1:{}/b'\n",
        ports[0], ports[1]
    );
    let signpost = Signpost::start(&config(&marathon, &nowhere));
    eventually("the app is known", || {
        signpost.get("/v1/services/web.app").0 == 200
    });
    eventually("the rules are waited for no longer", || {
        signpost.curl("any", "/web").0 == 404
    });
    for path in ["services", "state", "overview"] {
        let (status, reason) = ask(
            "GET",
            &format!("http://127.0.0.1:{}/api/{path}", ports[0]),
            "",
        );
        assert_eq!(
            (status, reason.contains("`rules` hasn't told")),
            (503, true)
        );
    }
    // A health check has no name to ask by.
    let bare = b"GET /status HTTP/1.0\r\n\r\n";
    let answer = exchange(([127, 0, 0, 1], ports[0]).into(), bare);
    assert_eq!(status(&answer), 200);
}

#[test]
fn only_who_has_the_token_changes_something() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    std::fs::write(&file, "secret\n").unwrap();
    let token = format!("token_file = '{}'\n", file.display());
    let Some(cluster) = Cluster::start(&token) else {
        return;
    };
    let services = format!("{}/api/services", cluster.api());
    let rule = r#"{"id":"/web","acl":"path /"}"#;
    let with = |headers: &str| request_with("POST", &services, headers, rule).0;
    assert_eq!(with(""), 401);
    assert_eq!(with("Authorization: Bearer wrong\r\n"), 401);
    let (status, reason) = ask("DELETE", &format!("{services}/web"), "");
    assert_eq!((status, reason.contains("Authorization")), (401, true));
    assert_eq!(ask("GET", &services, ""), (200, "{}".to_owned()));
    assert_eq!(with("Authorization: Bearer secret\r\n"), 200);
    let page = "Origin: http://evil.example\r\nAuthorization: Bearer secret\r\n";
    assert_eq!(with(page), 403);
}
