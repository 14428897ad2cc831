//! Decides which attempt of which trial runs on which worker, and again after a failure.
//!
//! Knows leases, retries and batches. Does not know what a trial learns: payloads and outcomes are bytes.

mod sweep;

pub use sweep::{Ask, OpenError, Sweep, SweepOutcome, Sweeps};
