//! From a prediction to a decision.
