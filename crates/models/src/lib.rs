//! Networks and the Predictor: bundle in, prediction out.
