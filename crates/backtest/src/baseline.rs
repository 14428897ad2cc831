//! What a model has to beat: holding the instrument, and holding nothing. Same venue, same costs.

use market::BasisPoints;
use spec::{Decision, Reason};

use crate::desk::Desk;
use crate::{Backtest, BacktestError, Setting};

/// All of the equity in the instrument from the first decision on, and no trade after that.
///
/// # Errors
/// [`BacktestError::Range`], [`BacktestError::Price`]: the bars cannot be traded.
pub fn buy_and_hold(setting: &Setting<'_>) -> Result<Backtest, BacktestError> {
    hold(setting, BasisPoints(10_000))
}

/// Cash throughout.
///
/// # Errors
/// As [`buy_and_hold`].
pub fn zero(setting: &Setting<'_>) -> Result<Backtest, BacktestError> {
    hold(setting, BasisPoints(0))
}

fn hold(setting: &Setting<'_>, exposure: BasisPoints) -> Result<Backtest, BacktestError> {
    let mut first = Some(exposure);
    Desk::trade(setting, |bar, _| Ok(Decision { bar: bar.time, target: first.take(), reason: Reason::Signal }))
}
