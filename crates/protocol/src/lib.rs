//! The wire between scheduler, workers and clients.
