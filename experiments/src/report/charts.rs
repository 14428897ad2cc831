//! The report's charts, one file each.

pub(super) mod curves;
pub(super) mod equity;
pub(super) mod importance;
pub(super) mod parallel;
pub(super) mod pareto;
pub(super) mod reliability;
pub(super) mod scatter;
