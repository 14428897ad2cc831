//! Cross-validation: the rows of train and validation, dealt into folds that are learned from one after the other.
//!
//! A fold is a small trial. What trains is cut by time, in the proportion of the trial's own splits: a network is fitted on
//! the earlier rows and stops by the later ones, which are purged from each other. The tested rows are seen by neither;
//! normaliser and units of labels are those of the rows fitted on. Knows no network.

use std::collections::BTreeMap;
use std::ops::Range;

use dataset::{Deal, TrainWindow};
use envs::Rows;
use features::{FeatureState, Matrix, Normaliser};
use spec::{CrossValidationSpec, DateRange, FOLD_ROWS_MIN, FoldScore, FoldWindow, Metric, SupervisedSpec, TrialSpec};

use crate::labels::{Label, Labels, Outcomes};
use crate::{TrainError, TrainingData};

/// Bars that a fold decides on, ascending.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Bars {
    fit: Vec<usize>,
    stop: Vec<usize>,
    test: Vec<usize>,
}

/// All folds of a trial.
pub(crate) struct Folds<'a> {
    trial: &'a TrialSpec,
    task: &'a SupervisedSpec,
    data: &'a TrainingData,
    matrix: Matrix,
    dealt: Vec<Bars>,
}

/// What a fold learns from and is judged by.
pub(crate) struct Fold {
    /// Rows of all bars, normalised by those fitted on.
    pub(crate) rows: Rows,
    /// Of the rows fitted on and of those stopped by.
    pub(crate) labels: Labels,
    /// Of the rows tested.
    pub(crate) test: Vec<Label>,
    /// Stretches of bars tested.
    pub(crate) tested: Vec<Range<usize>>,
    /// Fitted on the rows fitted on.
    pub(crate) features: FeatureState,
}

impl<'a> Folds<'a> {
    /// Deals the rows.
    ///
    /// # Errors
    /// [`TrainError::Folds`] and [`TrainError::FoldTooSmall`] where purge and embargo leave too little.
    pub(crate) fn deal(
        wanted: CrossValidationSpec,
        (trial, task): (&'a TrialSpec, &'a SupervisedSpec),
        data: &'a TrainingData,
    ) -> Result<Self, TrainError> {
        let horizon = task.horizon as usize;
        let split = &data.split;
        let [train, validation] = [&split.train, &split.validation].map(|split| data.labelled(split, horizon));
        let share = (validation.len(), train.len() + validation.len());
        // Rows are counted without the bars between the splits, so that no block is smaller for their sake.
        let bars: Vec<usize> = train.chain(validation).collect();
        let reach: Vec<usize> =
            bars.iter().map(|bar| bars.partition_point(|other| *other <= bar + horizon) - 1).collect();
        let embargo = trial.data.split.embargo as usize;
        let folds = dataset::folds(0..bars.len(), deal(wanted), |row| reach[row], embargo)?;
        let of =
            |ranges: Vec<Range<usize>>| -> Vec<usize> { ranges.into_iter().flatten().map(|row| bars[row]).collect() };
        let mut dealt = Vec::with_capacity(folds.len());
        for (index, fold) in folds.into_iter().enumerate() {
            let (fit, stop) = cut(&of(fold.train), share, horizon);
            let fold = Bars { fit, stop, test: of(fold.test) };
            for (purpose, rows) in [("fit on", &fold.fit), ("stop by", &fold.stop), ("test on", &fold.test)] {
                if rows.len() < FOLD_ROWS_MIN {
                    let (rows, least) = (rows.len(), FOLD_ROWS_MIN);
                    return Err(TrainError::FoldTooSmall { fold: index, purpose, rows, least });
                }
            }
            dealt.push(fold);
        }
        let matrix = features::compute_on(data.dataset.calendar, &trial.features, &data.dataset.bars)?;
        Ok(Self { trial, task, data, matrix, dealt })
    }

    /// How many there are.
    pub(crate) const fn count(&self) -> usize {
        self.dealt.len()
    }

