//! What one service says at a name, in words.

use std::sync::Arc;

use registry::{Exclusion, Instance, Service, Weights};

use super::{Explanation, address_type};
use crate::{
    name::{self, Name},
    rrset::{RrSet, Srv},
    schemes::View,
    table::Part,
    wire::rtype,
    zone::Zone,
};

/// What one service says at a name, and whether it is the one that is asked for a type.
pub(super) struct Said<'a> {
    pub(super) zone: &'a Zone,
    pub(super) service: &'a Service,
    pub(super) view: View<'a>,
    /// What the name answers with.
    pub(super) part: &'a Part,
    pub(super) speaks: &'a dyn Fn(u16) -> bool,
}

impl Said<'_> {
    /// Adds the records, and the instances that are left out.
    pub(super) fn tell(&self, to: &mut Explanation) {
        if let Some(host) = self.view.alias(self.service, &self.zone.words) {
            return self.tell_alias(&host, to);
        }
        if let View::Instance(instance) | View::Browsed(_, _, instance) = self.view {
            match self.view {
                View::Instance(_) => self.tell_addresses(instance, to),
                _ => self.tell_port(instance, Weights::default(), to),
            }
            self.tell_text(instance, to);
            return;
        }
        let weights = self.view.weights(self.service, &self.zone.words);
        for instance in &self.service.instances {
            match self.view {
                View::Addresses => self.tell_addresses(instance, to),
                _ => self.tell_port(instance, weights, to),
            }
            self.tell_http(instance, to);
        }
        if self.service.left_out > 0 {
            let count = self.service.left_out;
            to.add_note(&format!("{count} instances more than a service may have"));
        }
    }

    /// Adds the CNAME record, once for each instance that it stands for.
    fn tell_alias(&self, host: &Name, to: &mut Explanation) {
        let all = self.service.instances.iter();
        let alone = |one: &&Arc<Instance>| match self.view {
            View::Instance(instance) => one.id == instance.id,
            _ => true,
        };
        for instance in all.filter(alone) {
            if let Some(omission) = self.view.omission(instance, &self.zone.words) {
                to.leave_out(self.service, instance, omission.to_string());
            } else if !(self.speaks)(rtype::CNAME) {
                to.leave_out(self.service, instance, hidden());
            } else {
                to.add(self.service, instance, "CNAME", format!("{host}."));
            }
        }
    }

    fn tell_addresses(&self, instance: &Instance, to: &mut Explanation) {
        if let Some(omission) = self.view.omission(instance, &self.zone.words) {
            to.leave_out(self.service, instance, omission.to_string());
        } else if !(self.speaks)(rtype::A) {
            to.leave_out(self.service, instance, hidden());
        } else if instance.addresses.is_empty() {
            let reason = Exclusion::Unresolved.to_string();
            to.leave_out(self.service, instance, reason);
        } else {
            for address in &instance.addresses {
                let content = address.to_string();
                to.add(self.service, instance, address_type(address), content);
            }
        }
    }

    fn tell_port(&self, instance: &Instance, weights: Weights, to: &mut Explanation) {
        let Self { zone, service, .. } = *self;
        if !(self.speaks)(rtype::SRV) {
            return to.leave_out(service, instance, hidden());
        }
        if let Some(omission) = self.view.omission(instance, &zone.words) {
            return to.leave_out(service, instance, omission.to_string());
        }
        let records = self.view.srv(service, instance, &zone.words, weights);
        if records.is_empty() {
            let reason = "its name is too long, or another zone's";
            return to.leave_out(service, instance, reason.to_owned());
        }
        for Srv {
            priority,
            weight,
            port,
            target,
            ..
        } in records
        {
            let content = format!("{priority} {weight} {port} {target}.");
            to.add(service, instance, "SRV", content);
            if zone.words.alias(instance).is_none() {
                to.add_namesake(zone, service, instance, &target);
            }
        }
    }

    /// Adds what is said of an instance beside where it is, as it is answered: there may be less than it
    /// has attributes, or nothing.
    fn tell_text(&self, instance: &Instance, to: &mut Explanation) {
        if !(self.speaks)(rtype::TXT) {
            return;
        }
        let sets = self.part.sets.iter().filter(|set| set.rtype == rtype::TXT);
        for (_, content) in sets.flat_map(RrSet::records) {
            to.add(self.service, instance, "TXT", text(content));
        }
    }

    /// Adds where an instance speaks HTTP; that it doesn't is nothing to be told.
    fn tell_http(&self, instance: &Instance, to: &mut Explanation) {
        let rtype = self.view.svcb_type();
        let omission = self.view.omission(instance, &self.zone.words);
        if omission.is_some() || !(self.speaks)(rtype) {
            return;
        }
        let label = if rtype == rtype::HTTPS {
            "HTTPS"
        } else {
            "SVCB"
        };
        for record in self.view.svcb(self.service, instance, &self.zone.words) {
            to.add(self.service, instance, label, record.to_string());
        }
    }
}

/// Says why nothing of a service is told at a name that another service has a better claim to.
fn hidden() -> String {
    "a service is called so itself".to_owned()
}

/// Writes the strings of a TXT record, with spaces between them; they are built like a name's labels.
fn text(content: &[u8]) -> String {
    let strings: Vec<_> = name::labels(content).map(String::from_utf8_lossy).collect();
    strings.join(" ")
}
