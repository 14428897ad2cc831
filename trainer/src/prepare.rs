//! From bars to what algorithms learn from: normalised rows, and which rows belong to which split.

use std::ops::Range;

use dataset::{Dataset, SplitIndices};
use envs::Rows;
use features::{FeatureState, Normaliser};
use models::{Encoder, LearnedState, Sight};
use spec::TrialSpec;

use crate::TrainError;
use crate::companions::{self, Companion};

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
    /// The same of learned features; `None`: indicators are all that is seen.
    pub learned: Option<LearnedState>,
    /// Other symbols whose training rows are learned from, in the spec's order.
    pub companions: Vec<Companion>,
}

/// Splits the bars, fits the normaliser on the training split alone and normalises every row.
///
/// # Errors
/// [`TrainError::OtherData`] when these are not the trial's bars; [`TrainError::OtherEncoder`] when the trial asks for an
/// encoder; as [`dataset::split()`] and [`features::compute`].
pub fn prepare(spec: &TrialSpec, dataset: &Dataset) -> Result<TrainingData, TrainError> {
    prepare_among(spec, dataset, &[])
}

/// The same with the other symbols that the trial learns from, in its order.
///
/// # Errors
/// As [`prepare()`]; [`TrainError::Companions`] when these are not the trial's; [`TrainError::Companion`] with what is wrong
/// with one.
pub fn prepare_among(spec: &TrialSpec, dataset: &Dataset, companions: &[Dataset]) -> Result<TrainingData, TrainError> {
    let companions = companions::prepare(spec, companions)?;
    Ok(TrainingData { companions, ..prepared(spec, dataset, None)? })
}

/// The same with an encoder's features of each bar's window behind its indicators, normalised as they are.
///
/// # Errors
/// As [`prepare()`]; [`TrainError::OtherEncoder`] when it is not the trial's, [`TrainError::OtherStart`] when its indicators
/// start at another bar.
pub fn prepare_seeing(spec: &TrialSpec, dataset: &Dataset, encoder: &Encoder) -> Result<TrainingData, TrainError> {
    let companions = companions::prepare(spec, &[])?;
    Ok(TrainingData { companions, ..prepared(spec, dataset, Some(encoder))? })
}

fn prepared(spec: &TrialSpec, dataset: &Dataset, encoder: Option<&Encoder>) -> Result<TrainingData, TrainError> {
    let (wanted, given) = (spec.encoder.as_ref().map(|encoder| encoder.bundle), encoder.map(Encoder::version));
    if wanted != given {
        return Err(TrainError::OtherEncoder { wanted, given });
    }
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
    let (rows, sight) = match encoder {
        None => (rows, Sight::from(state)),
        Some(encoder) => beside((rows, state), encoder, (dataset, &split.train))?,
    };
    let mut stream = sight.resume();
    for bar in &dataset.bars[..split.test.start] {
        stream.advance(bar)?;
    }
    let sight = stream.sight()?;
    Ok(TrainingData {
        dataset: dataset.clone(),
        purge: spec.data.split.purge as usize,
        rows,
        feature_state: sight.features().clone(),
        learned: sight.learned().map(|learned| learned.state().clone()),
        companions: Vec::new(),
        split,
    })
}

/// Rows and state of indicators with those of an encoder beside them, the latter fitted on the training split, too.
fn beside(
    (rows, state): (Rows, FeatureState),
    encoder: &Encoder,
    (dataset, train): (&Dataset, &Range<usize>),
) -> Result<(Rows, Sight), TrainError> {
    if encoder.anchor() != state.anchor {
        return Err(TrainError::OtherStart { encoder: encoder.anchor(), bars: state.anchor });
    }
    let matrix = encoder.matrix(&dataset.bars)?;
    let normaliser = Normaliser::fit(&matrix, train.clone());
    let window = rows.window;
    let rows = rows.beside(&Rows::normalised(&matrix, &normaliser, window));
    Ok((rows, Sight::with(state, encoder.fitted(window, normaliser)?)?))
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
        labelled(split, (self.dataset.bars.len(), self.purge), (self.first_window(), horizon))
    }
}

/// The same among so many bars, of whose splits so many are purged.
pub(crate) fn labelled(
    split: &Range<usize>,
    (bars, purge): (usize, usize),
    (first_window, horizon): (usize, usize),
) -> Range<usize> {
    let last = (split.end + purge).min(bars);
    let start = split.start.max(first_window);
    start..split.end.min(last.saturating_sub(horizon)).max(start)
}

#[cfg(test)]
mod tests;
