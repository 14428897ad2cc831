//! Which trials an experiment runs.

mod best;
mod family;
mod grid;
mod insight;
mod port;
mod rungs;
mod source;
mod space;

pub use best::{best, deviation, metric, value};
pub use grid::NotAList;
pub use insight::{Importance, Insight, Share, Weight, insight};
pub use port::{ExperimentSweep, SweepError, open};

#[cfg(test)]
mod tests;
