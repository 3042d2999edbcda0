//! Queries for tests, and answers as an independent parser reads them.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use hickory_proto::op::Message;

use crate::{Config, Metrics, Outcome, Request, Transport, Zones, respond, wire::rtype};

/// Who asks.
pub(crate) const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// When it is asked.
pub(crate) const NOW: u32 = 1_800_000_000;

/// A query, byte by byte.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) name: Vec<u8>,
    pub(crate) qtype: u16,
    pub(crate) class: u16,
    /// Flags and opcode.
    pub(crate) flags: u16,
    pub(crate) counts: [u16; 4],
    /// What follows the question.
    pub(crate) rest: Vec<u8>,
}

impl Ask {
    pub(crate) fn new(name: &str, qtype: u16) -> Self {
        let mut wire = Vec::new();
        for label in name.split('.').filter(|label| !label.is_empty()) {
            wire.push(label.len() as u8);
            wire.extend(label.as_bytes());
        }
        wire.push(0);
        Self {
            name: wire,
            qtype,
            class: 1,
            flags: 0x0100,
            counts: [1, 0, 0, 0],
            rest: Vec::new(),
        }
    }

    pub(crate) fn edns(mut self, payload: u16, version: u8, flags: u16, options: &[u8]) -> Self {
        self.counts[3] += 1;
        self.rest.extend([0, 0, rtype::OPT as u8]);
        self.rest.extend(payload.to_be_bytes());
        self.rest.extend([0, version]);
        self.rest.extend(flags.to_be_bytes());
        self.rest.extend((options.len() as u16).to_be_bytes());
        self.rest.extend(options);
        self
    }

    /// Adds an OPT record with these options alone.
    pub(crate) fn options(self, options: &[(u16, &[u8])]) -> Self {
        let options = options.iter().map(|(code, content)| option(*code, content));
        self.edns(1232, 0, 0, &options.collect::<Vec<_>>().concat())
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0xab, 0xcd];
        bytes.extend(self.flags.to_be_bytes());
        bytes.extend(self.counts.iter().flat_map(|count| count.to_be_bytes()));
        bytes.extend(&self.name);
        bytes.extend(self.qtype.to_be_bytes());
        bytes.extend(self.class.to_be_bytes());
        bytes.extend(&self.rest);
        bytes
    }

    /// Asks over UDP.
    pub(crate) fn of(&self, zones: &Zones) -> Reply {
        self.by(zones, Transport::Udp, 1)
    }

    pub(crate) fn by(&self, zones: &Zones, transport: Transport, seed: u64) -> Reply {
        reply(zones, &self.bytes(), transport, seed).expect("a query is answered")
    }
}

/// What is told of how long a connection is kept.
pub(crate) const KEEPALIVE: u16 = 258;

/// An EDNS option, byte by byte.
pub(crate) fn option(code: u16, content: &[u8]) -> Vec<u8> {
    let len = content.len() as u16;
    [&code.to_be_bytes()[..], &len.to_be_bytes(), content].concat()
}

/// An answer, and what the parser makes of it.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) bytes: Vec<u8>,
    pub(crate) message: Message,
    pub(crate) outcome: Outcome,
}

/// Asks with any bytes; the answer, if there is one, must be readable.
pub(crate) fn reply(zones: &Zones, query: &[u8], transport: Transport, seed: u64) -> Option<Reply> {
    let mut out = vec![0xee; usize::from(u16::MAX)];
    let request = Request {
        message: query,
        client: CLIENT,
        transport,
        keepalive: (transport == Transport::Tcp).then_some(KEEPALIVE),
        now: NOW,
        seed,
    };
    let outcome = respond(zones, &request, &mut out);
    let Outcome::Answered {
        bytes,
        rcode,
        truncated,
        ..
    } = outcome
    else {
        return None;
    };
    out.truncate(bytes);
    let message = Message::from_vec(&out).expect("an answer can be read");
    assert_eq!(u16::from(message.metadata.response_code), rcode.code());
    assert_eq!(message.metadata.truncation, truncated);
    Some(Reply {
        bytes: out,
        message,
        outcome,
    })
}

impl Reply {
    pub(crate) fn rcode(&self) -> &'static str {
        match self.outcome {
            Outcome::Answered { rcode, .. } => rcode.label(),
            Outcome::Forwarded { .. } => "forwarded",
            Outcome::Dropped => "dropped",
        }
    }

    pub(crate) fn truncated(&self) -> bool {
        self.message.metadata.truncation
    }

    pub(crate) fn authoritative(&self) -> bool {
        self.message.metadata.authoritative
    }

    /// The answers as text, sorted.
    pub(crate) fn answers(&self) -> Vec<String> {
        lines(&self.message.answers)
    }

    pub(crate) fn authorities(&self) -> Vec<String> {
        lines(&self.message.authorities)
    }

    pub(crate) fn additionals(&self) -> Vec<String> {
        lines(&self.message.additionals)
    }

    /// The options of the OPT record, which must be there, by their codes.
    pub(crate) fn options(&self) -> Vec<(u16, Vec<u8>)> {
        let edns = self.message.edns.as_ref().expect("there is an OPT record");
        let options = edns.options().as_ref().iter();
        let bytes = |option| Vec::try_from(option).expect("an option is bytes");
        options
            .map(|(code, option)| (u16::from(*code), bytes(option)))
            .collect()
    }

    /// The content of the answers in the order in which they came.
    pub(crate) fn order(&self) -> Vec<String> {
        let records = self.message.answers.iter();
        records.map(|record| record.data.to_string()).collect()
    }
}

/// Records as `name ttl type content`, sorted.
pub(crate) fn lines(records: &[hickory_proto::rr::Record]) -> Vec<String> {
    let mut lines: Vec<_> = records
        .iter()
        .map(|r| format!("{} {} {} {}", r.name, r.ttl, r.record_type(), r.data))
        .collect();
    lines.sort();
    lines
}

/// The zones of the default configuration with these services, at version 7.
pub(crate) fn zones(services: impl IntoIterator<Item = registry::Service>) -> Zones {
    zones_by("", services)
}

/// The zones of a configuration with these services, at version 7.
pub(crate) fn zones_by(
    config: &str,
    services: impl IntoIterator<Item = registry::Service>,
) -> Zones {
    let config: Config = toml::from_str(config).expect("a test's configuration is good");
    assert_eq!(config.problems(), []);
    Zones::build(&config, &registry::testing::snapshot(7, services))
}

/// Those of a configuration with a service `web` of two instances.
pub(crate) fn web_by(config: &str) -> Zones {
    zones_by(
        config,
        [registry::testing::service("web", &[("a", 1), ("b", 1)])],
    )
}

/// The metrics as they are read by others.
pub(crate) fn metrics_text(metrics: &Arc<Metrics>) -> String {
    let mut registry = prometheus_client::registry::Registry::default();
    registry.register_collector(Box::new(Arc::clone(metrics)));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    text
}
