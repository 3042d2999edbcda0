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
use super::dynamic::{Abouts, Dynamic, Refused};

/// Makes what the labels of all apps ask for.
pub(super) fn make(config: &Config, abouts: &Abouts, dynamic: &mut Dynamic) {
    let apps = abouts.values().filter_map(|about| about.app.as_ref());
    // A colour has no routes of its own, and neither has a group that another signpost is for.
    for app in apps.filter(|app| app.together.is_none()) {
        let mut making = Making {
            config,
            app,
            dynamic,
        };
        making.app();
    }
    if let Some(listen) = config.app_id_listen {
        port::app_id_listener(listen, dynamic);
    }
}

/// Makes what one app asks for.
struct Making<'a> {
    config: &'a Config,
    app: &'a Arc<App>,
    dynamic: &'a mut Dynamic,
}

impl Making<'_> {
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
            for (name, reason) in port.add(self.dynamic) {
                self.refuse(&label(name), reason);
            }
            if self.config.health_checks
                && let Some(check) = check::of(self.app, index)
            {
                let options = self.dynamic.services.entry(app_port.service.clone());
                options.or_default().check = Some(check);
            }
        }
    }

    /// Says that something of the app can't be used.
    fn refuse(&mut self, label: &str, reason: String) {
        self.dynamic.refused.push(Refused {
            source: Arc::clone(&self.app.source),
            path: format!("{} {label}", self.app.id),
            reason,
        });
    }
}

#[cfg(test)]
mod tests;
