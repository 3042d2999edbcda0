//! The names of a zone that is for signpost alone.
//!
//! With `S` for the service's labels, `T` for the first of them and `R` for the rest:
//!
//! | name | answers |
//! |---|---|
//! | `S` | the addresses of every instance that clients should be sent to, and where HTTPS is |
//! | `_T._tcp.R`, `_T._udp.R` | their main ports (SRV), where an instance has one of the protocol |
//! | `_port._tcp.S`, `_port._udp.S` | their ports of that name (SRV; SVCB where it is HTTP) |
//! | `<id>._port._tcp.S`, `<id>._port._udp.S` | that port of one instance (SRV) and its attributes |
//! | `_port._tcp`, `_port._udp` | the names of that kind, of all services (PTR) |
//! | `<id>.S` | one instance: addresses while it isn't down, and attributes |
//!
//! Two services may claim one name: `a.web` is a service and an instance `a` of `web`,
//! `_http._tcp.web` the main port of `http.web` and the port `http` of `web`. What the service of
//! that name says goes first.

use std::collections::BTreeSet;

use registry::{Instance, Port, PortName, Protocol, Service};

use super::{Browsed, Names, View};
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
        for protocol in Protocol::ALL {
            let instances = || service.instances.iter();
            if instances().any(|instance| instance.main_port(protocol).is_some()) {
                let view = View::MainPorts(protocol);
                add(main_port_name(service, protocol), Rank::Service, view);
            }
            let names = names_of(instances().flat_map(|one| &one.ports), protocol);
            for port in names {
                let view = View::NamedPorts(protocol, port);
                add(named_port_name(service, port, protocol), Rank::Within, view);
            }
        }
        for instance in &service.instances {
            let view = View::Instance(instance);
            add(instance_name(service, instance), Rank::Within, view);
            for (name, protocol) in named_ports(instance) {
                let view = View::Browsed(protocol, name, instance);
                let browsed = browsed_name(service, instance, name, protocol);
                add(browsed, Rank::Within, view);
            }
        }
    }

    fn browse<'a>(&self, service: &'a Service, add: &mut dyn FnMut(Browsed<'a>)) {
        for instance in &service.instances {
            for (name, protocol) in named_ports(instance) {
                let target = browsed_name(service, instance, name, protocol);
                if let (Ok(kind), Ok(target)) = (kind_name(name, protocol), target) {
                    add(Browsed {
                        kind,
                        target,
                        instance,
                    });
                }
            }
        }
    }

    fn instance(&self, service: &Service, instance: &Instance) -> Option<Name> {
        instance_name(service, instance).ok()
    }
}

/// Lists the names of an instance's ports, each once.
fn named_ports(instance: &Instance) -> impl Iterator<Item = (&PortName, Protocol)> {
    Protocol::ALL.into_iter().flat_map(|protocol| {
        let names = names_of(instance.ports.iter(), protocol).into_iter();
        names.map(move |name| (name, protocol))
    })
}

fn names_of<'a>(
    ports: impl Iterator<Item = &'a Port>,
    protocol: Protocol,
) -> BTreeSet<&'a PortName> {
    let ports = ports.filter(|port| port.protocol == protocol);
    ports.filter_map(|port| port.name.as_ref()).collect()
}

fn own_name(service: &Service) -> Result<Name, TooLong> {
    let mut name = NameBuf::default();
    push_service(&mut name, service)?;
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

fn kind_name(port: &PortName, protocol: Protocol) -> Result<Name, TooLong> {
    let mut name = NameBuf::default();
    name.push_underscored(port.as_str())?;
    name.push_underscored(protocol.label())?;
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
    push_service(&mut name, service)?;
    Ok(name.finish())
}

fn browsed_name(
    service: &Service,
    instance: &Instance,
    port: &PortName,
    protocol: Protocol,
) -> Result<Name, TooLong> {
    let mut name = NameBuf::default();
    name.push(instance.id.as_str())?;
    name.push_underscored(port.as_str())?;
    name.push_underscored(protocol.label())?;
    push_service(&mut name, service)?;
    Ok(name.finish())
}

fn instance_name(service: &Service, instance: &Instance) -> Result<Name, TooLong> {
    let mut name = NameBuf::default();
    name.push(instance.id.as_str())?;
    push_service(&mut name, service)?;
    Ok(name.finish())
}

fn push_service(name: &mut NameBuf, service: &Service) -> Result<(), TooLong> {
    let mut labels = service.name.labels();
    labels.try_for_each(|label| name.push(label))
}
