//! Bars to feature rows by one incremental pipeline for training, serving and live.
