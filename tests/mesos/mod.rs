//! What replaces Mesos-DNS: the whole program beside a master, asked with `dig`.

mod api;
mod cluster;
pub(crate) mod election;
mod manners;
mod names;
mod secure;

use crate::support::{eventually, mesos_master::MesosMaster, signpost::Signpost};

/// Starts a signpost that reads a master; `source` and `zone` are more keys of each.
fn start(master: &MesosMaster, source: &str, zone: &str) -> Signpost {
    let signpost = Signpost::start(&format!(
        "[sources.cluster.mesos]\nmasters = ['{}']\n{source}\n\
         [[dns.zones]]\ndomain = 'mesos'\nscheme = 'mesos'\n{zone}\n",
        master.address()
    ));
    // Where the schedulers are is read last.
    eventually("all is known", || {
        !signpost.dig(&["marathon.mesos", "A"]).is_empty()
    });
    signpost
}
