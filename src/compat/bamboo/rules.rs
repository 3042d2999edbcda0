//! Routes by rules.

use std::{collections::BTreeMap, sync::Arc};

use proxy::Route;
use registry::{AppRule, ServiceName};

use super::Config;
use crate::compat::{
    acl,
    dynamic::{Abouts, Dynamic},
};

/// The settings of a rule.
pub(super) type Settings = BTreeMap<Arc<str>, Arc<str>>;

/// The setting that says which requests there are for a rule.
pub(super) const ACL: &str = "Acl";

/// The setting that says which of several rules is used: the one with the highest.
pub(super) const PRIORITY: &str = "Priority";

/// Makes the routes of all rules, in the order of their apps' ids.
pub(in crate::compat) fn make(config: Option<&Config>, abouts: &Abouts, dynamic: &mut Dynamic) {
    let has_default = config.is_some_and(|config| config.default_rules);
    let apps = abouts.iter();
    // A rule whose app isn't there is for nobody.
    let apps =
        apps.filter_map(|(service, about)| Some((service, about.app.as_ref()?, &about.rule)));
    let mut apps: Vec<_> = apps.collect();
    apps.sort_by(|(_, a, _), (_, b, _)| a.id.cmp(&b.id));
    for (service, app, rule) in apps {
        match rule {
            Some(rule) => {
                if let Err(reason) = add(service, rule, dynamic) {
                    dynamic.refuse(&rule.source, &rule.path, reason);
                }
            }
            None if has_default && app.together.is_none() => {
                let acl = format!("path_beg -i {}", app.id);
                if let Err(reason) = add_routes(service, &acl, 0, dynamic) {
                    dynamic.refuse(&app.source, &app.id, format!("its default rule: {reason}"));
                }
            }
            None => {}
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
    add_routes(&service, acl, priority(settings)?, &mut Dynamic::default())
}

fn add(service: &ServiceName, rule: &AppRule, dynamic: &mut Dynamic) -> Result<(), String> {
    add_routes(service, &rule.acl, priority(&rule.config)?, dynamic)
}

fn priority(settings: &Settings) -> Result<i32, String> {
    let Some(text) = settings.get(PRIORITY).map(|text| text.trim()) else {
        return Ok(0);
    };
    text.parse()
        .map_err(|_| format!("{PRIORITY}: `{text}` is not a number"))
}

fn add_routes(
    service: &ServiceName,
    acl: &str,
    priority: i32,
    dynamic: &mut Dynamic,
) -> Result<(), String> {
    let template = Route {
        name: Some(format!("bamboo:{}", service.as_str())),
        priority,
        service: Some(service.clone()),
        ..Route::default()
    };
    let routes = acl::routes(acl, &template)?;
    // All or nothing: half a rule would send some requests where nobody expects them.
    let mut whole = Dynamic::default();
    for route in routes {
        whole.add(route)?;
    }
    dynamic.routes.append(&mut whole.routes);
    Ok(())
}
