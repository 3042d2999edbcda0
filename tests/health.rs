//! What the proxy sees of instances: DNS and routes follow it.

use std::net::TcpListener;

use serde_json::Value;

use crate::support::{eventually, signpost::Signpost, upstream::Upstream};

/// Starts instances of `web` at addresses of their own, and a signpost that knows them.
fn start<const N: usize>(config: &str) -> (Signpost, [Upstream; N]) {
    let signpost = Signpost::start(&in_turn(config));
    let upstreams = std::array::from_fn(|n| {
        let upstream = Upstream::at(&format!("127.0.0.{}", n + 1), &format!("i{}", n + 1));
        register(&signpost, n + 1, &upstream);
        upstream
    });
    (signpost, upstreams)
}

/// Has everybody asked in turn: the default would ask one that was slow once hardly at all for a while.
fn in_turn(config: &str) -> String {
    format!("[proxy]\nbalancer = 'round_robin'\n{config}")
}

fn register(signpost: &Signpost, number: usize, upstream: &Upstream) {
    let (status, answer) = signpost.put("web", &format!("i{number}"), &upstream.registration());
    assert_eq!(status, 201, "{answer}");
}

/// Waits until DNS answers with just the instances of these numbers.
fn until_told(signpost: &Signpost, numbers: &[usize]) {
    let wanted: Vec<_> = numbers.iter().map(|n| format!("127.0.0.{n}")).collect();
    let what = format!("DNS tells of {numbers:?}");
    eventually(&what, || signpost.dig(&["web.svc.internal"]) == wanted);
}

/// Returns who answers some requests through the proxy, sorted and each once, with the statuses.
fn answers(signpost: &Signpost) -> Vec<(u16, String)> {
    let mut answers: Vec<_> = (0..40).map(|_| signpost.curl("web", "/")).collect();
    answers.sort();
    answers.dedup();
    answers
}

fn health(signpost: &Signpost) -> Value {
    let (status, service) = signpost.get("/v1/services/web");
    assert_eq!(status, 200, "{service}");
    service["health"].clone()
}

fn has_line(signpost: &Signpost, line: &str) -> bool {
    signpost.metrics().lines().any(|one| one == line)
}

const CHECK: &str = "[proxy.services.web]\n\
    check = { path = '/health', interval = '50ms', timeout = '10s', fall = 2 }\n";

fn good(number: usize) -> (u16, String) {
    (200, format!("i{number}"))
}

#[test]
fn an_instance_that_fails_its_checks_leaves_dns_and_proxy_until_it_passes_again() {
    let (signpost, upstreams) = start::<3>(CHECK);
    until_told(&signpost, &[1, 2, 3]);
    eventually("all are healthy", || {
        let instances = &health(&signpost)["instances"];
        ["i1", "i2", "i3"]
            .iter()
            .all(|id| instances[id]["verdict"] == "healthy")
    });
    upstreams[1].answer_with(503);
    until_told(&signpost, &[1, 3]);
    assert_eq!(answers(&signpost), [good(1), good(3)]);

    let (_, service) = signpost.get("/v1/services/web");
    assert_eq!(
        service["instances"][1]["health"]["unhealthy"],
        "check_failed"
    );
    let shown = &service["health"]["instances"]["i2"];
    assert_eq!(shown["verdict"], "check_failed", "{service}");
    assert_eq!(shown["reason"], "the last check: the status is 503");
    assert!(shown["since"].as_u64().unwrap() > 0);
    let (_, explained) = signpost.get("/v1/explain/route?host=web&path=/");
    assert_eq!(explained["left_out"][0]["id"], "i2", "{explained}");
    assert_eq!(explained["left_out"][0]["reason"], "its health check fails");
    assert_eq!(
        explained["health"]["instances"]["i2"]["verdict"],
        "check_failed"
    );
    assert!(has_line(
        &signpost,
        "signpost_proxy_unhealthy_instances{service=\"web\",reason=\"check_failed\"} 1"
    ));

    upstreams[1].answer_with(204);
    until_told(&signpost, &[1, 2, 3]);
    let all = answers(&signpost);
    assert!(all.iter().any(|(status, _)| *status == 204), "{all:?}");
}

#[test]
fn what_is_watched_no_longer_after_a_reload_is_used_again() {
    let (signpost, upstreams) = start::<3>(CHECK);
    upstreams[0].answer_with(500);
    until_told(&signpost, &[2, 3]);
    signpost.write_config(&in_turn(""));
    until_told(&signpost, &[1, 2, 3]);
    assert_eq!(health(&signpost), Value::Null);
    signpost.write_config(&in_turn(CHECK));
    until_told(&signpost, &[2, 3]);
}

#[test]
fn an_instance_that_answers_500_to_every_request_is_ejected_and_returns() {
    let config = "[proxy.defaults]\nejection = { base_time = '6s' }\n";
    let (signpost, upstreams) = start::<3>(config);
    upstreams[2].answer_with(500);
    let mut failed = 0;
    eventually("it is ejected", || {
        failed += usize::from(signpost.curl("web", "/").0 == 500);
        signpost.dig(&["web.svc.internal"]) == ["127.0.0.1", "127.0.0.2"]
    });
    assert!(failed >= 5, "{failed}");
    let shown = health(&signpost)["instances"]["i3"].clone();
    assert_eq!(shown["verdict"], "ejected", "{shown}");
    assert_eq!(shown["reason"], "it failed one request after the other");
    assert!(shown["ejected_until"].as_u64() > shown["since"].as_u64());
    assert!(has_line(
        &signpost,
        "signpost_proxy_ejections_total{service=\"web\",reason=\"consecutive_failures\"} 1"
    ));
    let meanwhile: Vec<_> = (0..10).map(|_| signpost.curl("web", "/").0).collect();
    assert_eq!(meanwhile, [200; 10]);
    upstreams[2].answer_with(200);
    until_told(&signpost, &[1, 2, 3]);
    let back = answers(&signpost);
    assert_eq!(back, [good(1), good(2), good(3)]);
}

