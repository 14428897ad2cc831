//! The program as its users meet it: real processes, real data, real kills.

#![allow(clippy::unwrap_used, reason = "a test panics when it fails")]

mod agents;
mod calibrated;
mod checkpoints;
mod companions;
mod databases;
mod elsewhere;
mod explanations;
mod families;
mod folds;
mod horizon;
mod kills;
mod learned;
mod members;
mod operators;
#[path = "../../../scheduler/tests/it/postgres/server.rs"]
mod postgres;
mod processes;
mod refusals;
mod road;
mod s3;
mod site;
