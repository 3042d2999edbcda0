//! The zookeeper source against real ensembles.

mod churn;
mod follower;
mod outages;
mod records;
