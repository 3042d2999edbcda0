//! Two apps that are one to their clients: the colours of a deployment, as marathon-lb joins them.

use std::{sync::Arc, time::SystemTime};

use super::record::AppRecord;

/// The label that joins apps under a name.
const GROUP: &str = "HAPROXY_DEPLOYMENT_GROUP";

/// The label that says when a colour was deployed.
const STARTED_AT: &str = "HAPROXY_DEPLOYMENT_STARTED_AT";

/// The label that says how many instances there are to be in the end.
const TARGET: &str = "HAPROXY_DEPLOYMENT_TARGET_INSTANCES";

/// Returns what an app and its other colours are called together, with a slash in front.
pub(super) fn group(app: &AppRecord) -> Option<Arc<str>> {
    let name = app.labels.get(GROUP)?.trim();
    match name.trim_start_matches('/') {
        "" => None,
        name => Some(format!("/{name}").into()),
    }
}

/// Returns by what colours are put in order, the oldest first.
pub(super) fn age(app: &AppRecord) -> impl Ord + use<> {
    let started = app.labels.get(STARTED_AT);
    // What isn't in UTC is compared as it is written, as marathon-lb did in its first versions.
    let at = started.and_then(|text| moment(text));
    (at, started.cloned(), Arc::clone(&app.id))
}

fn moment(text: &str) -> Option<SystemTime> {
    humantime::parse_rfc3339_weak(text.trim()).ok()
}

/// Returns how many tasks of old colours get nothing new, the first by their ids: as many as are well in
/// the new one, as far as enough are left of the instances that old ones should have.
///
/// # Errors
///
/// Returns in words which label can't be.
pub(super) fn drained(old_instances: usize, new: &AppRecord, well: usize) -> Result<usize, String> {
    let target = match new.labels.get(TARGET) {
        Some(text) => text
            .trim()
            .parse::<usize>()
            .map_err(|_| format!("{TARGET} is `{text}`, which is no number"))?,
        None => new.instances,
    };
    let spare = (well + old_instances).saturating_sub(target);
    Ok(well.min(spare))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn app(id: &str, instances: usize, labels: serde_json::Value) -> AppRecord {
        serde_json::from_value(json!({"id": id, "instances": instances, "labels": labels})).unwrap()
    }

    #[test]
    fn colours_are_put_in_order_by_when_they_started() {
        assert_eq!(group(&app("/a", 1, json!({}))), None);
        let name = json!({GROUP: "nginx"});
        assert_eq!(group(&app("/a", 1, name)).as_deref(), Some("/nginx"));
        let at = |id: &str, text: &str| app(id, 1, json!({STARTED_AT: text}));
        let old = at("/b", "2016-02-01T14:13:42.499089Z");
        let new = at("/a", "2016-02-01T15:51:38Z");
        assert!(age(&old) < age(&new));
        assert!(age(&app("/z", 1, json!({}))) < age(&old));
    }

    #[test]
    fn as_many_are_drained_as_are_well_elsewhere() {
        let new = |target: &str| app("/new", 1, json!({TARGET: target}));
        for (target, well, expected) in [
            ("4", 0, 0),
            ("4", 1, 1),
            ("4", 4, 4),
            ("5", 1, 0),
            ("0", 9, 9),
        ] {
            assert_eq!(
                drained(4, &new(target), well),
                Ok(expected),
                "{target} {well}"
            );
        }
        assert_eq!(drained(4, &app("/new", 3, json!({})), 2), Ok(2));
        assert!(drained(4, &new("many"), 2).unwrap_err().contains("`many`"));
    }
}
