//! The live engine: market events in, journalled orders out; and its replay.

pub mod journal;
