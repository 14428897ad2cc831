//! One experiment with its trials, as the journal tells it. Its counts are kept, never taken anew: with 100,000 trials
//! every change would pay for all of them.

use std::collections::BTreeSet;

use market::Timestamp;
use protocol::{Descent, ExperimentState, ExperimentView, Submission, TrialCounts, TrialState, TrialView};
use spec::{AttemptId, ExperimentId, TrialId};

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
    /// Experiments that have to succeed before its first trial may be leased.
    pub waits: BTreeSet<ExperimentId>,
    /// Why it was cancelled, where nobody asked for that.
    pub reason: Option<String>,
    /// Its place among all submissions.
    pub(super) sequence: u32,
    /// The last attempt of it that was leased.
    pub(super) served: AttemptId,
    /// Queued trials in the order they may be leased.
    queued: BTreeSet<(Timestamp, u32)>,
    counts: TrialCounts,
    /// Arrivals at rungs so far.
    pub(super) arrivals: u32,
}

impl Experiment {
    pub(super) fn new(submission: Submission, at: Timestamp, sequence: u32) -> Self {
        Self {
            submission,
            submitted: at,
            state: ExperimentState::Queued,
            trials: Vec::new(),
            waits: BTreeSet::new(),
            reason: None,
            sequence,
            served: AttemptId::default(),
            queued: BTreeSet::new(),
            counts: TrialCounts::default(),
            arrivals: 0,
        }
    }

    /// The same with these trials, each counted and queued as it stands.
    pub(super) fn with(mut self, trials: Vec<Trial>) -> Self {
        for (index, trial) in (0..).zip(&trials) {
            *count(&mut self.counts, &trial.state) += 1;
            self.queued.extend(queued(&trial.state, index));
        }
        Self { trials, ..self }
    }

    /// An experiment that a sweep is asked about before it is taken in.
    pub(crate) fn proposed(submission: &Submission) -> Self {
        Self::new(submission.clone(), Timestamp::default(), 0)
    }

    /// Leased and running trials.
    #[must_use]
    pub const fn live(&self) -> u32 {
        self.counts.running
    }

    /// Queued trials.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.queued.len()
    }

    /// Its place among experiments of the same priority: who holds less, then who was served longer ago, goes first.
    #[must_use]
    pub fn turn(&self) -> (u64, AttemptId, u32) {
        (u64::from(self.live()) * u64::from(self.submission.policy.cpus), self.served, self.sequence)
    }

    /// How many trials stand where.
    #[must_use]
    pub const fn counts(&self) -> &TrialCounts {
        &self.counts
    }

    /// Queued trials in the order they may be leased, with the time each may be leased from.
    pub fn queue(&self) -> impl Iterator<Item = (Timestamp, u32)> + '_ {
        self.queued.iter().copied()
    }

    /// Whether one more trial may run beside those that do.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.submission.policy.parallel.is_none_or(|limit| self.live() < limit)
    }

    /// In short.
    #[must_use]
    pub fn view(&self) -> ExperimentView {
        ExperimentView {
            experiment: self.submission.experiment.clone(),
            name: self.submission.name.clone(),
            state: self.state,
            submitted: self.submitted,
            policy: self.submission.policy.clone(),
            trials: self.counts,
            reason: self.reason.clone(),
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
            arrivals: trial.arrivals.clone(),
            told: trial.told.clone(),
            parent: trial.parent,
            progress: None,
            payload: Vec::new(),
            outcome: None,
        })
    }

    /// Adds the next trial. A parent is one of those there are.
    pub(super) fn ask(&mut self, at: Timestamp, payload: Vec<u8>, parent: Option<Descent>, told: Vec<u32>) {
        let index = u32::try_from(self.trials.len()).unwrap_or(u32::MAX);
        let mut trial = match parent.and_then(|descent| Some((self.trials.get_mut(descent.trial as usize)?, descent))) {
            Some((parent, descent)) => {
                if !parent.lent.contains(&descent.checkpoint) {
                    parent.lent.push(descent.checkpoint);
                }
                Trial::descended(payload, at, (parent, descent))
            }
            None => Trial::new(payload, at),
        };
        trial.told = told;
        self.trials.push(trial);
        self.queued.insert((at, index));
        self.counts.pending += 1;
    }

    pub(crate) fn change(&mut self, at: Timestamp, index: u32, change: &Change) -> Result<(), IllegalTransition> {
        let trial = &mut self.trials[index as usize];
        let place = queued(&trial.state, index);
        *count(&mut self.counts, &trial.state) -= 1;
        let applied = trial.apply(at, change);
        *count(&mut self.counts, &trial.state) += 1;
        applied?;
        if let Some(place) = place {
            self.queued.remove(&place);
        }
        self.queued.extend(queued(&trial.state, index));
        if matches!(change, Change::Pause { .. }) {
            trial.arrivals.push(self.arrivals);
            self.arrivals += 1;
        }
        Ok(())
    }
}

/// The place in the queue of a trial in `state`, if it is in it.
const fn queued(state: &TrialState, index: u32) -> Option<(Timestamp, u32)> {
    match state {
        TrialState::Queued { not_before, .. } => Some((*not_before, index)),
        TrialState::Waiting { .. }
        | TrialState::Leased { .. }
        | TrialState::Running { .. }
        | TrialState::Paused { .. }
        | TrialState::Succeeded { .. }
        | TrialState::Pruned
        | TrialState::Failed { .. }
        | TrialState::Cancelled => None,
    }
}

/// Where a trial in `state` is counted.
const fn count<'a>(counts: &'a mut TrialCounts, state: &TrialState) -> &'a mut u32 {
    match state {
        TrialState::Waiting { .. } | TrialState::Queued { .. } | TrialState::Paused { .. } => &mut counts.pending,
        TrialState::Leased { .. } | TrialState::Running { .. } => &mut counts.running,
        TrialState::Succeeded { .. } => &mut counts.succeeded,
        TrialState::Pruned => &mut counts.pruned,
        TrialState::Failed { .. } => &mut counts.failed,
        TrialState::Cancelled => &mut counts.cancelled,
    }
}
