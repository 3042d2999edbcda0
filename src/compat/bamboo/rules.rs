//! Routes by rules.

use std::{collections::BTreeMap, sync::Arc};

use proxy::{PathRules, Route};
use registry::ServiceName;

use super::Config;
use crate::compat::{
    acl,
    dynamic::{Abouts, Draft},
};

/// The settings of a rule.
pub(super) type Settings = BTreeMap<Arc<str>, Arc<str>>;

/// The setting that says which requests there are for a rule.
pub(super) const ACL: &str = "Acl";

/// The setting that says which of several rules is used: the one with the highest.
pub(super) const PRIORITY: &str = "Priority";

/// Makes the routes of all rules, in the order of their apps' ids.
pub(in crate::compat) fn make(config: Option<&Config>, abouts: &Abouts, draft: &mut Draft<'_>) {
    // Who has a rule that isn't known yet would be open to all by a default one.
    let has_default = draft.has_rules && config.is_some_and(|config| config.default_rules);
    // A rule whose app isn't there is for nobody.
    let apps = abouts.iter().filter_map(|(service, stated)| {
        let app = stated.about.app.as_ref()?;
        Some((service, app, &stated.about.rules))
    });
    let mut apps: Vec<_> = apps.collect();
    apps.sort_by(|(_, a, _), (_, b, _)| a.id.cmp(&b.id));
    for (service, app, rules) in apps {
        // Ids that differ may come to the same name.
        let mut own = rules.iter().filter(|rule| rule.id == app.id).peekable();
        if own.peek().is_none() && has_default && app.together.is_none() {
            let acl = format!("path_beg -i {}", app.id);
            if let Err(reason) = add(service, &acl, 0, draft) {
                draft.refuse(&app.source, &app.id, format!("its default rule: {reason}"));
            }
        }
        for rule in own {
            let added = priority(&rule.config);
            let added = added.and_then(|priority| add(service, &rule.acl, priority, draft));
            if let Err(reason) = added {
                draft.refuse(&rule.source, &rule.path, reason);
            }
        }
    }
}

/// Says what is wrong with the settings of a rule, whatever its app is.
///
/// # Errors
///
/// Returns it in words.
pub(super) fn check(settings: &Settings) -> Result<(), String> {
    let service = "app".parse().expect("it is a name");
    let acl = settings.get(ACL).map(|acl| &**acl).unwrap_or_default();
    let routes = routes(&service, acl, priority(settings)?)?;
    let mut problems = routes
        .iter()
        .flat_map(|route| route.problems(PathRules::default()));
    problems
        .next()
        .map_or(Ok(()), |problem| Err(problem.to_string()))
}

fn priority(settings: &Settings) -> Result<i32, String> {
    let Some(text) = settings.get(PRIORITY).map(|text| text.trim()) else {
        return Ok(0);
    };
    text.parse()
        .map_err(|_| format!("{PRIORITY}: `{text}` is not a number"))
}

/// Adds all routes of a rule, or none: half a rule would send requests where nobody expects them.
fn add(
    service: &ServiceName,
    acl: &str,
    priority: i32,
    draft: &mut Draft<'_>,
) -> Result<(), String> {
    let routes = routes(service, acl, priority)?;
    routes.iter().try_for_each(|route| draft.check(route))?;
    draft.made.routes.extend(routes);
    Ok(())
}

fn routes(service: &ServiceName, acl: &str, priority: i32) -> Result<Vec<Route>, String> {
    let template = Route {
        name: Some(format!("bamboo:{}", service.as_str())),
        priority,
        service: Some(service.clone()),
        ..Route::default()
    };
    acl::routes(acl, &template)
}
