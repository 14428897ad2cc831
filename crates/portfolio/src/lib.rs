//! Cash, position and profit of one instrument, moved exactly by fills and fees.
//!
//! Also the pure rules that turn a policy's answer into an exposure and that into an order, since environment, backtest and
//! live must share them: [`exposures`], [`exposure`] and [`quantity_to_target`]. Integers only. Knows no models, brokers or clock.

mod account;
mod tape;
mod target;

pub use account::Portfolio;
pub use tape::Tape;
pub use target::{Standing, exposure, exposures, quantity_to_target};
