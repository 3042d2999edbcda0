//! Where services and instances stand below the root, and what a znode there says.

use std::{fmt, sync::Arc};

use zookeeper_client::Stat;

use super::tree::{Node, Version};
use crate::{
    Entry, Key, Refusal, ServiceName, Timestamp,
    formats::{self, Format, Record},
};

/// The znode in which ZooKeeper keeps its own affairs; no service.
const RESERVED: &str = "/zookeeper";

/// Knows the tree `root/<service>/<instance>`, or `root/<record>`; paths inside it are relative: `web`,
/// `web/s1`.
#[derive(Debug)]
pub(crate) struct Layout {
    source: Arc<str>,
    /// As the client sees it, without a slash at the end.
    root: String,
    chroot: String,
    records: Records,
}

/// Says what records are, and where.
#[derive(Debug)]
pub(crate) enum Records {
    /// The children of services are instances.
    Instances(Format),
    /// The children of the root are records of another kind.
    Others(Box<dyn Parse>),
}

/// Reads records that are no instances.
pub(crate) trait Parse: fmt::Debug + Send + Sync {
    /// Returns what the znode called `name` says in `bytes`.
    ///
    /// # Errors
    ///
    /// Returns in words why it can't be read.
    fn parse(&self, key: &Key, name: &str, bytes: &[u8]) -> Result<Entry, String>;
}

impl Layout {
    pub(crate) fn new(source: Arc<str>, root: &str, chroot: &str, records: Records) -> Self {
        Self {
            source,
            root: root.trim_end_matches('/').to_owned(),
            chroot: chroot.to_owned(),
            records,
        }
    }

    /// Tells whether the children of the root are the records.
    pub(super) fn is_flat(&self) -> bool {
        matches!(self.records, Records::Others(_))
    }

    /// Tells whether a relative path is that of a record, and not of a service.
    pub(super) fn is_record(&self, path: &str) -> bool {
        self.is_flat() || path.contains('/')
    }

    /// Returns the root's path, as the client sees it.
    pub(super) fn root(&self) -> &str {
        match self.root.as_str() {
            "" => "/",
            root => root,
        }
    }

    /// Returns a znode's path, as the client sees it.
    pub(super) fn absolute(&self, path: &str) -> String {
        format!("{}/{path}", self.root)
    }

    /// Returns the key of a relative path: the path that an operator without a chroot sees.
    pub(super) fn key(&self, path: &str) -> Key {
        Key::new(format!("{}{}/{path}", self.chroot, self.root))
    }

    /// Returns the key of the root.
    pub(super) fn root_key(&self) -> Key {
        match format!("{}{}", self.chroot, self.root) {
            root if root.is_empty() => Key::new("/"),
            root => Key::new(root),
        }
    }

    /// Returns the relative path of a znode that matters: a service, or an instance of a service
    /// whose name is legal.
    pub(super) fn relative<'a>(&self, absolute: &'a str) -> Option<&'a str> {
        let path = absolute.strip_prefix(&self.root)?.strip_prefix('/')?;
        match path.split_once('/') {
            Some((service, instance)) => {
                let wanted = !self.is_flat() && !instance.contains('/') && self.lists(service);
                wanted.then_some(path)
            }
            None => (!path.is_empty() && !self.is_reserved(path)).then_some(path),
        }
    }

    /// Tells whether the children of this service are instances: its name is one, and it isn't
    /// ZooKeeper's own.
    pub(super) fn lists(&self, service: &str) -> bool {
        !self.is_reserved(service) && service.parse::<ServiceName>().is_ok()
    }

    pub(super) fn is_reserved(&self, service: &str) -> bool {
        self.chroot.is_empty() && self.root.is_empty() && service == &RESERVED[1..]
    }

    /// Says what a service's own znode says: that there is such a service. Its data means nothing.
    pub(super) fn service(&self, name: &str, stat: &Stat) -> Node {
        let key = self.key(name);
        let says = match name.parse() {
            Ok(service) => Ok(Entry::new(key, service, Vec::new())),
            Err(error) => Err(refusal(key, error.to_string())),
        };
        Node {
            version: version(stat),
            says,
        }
    }

    /// Says what the znode of a record says.
    pub(super) fn record(&self, path: &str, bytes: &[u8], stat: &Stat) -> Node {
        let key = self.key(path);
        Node {
            version: version(stat),
            says: self
                .parse(path, &key, bytes, stat)
                .map_err(|reason| refusal(key, reason)),
        }
    }

    /// Says that a znode exists and may not be read.
    pub(super) fn forbidden(&self, path: &str, stat: &Stat) -> Node {
        Node {
            version: version(stat),
            says: Err(refusal(
                self.key(path),
                "not authorized to read it".to_owned(),
            )),
        }
    }

    fn parse(&self, path: &str, key: &Key, bytes: &[u8], stat: &Stat) -> Result<Entry, String> {
        let format = match &self.records {
            Records::Instances(format) => *format,
            Records::Others(parse) => return parse.parse(key, path, bytes),
        };
        let (service, name) = path.split_once('/').unwrap_or((path, path));
        let service = service
            .parse::<ServiceName>()
            .map_err(|error| error.to_string())?;
        let record = Record {
            source: &self.source,
            key,
            name,
            revision: u64::try_from(stat.mzxid).ok(),
            since: u64::try_from(stat.ctime).ok().map(Timestamp::from_millis),
        };
        Ok(Entry::new(
            key.clone(),
            service,
            formats::parse(format, bytes, &record)?,
        ))
    }
}

fn refusal(key: Key, reason: String) -> Refusal {
    Refusal { key, reason }
}

pub(super) fn version(stat: &Stat) -> Version {
    Version {
        created: stat.czxid,
        modified: stat.mzxid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(root: &str, chroot: &str) -> Layout {
        Layout::new("zk".into(), root, chroot, Records::Instances(Format::Auto))
    }

    #[test]
    fn only_services_and_their_instances_matter() {
        let business = layout("/service/business", "");
        for (absolute, relative) in [
            ("/service/business/what", Some("what")),
            ("/service/business/what/s1", Some("what/s1")),
            ("/service/business/_bad_", Some("_bad_")),
            ("/service/business/_bad_/s1", None),
            ("/service/business/what/s1/deeper", None),
            ("/service/business", None),
            ("/service/businesslike/what", None),
            ("/service", None),
        ] {
            assert_eq!(business.relative(absolute), relative, "{absolute}");
        }
    }

    #[test]
    fn zookeepers_own_znode_is_no_service() {
        assert_eq!(layout("/", "").relative("/zookeeper"), None);
        assert_eq!(layout("/", "").relative("/zookeeper/quota"), None);
        assert_eq!(layout("/", "/x").relative("/zookeeper"), Some("zookeeper"));
        assert_eq!(layout("/", "").relative("/web"), Some("web"));
    }

    #[test]
    fn keys_are_paths_without_a_chroot() {
        let inside = layout("/service", "/x");
        assert_eq!(inside.key("web/s1").as_str(), "/x/service/web/s1");
        assert_eq!(inside.root_key().as_str(), "/x/service");
        assert_eq!(inside.absolute("web/s1"), "/service/web/s1");
        let bare = layout("/", "");
        assert_eq!((bare.root_key().as_str(), bare.root()), ("/", "/"));
        assert_eq!(bare.absolute("web"), "/web");
    }
}
