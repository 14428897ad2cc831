//! Leases one attempt at a time, runs it and reports.
//!
//! Knows the protocol and its own process. What an attempt does is a [`Runner`]'s; how trials are chosen is nobody's
//! business here.

mod runner;

pub use protocol::Assignment;
pub use runner::{CheckpointError, Ended, Failure, Reporter, Runner};
