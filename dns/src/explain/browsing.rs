//! What can be browsed for at a name that all services share, in words.

use registry::{Instance, Service};

use super::{Explanation, foreign};
use crate::{
    Zones,
    browse::{self, BROWSE_RECORDS_MAX},
    name::Name,
    zone::{Words, Zone},
};

impl Zones {
    /// Adds the records, and the instances that are left out.
    pub(super) fn explain_browsing(&self, zone: &Zone, name: &Name, to: &mut Explanation) {
        let words = &zone.words;
        let told = zone.browse.told(name, words);
        if browse::is_list_of_kinds(name) {
            for kind in &told {
                to.add_own("PTR", format!("{kind}."));
            }
            if zone.browse.kinds() > told.len() {
                to.add_note(&format!("only the first {BROWSE_RECORDS_MAX} are told"));
            }
            return;
        }
        for service in self.snapshot().services().values() {
            let excerpt = words.excerpt(service);
            let own = excerpt.as_ref().map(|excerpt| &*excerpt.service);
            let mut of_this_kind = false;
            words.names().browse(service, &mut |found| {
                if found.kind != *name {
                    return;
                }
                of_this_kind = true;
                let target = words.absolute(&found.target);
                match target.as_ref().filter(|target| told.contains(target)) {
                    Some(target) => {
                        to.add(service, found.instance, "PTR", format!("{target}."));
                    }
                    None => {
                        let named = target.is_some();
                        let reason = omission(words, own, found.instance, named);
                        to.leave_out(service, found.instance, reason);
                    }
                }
            });
            if let Some(excerpt) = excerpt.filter(|_| of_this_kind) {
                to.add_last_resort(&excerpt);
            }
        }
    }
}

/// Says why an instance isn't told; `own` is the service as the zone has it.
fn omission(words: &Words, own: Option<&Service>, instance: &Instance, named: bool) -> String {
    let own = own.and_then(|service| service.instance(&instance.id));
    match own.map(|own| words.exclusion(own)) {
        None => foreign(&instance.origin.source),
        Some(Some(exclusion)) => exclusion.to_string(),
        Some(None) if !named => "its name is too long, or another zone's".to_owned(),
        Some(None) => format!("only the first {BROWSE_RECORDS_MAX} are told"),
    }
}
