//! Brings a forecaster in line with what came of its forecasts, on validation, and measures on other bars how well it lies.
//!
//! [`Model::calibrate`] fits a temperature around base rates, a spread and conformal scores; [`Model::calibration`] judges a
//! calibrated bundle. Whoever calls them names the range: a fit sees nothing after its own, whose bars are not those judged on.

mod figures;
mod fit;
mod rows;

pub use figures::{CalibrationFigures, CoverageFigures, FollowedFigures, ReliabilityBin, ScoreFigures};
pub use fit::Fitted;

use spec::CALIBRATION_ROWS_MIN;

use crate::BacktestError;

/// Names of the directions, by class.
const DIRECTIONS: [&str; 3] = ["down", "flat", "up"];

/// Why there is no calibration. Nothing is written then.
#[derive(Debug, thiserror::Error)]
pub enum CalibrationError {
    /// Too few rows for figures that mean something.
    #[error(
        "calibration: validation keeps {rows} rows with an outcome, {least} are needed: lengthen the validation split, or \
         leave `task.supervised.calibration` out"
    )]
    TooFewRows {
        /// Rows with a window and an outcome.
        rows: usize,
        /// Rows needed.
        least: usize,
    },
    /// Prices that stand still, or that always move alike.
    #[error(
        "calibration: the return over the horizon is the same in all {rows} validation rows: a constant series has no \
         spread to calibrate; check the data"
    )]
    Constant {
        /// Rows with an outcome.
        rows: usize,
    },
    /// A direction that never came: its probability cannot be held against anything.
    #[error(
        "calibration: none of {rows} validation rows goes {direction}: lengthen the validation split, or change \
         `labels` or `flat_band`"
    )]
    ClassAbsent {
        /// Which one.
        direction: &'static str,
        /// Rows with an outcome.
        rows: usize,
    },
    /// Forecasts that cannot be brought in line with anything: all exact, or of no width.
    #[error(
        "calibration: the fit is undefined, {why}: the network's spread or its misses are zero or beyond all numbers"
    )]
    Undefined {
        /// What is wrong with it.
        why: &'static str,
    },
    /// The bundle acts.
    #[error("calibration: the bundle acts and forecasts nothing: only forecasters are calibrated")]
    NoForecast,
    /// A forecast cannot be made.
    #[error(transparent)]
    Backtest(#[from] BacktestError),
}

impl CalibrationError {
    /// Whether the bars are at fault, so that a retry meets the same.
    #[must_use]
    pub const fn is_data(&self) -> bool {
        match self {
            Self::TooFewRows { .. } | Self::Constant { .. } | Self::ClassAbsent { .. } => true,
            Self::Undefined { .. } | Self::NoForecast | Self::Backtest(_) => false,
        }
    }
}

/// Refuses outcomes that nothing can be calibrated on: known before anything is trained. Each is a return over the horizon
/// and its direction, 0 to 2.
///
/// # Errors
/// [`CalibrationError::TooFewRows`], [`CalibrationError::Constant`] or [`CalibrationError::ClassAbsent`].
pub fn check_outcomes(outcomes: &[(f64, u8)]) -> Result<(), CalibrationError> {
    let rows = outcomes.len();
    if rows < CALIBRATION_ROWS_MIN {
        return Err(CalibrationError::TooFewRows { rows, least: CALIBRATION_ROWS_MIN });
    }
    if outcomes.iter().all(|(value, _)| *value == outcomes[0].0) {
        return Err(CalibrationError::Constant { rows });
    }
    let absent = |class: &usize| outcomes.iter().all(|(_, own)| usize::from(*own) != *class);
    match (0..DIRECTIONS.len()).find(absent) {
        Some(class) => Err(CalibrationError::ClassAbsent { direction: DIRECTIONS[class], rows }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_that_cannot_be_calibrated_on_are_named() {
        let mixed: Vec<(f64, u8)> = (0..150_u8).map(|row| (f64::from(row % 7) - 3.0, row % 3)).collect();
        assert!(check_outcomes(&mixed).is_ok());
        let said = |outcomes: &[(f64, u8)]| check_outcomes(outcomes).unwrap_err().to_string();
        assert!(said(&mixed[..99]).contains("keeps 99 rows with an outcome, 100 are needed"));
        assert!(said(&[]).contains("keeps 0 rows"));
        let still: Vec<(f64, u8)> = vec![(0.0, 1); 150];
        assert!(said(&still).contains("constant series"), "before any class that it lacks: {}", said(&still));
        for (class, name) in DIRECTIONS.iter().enumerate() {
            let without: Vec<_> = mixed.iter().filter(|(_, own)| usize::from(*own) != class).copied().collect();
            assert!(said(&without).contains(&format!("none of 100 validation rows goes {name}")), "{}", said(&without));
        }
    }
}
