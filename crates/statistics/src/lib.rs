//! Return, risk and overfitting statistics, and the calibration of forecasts; pure functions of numbers.
//!
//! Returns are simple and per period. Ratios are per period too: annualising is the caller's act, with the square root of
//! the periods of a year, and honest only without serial correlation ([`annual`] says more). Too few values, or a
//! NaN among them, give NaN: an undefined figure passes no threshold.

pub mod annual;
pub mod bootstrap;
pub mod calibration;
#[cfg(test)]
mod fixtures;
mod moments;
pub mod overfitting;
mod performance;
pub mod selection;

pub use moments::{deviation, kurtosis, mean, skewness};
pub use performance::{max_drawdown, sharpe, sortino, total_return};
