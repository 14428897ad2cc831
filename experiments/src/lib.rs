//! The questions: sweeps, verdicts and reports.

pub mod report;
pub mod sweep;
