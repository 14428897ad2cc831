//! The questions: sweeps, verdicts and reports.
