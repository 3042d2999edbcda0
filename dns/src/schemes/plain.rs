//! The names of a zone that is for signpost alone.
//!
//! With `S` for the service's labels, `T` for the first of them and `R` for the rest:
//!
//! | name | answers |
//! |---|---|
//! | `S` | the addresses of every instance that clients should be sent to, and where HTTPS is |
//! | `_T._tcp.R`, `_T._udp.R` | their main ports (SRV), where an instance has one of the protocol |
//! | `_port._tcp.S`, `_port._udp.S` | their ports of that name (SRV; SVCB where it is HTTP) |
//! | `<id>.S` | one instance: addresses while it isn't down, and attributes |
//!
//! Two services may claim one name: `a.web` is a service and an instance `a` of `web`,
//! `_http._tcp.web` the main port of `http.web` and the port `http` of `web`. What the service of
//! that name says goes first.

use std::collections::BTreeSet;

use registry::{Instance, PortName, Protocol, Service};

use super::{Names, View};
use crate::{
    name::{Name, NameBuf, TooLong},
    table::Rank,
};

pub(crate) struct Plain;

impl Names for Plain {
    fn each<'a>(&self, service: &'a Service, add: &mut dyn FnMut(Name, Rank, View<'a>)) {
        let mut add = |name: Result<Name, TooLong>, rank, view| {
            // A label of 63 bytes has no room for an underscore: then there is no such name.
            if let Ok(name) = name {
                add(name, rank, view);
            }
        };
        add(own_name(service), Rank::Service, View::Addresses);
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            let ports = || {
                let all = service
                    .instances
                    .iter()
                    .flat_map(|instance| &instance.ports);
                all.filter(move |port| port.protocol == protocol)
            };
            if ports().next().is_some() {
                let view = View::MainPorts(protocol);
                add(main_port_name(service, protocol), Rank::Service, view);
            }
            let names: BTreeSet<_> = ports().filter_map(|port| port.name.as_ref()).collect();
            for port in names {
                let view = View::NamedPorts(protocol, port);
                add(named_port_name(service, port, protocol), Rank::Within, view);
            }
        }
        for instance in &service.instances {
            let view = View::Instance(instance);
            add(instance_name(service, instance), Rank::Within, view);
        }
    }

    fn instance(&self, service: &Service, instance: &Instance) -> Option<Name> {
        instance_name(service, instance).ok()
    }
}

fn own_name(service: &Service) -> Result<Name, TooLong> {
    let mut name = NameBuf::default();
    service
        .name
        .labels()
        .try_for_each(|label| name.push(label))?;
    Ok(name.finish())
}

fn main_port_name(service: &Service, protocol: Protocol) -> Result<Name, TooLong> {
    let mut name = NameBuf::default();
    let mut labels = service.name.labels();
    if let Some(first) = labels.next() {
        name.push_underscored(first)?;
    }
    name.push_underscored(protocol.label())?;
    labels.try_for_each(|label| name.push(label))?;
    Ok(name.finish())
}

fn named_port_name(
    service: &Service,
    port: &PortName,
    protocol: Protocol,
) -> Result<Name, TooLong> {
    let mut name = NameBuf::default();
    name.push_underscored(port.as_str())?;
    name.push_underscored(protocol.label())?;
    service
        .name
        .labels()
        .try_for_each(|label| name.push(label))?;
    Ok(name.finish())
}

fn instance_name(service: &Service, instance: &Instance) -> Result<Name, TooLong> {
    let mut name = NameBuf::default();
    name.push(instance.id.as_str())?;
    service
        .name
        .labels()
        .try_for_each(|label| name.push(label))?;
    Ok(name.finish())
}
