//! Everything that needs a real server or the whole program.

mod support;
mod zookeeper;
