//! Services of every kind, as a file source has them.

use fastrand::Rng;
use serde_json::{Value, json};

/// How many services there are that chance makes.
const RANDOM_SERVICES: usize = 30;

/// The targets of SRV records that are names of services too.
pub(super) const NAMESAKES: [&str; 4] = [
    "a.web.svc.internal.",
    "c.web.svc.internal.",
    "a.web.opt.internal.",
    "c.web.opt.internal.",
];

/// Returns the list in JSON.
pub(super) fn list(rng: &mut Rng) -> String {
    let mut services = written();
    services.extend((0..RANDOM_SERVICES).map(|n| random(n, rng)));
    json!({ "services": services }).to_string()
}

/// The services that are as they are for a reason.
fn written() -> Vec<Value> {
    let crowd = |count: usize| -> Vec<Value> {
        let one = |n| json!({"id": format!("i{n}"), "address": format!("10.9.{}.{}", n / 250, n % 250 + 1), "port": 80});
        (0..count).map(one).collect()
    };
    vec![
        json!({"name": "web", "instances": [
            {"id": "a", "address": "10.0.0.1", "ports": {"https": 443, "h2": 443, "h3": {"port": 443, "protocol": "udp"}, "http": 80}},
            {"id": "b", "address": "2001:db8::1", "port": 8080, "ports": {"h2c": 81}, "weight": 7, "priority": 2},
            {"id": "c", "address": "10.0.0.1", "port": 9, "attributes": {
                "path": "C:\\x", "say": "\"a; (b)\" @$", "umlaut": "ä\n\t\u{7f}", "empty": "", "long": "x".repeat(200)}},
        ]}),
        // Whose names are those of instances and ports of `web`.
        json!({"name": "a.web", "instances": [{"id": "x", "address": "10.1.0.1", "port": 81}]}),
        json!({"name": "http.web", "instances": [{"id": "x", "address": "10.1.0.2", "port": 82}]}),
        json!({"name": "c.web", "instances": []}),
        // Names above and below one another, with gaps.
        json!({"name": "deep.down.in.the.tree", "instances": ["10.2.0.1:1"]}),
        json!({"name": "tree", "instances": ["10.2.0.2:1", "[2001:db8::2]:1"]}),
        json!({"name": "x--y_z.0", "instances": ["10.2.0.3:1"]}),
        // Nobody is up, each for another reason.
        json!({"name": "empty", "instances": []}),
        json!({"name": "nobody", "instances": [
            {"id": "down", "address": "10.3.0.1", "port": 1, "state": "down"},
            {"id": "draining", "address": "10.3.0.2", "port": 1, "state": "draining"},
            {"id": "starting", "address": "10.3.0.3", "port": 1, "state": "starting"},
            {"id": "unresolved", "address": "nobody.invalid", "port": 1},
        ]}),
        json!({"name": "dns", "instances": [
            {"id": "a", "address": "10.4.0.1", "ports": {"dns": {"port": 53, "protocol": "udp"}}}]}),
        // Hosts that are somebody else's.
        json!({"name": "hosted", "instances": [
            {"id": "a", "address": "lb.invalid", "ports": {"https": 443}},
            {"id": "b", "address": "lb.invalid", "port": 81}]}),
        json!({"name": "mixed", "instances": [
            {"id": "a", "address": "lb.invalid", "ports": {"https": 443}},
            {"id": "b", "address": "192.0.2.1", "port": 81}]}),
        // Too much for a datagram, and so much that targets are too far behind for pointers.
        json!({"name": "dozens", "instances": crowd(40)}),
        json!({"name": "crowd", "instances": crowd(600)}),
        json!({"name": "x".repeat(63), "instances": [{"id": "y".repeat(63), "address": "10.5.0.1", "port": 1}]}),
        json!({"name": format!("{}.{}", "l".repeat(60), "m".repeat(60)), "instances": ["10.5.0.2:1"]}),
    ]
}

fn random(n: usize, rng: &mut Rng) -> Value {
    let name = match rng.u8(..3) {
        0 => format!("s{n}.group{}", n % 3),
        1 => format!("s{n}.a.b{}", n % 2),
        _ => format!("s{n}"),
    };
    let instances: Vec<_> = (0..rng.usize(..8)).map(|id| instance(id, rng)).collect();
    json!({"name": name, "instances": instances})
}

fn instance(id: usize, rng: &mut Rng) -> Value {
    let number = rng.u8(1..5);
    let address = match rng.u8(..9) {
        0..4 => format!("10.8.0.{number}"),
        4..8 => format!("2001:db8:8::{number}"),
        _ => "lb.invalid".to_owned(),
    };
    let state = rng.choice(["up", "up", "up", "up", "starting", "draining", "down"]);
    let mut instance = json!({
        "id": format!("i{id}"),
        "address": address,
        "port": rng.u16(1..),
        "weight": rng.u16(..3),
        "priority": rng.u16(..2),
        "state": state,
    });
    for _ in 0..rng.u8(..3) {
        let name = *rng
            .choice(&["http", "https", "h2", "h3", "h2c", "metrics", "x"])
            .expect("there are some");
        let protocol = if rng.bool() { "tcp" } else { "udp" };
        instance["ports"][name] = json!({"port": rng.u16(1..), "protocol": protocol});
    }
    for n in 0..rng.u8(..3) {
        let value: String = (0..rng.usize(..90))
            .map(|_| char::from(rng.u8(b' '..=b'~')))
            .collect();
        instance["attributes"][format!("k{n}")] = json!(value);
    }
    instance
}
