//! Cash, position and profit of one instrument, moved exactly by fills and fees.
//!
//! Also the two pure rules that turn a wanted exposure into an order, since environment, backtest and live must share
//! them: [`exposures`] and [`quantity_to_target`]. Integers only. Knows no models, brokers or clock.

mod account;
mod tape;
mod target;

pub use account::Portfolio;
pub use tape::Tape;
pub use target::{exposures, quantity_to_target};
