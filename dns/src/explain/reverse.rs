//! Why the name of an address is answered as it is.

use std::net::IpAddr;

use super::Explanation;
use crate::{
    Rcode, Zones,
    name::Name,
    reverse::{Block, Found, Homes},
};

impl Zones {
    /// Explains a reverse name that is ours.
    pub(super) fn explain_reverse(&self, name: &Name, found: &Found<'_>, to: &mut Explanation) {
        let block = Block::parse(name.as_bytes());
        if let Some(address) = block.and_then(Block::address) {
            self.explain_address(address, to);
        }
        if found.is_apex && found.before_zone.is_some() {
            to.add_apex(found.words);
            to.add_note("a reverse zone of ours (dns.reverse)");
        } else if found.pointers.is_none()
            && found.may_come
            && self.awaited_anywhere().next().is_some()
        {
            to.set_ignorance(self.awaited_anywhere());
        } else if !found.exists {
            to.rcode = Rcode::NxDomain;
            to.ttl = found.words.negative_ttl;
            to.add_note("no instance is known at such an address");
        } else if found.pointers.is_none() {
            to.ttl = found.words.negative_ttl;
            to.add_note("only names below it exist");
        }
    }

    fn explain_address(&self, address: IpAddr, to: &mut Explanation) {
        let told: Vec<_> = self.told_at(address).collect();
        for service in self.snapshot().services().values() {
            let homes = Homes::new(self.zones(), service);
            let instances = service.instances.iter();
            for instance in instances.filter(|one| one.addresses.contains(&address)) {
                let reason = match (homes.of(instance), instance.exclusion_told()) {
                    (Some((zone, target)), _) if told.contains(&&target) => {
                        to.add(service, instance, "PTR", format!("{target}."));
                        to.add_namesake(zone, service, instance, &target);
                        continue;
                    }
                    (Some(_), _) => "too many instances are at this address".to_owned(),
                    (None, Some(exclusion)) => exclusion.to_string(),
                    (None, None) => "it has no name in any zone but for aliases".to_owned(),
                };
                to.leave_out(service, instance, reason);
            }
        }
    }
}
