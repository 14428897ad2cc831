//! The live engine: market events in, journalled orders out; and its replay.
//!
//! [`Engine`] decides and touches nothing: bars, fills and the kill switch go in, approved orders and alarms come out.
//! [`session`] is the rim around it: a feed, a paper broker and the [`journal`], which is durable before an order leaves.
//! [`replay`] derives a whole journal again, inference included, and names the first difference. Reads no clock and knows
//! neither trainer nor scheduler; what it does is told to an observer, who may print.

mod engine;
pub mod feed;
pub mod journal;
mod replay;
mod script;
pub mod session;

pub use engine::{Action, Engine, EngineError, MarketEvent};
pub use replay::{Outcome, ReplayError, replay};
pub use script::Difference;
