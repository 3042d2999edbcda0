//! The names that services get from the ids of apps.

use crate::{ServiceName, sources::mesos::label};

/// Makes the name of an app's service: `/group/web` and the suffix `app` make `web.group.app`.
///
/// What DNS can't carry is left out, as Mesos-DNS does it.
///
/// # Errors
///
/// Returns in words why there is none.
pub(crate) fn service(id: &str, suffix: &ServiceName) -> Result<ServiceName, String> {
    let labels = id.rsplit('/').map(label).filter(|one| !one.is_empty());
    let labels: Vec<_> = labels.collect();
    if labels.is_empty() {
        return Err(format!(
            "the app's id `{id}` has nothing that DNS can carry"
        ));
    }
    let name = format!("{}.{}", labels.join("."), suffix.as_str());
    name.parse().map_err(|error| format!("{error}"))
}

/// Makes the name of the service of a further port, the second one of which is 1.
///
/// # Errors
///
/// Returns in words why there is none.
pub(super) fn of_port(service: &ServiceName, index: usize) -> Result<ServiceName, String> {
    if index == 0 {
        return Ok(service.clone());
    }
    let name = format!("port{index}.{}", service.as_str());
    name.parse().map_err(|error| format!("{error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_part_of_an_id_comes_first() {
        let suffix = "app".parse().unwrap();
        let name = |id: &str| service(id, &suffix).map(|name| name.as_str().to_owned());
        assert_eq!(name("/web").unwrap(), "web.app");
        assert_eq!(name("/nested/group/web").unwrap(), "web.group.nested.app");
        assert_eq!(name("/v1.2/We_b").unwrap(), "we-b.v1-2.app");
        assert!(name("/").unwrap_err().contains("`/`"));
        let web = service("/web", &suffix).unwrap();
        assert_eq!(of_port(&web, 2).unwrap().as_str(), "port2.web.app");
    }
}
