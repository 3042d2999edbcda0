//! Registers in ZooKeeper, as an ephemeral znode.

use std::path::PathBuf;

use registry::{
    InstanceId, Registration, ServiceName,
    sources::zookeeper::{Auth, AuthScheme, Ensemble},
};
use serde_json::json;
use tokio::time::Instant;
use zookeeper_client::{Acls, Client, CreateMode, Error, Stat};

/// An ensemble as a target.
#[derive(Debug)]
pub(crate) struct Zookeeper {
    ensemble: Ensemble,
    /// Where the services are.
    root: String,
    client: Option<Client>,
    /// The sessions this process has had: their znodes are its own.
    sessions: Vec<i64>,
    /// A znode of somebody else's that stands in the way, by its creation, and since when.
    foreign: Option<(i64, Instant)>,
}

impl Zookeeper {
    pub(super) fn parse(url: &str, auth: Option<(String, PathBuf)>) -> Result<Self, String> {
        let (mut ensemble, root) = Ensemble::from_url(url)?;
        ensemble.auth = auth.map(|(user, password_file)| Auth {
            scheme: AuthScheme::Digest,
            user,
            password_file,
        });
        Ok(Self {
            ensemble,
            root: root.trim_end_matches('/').to_owned(),
            client: None,
            sessions: Vec::new(),
            foreign: None,
        })
    }

    /// Returns `host:port` of the first server.
    pub(super) fn address(&self) -> String {
        let servers = self.ensemble.servers();
        let first = servers.split(',').next().unwrap_or_default();
        first.to_owned()
    }

    /// Creates the znode unless it is there.
    pub(super) async fn keep(
        &mut self,
        service: &ServiceName,
        id: &InstanceId,
        registration: &Registration,
    ) -> Result<(), String> {
        let path = format!("{}/{service}/{id}", self.root);
        let client = self.client().await?;
        let stat = client.check_stat(&path).await;
        match stat.map_err(|error| describe(&path, &error))? {
            Some(stat) if stat.ephemeral_owner == client.session_id().0 => return Ok(()),
            Some(stat) => self.make_room(&client, &path, &stat).await?,
            None => {}
        }
        let data = record(registration).to_string();
        self.create(&client, &path, data.as_bytes()).await?;
        tracing::info!(%path, session = %client.session_id(), "registered");
        self.foreign = None;
        Ok(())
    }

    /// Deletes the znode if it is this process's.
    pub(super) async fn remove(
        &mut self,
        service: &ServiceName,
        id: &InstanceId,
    ) -> Result<(), String> {
        let path = format!("{}/{service}/{id}", self.root);
        let client = self.client().await?;
        let stat = client.check_stat(&path).await;
        match stat.map_err(|error| describe(&path, &error))? {
            Some(stat) if self.sessions.contains(&stat.ephemeral_owner) => {
                delete(&client, &path, &stat).await?;
                tracing::info!(%path, "removed");
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Returns a client whose session isn't over: a new one after an expiry.
    async fn client(&mut self) -> Result<Client, String> {
        if let Some(client) = &self.client
            && !client.state().is_terminated()
        {
            return Ok(client.clone());
        }
        self.client = None;
        let connected = self.ensemble.connect().await;
        let client = connected.map_err(|error| error.to_string())?;
        self.sessions.push(client.session_id().0);
        self.client = Some(client.clone());
        Ok(client)
    }

    /// Removes a znode that another session has left behind.
    ///
    /// One of this process's own earlier sessions goes at once. Anybody else's may belong to one who is
    /// alive: it is given a session timeout to go by itself, and removed then if it hasn't changed.
    async fn make_room(&mut self, client: &Client, path: &str, stat: &Stat) -> Result<(), String> {
        if !self.sessions.contains(&stat.ephemeral_owner) {
            let since = match self.foreign {
                Some((czxid, since)) if czxid == stat.czxid => since,
                _ => Instant::now(),
            };
            self.foreign = Some((stat.czxid, since));
            let timeout = client.session_timeout();
            if since.elapsed() < timeout {
                let owner = stat.ephemeral_owner;
                return Err(format!(
                    "{path} is held by session {owner:#x}, waiting up to {timeout:?} for it to go"
                ));
            }
        }
        delete(client, path, stat).await
    }

    async fn create(&self, client: &Client, path: &str, data: &[u8]) -> Result<(), String> {
        let acls = match self.ensemble.auth {
            Some(_) => Acls::creator_all(),
            None => Acls::anyone_all(),
        };
        let options = CreateMode::Ephemeral.with_acls(acls);
        match client.create(path, data, &options).await {
            Ok(_) => return Ok(()),
            Err(Error::NoNode) => {}
            Err(error) => return Err(describe(path, &error)),
        }
        let parent = path.rsplit_once('/').map_or("/", |(parent, _)| parent);
        let parents = CreateMode::Persistent.with_acls(acls);
        let made = client.mkdir(parent, &parents).await;
        made.map_err(|error| describe(parent, &error))?;
        let created = client.create(path, data, &options).await;
        created.map(drop).map_err(|error| describe(path, &error))
    }
}

/// Deletes a znode as it was seen; one that is gone already, or is another by now, is left alone.
async fn delete(client: &Client, path: &str, stat: &Stat) -> Result<(), String> {
    match client.delete(path, Some(stat.version)).await {
        Ok(()) | Err(Error::NoNode) => Ok(()),
        Err(error) => Err(describe(path, &error)),
    }
}

fn describe(path: &str, error: &Error) -> String {
    format!("{path}: {error}")
}

/// Writes what the source reads: the list of host and port, or an object where there is more to say.
fn record(registration: &Registration) -> serde_json::Value {
    let plain = Registration {
        address: registration.address.clone(),
        port: registration.port,
        ..Registration::default()
    };
    let port = registration.port.unwrap_or_default();
    if *registration == plain {
        return json!([registration.address, port.to_string()]);
    }
    let mut record = json!({ "host": registration.address, "port": port });
    if let Some(weight) = registration.weight {
        record["weight"] = weight.into();
    }
    if !registration.tags.is_empty() {
        record["tags"] = json!(registration.tags);
    }
    if !registration.attributes.is_empty() {
        record["attributes"] = json!(registration.attributes);
    }
    if !registration.ports.is_empty() {
        record["ports"] = json!(registration.ports);
    }
    record
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_of_host_and_port_is_the_tutorials_list() {
        let mut registration = Registration {
            address: "127.0.0.1".to_owned(),
            port: Some(9099),
            ..Registration::default()
        };
        assert_eq!(record(&registration), json!(["127.0.0.1", "9099"]));
        registration.weight = Some(3);
        let expected = json!({ "host": "127.0.0.1", "port": 9099, "weight": 3 });
        assert_eq!(record(&registration), expected);
    }
}
