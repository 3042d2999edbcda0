//! Which instances are well: what is seen of them, and what follows.
//!
//! One task of the control plane, the [`HealthManager`]'s, watches the instances of those services
//! that are configured to be. It asks them itself (`probe`, in the order of a `schedule`), and it
//! looks at what they do to requests: workers count that in each endpoint's [`Outcomes`], and tell
//! of one that fails again and again. What it decides (in `state`, which is pure) it says to the
//! registry as observations, which become part of the next snapshot. So zones and pools leave an
//! instance out by the one flow, and neither a query nor a request ever looks at health.

mod manager;
mod metrics;
mod outcomes;
mod probe;
mod schedule;
mod state;
mod view;

pub use manager::HealthManager;
pub(crate) use outcomes::{Alert, Outcome, Outcomes};
pub use view::{InstanceHealth, ServiceHealth, Verdict};
