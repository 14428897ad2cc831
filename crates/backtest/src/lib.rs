//! Runs a strategy over history through the fill core.
//!
//! Decisions go the way live ones go: features → [`models::Predictor`] → [`strategy::decide`] → [`risk::Gate`] →
//! [`venue::Exchange`] → [`portfolio::Portfolio`]; a paper session over the same bars has the same orders hash. Forecasts
//! do not depend on positions, so they are made in batches: the Predictor gives a row the same bits in any batch, and
//! [`parity`] counts where it does not. [`calibration`] holds forecasts against what came of them. Knows no trainer, no
//! brokers and no clock.

mod baseline;
pub mod calibration;
mod desk;
mod model;
mod outcome;
mod parity;
mod run;
mod setting;
mod windows;

pub use baseline::{buy_and_hold, zero};
pub use model::{Model, warm_up_bars};
pub use outcome::{Backtest, Summary};
pub use parity::{Parity, parity};
pub use run::{forecast_rows, run};
pub use setting::{BacktestError, Setting};
