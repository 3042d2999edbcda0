//! Where ZooKeeper's servers are, and a session with one of them.

use std::{fmt, str::FromStr, time::Duration};

use config::Secret;
use tokio::time;
use zookeeper_client::Client;

use super::{
    Auth, AuthScheme,
    config::{Config, check_path},
};

/// Says where the servers of an ensemble are and how to log in; what else wants a session needs no
/// more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ensemble {
    servers: String,
    chroot: String,
    /// Who to log in as; anybody when it is `None`.
    pub auth: Option<Auth>,
    /// How long the servers wait for a lost client.
    pub session_timeout: Duration,
    /// How long to look for a server that answers.
    pub connect_timeout: Duration,
}

/// Says why there is no session.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The password's file can't be read.
    #[error("{0}")]
    Password(String),
    /// No server has answered in time.
    #[error("no server of {servers} has answered within {within:?}")]
    Timeout {
        /// The servers that were tried.
        servers: String,
        /// How long they were.
        within: Duration,
    },
    /// None of the servers gives a session.
    #[error("no server of {servers} gives a session: {source}")]
    Refused {
        /// The servers that were tried.
        servers: String,
        /// What the last one said.
        source: zookeeper_client::Error,
    },
}

impl Ensemble {
    /// Reads `zookeeper://h1:2181,h2/path/below`: the ensemble, and the path that the URL leads to.
    ///
    /// # Errors
    ///
    /// Returns in words what is wrong with the URL.
    pub fn from_url(url: &str) -> Result<(Self, String), String> {
        let Some(rest) = url.strip_prefix("zookeeper://") else {
            return Err(format!("`{url}` doesn't start with `zookeeper://`"));
        };
        let (servers, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, "/"),
        };
        check_path(path)?;
        Ok((servers.parse()?, path.to_owned()))
    }

    /// Opens a session; it ends when the last clone of the client is dropped.
    ///
    /// The client reconnects by itself until its session expires. What it does not do: watches that
    /// are persistent are lost with the connection they were set on.
    ///
    /// # Errors
    ///
    /// Returns an error when each server has been tried once in vain, or the time is up.
    pub async fn connect(&self) -> Result<Client, ConnectError> {
        let mut connector = Client::connector()
            .with_session_timeout(self.session_timeout)
            .with_fail_eagerly();
        if let Some(auth) = &self.auth {
            let password = Secret::load(&auth.password_file).map_err(ConnectError::Password)?;
            let AuthScheme::Digest = auth.scheme;
            let login = format!("{}:{}", auth.user, password.expose());
            connector = connector.with_auth("digest", login.as_bytes());
        }
        let connect = self.to_string();
        match time::timeout(self.connect_timeout, connector.connect(&connect)).await {
            Ok(Ok(client)) => Ok(client),
            Ok(Err(source)) => Err(ConnectError::Refused {
                servers: self.servers.clone(),
                source,
            }),
            Err(_) => Err(ConnectError::Timeout {
                servers: self.servers.clone(),
                within: self.connect_timeout,
            }),
        }
    }

    /// Returns the servers, separated by commas.
    pub fn servers(&self) -> &str {
        &self.servers
    }

    /// Returns the part of every path that the servers see and this client doesn't; empty for none.
    pub fn chroot(&self) -> &str {
        &self.chroot
    }
}

impl FromStr for Ensemble {
    type Err = String;

    /// Reads `h1:2181,h2,[::1]:2181/chroot`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (servers, chroot) = match text.find('/') {
            Some(at) => text.split_at(at),
            None => (text, ""),
        };
        servers.split(',').try_for_each(check_server)?;
        let chroot = match chroot {
            "" | "/" => "",
            path => {
                check_path(path)?;
                path
            }
        };
        let defaults = Config::new("", "");
        Ok(Self {
            servers: servers.to_owned(),
            chroot: chroot.to_owned(),
            auth: None,
            session_timeout: defaults.session_timeout.get(),
            connect_timeout: defaults.connect_timeout.get(),
        })
    }
}

impl fmt::Display for Ensemble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.servers, self.chroot)
    }
}

fn check_server(server: &str) -> Result<(), String> {
    let (host, port) = match server.rsplit_once(':') {
        Some((host, port)) if !server.ends_with(']') => (host, Some(port)),
        _ => (server, None),
    };
    let bracketed = host.starts_with('[') && host.ends_with(']');
    let good_host = !host.is_empty() && (bracketed || !host.contains(':'));
    let good_port = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port != 0));
    match good_host && good_port {
        true => Ok(()),
        false => Err(format!("`{server}` is no server such as `host:2181`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_and_chroot_are_told_apart() {
        for (text, servers, chroot) in [
            ("h1:2181,h2", "h1:2181,h2", ""),
            ("h1/", "h1", ""),
            ("[::1]:2181,[::2]/x/y", "[::1]:2181,[::2]", "/x/y"),
        ] {
            let ensemble: Ensemble = text.parse().unwrap();
            assert_eq!((&*ensemble.servers, &*ensemble.chroot), (servers, chroot));
        }
        for bad in [
            "",
            "h1,,h2",
            "h1:0",
            "h1:x",
            "::1",
            "h1/x/",
            "tcp://h1",
            "h1/x,h2/y/",
        ] {
            assert!(bad.parse::<Ensemble>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_url_has_a_path_instead_of_a_chroot() {
        let (ensemble, path) =
            Ensemble::from_url("zookeeper://h1,h2:2182/service/business").unwrap();
        assert_eq!(
            (ensemble.to_string().as_str(), path.as_str()),
            ("h1,h2:2182", "/service/business")
        );
        assert_eq!(Ensemble::from_url("zookeeper://h1").unwrap().1, "/");
        for bad in ["http://h1/x", "zookeeper:///x", "zookeeper://h1/x/"] {
            assert!(Ensemble::from_url(bad).is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn without_servers_there_is_an_error_that_names_them() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let ensemble: Ensemble = address.to_string().parse().unwrap();
        let error = ensemble.connect().await.unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("no server of {address} gives a session")),
            "{error}"
        );
    }
}
