//! Engines: ways to start workers.

mod local;

pub use local::{Command, Local};

#[cfg(test)]
mod tests;
