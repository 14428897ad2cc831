//! What came of a decision bar: return, direction and volatility over the horizon. A label of bar *t* reads the closes up
//! to *t* for its unit, and those of (*t*, *t* + horizon] for its value.

use std::ops::Range;

use dataset::outcome::{direction, log_return};
use market::Bar;
use models::{CLASSES, Scales};
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
    /// Labels of the bars to learn from and of those to compare by, in the units of the former.
    pub(crate) fn over(
        bars: &[Bar],
        task: &SupervisedSpec,
        (train, validation): (impl Iterator<Item = usize>, impl Iterator<Item = usize>),
    ) -> Self {
        let outcomes: Vec<Outcome> = train.map(|bar| Outcome::of(bars, bar, task)).collect();
        let count = outcomes.len() as f64;
        let mean = outcomes.iter().map(|outcome| outcome.value).sum::<f64>() / count;
        let variance = outcomes.iter().map(|outcome| (outcome.value - mean).powi(2)).sum::<f64>() / count;
        let square = outcomes.iter().map(|outcome| outcome.square).sum::<f64>() / count;
        let (scale, volatility_scale) = (unit(variance), unit(square));
        let mut labels = Self { scale, volatility_scale, train: Vec::new(), validation: Vec::new() };
        labels.train = outcomes.into_iter().map(|outcome| labels.label(bars, task, &outcome)).collect();
        labels.validation = labels.of(bars, task, validation);
        labels
    }

    /// Labels of further bars in the same units.
    pub(crate) fn of(&self, bars: &[Bar], task: &SupervisedSpec, rows: impl Iterator<Item = usize>) -> Vec<Label> {
        rows.map(|bar| self.label(bars, task, &Outcome::of(bars, bar, task))).collect()
    }

    fn label(&self, bars: &[Bar], task: &SupervisedSpec, outcome: &Outcome) -> Label {
        Label {
            bar: outcome.bar,
            standardised_return: (outcome.value / self.scale) as f32,
            class: direction(bars, outcome.bar, task, self.scale),
            variance: (outcome.square / (self.volatility_scale * self.volatility_scale)) as f32,
        }
    }

    /// Training rows of each direction.
    pub(crate) fn directions(&self) -> [usize; CLASSES] {
        let mut counts = [0; CLASSES];
        self.train.iter().for_each(|label| counts[usize::from(label.class)] += 1);
        counts
    }

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

impl Outcome {
    fn of(bars: &[Bar], bar: usize, task: &SupervisedSpec) -> Self {
        let horizon = task.horizon as usize;
        let squares = (bar..bar + horizon).map(|at| log_return(bars, at, at + 1).powi(2));
        let square = squares.sum::<f64>() / horizon as f64;
        Self { bar, value: log_return(bars, bar, bar + horizon), square }
    }
}

impl TrainingData {
    /// Labels of the training and validation splits.
    ///
    /// # Errors
    /// [`TrainError::TooFewRows`] when a split keeps too few.
    pub fn labels(&self, task: &SupervisedSpec) -> Result<Labels, TrainError> {
        let train = self.decided(("train", &self.split.train), task)?;
        let validation = self.decided(("validation", &self.split.validation), task)?;
        Ok(Labels::over(&self.dataset.bars, task, (train, validation)))
    }

    /// Bars of a split that have a label.
    fn decided(
        &self,
        (name, split): (&'static str, &Range<usize>),
        task: &SupervisedSpec,
    ) -> Result<Range<usize>, TrainError> {
        let rows = self.labelled(split, task.horizon as usize);
        if rows.len() < ROWS_MIN {
            return Err(TrainError::TooFewRows { split: name, rows: rows.len(), least: ROWS_MIN });
        }
        Ok(rows)
    }
}

/// The root of a mean square; prices that never move have no unit: any will do.
fn unit(square: f64) -> f64 {
    if square > 0.0 { square.sqrt() } else { 1.0 }
}

#[cfg(test)]
mod tests;
