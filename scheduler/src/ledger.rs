//! All experiments and trials, as the fold of the journal. The same [`Ledger::apply`] runs live and in recovery.
//!
//! Holds nothing that a restart loses: leases, workers and progress live in [`crate::cluster`].

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use market::Timestamp;
use protocol::{ExperimentDetail, ExperimentState, ExperimentView, Submission, TrialCounts, TrialState, TrialView};
use spec::{AttemptId, ExperimentId, TrialId};

use crate::event::Event;
use crate::trial::{Change, IllegalTransition, Trial};

/// An experiment as the journal tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Experiment {
    /// What was submitted.
    pub submission: Submission,
    /// When.
    pub submitted: Timestamp,
    /// Where it stands.
    pub state: ExperimentState,
    /// Its trials by index.
    pub trials: Vec<Trial>,
    /// Its place among all submissions.
    sequence: u32,
    /// Queued trials in the order they may be leased.
    queued: BTreeSet<(Timestamp, u32)>,
    /// Leased and running trials.
    live: u32,
}

impl Experiment {
    /// Leased and running trials.
    #[must_use]
    pub const fn live(&self) -> u32 {
        self.live
    }

    /// Queued trials in the order they may be leased, with the time each may be leased from.
    pub fn queue(&self) -> impl Iterator<Item = (Timestamp, u32)> + '_ {
        self.queued.iter().copied()
    }

    /// Whether one more trial may run beside those that do.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.submission.policy.parallel.is_none_or(|limit| self.live < limit)
    }

    /// In short.
    #[must_use]
    pub fn view(&self) -> ExperimentView {
        let mut trials = TrialCounts::default();
        for trial in &self.trials {
            let count = match trial.state {
                TrialState::Waiting { .. } | TrialState::Queued { .. } | TrialState::Paused { .. } => {
                    &mut trials.pending
                }
                TrialState::Leased { .. } | TrialState::Running { .. } => &mut trials.running,
                TrialState::Succeeded { .. } => &mut trials.succeeded,
                TrialState::Pruned => &mut trials.pruned,
                TrialState::Failed { .. } => &mut trials.failed,
                TrialState::Cancelled => &mut trials.cancelled,
            };
            *count += 1;
        }
        ExperimentView {
            experiment: self.submission.experiment.clone(),
            name: self.submission.name.clone(),
            state: self.state,
            submitted: self.submitted,
            policy: self.submission.policy.clone(),
            trials,
        }
    }

    /// A trial in short; `None` when there is none of that index.
    #[must_use]
    pub fn trial_view(&self, index: u32) -> Option<TrialView> {
        let trial = self.trials.get(index as usize)?;
        Some(TrialView {
            trial: TrialId { experiment: self.submission.experiment.clone(), index },
            status: trial.state.clone(),
            attempts: trial.attempts(),
            worker_losses: trial.losses,
            rungs: trial.rungs.clone(),
            progress: None,
            payload: Vec::new(),
            outcome: None,
        })
    }

    fn change(&mut self, at: Timestamp, index: u32, change: &Change) -> Result<(), IllegalTransition> {
        let trial = &mut self.trials[index as usize];
        let before = trial.state.clone();
        trial.apply(at, change)?;
        if let TrialState::Queued { not_before, .. } = before {
            self.queued.remove(&(not_before, index));
        }
        if let TrialState::Queued { not_before, .. } = trial.state {
            self.queued.insert((not_before, index));
        }
        self.live -= u32::from(before.live_attempt().is_some());
        self.live += u32::from(trial.state.live_attempt().is_some());
        Ok(())
    }
}

