//! Which trials an experiment runs.

mod best;
mod grid;
mod port;
mod rungs;
mod source;
mod space;

pub use best::{best, metric, value};
pub use grid::NotAList;
pub use port::{ExperimentSweep, SweepError, open};

#[cfg(test)]
mod tests;
