//! Leases one attempt at a time, trains it and reports.
