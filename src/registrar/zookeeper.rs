//! Registers in ZooKeeper, as an ephemeral znode.

use config::Secret;
use registry::{
    InstanceId, Registration, ServiceName,
    sources::zookeeper::{Auth, ConnectError, Ensemble},
};
use serde_json::json;
use tokio::time::Instant;
use zookeeper_client::{Acls, Client, CreateMode, Error, Stat};

use super::{
    claim::{Claim, Verdict},
    trouble::Trouble,
};

/// An ensemble as a target.
#[derive(Debug)]
pub(crate) struct Zookeeper {
    ensemble: Ensemble,
    /// Where the services are.
    root: String,
    client: Option<Client>,
    /// The sessions this process has had: their znodes are its own.
    sessions: Vec<i64>,
    claim: Claim,
    /// Whether a znode was created, or may have been, and hasn't been removed since.
    may_hold: bool,
}

impl Zookeeper {
    pub(super) fn parse(url: &str, auth: Option<Auth>) -> Result<Self, String> {
        let (mut ensemble, root) = Ensemble::from_url(url)?;
        if let Some(auth) = &auth {
            // It is read at each connect; what is wrong with it now is better said now.
            Secret::load(&auth.password_file)?;
        }
        ensemble.auth = auth;
        Ok(Self {
            ensemble,
            root: root.trim_end_matches('/').to_owned(),
            client: None,
            sessions: Vec::new(),
            claim: Claim::default(),
            may_hold: false,
        })
    }

    /// Returns `host:port` of the first server.
    pub(super) fn address(&self) -> String {
        let servers = self.ensemble.servers();
        let first = servers.split(',').next().unwrap_or_default();
        first.to_owned()
    }

    /// Returns whether this process may have left the instance there.
    pub(super) fn may_hold(&self) -> bool {
        self.may_hold
    }

    /// Creates the znode unless it is there.
    pub(super) async fn keep(
        &mut self,
        service: &ServiceName,
        id: &InstanceId,
        registration: &Registration,
    ) -> Result<(), Trouble> {
        let path = format!("{}/{service}/{id}", self.root);
        let client = self.client().await?;
        let stat = client.check_stat(&path).await;
        match stat.map_err(|error| trouble(&path, &error))? {
            Some(stat) if stat.ephemeral_owner == client.session_id().0 => return Ok(()),
            Some(stat) => self.make_room(&client, &path, &stat).await?,
            None => {}
        }
        let data = record(registration).to_string();
        self.may_hold = true;
        self.create(&client, &path, data.as_bytes()).await?;
        tracing::info!(%path, session = %client.session_id(), "registered");
        self.claim.clear();
        Ok(())
    }

    /// Deletes the znode if it is this process's.
    pub(super) async fn remove(
        &mut self,
        service: &ServiceName,
        id: &InstanceId,
    ) -> Result<(), Trouble> {
        let path = format!("{}/{service}/{id}", self.root);
        let client = self.client().await?;
        let stat = client.check_stat(&path).await;
        if let Some(stat) = stat.map_err(|error| trouble(&path, &error))?
            && self.sessions.contains(&stat.ephemeral_owner)
        {
            delete(&client, &path, &stat).await?;
            tracing::info!(%path, "removed");
        }
        self.may_hold = false;
        Ok(())
    }

    /// Returns a client whose session isn't over: a new one after an expiry.
    async fn client(&mut self) -> Result<Client, Trouble> {
        if let Some(client) = &self.client
            && !client.state().is_terminated()
        {
            return Ok(client.clone());
        }
        self.client = None;
        let connected = self.ensemble.connect().await;
        let client = connected.map_err(|error| match &error {
            ConnectError::Refused { source, .. } if is_refusal(source) => {
                Trouble::Refused(error.to_string())
            }
            _ => Trouble::Passing(error.to_string()),
        })?;
        self.sessions.push(client.session_id().0);
        self.client = Some(client.clone());
        Ok(client)
    }

    /// Removes a znode that another session has left behind; one of this process's own earlier
    /// sessions goes at once.
    async fn make_room(&mut self, client: &Client, path: &str, stat: &Stat) -> Result<(), Trouble> {
        let owner = stat.ephemeral_owner;
        if self.sessions.contains(&owner) {
            return delete(client, path, stat).await;
        }
        let timeout = client.session_timeout();
        let reason = match self.claim.judge(owner, stat.czxid, timeout, Instant::now()) {
            Verdict::Persistent => {
                format!("{path} is persistent and no agent's, so it isn't replaced")
            }
            Verdict::Rival => format!(
                "{path} is held by session {owner:#x} after it was taken over: another agent uses \
                 this id; each needs its own --id"
            ),
            Verdict::Wait => format!(
                "{path} is held by session {owner:#x}, waiting up to {timeout:?} for it to go"
            ),
            Verdict::TakeOver => {
                delete(client, path, stat).await?;
                tracing::warn!(%path, owner = format!("{owner:#x}"), "took the znode over");
                self.claim.took_over();
                return Ok(());
            }
        };
        Err(Trouble::Passing(reason))
    }

    async fn create(&self, client: &Client, path: &str, data: &[u8]) -> Result<(), Trouble> {
        let acls = match self.ensemble.auth {
            Some(_) => Acls::creator_all(),
            None => Acls::anyone_all(),
        };
        let options = CreateMode::Ephemeral.with_acls(acls);
        match client.create(path, data, &options).await {
            Ok(_) => return Ok(()),
            Err(Error::NoNode) => {}
            Err(error) => return Err(trouble(path, &error)),
        }
        let parent = path.rsplit_once('/').map_or("/", |(parent, _)| parent);
        let parents = CreateMode::Persistent.with_acls(acls);
        let made = client.mkdir(parent, &parents).await;
        made.map_err(|error| trouble(parent, &error))?;
        let created = client.create(path, data, &options).await;
        created.map(drop).map_err(|error| trouble(path, &error))
    }
}

/// Deletes a znode that was seen; one that is gone already is fine, and another one stays.
///
/// A server may show what was, so it is brought up to date and asked again: the version alone doesn't
/// tell a znode from one that was made anew.
async fn delete(client: &Client, path: &str, seen: &Stat) -> Result<(), Trouble> {
    let delete = async {
        client.sync(path).await?;
        match client.check_stat(path).await? {
            Some(stat) if stat.czxid == seen.czxid => {
                client.delete(path, Some(stat.version)).await?;
                Ok(true)
            }
            Some(_) => Ok(false),
            None => Ok(true),
        }
    };
    match delete.await {
        Ok(true) | Err(Error::NoNode) => Ok(()),
        Ok(false) => Err(Trouble::Passing(format!("{path} was made anew meanwhile"))),
        Err(error) => Err(trouble(path, &error)),
    }
}

/// Tells what will be said again from all the rest: a connection can be lost with any error.
fn trouble(path: &str, error: &Error) -> Trouble {
    let text = format!("{path}: {error}");
    match is_refusal(error) {
        true => Trouble::Refused(text),
        false => Trouble::Passing(text),
    }
}

fn is_refusal(error: &Error) -> bool {
    matches!(error, Error::NoAuth | Error::AuthFailed | Error::InvalidAcl)
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
