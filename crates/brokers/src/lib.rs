//! The Broker trait, its paper adapter, and the suite that every adapter passes.
//!
//! A broker takes only orders that [`risk`] approved. The broker is truth: what it reports is what happened. Knows no
//! models and no strategy.

mod broker;
pub mod conformance;
mod paper;

pub use broker::{Ack, Broker, BrokerError};
pub use paper::PaperBroker;
