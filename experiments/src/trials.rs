//! The trials of an ended sweep, read back from what the scheduler kept: bytes become specs and outcomes.

use protocol::{TrialState, TrialView};
use spec::{Objective, SweepSpec, TrialId, TrialOutcome, TrialSpec};

use crate::report::TrialLine;
use crate::sweep;

/// One trial with what it was asked and what came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// Where it ended, and after how many attempts.
    pub view: TrialView,
    /// What it was asked.
    pub spec: TrialSpec,
    /// What it handed in, when it succeeded.
    pub outcome: Option<TrialOutcome>,
}

/// The bytes kept of a trial are not what a sweep asks or a worker hands in.
#[derive(Debug, thiserror::Error)]
#[error("the {part} of trial {trial} cannot be read: the journal was written by another build")]
pub struct TrialError {
    /// Which trial.
    pub trial: TrialId,
    /// `spec` or `outcome`.
    pub part: &'static str,
    /// Where it goes wrong.
    pub source: serde_json::Error,
}

/// Reads every trial, in index order.
///
/// # Errors
/// [`TrialError`] naming the first trial whose bytes are not JSON of the expected shape.
pub fn read(views: Vec<TrialView>) -> Result<Vec<Trial>, TrialError> {
    let mut trials = views.into_iter().map(trial).collect::<Result<Vec<_>, _>>()?;
    trials.sort_by_key(|trial| trial.view.trial.index);
    Ok(trials)
}

fn trial(view: TrialView) -> Result<Trial, TrialError> {
    let error = |part| {
        let trial = view.trial.clone();
        move |source| TrialError { trial, part, source }
    };
    let spec = serde_json::from_slice(&view.payload).map_err(error("spec"))?;
    let outcome = view.outcome.as_deref().map(serde_json::from_slice).transpose().map_err(error("outcome"))?;
    Ok(Trial { view, spec, outcome })
}

/// The best trial of a sweep, with its objective and outcome.
#[must_use]
pub fn best<'a>(sweep: &SweepSpec, trials: &'a [Trial]) -> Option<(&'a Trial, &'a TrialOutcome, f64)> {
    let objectives =
        trials.iter().filter_map(|trial| Some((trial.view.trial.index, trial.objective(sweep.objective)?)));
    let index = sweep::best(sweep.direction, objectives)?;
    let trial = trials.iter().find(|trial| trial.view.trial.index == index)?;
    Some((trial, trial.outcome.as_ref()?, trial.objective(sweep.objective)?))
}

impl Trial {
    /// Its objective, when it was measured.
    #[must_use]
    pub fn objective(&self, objective: Objective) -> Option<f64> {
        self.outcome.as_ref().and_then(|outcome| sweep::value(objective, outcome))
    }

    /// How far the objective varies from fold to fold, when that was measured.
    #[must_use]
    pub fn deviation(&self, objective: Objective) -> Option<f64> {
        self.outcome.as_ref()?.metrics.get(&sweep::deviation(objective)?).copied()
    }

    /// Its line in a report.
    #[must_use]
    pub fn line(&self, objective: Objective) -> TrialLine {
        let note = match (&self.view.status, &self.outcome) {
            (TrialState::Failed { class, message }, _) => format!("{class}: {message}"),
            (TrialState::Pruned, _) => {
                let shown = self
                    .view
                    .rungs
                    .last()
                    .copied()
                    .flatten()
                    .map_or_else(String::new, |value| format!(" with {:.4}", value.get()));
                format!("stopped at rung {}{shown}", self.view.rungs.len().saturating_sub(1))
            }
            (_, Some(outcome)) => outcome.bundle.to_string(),
            (_, None) => String::new(),
        };
        TrialLine {
            index: self.view.trial.index,
            parent: self.spec.parent.as_ref().map(|parent| parent.trial.index),
            seed: self.spec.seed,
            params: self.spec.params.clone(),
            state: self.view.status.name(),
            attempts: self.view.attempts.saturating_add(self.view.worker_losses),
            objective: self.objective(objective),
            folds: self.outcome.as_ref().map(|outcome| outcome.folds.clone()).unwrap_or_default(),
            metrics: self.outcome.as_ref().map(|outcome| outcome.metrics.clone()).unwrap_or_default(),
            curve: self.outcome.as_ref().map(|outcome| outcome.curve.clone()).unwrap_or_default(),
            note,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use crate::summary::Ended;

    fn trials(objectives: &[Option<f64>]) -> Vec<TrialView> {
        let question = fixture::question(fixture::random_sweep());
        let sweep = sweep::ExperimentSweep::new(question).unwrap();
        let view = |(index, objective): (u32, &Option<f64>)| fixture::view(&sweep.trial(index).unwrap(), *objective);
        (0..).zip(objectives).map(view).collect()
    }

    #[test]
    fn the_best_trial_is_the_same_whatever_order_the_journal_gives() {
        let mut views = trials(&[Some(0.1), None, Some(0.9), Some(0.9)]);
        let sweep = fixture::spec(fixture::random_sweep()).sweep;
        views.reverse();
        let trials = read(views).unwrap();
        let (trial, outcome, objective) = best(&sweep, &trials).unwrap();
        assert_eq!((trial.view.trial.index, objective), (2, 0.9));
        assert_eq!(Some(outcome), trial.outcome.as_ref());
    }

    #[test]
    fn without_a_success_there_is_no_best_trial() {
        let views = trials(&[None, None]);
        assert_eq!(Ended::of(&views), Ended { failed: 2, ..Ended::default() });
        let sweep = fixture::spec(fixture::random_sweep()).sweep;
        assert!(best(&sweep, &read(views).unwrap()).is_none());
    }

    #[test]
    fn a_failed_trial_says_why_in_its_line() {
        let views = trials(&[None]);
        let line = read(views).unwrap()[0].line(Objective::ValidationSharpe);
        assert_eq!((line.note.as_str(), line.state), ("nan: loss was not finite at step 4", "failed"));
        assert_eq!(line.objective, None);
    }

    #[test]
    fn bytes_of_another_build_are_refused_by_trial_and_part() {
        let mut views = trials(&[Some(0.5)]);
        views[0].outcome = Some(b"{}".to_vec());
        let error = read(views).unwrap_err();
        assert!(error.to_string().starts_with("the outcome of trial fixture-"), "{error}");
    }
}
