//! What came of a decision bar: return, direction and volatility over the horizon. A label of bar *t* reads the closes up
//! to *t* for its unit, and those of (*t*, *t* + horizon] for its value.

use std::convert::Infallible;
use std::ops::Range;

use dataset::outcome::Closes;
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
    /// Deviation of the training labels: log return of one standardised unit, as a network carries it.
    pub scale: f64,
    /// Root of the mean square of one-bar returns in the training split, as a network carries it.
    pub volatility_scale: f64,
    /// To learn from.
    pub train: Vec<Label>,
    /// To compare by.
    pub validation: Vec<Label>,
}

impl Labels {
    /// Labels of the bars to learn from and of those to compare by, in the units of the former.
    pub(crate) fn over(
        outcomes: &Outcomes<'_>,
        (train, validation): (impl Iterator<Item = usize> + Clone, impl Iterator<Item = usize>),
    ) -> Self {
        let Ok(scales) = units(|act| {
            train.clone().for_each(|bar| act(outcomes.of(bar)));
            Ok::<(), Infallible>(())
        });
        Self {
            scale: f64::from(scales.returns),
            volatility_scale: f64::from(scales.volatility),
            train: train.map(|bar| outcomes.label(bar, scales)).collect(),
            validation: validation.map(|bar| outcomes.label(bar, scales)).collect(),
        }
    }

    /// Labels of further bars in the same units.
    pub(crate) fn of(&self, outcomes: &Outcomes<'_>, bars: impl Iterator<Item = usize>) -> Vec<Label> {
        bars.map(|bar| outcomes.label(bar, self.scales())).collect()
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
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    value: f64,
    square: f64,
}

/// What outcomes and labels are read from: closes of all bars, or of a stretch of them.
#[derive(Debug)]
pub(crate) struct Outcomes<'a> {
    closes: Closes,
    /// The bar of the first close.
    first: usize,
    task: &'a SupervisedSpec,
}

impl<'a> Outcomes<'a> {
    /// From the closes of bar `first` and those behind it. A bar's label asks for those that [`outcome::bars_before`] names
    /// and for a horizon.
    ///
    /// [`outcome::bars_before`]: dataset::outcome::bars_before
    pub(crate) fn new(closes: Vec<f64>, first: usize, task: &'a SupervisedSpec) -> Self {
        Self { closes: Closes::new(closes), first, task }
    }

    /// From all bars.
    pub(crate) fn over(bars: &[Bar], task: &'a SupervisedSpec) -> Self {
        Self { closes: Closes::of(bars), first: 0, task }
    }

    pub(crate) fn of(&self, bar: usize) -> Outcome {
        let (at, horizon) = (bar - self.first, self.task.horizon as usize);
        let squares = self.closes.returns(at..at + horizon).iter().map(|value| value.powi(2)).sum::<f64>();
        Outcome { value: self.closes.log_return(at, at + horizon), square: squares / horizon as f64 }
    }

    pub(crate) fn label(&self, bar: usize, scales: Scales) -> Label {
        let Outcome { value, square } = self.of(bar);
        let (unit, volatility) = (f64::from(scales.returns), f64::from(scales.volatility));
        Label {
            bar,
            standardised_return: (value / unit) as f32,
            class: self.closes.direction(bar - self.first, self.task, unit),
            variance: (square / (volatility * volatility)) as f32,
        }
    }
}

/// The units of the labels that are learned from. `each` calls what it is given with the outcome of every one, in the same
/// order whenever it is asked.
///
/// # Errors
/// The first that `each` gives.
pub(crate) fn units<E>(mut each: impl FnMut(&mut dyn FnMut(Outcome)) -> Result<(), E>) -> Result<Scales, E> {
    let (mut count, mut values, mut squares, mut spread) = (0_u64, 0.0_f64, 0.0_f64, 0.0_f64);
    each(&mut |outcome: Outcome| {
        count += 1;
        values += outcome.value;
        squares += outcome.square;
    })?;
    let count = count as f64;
    let mean = values / count;
    each(&mut |outcome: Outcome| spread += (outcome.value - mean).powi(2))?;
    Ok(Scales { returns: unit(spread / count), volatility: unit(squares / count) })
}

impl TrainingData {
    /// Labels of the training and validation splits.
    ///
    /// # Errors
    /// [`TrainError::TooFewRows`] when a split keeps too few.
    pub fn labels(&self, task: &SupervisedSpec) -> Result<Labels, TrainError> {
        let train = self.decided(("train", &self.split.train), task)?;
        let validation = self.decided(("validation", &self.split.validation), task)?;
        Ok(Labels::over(&Outcomes::over(&self.dataset.bars, task), (train, validation)))
    }

    /// Bars of a split that have a label.
    fn decided(
        &self,
        (name, split): (&'static str, &Range<usize>),
        task: &SupervisedSpec,
    ) -> Result<Range<usize>, TrainError> {
        enough(name, self.labelled(split, task.horizon as usize))
    }
}

/// Refuses bars of a split that are too few.
pub(crate) fn enough(split: &'static str, bars: Range<usize>) -> Result<Range<usize>, TrainError> {
    if bars.len() < ROWS_MIN {
        return Err(TrainError::TooFewRows { split, rows: bars.len(), least: ROWS_MIN });
    }
    Ok(bars)
}

/// The root of a mean square, as a network carries it: what is learned, calibrated and followed live is in one unit. Prices
/// that never move have none: any will do.
fn unit(square: f64) -> f32 {
    if square > 0.0 { square.sqrt() as f32 } else { 1.0 }
}

#[cfg(test)]
mod tests;
