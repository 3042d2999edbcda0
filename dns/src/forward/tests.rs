use std::{net::SocketAddr, time::Duration};

use hickory_proto::{
    op::{MessageType, OpCode, Query, ResponseCode},
    rr::RecordType,
};
use registry::Snapshot;
use tokio::{net::UdpSocket, sync::oneshot};

use super::*;
use crate::{Config, Outcome, Request, Zones, respond, testing::Ask};

fn config(text: &str) -> Config {
    toml::from_str(text).unwrap()
}

fn query(name: &str, kind: RecordType) -> Message {
    let mut query = Message::new(77, MessageType::Query, OpCode::Query);
    query.metadata.recursion_desired = true;
    query.add_query(Query::query(name.parse().unwrap(), kind));
    query
}

fn outcome(zones: &Zones, query: &Message, client: &str) -> Outcome {
    let message = query.to_vec().unwrap();
    let request = Request {
        message: &message,
        client: client.parse().unwrap(),
        transport: Transport::Udp,
        keepalive: None,
        now: 0,
        seed: 0,
    };
    respond(zones, &request, &mut [0; 1232])
}

fn is_forwarded(zones: &Zones, query: &Message, client: &str) -> bool {
    matches!(outcome(zones, query, client), Outcome::Forwarded { .. })
}

#[tokio::test]
async fn only_names_of_others_are_forwarded_and_only_for_clients_that_may() {
    let on = config("forward = { resolvers = ['192.0.2.1'], clients = ['10.0.0.0/8', '::1/128'] }");
    let zones = |config: &Config| {
        let zones = Zones::build(config, &Snapshot::default());
        zones.with_forwarder(Forwarder::new(&config.forward))
    };
    let all = zones(&on);
    let other = query("www.example.", RecordType::A);
    assert!(is_forwarded(&all, &other, "10.1.2.3"));
    assert!(is_forwarded(&all, &other, "::ffff:10.1.2.3"));
    assert!(is_forwarded(&all, &other, "::1"));
    assert!(!is_forwarded(&all, &other, "11.0.0.1"));
    assert!(!is_forwarded(
        &zones(&Config::default()),
        &other,
        "127.0.0.1"
    ));
    for own in ["web.svc.internal.", "svc.internal."] {
        assert!(!is_forwarded(&all, &query(own, RecordType::A), "10.1.2.3"));
    }
    assert!(!is_forwarded(
        &all,
        &query("www.example.", RecordType::AXFR),
        "10.1.2.3"
    ));
    let mut iterative = other.clone();
    iterative.metadata.recursion_desired = false;
    assert!(!is_forwarded(&all, &iterative, "10.1.2.3"));
    let careful = format!(
        "{}\n[cookies]\nrequired = true",
        "forward = { resolvers = ['192.0.2.1'] }"
    );
    let careful = zones(&config(&careful)).with_cookies(Arc::new(crate::Cookies::new([0; 16])));
    assert!(!is_forwarded(&careful, &other, "127.0.0.1"));
}

/// Asks a forwarder, as over TCP.
async fn ask(forwarder: &Forwarder, query: &Message) -> Message {
    let (sender, answer) = oneshot::channel();
    let asked = Asked {
        message: &query.to_vec().unwrap(),
        transport: Transport::Tcp,
        payload_max: 1232,
        opt: Vec::new(),
    };
    forwarder.forward(asked, Reply::Tcp(sender));
    Message::from_vec(&answer.await.unwrap()).unwrap()
}

/// A resolver that says nothing.
async fn silent() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

#[tokio::test]
async fn when_nobody_answers_that_is_said() {
    let (_socket, address) = silent().await;
    let text =
        format!("forward = {{ resolvers = ['{address}'], timeout = '50ms', queries_max = 1 }}");
    let forwarder = Forwarder::new(&config(&text).forward);
    let query = query("WWW.example.", RecordType::A);
    let answer = ask(&forwarder, &query).await;
    let meta = &answer.metadata;
    assert_eq!((meta.id, meta.response_code), (77, ResponseCode::ServFail));
    assert!(meta.recursion_available && !meta.authoritative);
    assert_eq!(answer.queries, query.queries);
    // One more than there may be fails at once.
    let text =
        format!("forward = {{ resolvers = ['{address}'], timeout = '60s', queries_max = 1 }}");
    forwarder.configure(&config(&text).forward);
    let both = async { tokio::join!(ask(&forwarder, &query), ask(&forwarder, &query)) };
    assert!(timeout(Duration::from_millis(100), both).await.is_err());
    let answer = ask(&forwarder, &query).await;
    assert_eq!(answer.metadata.response_code, ResponseCode::ServFail);
    // Of a domain nobody is asked about others.
    let text = format!("forward.zones = {{ 'a.example' = ['{address}'] }}");
    forwarder.configure(&config(&text).forward);
    let answer = ask(&forwarder, &query).await;
    assert_eq!(answer.metadata.response_code, ResponseCode::Refused);
}

#[tokio::test]
async fn a_query_with_an_option_that_makes_no_sense_is_a_format_error() {
    let forwarder = Forwarder::new(&config("forward = { resolvers = ['192.0.2.1'] }").forward);
    // RFC 7871, section 6: there is no family 0.
    let query = Ask::new("www.example", 1)
        .options(&[(8, &[0, 0, 0, 0])])
        .bytes();
    let (sender, answer) = oneshot::channel();
    let asked = Asked {
        message: &query,
        transport: Transport::Tcp,
        payload_max: 1232,
        opt: Vec::new(),
    };
    forwarder.forward(asked, Reply::Tcp(sender));
    let answer = Message::from_vec(&answer.await.unwrap()).unwrap();
    assert_eq!(answer.metadata.id.to_be_bytes(), query[..2]);
    assert_eq!(answer.metadata.response_code, ResponseCode::FormErr);
}

#[test]
fn resolvers_are_addresses() {
    let problems = |text: &str| {
        let all = config(text).problems();
        all.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert!(
        problems("forward.resolvers = ['192.0.2.1', '[2001:db8::1]:5353', '2001:db8::1']")
            .is_empty()
    );
    for wrong in [
        "example.com",
        "192.0.2.1:0",
        "192.0.2.1:-1",
        "192.0.2.1:65536",
        "",
    ] {
        let text = format!("forward.resolvers = ['{wrong}']");
        let error = toml::from_str::<Config>(&text).unwrap_err().to_string();
        assert!(
            error.contains(&format!("`{wrong}` is not an address")),
            "{error}"
        );
    }
    assert_eq!(
        problems(
            "[forward]\nresolvers = ['192.0.2.1', '192.0.2.1:53']\nclients = []\ntimeout = '0s'\n\
             queries_max = 0\nzones = { 'a.example' = [] }"
        ),
        [
            "forward.zones.\"a.example\": names no resolver",
            "forward.resolvers[1]: `192.0.2.1:53` is there twice",
            "forward.clients: is empty; nobody's queries would be forwarded",
            "forward.timeout: `0s` leaves no time",
            "forward.queries_max: `0` leaves nothing to forward",
        ]
    );
}
