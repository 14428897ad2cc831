//! The program as its users meet it: real processes, real data, real kills.

#![allow(clippy::unwrap_used, reason = "a test panics when it fails")]

mod agents;
mod families;
mod kills;
mod refusals;
mod road;
mod site;
