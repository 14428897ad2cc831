//! What came of a decision bar: return, direction and volatility over the horizon. A label of bar *t* reads the closes up
//! to *t* for its unit, and those of (*t*, *t* + horizon] for its value.

use std::ops::Range;

use dataset::outcome::{direction, log_return};
use models::Scales;
use spec::SupervisedSpec;

use crate::prepare::ROWS_MIN;
use crate::{TrainError, TrainingData};

/// A decision bar with what came of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Label {
    /// The bar decided on.
    pub bar: usize,
    /// ln(close at bar + horizon / close at bar) over the deviation of the training labels.
    pub standardised_return: f32,
    /// 0 down, 1 flat, 2 up.
    pub class: u8,
    /// Mean square of the one-bar log returns over the horizon, over its mean in the training split.
    pub variance: f32,
}

/// Labels of the two splits that training may see.
#[derive(Clone, Debug, PartialEq)]
pub struct Labels {
    /// Deviation of the training labels: log return of one standardised unit.
    pub scale: f64,
    /// Root of the mean square of one-bar returns in the training split.
    pub volatility_scale: f64,
    /// To learn from.
    pub train: Vec<Label>,
    /// To compare by.
    pub validation: Vec<Label>,
}

impl Labels {
    /// The units as a network carries them.
    #[must_use]
    pub const fn scales(&self) -> Scales {
        Scales { returns: self.scale as f32, volatility: self.volatility_scale as f32 }
    }
}

/// Return and mean square over the horizon of one bar.
struct Outcome {
    bar: usize,
    value: f64,
    square: f64,
}

impl TrainingData {
    /// Labels of the training and validation splits.
    ///
    /// # Errors
    /// [`TrainError::TooFewRows`] when a split keeps too few.
    pub fn labels(&self, task: &SupervisedSpec) -> Result<Labels, TrainError> {
        let train = self.outcomes("train", &self.split.train, task)?;
        let validation = self.outcomes("validation", &self.split.validation, task)?;
        let count = train.len() as f64;
        let mean = train.iter().map(|outcome| outcome.value).sum::<f64>() / count;
        let variance = train.iter().map(|outcome| (outcome.value - mean).powi(2)).sum::<f64>() / count;
        let square = train.iter().map(|outcome| outcome.square).sum::<f64>() / count;
        let (scale, volatility_scale) = (unit(variance), unit(square));
        let label = |outcome: &Outcome| {
            let standardised = outcome.value / scale;
            Label {
                bar: outcome.bar,
                standardised_return: standardised as f32,
                class: direction(&self.dataset.bars, outcome.bar, task, scale),
                variance: (outcome.square / (volatility_scale * volatility_scale)) as f32,
            }
        };
        Ok(Labels {
            scale,
            volatility_scale,
            train: train.iter().map(label).collect(),
            validation: validation.iter().map(label).collect(),
        })
    }

    fn outcomes(
        &self,
        name: &'static str,
        split: &Range<usize>,
        task: &SupervisedSpec,
    ) -> Result<Vec<Outcome>, TrainError> {
        let horizon = task.horizon as usize;
        let rows = self.labelled(split, horizon);
        if rows.len() < ROWS_MIN {
            return Err(TrainError::TooFewRows { split: name, rows: rows.len(), least: ROWS_MIN });
        }
        let bars = &self.dataset.bars;
        let outcome = |bar: usize| Outcome {
            bar,
            value: log_return(bars, bar, bar + horizon),
            square: (bar..bar + horizon).map(|at| log_return(bars, at, at + 1).powi(2)).sum::<f64>() / horizon as f64,
        };
        Ok(rows.map(outcome).collect())
    }
}

/// The root of a mean square; prices that never move have no unit: any will do.
fn unit(square: f64) -> f64 {
    if square > 0.0 { square.sqrt() } else { 1.0 }
}

#[cfg(test)]
mod tests;