    /// The rows, labels and features of a fold.
    ///
    /// # Errors
    /// As [`FeatureState::fitted`].
    pub(crate) fn open(&self, index: usize) -> Result<Fold, TrainError> {
        let (Bars { fit, stop, test }, dataset) = (&self.dealt[index], &self.data.dataset);
        let normaliser = Normaliser::fit(&self.matrix, fit.iter().copied());
        let window = self.data.rows.window;
        let rows = Rows::normalised(&self.matrix, &normaliser, window);
        let outcomes = Outcomes::over(&dataset.bars, self.task);
        let labels = Labels::over(&outcomes, (fit.iter().copied(), stop.iter().copied()));
        let features = FeatureState::fitted(&self.trial.features, window, dataset.bars[0].time, normaliser)?;
        Ok(Fold {
            rows,
            test: labels.of(&outcomes, test.iter().copied()),
            labels,
            tested: stretches(test),
            features: features.on(dataset.calendar),
        })
    }

    /// What a fold came to.
    pub(crate) fn score(&self, fold: &Fold, (loss, sharpe): (f64, Option<f64>)) -> FoldScore {
        let time = |bar: usize| self.data.dataset.bars[bar].time;
        let span = |range: &Range<usize>| DateRange { from: time(range.start), to: time(range.end - 1) };
        FoldScore {
            tested: fold.tested.iter().map(span).collect(),
            fit_rows: fold.labels.train.len() as u64,
            stop_rows: fold.labels.validation.len() as u64,
            test_rows: fold.test.len() as u64,
            loss,
            sharpe,
        }
    }
}

/// Mean and deviation over folds of all that was measured on each; nothing without folds.
pub(crate) fn metrics(folds: &[FoldScore]) -> BTreeMap<Metric, f64> {
    let mut metrics = BTreeMap::new();
    if folds.is_empty() {
        return metrics;
    }
    metrics.insert(Metric::CrossValidationFolds, folds.len() as f64);
    let losses = folds.iter().map(|fold| Some(fold.loss)).collect();
    let sharpes = folds.iter().map(|fold| fold.sharpe).collect();
    for (values, mean, deviation) in [
        (losses, Metric::CrossValidationLoss, Metric::CrossValidationLossDeviation),
        (sharpes, Metric::CrossValidationSharpe, Metric::CrossValidationSharpeDeviation),
    ] {
        let values: Option<Vec<f64>> = values;
        if let Some(values) = values {
            metrics.insert(mean, statistics::mean(&values));
            metrics.insert(deviation, statistics::deviation(&values));
        }
    }
    metrics
}

/// What trains, cut by time: a `part` of a `whole` at the end to stop by, and before it what shares no bar with a label there.
fn cut(train: &[usize], (part, whole): (usize, usize), horizon: usize) -> (Vec<usize>, Vec<usize>) {
    let (earlier, stop) = train.split_at(train.len() - train.len() * part / whole.max(1));
    let first = stop.first().copied().unwrap_or(usize::MAX);
    (earlier.iter().copied().filter(|bar| bar + horizon < first).collect(), stop.to_vec())
}

/// Runs of consecutive bars.
fn stretches(bars: &[usize]) -> Vec<Range<usize>> {
    bars.chunk_by(|one, next| one + 1 == *next).map(|run| run[0]..run[run.len() - 1] + 1).collect()
}

fn deal(wanted: CrossValidationSpec) -> Deal {
    match wanted {
        CrossValidationSpec::WalkForward { folds, window } => Deal::WalkForward {
            folds: folds as usize,
            window: match window {
                FoldWindow::Expanding => TrainWindow::Expanding,
                FoldWindow::Rolling { rows } => TrainWindow::Rolling(rows as usize),
            },
        },
        CrossValidationSpec::Blocks { folds } => Deal::Blocks { folds: folds as usize },
        CrossValidationSpec::Combinatorial { groups, tested } => {
            Deal::Combinatorial { groups: groups as usize, tested: tested as usize }
        }
    }
}

#[cfg(test)]
mod tests;
