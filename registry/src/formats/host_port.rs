//! `10.0.0.1:80`: plain text.

use super::{Record, value};
use crate::{Instance, Port};

/// Any text with a colon that isn't JSON might be one.
pub(super) fn fits(text: &str) -> bool {
    let json = text.starts_with('{') || (text.starts_with('[') && !text.contains("]:"));
    !json && text.contains(':')
}

/// Reads host and port; quotes around them do no harm.
pub(super) fn parse(text: &str, record: &Record<'_>) -> Result<Vec<Instance>, String> {
    let bare = text
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .unwrap_or(text);
    let Some((host, port)) = bare.rsplit_once(':') else {
        return Err(format!("`{}` is not host:port", value::shown(text)));
    };
    if host.contains(':') && !host.starts_with('[') {
        let host = value::shown(host);
        return Err(format!("an IPv6 address needs brackets: `[{host}]:{port}`"));
    }
    let number = port
        .trim()
        .parse()
        .map_err(|_| format!("port `{}` is not a whole number", value::shown(port)))?;
    let mut instance = record.instance(None);
    instance.set_host(host.trim())?;
    instance.ports.push(Port::tcp(Port::number(number)?));
    Ok(vec![instance])
}