#[test]
fn an_instance_that_answers_500_to_every_other_request_is_ejected_by_its_ratio() {
    let config = "[proxy.defaults]\n\
        ejection = { base_time = '1h', max_time = '1h', min_requests = 10, window = '1m' }\n";
    let (signpost, upstreams) = start::<3>(config);
    upstreams[0].answer_by_turns([200, 500]);
    let mut seen = (0, 0);
    eventually("it is ejected", || {
        match signpost.curl("web", "/").0 {
            200 => seen.0 += 1,
            500 => seen.1 += 1,
            status => panic!("{status}"),
        }
        signpost.dig(&["web.svc.internal"]) == ["127.0.0.2", "127.0.0.3"]
    });
    // What it fails is passed on as it is, for it is an answer.
    assert!(seen.1 >= 5 && seen.0 > seen.1, "{seen:?}");
    let shown = health(&signpost)["instances"]["i1"].clone();
    assert_eq!(shown["reason"], "it failed too many of its requests");
    assert_eq!(answers(&signpost), [good(2), good(3)]);
}

#[test]
fn an_instance_where_nobody_is_and_one_that_never_answers_leave_dns() {
    let config = "[proxy.services.web]\n\
        check = { interval = '50ms', timeout = '500ms', fall = 2 }\nfail_open = 0.0\n";
    let (signpost, _well) = start::<1>(config);
    // Connections come about, and nobody reads what comes.
    let silent = TcpListener::bind("127.0.0.2:0").unwrap();
    let gone = TcpListener::bind("127.0.0.3:0").unwrap();
    for (number, listener) in [(2, &silent), (3, &gone)] {
        let address = listener.local_addr().unwrap();
        let (host, port) = (address.ip(), address.port());
        let body = format!(r#"{{"address": "{host}", "port": {port}}}"#);
        let (status, answer) = signpost.put("web", &format!("i{number}"), &body);
        assert_eq!(status, 201, "{answer}");
    }
    drop(gone);
    until_told(&signpost, &[1]);
    let shown = health(&signpost)["instances"].clone();
    assert_eq!(
        shown["i2"]["reason"],
        "the last check: it took longer than 500ms"
    );
    let refused = shown["i3"]["reason"].as_str().unwrap();
    assert!(refused.contains("refused"), "{refused}");
}

#[test]
fn health_is_not_believed_when_too_few_would_be_left() {
    let (signpost, upstreams) = start::<3>(CHECK);
    upstreams[0].answer_with(500);
    until_told(&signpost, &[2, 3]);
    upstreams[1].answer_with(500);
    until_told(&signpost, &[1, 2, 3]);
    let shown = health(&signpost);
    assert_eq!(shown["fail_open"], true, "{shown}");
    assert_eq!(shown["instances"]["i1"]["verdict"], "check_failed");
    assert!(has_line(
        &signpost,
        "signpost_proxy_fail_open{service=\"web\"} 1"
    ));
    let (_, explained) = signpost.get("/v1/explain/dns/web.svc.internal");
    assert_eq!(explained["fail_open"][0], "web", "{explained}");
    let (_, list) = signpost.get("/v1/services");
    assert_eq!(list["services"][0]["fail_open"], true, "{list}");
    let shown = signpost.verb(&["services", "web"]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains("check failed (ignored)"), "{shown}");
    let message = "too few instances are healthy: health is not believed, and all are used";
    assert_eq!(signpost.logged(message).len(), 1);
    let all = answers(&signpost);
    assert_eq!(
        all,
        [good(3), (500, "i1".to_owned()), (500, "i2".to_owned())]
    );
    upstreams[1].answer_with(200);
    until_told(&signpost, &[2, 3]);
}

#[test]
fn who_comes_later_starts_slowly_in_the_weights_of_dns() {
    let config = "[proxy.defaults]\nslow_start = '4s'\n";
    let (signpost, _one) = start::<1>(config);
    let weights = || {
        let records = signpost.dig(&["_web._tcp.svc.internal", "SRV"]);
        let weight = |line: &String| line.split(' ').nth(1).unwrap().to_owned();
        let mut weights: Vec<_> = records.iter().map(weight).collect();
        weights.sort();
        weights
    };
    assert_eq!(weights(), ["1"]);
    let two = Upstream::at("127.0.0.2", "i2");
    register(&signpost, 2, &two);
    eventually("it begins with a part", || weights() == ["10", "100"]);
    let shown = health(&signpost)["instances"]["i2"].clone();
    assert_eq!(shown["share"], 10, "{shown}");
    eventually("it has the whole", || weights() == ["1", "1"]);
}

#[test]
fn dns_follows_the_proxy_only_where_it_should() {
    let config = format!("{CHECK}dns = {{ health = false }}\n");
    let (signpost, upstreams) = start::<3>(&config);
    upstreams[1].answer_with(500);
    eventually("the proxy knows it", || {
        health(&signpost)["instances"]["i2"]["verdict"] == "check_failed"
    });
    eventually("the proxy doesn't use it", || {
        answers(&signpost) == [good(1), good(3)]
    });
    until_told(&signpost, &[1, 2, 3]);
}
