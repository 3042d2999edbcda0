//! Routes by rules.

use proxy::Route;
use registry::{AppRule, ServiceName};

use super::Config;
use crate::compat::{
    acl,
    dynamic::{Abouts, Dynamic},
};

/// The setting of a rule that says which of several is used: the one with the highest.
const PRIORITY: &str = "Priority";

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

fn add(service: &ServiceName, rule: &AppRule, dynamic: &mut Dynamic) -> Result<(), String> {
    let priority = match rule.config.get(PRIORITY) {
        Some(text) => text
            .trim()
            .parse()
            .map_err(|_| format!("{PRIORITY}: `{text}` is not a number"))?,
        None => 0,
    };
    add_routes(service, &rule.acl, priority, dynamic)
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
