//! How services become names. A scheme is one file here and one line in the list below.

mod mesos;
mod plain;

use registry::{Instance, PortName, Protocol, Service};
use serde::{Deserialize, Serialize};

use crate::{name::Name, table::Rank};

macro_rules! schemes {
    ($($(#[$doc:meta])* $scheme:ident => $names:expr),+ $(,)?) => {
        /// Names a way to make names of services.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Scheme {
            $($(#[$doc])* $scheme,)+
        }

        impl Scheme {
            /// Returns what makes the names; those of RFC 952 where that is asked for and the scheme
            /// has such ones.
            pub(crate) fn names(self, rfc952: bool) -> &'static dyn Names {
                let names: &'static dyn Names = match self {
                    $(Self::$scheme => &$names,)+
                };
                match rfc952 {
                    true => names.rfc952().unwrap_or(names),
                    false => names,
                }
            }

            /// Tells whether there are names of RFC 952.
            pub(crate) fn has_rfc952(self) -> bool {
                self.names(false).rfc952().is_some()
            }
        }
    };
}

schemes! {
    /// `web.D`, `_web._tcp.D`, `_http._tcp.web.D` and `<id>.web.D`.
    #[default]
    Plain => plain::Plain,
    /// Those of Mesos-DNS: `web.marathon.D`, `_web._tcp.marathon.D`.
    Mesos => mesos::Mesos { rfc952: false },
}

/// Makes names of services, all relative to the zone's domain.
///
/// A pure function of one service: what several services have to say at one name is sorted out by
/// the [`Rank`]s. A name that DNS couldn't carry is left out.
pub(crate) trait Names: Send + Sync {
    /// Calls `add` with each name at which the service has something to say, each once.
    fn each<'a>(&self, service: &'a Service, add: &mut dyn FnMut(Name, Rank, View<'a>));

    /// Calls `add` with each port by which an instance can be browsed for, whether or not clients
    /// should be sent there.
    fn browse<'a>(&self, service: &'a Service, add: &mut dyn FnMut(Browsed<'a>));

    /// Returns the name of one instance: the target of SRV and PTR records.
    fn instance(&self, service: &Service, instance: &Instance) -> Option<Name>;

    /// Returns what makes the same names with labels as RFC 952 has them, where there is such a thing.
    fn rfc952(&self) -> Option<&'static dyn Names> {
        None
    }
}

/// Says what of a service a name answers with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum View<'a> {
    /// The addresses of all instances that clients should be sent to, and their HTTPS records.
    Addresses,
    /// The main ports of those instances (SRV).
    MainPorts(Protocol),
    /// The ports of this name of those instances (SRV, and SVCB where the name is one of HTTP's).
    NamedPorts(Protocol, &'a PortName),
    /// All ports of a protocol (SRV): of every instance, or of those with or without an attribute.
    AllPorts {
        protocol: Protocol,
        only: Option<(&'static str, bool)>,
    },
    /// The addresses and attributes of one instance.
    Instance(&'a Instance),
    /// The port of this name of one instance (SRV), and its attributes.
    Browsed(Protocol, &'a PortName, &'a Instance),
}

/// Says by which names an instance can be browsed for (RFC 6763, section 4); both are relative.
#[derive(Debug)]
pub(crate) struct Browsed<'a> {
    /// The kind of service: a name at which several services have something to say.
    pub(crate) kind: Name,
    /// Where that leads: the name with [`View::Browsed`].
    pub(crate) target: Name,
    pub(crate) instance: &'a Instance,
}
