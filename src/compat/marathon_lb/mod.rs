//! Routes by the labels of marathon-lb, `HAPROXY_*`, which apps of a source `marathon` have.
//!
//! What an app's labels say of each of its ports is read in `labels`; `port` makes routes of that, and a
//! listener for the service port. `check` takes the health checks over. What can't be used of an app is
//! told, and the rest of it is used.

mod check;
mod config;
mod labels;
mod port;

pub use self::config::Config;

use std::sync::Arc;

use registry::{App, Protocol};

use self::{
    labels::{Labels, Mode},
    port::Port,
};
use super::dynamic::{Abouts, Draft};

/// Makes what the labels of all apps ask for.
pub(super) fn make(config: &Config, abouts: &Abouts, draft: &mut Draft<'_>) {
    if let Some(listen) = config.app_id_listen {
        port::app_id_listener(listen, draft);
    }
    let apps = abouts.values();
    let apps = apps.filter_map(|stated| Some((stated, stated.about.app.as_ref()?)));
    // A colour has no routes of its own.
    let mut apps: Vec<_> = apps.filter(|(_, app)| app.together.is_none()).collect();
    // Of several that want the same the first one has it, but for one that has nobody to ask.
    apps.sort_by_key(|(stated, app)| (!stated.has_instances, Arc::clone(&app.id)));
    for (_, app) in apps {
        let mut making = Making { config, app, draft };
        making.app();
    }
}

/// Makes what one app asks for.
struct Making<'a, 'c> {
    config: &'a Config,
    app: &'a Arc<App>,
    draft: &'a mut Draft<'c>,
}

impl Making<'_, '_> {
    fn app(&mut self) {
        let (labels, problems) = Labels::of(self.app, self.config.strict);
        if !labels.is_any_for(&self.config.groups) {
            return;
        }
        for (label, reason) in problems {
            self.refuse(&label, reason);
        }
        let mut is_first = true;
        for (index, app_port) in self.app.ports.iter().enumerate() {
            let Some(own) = labels.ports.get(index) else {
                continue;
            };
            let is_ours = own.is_for(&self.config.groups) && own.enabled;
            if !is_ours || app_port.protocol == Protocol::Udp {
                continue;
            }
            let label = |name: &str| format!("HAPROXY_{index}_{name}");
            if let Some((name, reason)) = &own.closed {
                self.refuse(&label(name), format!("{reason}; the port has no routes"));
                continue;
            }
            if own.mode == Mode::Tcp {
                let reason = "TCP mode is not supported; the port has no routes";
                self.refuse(&label("MODE"), reason.to_owned());
                continue;
            }
            let port = Port {
                config: self.config,
                app: self.app,
                own,
                app_port,
                is_first,
            };
            is_first = false;
            for (name, reason) in port.add(self.draft) {
                self.refuse(&label(name), reason);
            }
            if self.config.health_checks
                && let Some(check) = check::of(self.app, index)
            {
                let options = self.draft.made.services.entry(app_port.service.clone());
                options.or_default().check = Some(check);
            }
        }
    }

    /// Says that something of the app can't be used.
    fn refuse(&mut self, label: &str, reason: String) {
        let path = format!("{} {label}", self.app.id);
        self.draft.refuse(&self.app.source, &path, reason);
    }
}

#[cfg(test)]
mod tests;
