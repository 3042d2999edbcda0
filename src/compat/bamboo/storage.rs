//! Rules are written to ZooKeeper.

use registry::sources::{
    bamboo::{Config, rule_data, rule_name},
    zookeeper::Ensemble,
};
use tokio::sync::Mutex;
use zookeeper_client::{Acl, Acls, Client, CreateMode, Error};

use super::rules::Settings;

/// Writes rules below one znode.
#[derive(Debug)]
pub(super) struct Storage {
    config: Config,
    ensemble: Ensemble,
    path: String,
    /// The session of the last write, which the next one uses if it still can.
    client: Mutex<Option<Client>>,
}

impl Storage {
    /// Prepares to write where a source reads.
    ///
    /// # Errors
    ///
    /// Returns in words why nobody knows where that is.
    pub(super) fn new(config: &Config) -> Result<Self, String> {
        let (ensemble, path) = config.place()?;
        Ok(Self {
            config: config.clone(),
            ensemble,
            path,
            client: Mutex::new(None),
        })
    }

    /// Returns by what two of them are the same.
    pub(super) fn place(&self) -> &Config {
        &self.config
    }

    /// Creates or replaces a rule.
    ///
    /// # Errors
    ///
    /// Returns in words why it isn't written, as far as that is known.
    pub(super) async fn put(&self, id: &str, settings: &Settings) -> Result<(), String> {
        let path = format!("{}/{}", self.path, rule_name(id));
        let data = rule_data(settings);
        let client = self.client().await?;
        let written = async {
            match client.set_data(&path, &data, None).await {
                Err(Error::NoNode) => {}
                set => return set.map(drop),
            }
            let acls = self.acls(&client).await?;
            let options = CreateMode::Persistent.with_acls(Acls::from(acls.as_slice()));
            match client.create(&path, &data, &options).await {
                // Somebody else was faster.
                Err(Error::NodeExists) => client.set_data(&path, &data, None).await.map(drop),
                created => created.map(drop),
            }
        };
        self.done(&client, &path, written.await).await
    }

    /// Deletes a rule.
    ///
    /// # Errors
    ///
    /// Returns in words why it isn't deleted; one that isn't there can't be.
    pub(super) async fn delete(&self, id: &str) -> Result<(), String> {
        let path = format!("{}/{}", self.path, rule_name(id));
        let client = self.client().await?;
        let deleted = client.delete(&path, None).await;
        self.done(&client, &path, deleted).await
    }

    /// Wakes up Bamboos beside this one, which watch the parent's data.
    async fn done(
        &self,
        client: &Client,
        path: &str,
        done: Result<(), Error>,
    ) -> Result<(), String> {
        if let Err(error) = done {
            return Err(format!("{path}: {error}"));
        }
        if let Err(error) = client.set_data(&self.path, b"", None).await {
            tracing::warn!(path = self.path, %error, "other Bamboos aren't told of a rule");
        }
        Ok(())
    }

    /// Returns a client whose session isn't over.
    async fn client(&self) -> Result<Client, String> {
        let mut held = self.client.lock().await;
        if let Some(client) = held
            .as_ref()
            .filter(|client| !client.state().is_terminated())
        {
            return Ok(client.clone());
        }
        let client = self.ensemble.connect().await;
        let client = client.map_err(|error| error.to_string())?;
        *held = Some(client.clone());
        Ok(client)
    }

    /// Returns who may do what with a new rule: as with all of them, as a Bamboo beside this one reads all
    /// or none. Without rules as yet everybody may do everything, as Bamboo has it, unless there is somebody
    /// to be.
    async fn acls(&self, client: &Client) -> Result<Vec<Acl>, Error> {
        match client.get_acl(&self.path).await {
            Err(Error::NoNode) => {}
            found => return found.map(|(acls, _)| acls),
        }
        let acls = match self.ensemble.auth {
            Some(_) => Acls::creator_all(),
            None => Acls::anyone_all(),
        };
        let options = CreateMode::Persistent.with_acls(acls);
        client.mkdir(&self.path, &options).await?;
        let (acls, _) = client.get_acl(&self.path).await?;
        Ok(acls)
    }
}
