//! The report's charts, one file each.

pub(super) mod curves;
pub(super) mod equity;
pub(super) mod scatter;
