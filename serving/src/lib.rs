//! Predictions over HTTP from the same artifact.
