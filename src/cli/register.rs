//! `signpost register`

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use ::config::Duration;
use clap::Args;
use registry::{InstanceId, PortName, Registration, ServiceName};

use super::{Failure, agent::Agent, block_on};
use crate::{
    registrar::{self, Check, End, Target},
    signals::Signals,
};

/// Keep an instance registered while its check passes
#[derive(Debug, Args)]
pub(super) struct Register {
    /// The service
    #[arg(long)]
    service: ServiceName,
    /// The instance's port
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    /// Where clients reach the instance [default: the address from which the target is reached]
    #[arg(long, value_name = "ADDRESS")]
    address: Option<String>,
    /// The instance's id [default: the host's name and the port]
    #[arg(long)]
    id: Option<String>,
    /// Further ports by name
    #[arg(long = "named-port", value_name = "NAME=PORT", value_parser = named_port)]
    named_ports: Vec<(PortName, u16)>,
    /// The share of clients it gets, relative to other instances
    #[arg(long)]
    weight: Option<u16>,
    /// A free label; may be given several times
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<Arc<str>>,
    /// A free pair; may be given several times
    #[arg(long = "attribute", value_name = "KEY=VALUE", value_parser = attribute)]
    attributes: Vec<(Arc<str>, Arc<str>)>,
    /// What must work: tcp://HOST:PORT, http://HOST:PORT/PATH or command:COMMAND [default: none]
    #[arg(long, value_name = "CHECK")]
    check: Option<Check>,
    /// How often it is checked
    #[arg(long, value_name = "DURATION", default_value = "2s")]
    every: Duration,
    /// How long a check may take
    #[arg(long, value_name = "DURATION", default_value = "1s")]
    timeout: Duration,
    /// After how many good checks it is registered
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    rise: u32,
    /// After how many bad checks it is removed
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    fall: u32,
    /// Where to: zookeeper://HOST,HOST/PATH or the admin API, http://HOST:PORT
    #[arg(long, value_name = "URL")]
    to: String,
    /// A file with the admin API's token
    #[arg(long, value_name = "FILE", env = "SIGNPOST_TOKEN_FILE")]
    token_file: Option<PathBuf>,
    #[command(flatten)]
    agent: Agent,
}

impl Register {
    pub(super) fn run(self) -> Result<(), Failure> {
        self.agent.start_log()?;
        if self.every.get().is_zero() || self.timeout.get().is_zero() {
            return Err(Failure::usage(
                "--every and --timeout must be longer than 0",
            ));
        }
        block_on(async {
            let (auth, token_file) = (self.agent.auth(), self.token_file.as_deref());
            let target = Target::parse(&self.to, auth, token_file, self.timeout.get())
                .map_err(|reason| Failure::usage(format!("--to: {reason}")))?;
            let registrar = registrar::Registrar {
                service: self.service.clone(),
                id: self.id(),
                registration: self.registration(&target).await?,
                check: self.check,
                schedule: registrar::Schedule {
                    every: self.every.get(),
                    timeout: self.timeout.get(),
                    rise: self.rise,
                    fall: self.fall,
                },
            };
            let signals = Signals::take().map_err(Failure::failed)?;
            registrar
                .run(target, signals)
                .await
                .map_err(|end| match end {
                    End::Refused(_) => Failure::failed(end.to_string()),
                    End::LeftIn(_) => Failure::unclean(end.to_string()),
                })
        })
    }

    fn id(&self) -> InstanceId {
        match &self.id {
            Some(id) => InstanceId::from_text(id),
            None => InstanceId::from_text(&format!("{}-{}", registrar::host_name(), self.port)),
        }
    }

    async fn registration(&self, target: &Target) -> Result<Registration, Failure> {
        let address = match &self.address {
            Some(address) => address.clone(),
            None => target.local_address().await.map_err(|reason| {
                Failure::failed(format!(
                    "can't find the own address, give --address: {reason}"
                ))
            })?,
        };
        let ports = self.named_ports.iter().map(|(name, port)| {
            let port = registry::NamedPort::Number(i64::from(*port));
            (name.clone(), port)
        });
        Ok(Registration {
            address,
            port: Some(i64::from(self.port)),
            ports: ports.collect(),
            weight: self.weight,
            tags: self.tags.clone(),
            attributes: self.attributes.iter().cloned().collect::<BTreeMap<_, _>>(),
            ..Registration::default()
        })
    }
}

fn named_port(text: &str) -> Result<(PortName, u16), String> {
    let (name, port) = text.split_once('=').ok_or("is not NAME=PORT")?;
    let name = name
        .parse::<PortName>()
        .map_err(|error| error.to_string())?;
    match port.parse() {
        Ok(number @ 1..) => Ok((name, number)),
        _ => Err(format!("`{port}` is not a port")),
    }
}

fn attribute(text: &str) -> Result<(Arc<str>, Arc<str>), String> {
    let (key, value) = text.split_once('=').ok_or("is not KEY=VALUE")?;
    Ok((key.into(), value.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_port_is_a_name_and_a_port() {
        assert_eq!(named_port("http=80").unwrap().1, 80);
        for bad in ["http", "http=", "http=0", "http=65536", "=80"] {
            assert!(named_port(bad).is_err(), "{bad}");
        }
    }
}
