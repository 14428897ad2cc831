//! wip
pub mod frames;
