//! A client that balances by itself: it asks for SRV records and chooses one.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use hickory_proto::{
    op::{Message, MessageType, OpCode, Query},
    rr::{Name, RData, RecordType, rdata::SRV},
};
use tokio::net::UdpSocket;

use crate::Failure;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Asks one DNS server.
#[derive(Clone)]
pub(crate) struct Resolver {
    server: SocketAddr,
}

impl Resolver {
    pub(crate) fn new(server: SocketAddr) -> Self {
        Self { server }
    }

    /// Looks `name` up and chooses one of its instances.
    pub(crate) async fn choose(&self, name: &str) -> Result<SocketAddr, Failure> {
        let answer = self.query(name.parse()?).await?;
        let targets = answer
            .answers
            .iter()
            .filter_map(|record| match &record.data {
                RData::SRV(srv) => Some(srv),
                _ => None,
            });
        let targets: Vec<_> = targets.collect();
        let chosen = choose(&targets, fastrand::f64());
        let chosen = chosen.ok_or_else(|| format!("{name} has no instance"))?;
        let address = answer.additionals.iter().find_map(|record| {
            let address = match &record.data {
                RData::A(a) => IpAddr::V4(a.0),
                RData::AAAA(aaaa) => IpAddr::V6(aaaa.0),
                _ => return None,
            };
            (record.name == chosen.target).then_some(address)
        });
        let address = address.ok_or_else(|| format!("{} has no address", chosen.target))?;
        Ok(SocketAddr::new(address, chosen.port))
    }

    async fn query(&self, name: Name) -> Result<Message, Failure> {
        let id = fastrand::u16(..);
        let mut query = Message::new(id, MessageType::Query, OpCode::Query);
        query.add_query(Query::query(name, RecordType::SRV));
        let socket = UdpSocket::bind("127.0.0.1:0").await?;
        socket.connect(self.server).await?;
        socket.send(&query.to_vec()?).await?;
        let mut buffer = [0; 1500];
        let length = tokio::time::timeout(PATIENCE, socket.recv(&mut buffer)).await??;
        let answer = Message::from_vec(&buffer[..length])?;
        match answer.metadata.id == id {
            true => Ok(answer),
            false => Err("an answer to another query".into()),
        }
    }
}

/// Chooses as RFC 2782 says: among the lowest priority, each by its weight; `random` is in 0..1.
fn choose<'a>(targets: &[&'a SRV], random: f64) -> Option<&'a SRV> {
    let priority = targets.iter().map(|srv| srv.priority).min()?;
    let best = || targets.iter().filter(|srv| srv.priority == priority);
    // A weight of 0 is chosen, too, but hardly ever.
    let weight = |srv: &SRV| f64::from(srv.weight).max(0.01);
    let mut left = best().map(|srv| weight(srv)).sum::<f64>() * random;
    for srv in best() {
        left -= weight(srv);
        if left <= 0.0 {
            return Some(srv);
        }
    }
    best().next_back().copied()
}
