//! How much an explanation lists.

use registry::{Instance, Service};

use super::{ExplainedInstance, Explanation, LeftOut};

/// The most instances that an explanation lists as left out, and the most warnings that it has.
///
/// What is browsed for, or is at one address, may be any number of instances of all services.
const LISTED_MAX: usize = 1_000;

impl Explanation {
    /// Adds an instance that isn't among the records, or counts it where there are many.
    pub(super) fn leave_out(&mut self, service: &Service, instance: &Instance, reason: String) {
        if self.left_out.len() == LISTED_MAX {
            self.more_left_out += 1;
            return;
        }
        self.left_out.push(LeftOut {
            reason,
            instance: ExplainedInstance::new(service, instance),
        });
    }

    /// Adds a note that each instance or service may have, or counts it where there are many.
    pub(super) fn add_warning(&mut self, warning: &str) {
        self.warnings += 1;
        if self.warnings <= LISTED_MAX {
            self.add_note(warning);
        }
    }

    /// Says how many warnings there are that aren't told.
    pub(super) fn add_more_warnings(&mut self) {
        if self.warnings > LISTED_MAX {
            let more = self.warnings - LISTED_MAX;
            self.add_note(&format!("{more} more warnings like these"));
        }
    }
}

pub(super) fn is_zero(count: &usize) -> bool {
    *count == 0
}

#[cfg(test)]
mod tests {
    use registry::{State, testing};

    use super::*;
    use crate::testing::{zones, zones_by};

    /// A service of one instance that is up, and this many that are down.
    fn mostly_down(count: usize) -> Service {
        let instances = (0..=count).map(|n| {
            let mut instance = testing::instance(&format!("i{n}"), "10.0.0.1", 80);
            instance.ports[0].name = Some("http".parse().unwrap());
            if n > 0 {
                instance.state = State::Down;
            }
            instance
        });
        testing::service_of("web", instances)
    }

    #[test]
    fn of_many_that_are_left_out_the_first_are_listed() {
        for (count, more) in [(1_000, None), (1_003, Some(3))] {
            let zones = zones([mostly_down(count)]);
            for name in [
                "web.svc.internal",
                "_web._tcp.svc.internal",
                "_http._tcp.svc.internal",
                "1.0.0.10.in-addr.arpa",
            ] {
                let Some(explanation) = zones.explain(name) else {
                    panic!("{name} is refused");
                };
                assert_eq!(explanation.left_out.len(), 1_000, "{name}");
                assert_eq!(explanation.more_left_out, more.unwrap_or(0), "{name}");
                let json = serde_json::to_value(&explanation).unwrap();
                let told = json.get("more_left_out").and_then(|more| more.as_u64());
                assert_eq!(told, more.map(|more| more as u64), "{name}");
            }
        }
    }

    #[test]
    fn of_many_warnings_the_first_are_told() {
        let config = "[[zones]]\ndomain = 'svc.internal'\n";
        let ids: Vec<_> = (0..1_002).map(|n| format!("i{n}")).collect();
        let web = ids.iter().map(|id| testing::instance(id, "10.0.0.1", 80));
        let own = ids
            .iter()
            .map(|id| testing::service(&format!("{id}.web"), &[("x", 1)]));
        let all = own.chain([testing::service_of("web", web)]);
        let zones = zones_by(config, all.collect::<Vec<_>>());
        let note = zones.explain("_web._tcp.svc.internal").unwrap().note;
        let note = note.unwrap();
        assert_eq!(note.matches("gets that one's addresses").count(), 1_000);
        assert!(note.ends_with("; 2 more warnings like these"), "{note}");
    }
}
