//! The questions: sweeps, verdicts and reports.

mod figure;
#[cfg(test)]
mod fixture;
mod question;
mod record;
pub mod report;
mod summary;
pub mod sweep;
pub mod trials;
mod verdict;

pub use question::{Question, normalised};
pub use record::{Record, RecordError};
pub use summary::{Best, Ended, GateFigure, Promotion, Summary};
