//! From an experiment file to a verdict on real bars, with untrained networks in the place of trained ones.

#![allow(clippy::unwrap_used, reason = "a test panics when it fails")]

mod calibrating;
mod concluding;
mod encoding;
mod home;
mod preparing;
