//! How Mesos's masters elect who leads.

use serde::Deserialize;

use crate::election::{Kind, Place, bracketed};

/// Masters stand in `<path>/json.info_<number>`.
pub(super) const MASTERS: &Kind = &Kind {
    name: "Mesos masters",
    below: &[""],
    number: |name| name.strip_prefix("json.info_")?.parse().ok(),
    place,
};

/// As much of a master's znode as is needed.
#[derive(Deserialize)]
struct MasterInfo {
    #[serde(default)]
    address: Option<Address>,
    /// In the byte order of the master, which is that of x86.
    #[serde(default)]
    ip: Option<u32>,
    #[serde(default)]
    port: Option<u16>,
}

#[derive(Deserialize)]
struct Address {
    #[serde(default)]
    ip: Option<String>,
    #[serde(default)]
    hostname: Option<String>,
    port: u16,
}

/// Reads where a master is; the host is an address (a v6 one in brackets) or a name.
fn place(data: &[u8]) -> Option<Place> {
    let info: MasterInfo = serde_json::from_slice(data).ok()?;
    if let Some(found) = info.address {
        let host = found.ip.filter(|ip| !ip.is_empty()).or(found.hostname)?;
        return Some((bracketed(&host), found.port));
    }
    let ip = std::net::Ipv4Addr::from(info.ip?.to_le_bytes());
    Some((ip.to_string(), info.port.unwrap_or(5050)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_master_says_where_it_is() {
        for (data, expected) in [
            (
                r#"{"address":{"hostname":"m1","ip":"10.0.0.1","port":5051},"ip":1,"port":5050}"#,
                Some(("10.0.0.1".to_owned(), 5051)),
            ),
            (
                r#"{"ip":16777226,"port":5050}"#,
                Some(("10.0.0.1".to_owned(), 5050)),
            ),
            (
                r#"{"address":{"ip":"2001:db8::1","port":5050}}"#,
                Some(("[2001:db8::1]".to_owned(), 5050)),
            ),
            ("rubbish", None),
            ("{}", None),
        ] {
            assert_eq!(place(data.as_bytes()), expected, "{data}");
        }
    }
}
