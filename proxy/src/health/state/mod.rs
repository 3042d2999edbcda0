//! What is known of the instances, and what follows from it; pure, time is an argument.

mod checked;
mod ejected;
mod instance;
mod service;
mod slow_start;
mod window;

pub(super) use ejected::Why;
pub(super) use instance::{Condition, InstanceState};
pub(super) use service::{Counts, ServiceState};
