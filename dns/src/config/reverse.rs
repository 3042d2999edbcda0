//! What reverse zones are configured by.

use std::{fmt, net::IpAddr, str::FromStr};

use config::{Duration, Problem};
use ipnet::IpNet;
use serde::Deserialize;

use super::check_ttl;
use crate::name::{Name, NameBuf};

/// Holds `[dns.reverse]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReverseConfig {
    /// The networks whose reverse zones are ours, with all their names; none lies in another.
    pub networks: Vec<Network>,
    /// How long clients may keep PTR records, of any address.
    pub ttl: Duration,
}

impl Default for ReverseConfig {
    fn default() -> Self {
        Self {
            networks: Vec::new(),
            ttl: Duration::from_secs(5),
        }
    }
}

impl ReverseConfig {
    /// Lists what is wrong with the values; the keys are relative to the section.
    pub(super) fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (index, network) in self.networks.iter().enumerate() {
            let mut others = self.networks.iter().enumerate();
            // Of two equal ones the second is to blame.
            let within = others.find(|(at, other)| {
                other.0.contains(&network.0) && (other != &network || *at < index)
            });
            if let Some((at, other)) = within {
                let reason = format!("{network} is in networks[{at}] ({other}) already");
                problems.push(Problem::new(format!("networks[{index}]"), reason));
            }
        }
        if let Err(reason) = check_ttl(self.ttl) {
            problems.push(Problem::new("ttl", reason));
        }
        problems
    }
}

/// Names a network that has a reverse zone of its own: `10.0.0.0/8`, `2001:db8::/32`.
///
/// Reverse names have a label for each octet of a v4 address and for each nibble of a v6 one, so a
/// zone can start only there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network(IpNet);

impl Network {
    /// Returns the domain of the network's reverse zone.
    pub(crate) fn domain(self) -> Name {
        let mut name = NameBuf::default();
        let len = usize::from(self.0.prefix_len());
        let pushed = match self.0.network() {
            IpAddr::V4(v4) => {
                let octets = v4.octets();
                let mut labels = octets[..len / 8].iter().rev();
                labels
                    .try_for_each(|octet| name.push(&octet.to_string()))
                    .and_then(|()| name.push("in-addr"))
            }
            IpAddr::V6(v6) => {
                let bits = u128::from(v6);
                let mut shifts = (128 - len..128).step_by(4);
                shifts
                    .try_for_each(|shift| name.push(&format!("{:x}", bits >> shift & 0xf)))
                    .and_then(|()| name.push("ip6"))
            }
        };
        pushed
            .and_then(|()| name.push("arpa"))
            .expect("34 short labels have room in a name");
        name.finish()
    }
}

impl From<IpAddr> for Network {
    /// Makes the network of one address alone.
    fn from(address: IpAddr) -> Self {
        Self(address.into())
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let net: IpNet = text
            .parse()
            .map_err(|_| format!("`{text}` is not a network such as \"10.0.0.0/8\""))?;
        let (bits, what) = match net {
            IpNet::V4(_) => (8, "octets of IPv4: 0, 8, 16, 24 or 32"),
            IpNet::V6(_) => (4, "nibbles of IPv6: a multiple of 4"),
        };
        if !net.prefix_len().is_multiple_of(bits) {
            return Err(format!(
                "`{text}` has no reverse zone of its own: its length must be that of whole {what}"
            ));
        }
        if net.trunc() != net {
            let meant = net.trunc();
            return Err(format!(
                "`{text}` is an address in a network: {meant} may be meant"
            ));
        }
        Ok(Self(net))
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
