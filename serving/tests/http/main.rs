//! The server over real HTTP on loopback, with a small untrained network over AAPL's daily bars.

#![allow(clippy::unwrap_used, reason = "a test panics when it fails")]

mod fixture;
mod lifecycle;
mod predictions;
mod refusals;
