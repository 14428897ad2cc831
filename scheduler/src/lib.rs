//! Decides which attempt of which trial runs on which worker, and again after a failure.
//!
//! Knows leases, retries and batches. Does not know what a trial learns: payloads and outcomes are bytes.
//! [`cluster`] is a pure state machine, [`ledger`] the fold of its [`journal`]; the server and the engines are the only
//! parts that wait for anything.

pub mod bench;
mod clock;
pub mod cluster;
mod code;
mod config;
mod core;
mod driver;
pub mod engine;
pub mod engines;
pub mod event;
mod explain;
pub mod journal;
pub mod ledger;
pub mod metrics;
mod record;
mod retry;
mod round;
mod server;
mod side_log;
#[cfg(test)]
mod simulation;
pub mod snapshot;
mod surplus;
mod sweep;
pub mod trial;

pub use cluster::{Options, Quarantine, Quota, Recovery, Scope};
pub use config::{
    Config, JournalAt, SchedulerError, Transport, address, credentials, identity_path, joined, journal_path,
    journals_elsewhere, tell_journal, token_path,
};
pub use driver::SweepError;
pub use retry::{BACKOFF_MAX, WORKER_LOSSES_MAX};
pub use server::{Handle, History, history, serve, start, surplus};
pub use side_log::{LogLine, log_path};
pub use sweep::{Ask, Child, Judgement, OpenError, Pace, Sweep, SweepOutcome, Sweeps};
