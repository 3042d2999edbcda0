//! Health checks of Marathon as those of the proxy.

use ::config::Duration;
use proxy::{Check, CheckKind};
use registry::App;

/// Returns how instances of a port are asked, if Marathon asks them by a connection.
pub(super) fn of(app: &App, index: usize) -> Option<Check> {
    let mut checks = app.checks.iter();
    let check = checks.find(|check| check.port_index == Some(index))?;
    let kind = match &*check.protocol {
        "HTTP" | "MESOS_HTTP" => CheckKind::Http,
        "TCP" | "MESOS_TCP" | "HTTPS" | "MESOS_HTTPS" => CheckKind::Tcp,
        _ => return None,
    };
    let mut made = Check {
        kind,
        interval: Duration::from_secs(check.interval_seconds.max(1)),
        timeout: Duration::from_secs(check.timeout_seconds.max(1)),
        // HAProxy counts the failures that are one too many, and marathon-lb does, too.
        fall: check.failures_max.saturating_add(1),
        // Marathon's own.
        status: vec!["200-399".parse().expect("it is a range")],
        ..Check::default()
    };
    if kind == CheckKind::Http {
        made.path = check.path.to_string();
    }
    Some(made)
}