/// An event that does not follow from what happened before: a defect, or a damaged journal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IllegalEvent {
    /// The trial's table has no row for it.
    #[error("trial {trial}: {source}")]
    Transition {
        /// Which trial.
        trial: TrialId,
        /// What was wrong.
        source: IllegalTransition,
    },
    /// It names an experiment that does not exist.
    #[error("experiment {0} does not exist")]
    NoExperiment(ExperimentId),
    /// It names a trial that does not exist.
    #[error("trial {0} does not exist")]
    NoTrial(TrialId),
    /// It submits an experiment twice.
    #[error("experiment {0} exists already")]
    SubmittedTwice(ExperimentId),
    /// It adds a trial out of turn.
    #[error("trial {trial} is out of turn: the next index is {next}")]
    OutOfTurn {
        /// Which trial.
        trial: TrialId,
        /// The index that is next.
        next: u32,
    },
    /// It speaks of an experiment that has ended, or ends it in a state that is not final.
    #[error("experiment {experiment} is {state}: nothing follows")]
    Ended {
        /// Which.
        experiment: ExperimentId,
        /// Its state.
        state: ExperimentState,
    },
    /// It leases with a token that is not new.
    #[error("attempt {attempt} is not new: {last} was given already")]
    TokenReused {
        /// The token.
        attempt: AttemptId,
        /// The highest one given.
        last: AttemptId,
    },
}

/// All experiments and trials.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    experiments: BTreeMap<ExperimentId, Experiment>,
    /// Open experiments in the order they are served.
    open: BTreeSet<(Reverse<i32>, u32, ExperimentId)>,
    live: BTreeMap<AttemptId, TrialId>,
    last_attempt: AttemptId,
}

impl Ledger {
    /// An experiment by id.
    #[must_use]
    pub fn experiment(&self, id: &ExperimentId) -> Option<&Experiment> {
        self.experiments.get(id)
    }

    /// A trial by id.
    #[must_use]
    pub fn trial(&self, id: &TrialId) -> Option<&Trial> {
        self.experiments.get(&id.experiment)?.trials.get(id.index as usize)
    }

    /// All experiments in the order submitted.
    #[must_use]
    pub fn experiments(&self) -> Vec<&Experiment> {
        let mut all: Vec<_> = self.experiments.values().collect();
        all.sort_by_key(|experiment| experiment.sequence);
        all
    }

    /// All experiments in short, in the order submitted.
    #[must_use]
    pub fn list(&self) -> Vec<ExperimentView> {
        self.experiments().into_iter().map(Experiment::view).collect()
    }

    /// An experiment with its trials, payloads and outcomes.
    #[must_use]
    pub fn detail(&self, id: &ExperimentId) -> Option<ExperimentDetail> {
        let experiment = self.experiment(id)?;
        let trials = (0..).zip(&experiment.trials).filter_map(|(index, trial)| {
            let view = experiment.trial_view(index)?;
            Some(TrialView { payload: trial.payload.clone(), outcome: trial.outcome.clone(), ..view })
        });
        Some(ExperimentDetail {
            experiment: experiment.view(),
            payload: experiment.submission.payload.clone(),
            trials: trials.collect(),
        })
    }

    /// Experiments that have not ended, in the order they are served: higher priority, then submitted earlier.
    pub fn open(&self) -> impl Iterator<Item = (&ExperimentId, &Experiment)> {
        self.open.iter().filter_map(|(_, _, id)| Some((id, self.experiments.get(id)?)))
    }

    /// Attempts that count, with their trials.
    pub fn live(&self) -> impl Iterator<Item = (AttemptId, &TrialId)> {
        self.live.iter().map(|(attempt, trial)| (*attempt, trial))
    }

    /// The trial that `attempt` is the present attempt of; `None` makes it stale.
    #[must_use]
    pub fn trial_of(&self, attempt: AttemptId) -> Option<&TrialId> {
        self.live.get(&attempt)
    }

    /// An empty ledger whose tokens follow those of this one.
    #[must_use]
    pub(crate) fn successor(&self) -> Self {
        Self { last_attempt: self.last_attempt, ..Self::default() }
    }

    /// The next fencing token.
    #[must_use]
    pub const fn next_attempt(&self) -> AttemptId {
        AttemptId(self.last_attempt.0 + 1)
    }

