//! What the fuzz targets do with their input; the tests do the same with the corpora.

use std::sync::LazyLock;

use dns::{Config, Domain, Mailbox, Outcome, Request, Transport, Zones};
use hickory_proto::op::{Message, MessageType};
use registry::{Service, State, testing};

/// The longest answer over UDP in the zones below.
const UDP_BYTES_MAX: usize = 1232;

/// Some services in every state, with v4 and v6, one of them larger than a datagram.
static ZONES: LazyLock<Zones> = LazyLock::new(|| {
    let mut large: Vec<_> = (0..200)
        .map(|n| testing::instance(&format!("i{n}"), &format!("10.1.0.{n}"), 80))
        .collect();
    large[0]
        .addresses
        .push("2001:db8::1".parse().expect("is an address"));
    large[1].state = State::Draining;
    large[2].state = State::Down;
    let named = |name: &str, hosts: &[&str]| -> Service {
        let instances = hosts.iter().enumerate();
        let instances = instances.map(|(n, host)| testing::instance(&format!("i{n}"), host, 443));
        testing::service_of(name, instances)
    };
    let services = [
        testing::service_of("large", large),
        named("web", &["10.0.0.1", "2001:db8::2"]),
        named("a.web", &["10.0.0.3"]),
        named("away", &["host.example"]),
    ];
    Zones::build(&Config::default(), &testing::snapshot(7, services))
});

/// Answers any bytes: the first says how they came, the rest is the message.
///
/// # Panics
///
/// Panics where an answer can't be read, is too long, or doesn't belong to the query.
pub(crate) fn respond(data: &[u8]) {
    let Some((how, message)) = data.split_first() else {
        return;
    };
    let (transport, keepalive, limit) = match how % 2 {
        0 => (Transport::Udp, None, UDP_BYTES_MAX),
        _ => (Transport::Tcp, Some(100), usize::from(u16::MAX)),
    };
    let request = Request {
        message,
        client: [192, 0, 2, 1].into(),
        transport,
        keepalive,
        now: 1_800_000_000,
        seed: u64::from(*how),
    };
    let mut out = [0; u16::MAX as usize];
    let Outcome::Answered { bytes, .. } = dns::respond(&ZONES, &request, &mut out) else {
        assert!(
            message.len() < 12 || message[2] & 0x80 != 0,
            "a query is answered"
        );
        return;
    };
    assert!(bytes <= limit, "{bytes} bytes");
    assert_eq!(out[..2], message[..2], "the id is the query's");
    let answer = Message::from_vec(&out[..bytes]).expect("an answer can be read");
    assert_eq!(answer.metadata.message_type, MessageType::Response);
}

/// Reads any text as a name; what is read is written and read again as the same.
///
/// # Panics
///
/// Panics where it isn't.
pub(crate) fn name(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(domain) = text.parse::<Domain>() {
        assert_eq!(domain.to_string().parse(), Ok(domain));
    }
    if let Ok(mailbox) = text.parse::<Mailbox>() {
        assert_eq!(mailbox.to_string().parse(), Ok(mailbox));
    }
    if let Some(explanation) = ZONES.explain(text) {
        assert!(!explanation.zone.is_empty());
    }
}
