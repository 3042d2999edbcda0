//! Who leads: as the masters elect it in ZooKeeper, or as a list of masters says.

use std::time::Duration;

use serde::Deserialize;
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};
use zookeeper_client::Client;

use super::members::Masters;
use crate::{Backoff, Error, instance::address, sources::zookeeper::Ensemble};

/// How the znodes begin in which masters stand; the number behind it says who came first.
const PREFIX: &str = "json.info_";

/// How long to wait after ZooKeeper has failed before it is asked again, at first and at the most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// How long a look at the masters holds when nothing tells of a change; a lost watch is noticed so.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

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

/// Follows the election at a znode for ever, and tells each result; a ZooKeeper that is away changes
/// nothing.
pub(super) async fn follow(ensemble: Ensemble, path: String, masters: watch::Sender<Masters>) {
    let mut backoff = Backoff::new(PAUSES.0, PAUSES.1);
    while !masters.is_closed() {
        let begun = Instant::now();
        if let Err(error) = watch_once(&ensemble, &path, &masters).await {
            tracing::debug!(%error, "the election of Mesos masters can't be followed");
        }
        sleep(backoff.next(begun.elapsed(), fastrand::f64())).await;
    }
}

async fn watch_once(
    ensemble: &Ensemble,
    path: &str,
    masters: &watch::Sender<Masters>,
) -> Result<(), Error> {
    let client = ensemble.connect().await?;
    loop {
        let (children, watcher) = client.list_and_watch_children(path).await?;
        if let Some(read) = read(&client, path, &children).await? {
            masters.send_if_modified(|known| {
                let is_news = *known != read;
                *known = read;
                is_news
            });
        }
        tokio::select! {
            _ = watcher.changed() => {}
            () = sleep(LOOK_AGAIN) => {}
            () = masters.closed() => return Ok(()),
        }
    }
}

/// Reads the masters in the order in which they came; `None` while there is none, which says nothing.
async fn read(client: &Client, path: &str, children: &[String]) -> Result<Option<Masters>, Error> {
    let number = |name: &String| name.strip_prefix(PREFIX)?.parse::<u64>().ok();
    let mut candidates: Vec<_> = children
        .iter()
        .filter(|name| number(name).is_some())
        .collect();
    candidates.sort_by_key(|name| number(name));
    let mut all = Vec::new();
    for name in candidates {
        match client.get_data(&format!("{path}/{name}")).await {
            Ok((data, _)) => all.extend(place(&data)),
            // It has gone meanwhile, and the watch says so.
            Err(zookeeper_client::Error::NoNode) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let leader = all.first().cloned();
    Ok(leader.is_some().then_some(Masters { leader, all }))
}

/// Reads where a master is; the host is an address (a v6 one in brackets) or a name.
fn place(data: &[u8]) -> Option<(String, u16)> {
    let info: MasterInfo = serde_json::from_slice(data).ok()?;
    if let Some(found) = info.address {
        let host = found.ip.filter(|ip| !ip.is_empty()).or(found.hostname)?;
        return Some((bracketed(&host), found.port));
    }
    let ip = std::net::Ipv4Addr::from(info.ip?.to_le_bytes());
    Some((ip.to_string(), info.port.unwrap_or(5050)))
}

/// Puts a v6 address into brackets, as it stands in URLs.
pub(super) fn bracketed(host: &str) -> String {
    match address(host) {
        Some(std::net::IpAddr::V6(address)) => format!("[{address}]"),
        _ => host.to_owned(),
    }
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