    /// Lets `event` happen at `at`.
    ///
    /// # Errors
    /// [`IllegalEvent`]; the ledger is as before.
    pub fn apply(&mut self, at: Timestamp, event: &Event) -> Result<(), IllegalEvent> {
        match event {
            Event::Submitted(submission) => self.submit(at, submission),
            Event::Asked { trial, payload } => {
                let experiment = self.open_mut(&trial.experiment)?;
                let next = u32::try_from(experiment.trials.len()).unwrap_or(u32::MAX);
                if trial.index != next {
                    return Err(IllegalEvent::OutOfTurn { trial: trial.clone(), next });
                }
                experiment.trials.push(Trial::new(payload.clone(), at));
                experiment.queued.insert((at, next));
                Ok(())
            }
            Event::Trial { trial, change } => self.change(at, trial, change),
            Event::Ended { experiment, state } => self.end(at, experiment, *state),
        }
    }

    fn open_mut(&mut self, id: &ExperimentId) -> Result<&mut Experiment, IllegalEvent> {
        let experiment = self.experiments.get_mut(id).ok_or_else(|| IllegalEvent::NoExperiment(id.clone()))?;
        if experiment.state.is_final() {
            return Err(IllegalEvent::Ended { experiment: id.clone(), state: experiment.state });
        }
        Ok(experiment)
    }

    fn submit(&mut self, at: Timestamp, submission: &Submission) -> Result<(), IllegalEvent> {
        let id = &submission.experiment;
        if self.experiments.contains_key(id) {
            return Err(IllegalEvent::SubmittedTwice(id.clone()));
        }
        let sequence = u32::try_from(self.experiments.len()).unwrap_or(u32::MAX);
        self.open.insert((Reverse(submission.policy.priority), sequence, id.clone()));
        let experiment = Experiment {
            submission: submission.clone(),
            submitted: at,
            state: ExperimentState::Queued,
            trials: Vec::new(),
            sequence,
            queued: BTreeSet::new(),
            live: 0,
        };
        self.experiments.insert(id.clone(), experiment);
        Ok(())
    }

    fn change(&mut self, at: Timestamp, id: &TrialId, change: &Change) -> Result<(), IllegalEvent> {
        let last = self.last_attempt;
        if let Change::Lease { attempt, .. } = change
            && *attempt <= last
        {
            return Err(IllegalEvent::TokenReused { attempt: *attempt, last });
        }
        let experiment = self.open_mut(&id.experiment)?;
        let before = experiment.trials.get(id.index as usize).map(|trial| trial.state.live_attempt());
        let before = before.ok_or_else(|| IllegalEvent::NoTrial(id.clone()))?;
        experiment
            .change(at, id.index, change)
            .map_err(|source| IllegalEvent::Transition { trial: id.clone(), source })?;
        let after = experiment.trials[id.index as usize].state.live_attempt();
        if after.is_some() {
            experiment.state = ExperimentState::Running;
        }
        if before != after {
            if let Some(attempt) = before {
                self.live.remove(&attempt);
            }
            if let Some(attempt) = after {
                self.live.insert(attempt, id.clone());
                self.last_attempt = attempt;
            }
        }
        Ok(())
    }

    fn end(&mut self, at: Timestamp, id: &ExperimentId, state: ExperimentState) -> Result<(), IllegalEvent> {
        if !state.is_final() {
            return Err(IllegalEvent::Ended { experiment: id.clone(), state });
        }
        let experiment = self.open_mut(id)?;
        for index in 0..u32::try_from(experiment.trials.len()).unwrap_or(u32::MAX) {
            if !experiment.trials[index as usize].state.is_final() {
                let trial = || TrialId { experiment: id.clone(), index };
                experiment
                    .change(at, index, &Change::Cancel)
                    .map_err(|source| IllegalEvent::Transition { trial: trial(), source })?;
            }
        }
        experiment.state = state;
        let place = (Reverse(experiment.submission.policy.priority), experiment.sequence, id.clone());
        self.open.remove(&place);
        self.live.retain(|_, trial| trial.experiment != *id);
        Ok(())
    }
}
