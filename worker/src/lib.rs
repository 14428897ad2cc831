//! Leases one attempt at a time, runs it and reports.
//!
//! Knows the protocol and its own process. What an attempt does is a [`Runner`]'s: [`Trial`] trains, [`Rehearsal`] plays a
//! script, [`Apart`] starts a process of its own for one that leased GPUs. How trials are chosen is nobody's business here.

mod apart;
mod folds;
mod machine;
mod parent;
mod rehearsal;
mod runner;
mod trial;
mod work;

pub use apart::{Apart, AttemptError, Command, attempt};
pub use machine::{ALL_DEVICES, Hardware, cpu_model, hardware, kernel, visible_devices};
pub use parent::{ParentError, die_with_parent};
pub use protocol::Assignment;
pub use rehearsal::Rehearsal;
pub use runner::{CheckpointError, Ended, Failure, Reporter, Runner};
pub use trial::Trial;
pub use work::{Options, Served, WorkerError, run};
