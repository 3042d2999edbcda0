//! What a service's records at one name are.

use std::{fmt, net::IpAddr, sync::Arc};

use registry::{Exclusion, Instance, Port, PortName, Protocol, Service, State};
use smallvec::SmallVec;

use crate::{
    http,
    name::Name,
    rrset::{self, RrSet, Srv, Svcb},
    schemes::View,
    table::Claim,
    wire::rtype,
    zone::Words,
};

impl<'a> View<'a> {
    /// Makes the records.
    pub(crate) fn records(self, service: &Service, words: &Words) -> Arc<[RrSet]> {
        let ttl = words.ttl_of(service);
        let selected = || {
            let all = service.instances.iter();
            all.filter(|instance| self.omission(instance).is_none())
        };
        match self {
            View::Addresses => {
                let mut sets = rrset::addresses(selected().flat_map(|one| weighted(one)), ttl);
                sets.extend(self.svcb_set(service, words));
                sets.into()
            }
            View::MainPorts(_) | View::NamedPorts(..) => {
                let records: Vec<_> = selected()
                    .filter_map(|instance| self.srv(service, instance, words))
                    .collect();
                let svcb = self.svcb_set(service, words);
                rrset::srv(&records, ttl).into_iter().chain(svcb).collect()
            }
            View::Instance(instance) => {
                let served = Some(instance).filter(|one| self.omission(one).is_none());
                let mut sets = rrset::addresses(served.into_iter().flat_map(weighted), ttl);
                sets.push(rrset::txt(&instance.attributes, ttl));
                sets.into()
            }
        }
    }

    /// Makes an instance's SRV record, where it has such a port and a name that DNS can carry.
    pub(crate) fn srv<'b>(
        self,
        service: &Service,
        instance: &'b Instance,
        words: &Words,
    ) -> Option<Srv<'b>> {
        Some(Srv {
            priority: instance.priority,
            weight: instance.weight,
            port: self.port(instance)?.number,
            target: words.target(service, instance)?,
            addresses: &instance.addresses,
        })
    }

    /// Makes the records that say where an instance speaks HTTP.
    pub(crate) fn svcb<'b>(
        self,
        service: &Service,
        instance: &'b Instance,
        words: &Words,
    ) -> impl Iterator<Item = Svcb<'b>> {
        let endpoints = match self {
            View::Addresses => http::secure(instance),
            View::NamedPorts(..) => self
                .port(instance)
                .and_then(http::behind)
                .into_iter()
                .collect(),
            View::MainPorts(_) | View::Instance(_) => SmallVec::new(),
        };
        endpoints.into_iter().filter_map(move |endpoint| {
            Some(Svcb {
                priority: instance.priority.saturating_add(1),
                target: words.target(service, instance)?,
                endpoint,
                addresses: &instance.addresses,
            })
        })
    }

    /// Returns the type of the records that say where HTTP is spoken.
    pub(crate) fn svcb_type(self) -> u16 {
        match self {
            View::Addresses => rtype::HTTPS,
            View::MainPorts(_) | View::NamedPorts(..) | View::Instance(_) => rtype::SVCB,
        }
    }

    fn svcb_set(self, service: &Service, words: &Words) -> Option<RrSet> {
        let all = service.instances.iter();
        let records: Vec<_> = all
            .filter(|instance| self.omission(instance).is_none())
            .flat_map(|instance| self.svcb(service, instance, words))
            .collect();
        rrset::svcb(self.svcb_type(), &records, words.ttl_of(service))
    }

    /// Says why an instance isn't among the records; `None` when it is.
    ///
    /// The name of an instance that is starting or draining still answers: whoever got it as the
    /// target of an SRV record a moment ago has to find it.
    pub(crate) fn omission(self, instance: &Instance) -> Option<Omission<'a>> {
        match (self, instance.exclusion()) {
            (View::Instance(_), Some(Exclusion::State(state))) if state != State::Down => {
                let nowhere = instance.addresses.is_empty();
                nowhere.then_some(Omission::Excluded(Exclusion::Unresolved))
            }
            (_, Some(exclusion)) => Some(Omission::Excluded(exclusion)),
            (View::MainPorts(protocol), None) if self.port(instance).is_none() => {
                Some(Omission::NoPort(protocol))
            }
            (View::NamedPorts(protocol, name), None) if self.port(instance).is_none() => {
                Some(Omission::NoPortNamed(name, protocol))
            }
            _ => None,
        }
    }

    /// Returns the types of records that the name answers with.
    pub(crate) fn claim(self) -> Claim {
        match self {
            View::Addresses => Claim::Addresses,
            View::MainPorts(_) | View::NamedPorts(..) => Claim::Ports,
            View::Instance(_) => Claim::Instance,
        }
    }

    /// Returns the port that an instance's SRV record has.
    pub(crate) fn port(self, instance: &Instance) -> Option<&Port> {
        match self {
            View::MainPorts(protocol) => instance.main_port(protocol),
            View::NamedPorts(protocol, name) => instance
                .ports
                .iter()
                .find(|port| port.protocol == protocol && port.name.as_ref() == Some(name)),
            View::Addresses | View::Instance(_) => None,
        }
    }
}

fn weighted(instance: &Instance) -> impl Iterator<Item = (IpAddr, u16)> {
    let addresses = instance.addresses.iter();
    addresses.map(|address| (*address, instance.weight))
}

/// Says why an instance isn't among a name's records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Omission<'a> {
    Excluded(Exclusion),
    NoPort(Protocol),
    NoPortNamed(&'a PortName, Protocol),
}

impl fmt::Display for Omission<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Excluded(exclusion) => exclusion.fmt(f),
            Self::NoPort(protocol) => write!(f, "it has no {} port", protocol.label()),
            Self::NoPortNamed(name, protocol) => {
                write!(f, "it has no {} port named {name}", protocol.label())
            }
        }
    }
}

impl Words {
    /// Returns an instance's absolute name, if DNS can carry it and no other zone is asked for it.
    pub(crate) fn target(&self, service: &Service, instance: &Instance) -> Option<Name> {
        let name = self.scheme.names().instance(service, instance)?;
        let hidden = self.cuts.iter().any(|cut| name.relative_to(cut).is_some());
        name.below(&self.domain).ok().filter(|_| !hidden)
    }
}
