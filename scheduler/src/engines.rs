//! Engines: ways to start workers.

mod local;

pub use local::{Command, Local};
