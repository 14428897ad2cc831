//! The fill core: order nouns, the one cost model and the simulated exchange.
//!
//! Environment, backtest and paper broker fill through [`CostModel::execute`] and nothing else. A decision taken on bar
//! *t* fills at the open of *t* + 1 at the earliest. Integers only. Knows no models, no strategy and no clock.

mod cost;
mod exchange;
pub mod order;

pub use cost::CostModel;
pub use exchange::{Exchange, Rejection};
pub use order::{ClientOrderId, Fill, OrderIntent};
