//! Listening sockets that another process has opened for this one.

use std::{fmt, net::SocketAddr};

use serde::{Deserialize, Serialize};
use socket2::Socket;

/// Says what a socket is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Part {
    /// Queries over UDP.
    DnsUdp,
    /// Queries over TCP.
    DnsTcp,
    /// Requests to the proxy.
    Proxy,
    /// The admin API.
    Admin,
    /// The API of Mesos-DNS.
    MesosDns,
    /// The API of Bamboo.
    Bamboo,
}

/// Holds the sockets until the configuration has said which are wanted.
#[derive(Debug, Default)]
pub(crate) struct Inherited {
    sockets: Vec<Given>,
    /// What was given and can't be used, in words.
    unusable: Vec<String>,
}

/// One socket.
#[derive(Debug)]
pub(crate) struct Given {
    pub(crate) purpose: Purpose,
    /// Its address as the configuration says it, which may have port 0.
    pub(crate) listen: SocketAddr,
    pub(crate) socket: Socket,
}

/// Says how it is known what a socket is for.
#[derive(Debug)]
pub(crate) enum Purpose {
    /// The process that had it has told.
    Told(Part),
    /// Whoever listens on this address takes it.
    ByAddress {
        is_udp: bool,
        /// What the one who opened it calls it.
        name: String,
    },
}

impl Inherited {
    pub(crate) fn add(&mut self, given: Given) {
        self.sockets.push(given);
    }

    pub(crate) fn add_unusable(&mut self, what: String) {
        self.unusable.push(what);
    }

    /// Takes all sockets out that are for a part at an address.
    pub(crate) fn take(&mut self, part: Part, listen: SocketAddr) -> Vec<Socket> {
        let wanted = |given: &mut Given| given.listen == listen && given.purpose.is(part);
        let taken = self.sockets.extract_if(.., wanted);
        taken.map(|given| given.socket).collect()
    }

    /// Closes the sockets that nobody wants, and says so.
    pub(crate) fn close_rest(self) {
        for what in self.unusable {
            tracing::warn!(
                socket = what,
                "was passed to this process and can't be used"
            );
        }
        for given in self.sockets {
            let (socket, listen) = (given.purpose.to_string(), given.listen);
            tracing::warn!(%socket, %listen, "was passed to this process and isn't in the configuration");
        }
    }
}

impl Purpose {
    fn is(&self, part: Part) -> bool {
        match self {
            Self::Told(told) => *told == part,
            Self::ByAddress { is_udp, .. } => *is_udp == (part == Part::DnsUdp),
        }
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Told(Part::DnsUdp) => f.write_str("dns over udp"),
            Self::Told(Part::DnsTcp) => f.write_str("dns over tcp"),
            Self::Told(Part::Proxy) => f.write_str("proxy"),
            Self::Told(Part::Admin) => f.write_str("admin"),
            Self::Told(Part::MesosDns) => f.write_str("mesos-dns"),
            Self::Told(Part::Bamboo) => f.write_str("bamboo"),
            Self::ByAddress { name, .. } => f.write_str(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use socket2::{Domain, Type};

    use super::*;

    fn given(purpose: Purpose, listen: &str) -> Given {
        Given {
            purpose,
            listen: listen.parse().unwrap(),
            socket: Socket::new(Domain::IPV4, Type::STREAM, None).unwrap(),
        }
    }

    fn by_address(is_udp: bool) -> Purpose {
        let name = "dns.socket".to_owned();
        Purpose::ByAddress { is_udp, name }
    }

    #[test]
    fn a_socket_goes_to_the_part_and_the_address_that_it_is_for() {
        let (one, other) = ("127.0.0.1:0", "127.0.0.2:0");
        let mut inherited = Inherited::default();
        inherited.add(given(Purpose::Told(Part::Proxy), one));
        inherited.add(given(Purpose::Told(Part::Proxy), one));
        inherited.add(given(Purpose::Told(Part::Admin), one));
        let mut take = |part, listen: &str| inherited.take(part, listen.parse().unwrap()).len();
        assert_eq!(take(Part::Proxy, other), 0);
        assert_eq!(take(Part::Proxy, one), 2);
        assert_eq!(take(Part::Proxy, one), 0);
        assert_eq!(take(Part::Admin, one), 1);
    }

    #[test]
    fn without_a_part_address_and_transport_tell() {
        let listen = "127.0.0.1:53";
        let mut inherited = Inherited::default();
        inherited.add(given(by_address(false), listen));
        inherited.add(given(by_address(true), listen));
        let mut take = |part| inherited.take(part, listen.parse().unwrap()).len();
        assert_eq!((take(Part::DnsUdp), take(Part::DnsTcp)), (1, 1));
        assert_eq!((take(Part::DnsUdp), take(Part::Proxy)), (0, 0));
    }
}
