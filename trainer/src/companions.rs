//! Symbols beside the traded one, whose training rows are learned from as well.
//!
//! Each is seen in its own units: its features are standardised over its own training rows, and its labels by its own
//! deviation, because a move that is large for one share is a quiet day of another. Bars behind the training split are not
//! looked at.

use std::ops::Range;

use dataset::Dataset;
use envs::Rows;
use features::Normaliser;
use market::{Bar, Symbol};
use spec::{SupervisedSpec, TrialSpec};

use crate::TrainError;
use crate::labels::{Labels, Outcomes, enough};

/// The training split of a symbol that is not traded.
#[derive(Clone, Debug)]
pub struct Companion {
    symbol: Symbol,
    /// Up to the end of the training split.
    bars: Vec<Bar>,
    /// The first bar of the split.
    from: usize,
    /// Normalised feature rows, one a bar.
    pub(crate) rows: Rows,
}

/// Prepares the companions of a trial, which are those that its spec names, in its order.
///
/// # Errors
/// [`TrainError::Companions`] when they are others; [`TrainError::Companion`] with what is wrong with one.
pub(crate) fn prepare(spec: &TrialSpec, companions: &[Dataset]) -> Result<Vec<Companion>, TrainError> {
    let (wanted, given) = (spec.companion_digests.len(), companions.len());
    if wanted != given {
        return Err(TrainError::Companions { wanted, given });
    }
    let prepare = |(set, digest): (&Dataset, &spec::Digest)| {
        let made = if set.digest == *digest {
            Companion::new(spec, set)
        } else {
            Err(TrainError::OtherData { expected: *digest, actual: set.digest })
        };
        made.map_err(|source| source.of_companion(&set.symbol))
    };
    companions.iter().zip(&spec.companion_digests).map(prepare).collect()
}

impl Companion {
    fn new(spec: &TrialSpec, set: &Dataset) -> Result<Self, TrainError> {
        let train = spec.data.split.train;
        let end = set.bars.partition_point(|bar| bar.time <= train.to);
        let from = set.bars.partition_point(|bar| bar.time < train.from);
        let bars = set.bars[..end].to_vec();
        let matrix = features::compute_on(set.calendar, &spec.features, &bars)?;
        enough("train", from.max(matrix.first)..end)?;
        let rows = Rows::normalised(&matrix, &Normaliser::fit(&matrix, from..end), spec.task.window());
        Ok(Self { symbol: set.symbol.clone(), bars, from, rows })
    }

    /// Labels of its training rows, in its own units.
    ///
    /// # Errors
    /// [`TrainError::Companion`] when there are too few.
    pub(crate) fn labels(&self, task: &SupervisedSpec) -> Result<Labels, TrainError> {
        let decided = decided(self.from.max(self.rows.first_full()), self.bars.len(), task);
        let decided = decided.map_err(|few| few.of_companion(&self.symbol))?;
        Ok(Labels::over(&Outcomes::over(&self.bars, task), (decided, std::iter::empty())))
    }
}

/// Bars that have a label, from `first` on, of a symbol that is looked at up to bar `end`.
pub(crate) fn decided(first: usize, end: usize, task: &SupervisedSpec) -> Result<Range<usize>, TrainError> {
    enough("train", first..end.saturating_sub(task.horizon as usize))
}

#[cfg(test)]
mod tests;
