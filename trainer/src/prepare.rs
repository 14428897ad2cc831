//! From bars to what algorithms learn from: normalised rows, and which rows belong to which split.

use std::ops::Range;

use dataset::{Dataset, SplitIndices};
use envs::Rows;
use features::{FeatureState, Normaliser, Stream};
use spec::TrialSpec;

use crate::TrainError;

/// Everything that algorithms read, made once per trial.
#[derive(Clone, Debug)]
pub struct TrainingData {
    /// The bars, whole.
    pub dataset: Dataset,
    /// Decision bars of each split.
    pub split: SplitIndices,
    /// Bars dropped at the end of a split.
    pub purge: usize,
    /// Normalised feature rows, one a bar.
    pub rows: Rows,
    /// Fitted on the training split, standing at the last bar before the test split.
    pub feature_state: FeatureState,
}

/// Splits the bars, fits the normaliser on the training split alone and normalises every row.
///
/// # Errors
/// [`TrainError::OtherData`] when these are not the trial's bars; as [`dataset::split()`] and [`features::compute`].
pub fn prepare(spec: &TrialSpec, dataset: &Dataset) -> Result<TrainingData, TrainError> {
    let (expected, actual) = (spec.data_digest, dataset.digest);
    if expected != actual {
        return Err(TrainError::OtherData { expected, actual });
    }
    let split = dataset::split(&dataset.bars, &spec.data.split)?;
    let matrix = features::compute_on(dataset.calendar, &spec.features, &dataset.bars)?;
    let fitted = split.train.clone().filter(|bar| matrix.row(*bar).is_some()).count();
    if fitted < ROWS_MIN {
        return Err(TrainError::TooFewRows { split: "train", rows: fitted, least: ROWS_MIN });
    }
    let normaliser = Normaliser::fit(&matrix, split.train.clone());
    let window = spec.task.window();
    let rows = Rows::normalised(&matrix, &normaliser, window);
    let anchor = dataset.bars[0].time;
    let state = FeatureState::fitted(&spec.features, window, anchor, normaliser)?.on(dataset.calendar);
    let mut stream = Stream::resume(state);
    for bar in &dataset.bars[..split.test.start] {
        stream.push(bar)?;
    }
    Ok(TrainingData {
        dataset: dataset.clone(),
        purge: spec.data.split.purge as usize,
        rows,
        feature_state: stream.state(),
        split,
    })
}

/// Fewest rows a split can be fitted or compared on: a deviation of fewer says nothing.
pub(crate) const ROWS_MIN: usize = 8;

impl TrainingData {
    /// The first bar with a full window.
    #[must_use]
    pub fn first_window(&self) -> usize {
        self.rows.first_full()
    }

    /// The window that ends with `bar`, `[window × width]`, oldest first; `None` where it is not full.
    #[must_use]
    pub fn window(&self, bar: usize) -> Option<&[f32]> {
        self.rows.ending(bar)
    }

    /// Decision bars of a split that have a full window and whose label ends inside the split.
    #[must_use]
    pub fn labelled(&self, split: &Range<usize>, horizon: usize) -> Range<usize> {
        let last = (split.end + self.purge).min(self.dataset.bars.len());
        let start = split.start.max(self.first_window());
        start..split.end.min(last.saturating_sub(horizon)).max(start)
    }
}

#[cfg(test)]
mod tests;
