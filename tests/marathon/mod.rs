//! The whole program beside a Marathon.

mod cluster;
mod day;
mod labels;
mod page;
mod rules;
mod world;

use crate::support::{marathon::Marathon, signpost::Signpost};

/// Starts signpost with a source for a Marathon, and this besides.
fn start(marathon: &Marathon, more: &str) -> Signpost {
    let signpost = Signpost::start(&config(marathon, more));
    crate::support::eventually("the apps are known", || signpost.get("/readyz").0 == 200);
    signpost
}

fn config(marathon: &Marathon, more: &str) -> String {
    format!(
        "[sources.apps.marathon]\nurls = ['http://{}']\n{more}",
        marathon.address()
    )
}
