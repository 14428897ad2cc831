//! How far all trainings of a trial are, in epochs: a fold that stopped early counts whole.

use spec::{Metric, Progress, ProgressUnit, SupervisedSpec};

use super::{Metrics, State};

/// The word after an epoch of the open training. Of a fold only its training loss is told: what it stops by is no
/// validation split.
pub(super) fn of(task: &SupervisedSpec, state: &State, mut metrics: Metrics) -> Progress {
    let (folds, behind, epochs) = (u64::from(task.folds()), state.past.folds.len() as u64, u64::from(task.epochs));
    if behind < folds {
        metrics.retain(|metric, _| *metric == Metric::Loss);
    }
    if folds > 0 {
        metrics.insert(Metric::CrossValidationFolds, behind as f64);
    }
    let (step, steps) = (behind * epochs + u64::from(state.epoch), (folds + 1) * epochs);
    Progress { step, steps, unit: ProgressUnit::Epoch, rate: 0.0, metrics }
}
