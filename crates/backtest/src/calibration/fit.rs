//! Fits a calibration on validation: each part by its own one-dimensional criterion, the later on top of the earlier.

use models::{CALIBRATION_FORMAT, CLASSES, Calibration, SCORES_MAX, SpreadFit, moments};
use spec::{CalibrationSpec, Imbalance, Output, QUANTILES, Spread, SupervisedSpec};
use statistics::calibration::spread::{Fanned, gaussian_factor, quantile_factor};
use statistics::calibration::temperature::{Prior, temperature};

use super::figures::ScoreFigures;
use super::rows::{Row, base_rates, rows};
use super::{CalibrationError, check_outcomes};
use crate::{Model, Setting};

/// So many rows in which what a network says of directions makes no difference, known before any of its own: of what held in
/// a year of daily bars half is believed for the next. The network was chosen by these very rows, early stopping saw them,
/// and what told directions apart in one year seldom does as well in another. Decided without a look at any test split.
const PRIOR_ROWS: f64 = 250.0;

/// A calibration, and how the rows it was fitted on score with it.
#[derive(Clone, Debug, PartialEq)]
pub struct Fitted {
    /// Goes into the bundle.
    pub calibration: Calibration,
    /// On its own rows, so a little too good.
    pub scores: ScoreFigures,
}

impl Model {
    /// Fits the calibration of a forecaster, or of an ensemble of them, on the bars of `setting`, which must lie in the
    /// validation split; how often directions come is counted over all bars up to their end. A calibration that the bundle
    /// already has is passed over.
    ///
    /// # Errors
    /// [`CalibrationError`] naming what is wrong with the rows.
    pub fn calibrate(
        &self,
        setting: &Setting<'_>,
        (task, wanted): (&SupervisedSpec, &CalibrationSpec),
    ) -> Result<Fitted, CalibrationError> {
        let rows = rows(self, setting, task, |_, _| Ok(()))?;
        let outcomes: Vec<(f64, u8)> = rows.iter().map(|row| (row.outcome, row.class)).collect();
        check_outcomes(&outcomes)?;
        let (temperature, bias) = directions(&rows, task, base_rates(self, setting, task)?);
        let mut calibration = Calibration {
            format: CALIBRATION_FORMAT,
            temperature,
            bias: Some(bias),
            spread: spread(&rows),
            coverage: wanted.coverage,
            rate: wanted.rate,
            passes: wanted.passes,
            horizon: task.horizon,
            scores: Vec::new(),
        };
        let said: Vec<Output> = rows.iter().map(|row| calibration.apply(row.said.clone())).collect();
        let scores = rows.iter().zip(&said).filter_map(|(row, said)| {
            let (expected, deviation) = moments(said)?;
            Some((row.outcome - expected).abs() / deviation)
        });
        calibration.scores = scores.skip(rows.len().saturating_sub(SCORES_MAX)).collect();
        if let Some(why) = calibration.fault() {
            return Err(CalibrationError::Undefined { why });
        }
        Ok(Fitted { scores: ScoreFigures::of(&rows, &said), calibration })
    }
}

/// Temperature and bias of softmax(ln p / T + bias) = softmax(ln base + ln (p / idle) / T), `idle` what a network says that
/// tells nothing apart: base rates at a high temperature, and at T = 1 the network's own words.
fn directions(rows: &[Row], task: &SupervisedSpec, base: [f64; CLASSES]) -> (f32, [f32; CLASSES]) {
    let idle = match task.imbalance {
        Imbalance::Off | Imbalance::Focal { .. } => base,
        // It learned as if all directions came as often: at T = 1 its words are brought back to where they do not (Saerens
        // et al. 2002).
        Imbalance::Balanced => [1.0 / CLASSES as f64; CLASSES],
    };
    let evidence = |row: &Row| -> [f64; CLASSES] {
        let logs = logs(row);
        std::array::from_fn(|class| logs[class] - idle[class].ln())
    };
    let (said, came): (Vec<[f64; CLASSES]>, Vec<u8>) = rows.iter().map(|row| (evidence(row), row.class)).unzip();
    let fitted = temperature(&said, &came, task.horizon, &Prior { base, rows: PRIOR_ROWS });
    let bias = std::array::from_fn(|class| (base[class].ln() - idle[class].ln() / fitted) as f32);
    (fitted as f32, bias)
}

/// Logarithms of the probabilities: the logits, but for a constant that no softmax sees.
fn logs(row: &Row) -> [f64; CLASSES] {
    match &row.said {
        Output::Forecast { probabilities, .. } => {
            probabilities.map(|probability| f64::from(probability.max(f32::MIN_POSITIVE)).ln())
        }
        Output::Policy { .. } | Output::Values { .. } | Output::Control { .. } => {
            unreachable!("only forecasters have a unit of returns, without which there are no rows")
        }
    }
}

/// The factor that makes outcomes most likely, or has the least pinball loss; for a point the root mean square of its misses,
/// which is the same with a deviation of 1.
fn spread(rows: &[Row]) -> SpreadFit {
    let (mut points, mut standardised, mut fans) = (Vec::new(), Vec::new(), Vec::new());
    for row in rows {
        let Output::Forecast { expected_return, spread, .. } = &row.said else { continue };
        let middle = f64::from(*expected_return);
        match spread {
            None => points.push(row.outcome - middle),
            Some(Spread::Deviation(deviation)) => standardised.push((row.outcome - middle) / f64::from(*deviation)),
            Some(Spread::Quantiles(quantiles)) => {
                fans.push(Fanned { quantiles: quantiles.map(f64::from), middle, outcome: row.outcome });
            }
        }
    }
    if !fans.is_empty() {
        return SpreadFit::Factor(quantile_factor(&fans, &QUANTILES.map(f64::from)) as f32);
    }
    if standardised.is_empty() {
        return SpreadFit::Deviation(gaussian_factor(&points) as f32);
    }
    SpreadFit::Factor(gaussian_factor(&standardised) as f32)
}
