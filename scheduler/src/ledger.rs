//! All experiments and trials, as the fold of the journal. The same [`Ledger::apply`] runs live and in recovery.
//!
//! Holds nothing that a restart loses: leases, workers and progress live in [`crate::cluster`].

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use market::Timestamp;
use protocol::{Cordon, Demand, ExperimentDetail, ExperimentState, ExperimentView, Submission, Target, TrialView};
use spec::{AttemptId, Bytes, ExperimentId, NodeId, Owner, TrialId, WorkerId};

use crate::event::Event;
use crate::trial::{Change, IllegalTransition, Trial};

mod code;
mod experiment;

pub use experiment::Experiment;

/// What an attempt that counts holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The trial it is of.
    pub trial: TrialId,
    /// The worker it was leased to.
    pub worker: WorkerId,
    /// The machine it runs on; `None` where the journal does not say.
    pub node: Option<NodeId>,
    /// GPUs it holds there.
    pub gpus: Vec<u32>,
}

/// Whether an attempt holds something of its machine that other workers of it could hold.
pub(crate) fn shares(demand: &Demand) -> bool {
    demand.gpus > 0 || demand.memory > Bytes(0)
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
    live: BTreeMap<AttemptId, Held>,
    /// Attempts by their worker.
    of_worker: BTreeSet<(WorkerId, AttemptId)>,
    /// Attempts that hold something of a machine.
    of_node: BTreeSet<(NodeId, AttemptId)>,
    /// CPU cores that the attempts of each owner hold.
    cpus_of: BTreeMap<Option<Owner>, u64>,
    /// Attempts by the priority of their experiment.
    by_priority: BTreeSet<(i32, AttemptId)>,
    /// Open experiments by one that they wait for.
    waiting: BTreeMap<ExperimentId, BTreeSet<ExperimentId>>,
    cordons: BTreeMap<Target, Cordon>,
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
        self.live.iter().map(|(attempt, held)| (*attempt, &held.trial))
    }

    /// What `attempt` holds; `None` when it does not count.
    #[must_use]
    pub fn held(&self, attempt: AttemptId) -> Option<&Held> {
        self.live.get(&attempt)
    }

    /// Attempts leased to `worker`.
    pub fn attempts_of(&self, worker: &WorkerId) -> impl Iterator<Item = AttemptId> + '_ {
        let (from, of) = ((worker.clone(), AttemptId(0)), worker.clone());
        self.of_worker.range(from..).take_while(move |(worker, _)| *worker == of).map(|(_, attempt)| *attempt)
    }

    /// Whether an attempt that counts runs on `target`, as far as the journal says.
    #[must_use]
    pub fn is_busy(&self, target: &Target) -> bool {
        match target {
            Target::Worker(worker) => self.attempts_of(worker).next().is_some(),
            Target::Node(node) => self.live.values().any(|held| held.node.as_ref() == Some(node)),
        }
    }

    /// Attempts that hold memory or GPUs of `node`.
    pub fn attempts_on(&self, node: &NodeId) -> impl Iterator<Item = (AttemptId, &Held)> + '_ {
        let (from, on) = ((node.clone(), AttemptId(0)), node.clone());
        let attempts = self.of_node.range(from..).take_while(move |(node, _)| *node == on);
        attempts.filter_map(|(_, attempt)| Some((*attempt, self.live.get(attempt)?)))
    }

    /// CPU cores that the attempts of `owner` hold.
    #[must_use]
    pub fn cpus_of(&self, owner: Option<&Owner>) -> u64 {
        self.cpus_of.get(&owner.cloned()).copied().unwrap_or_default()
    }

    /// The lowest priority that has a running attempt.
    #[must_use]
    pub fn priority_min(&self) -> Option<i32> {
        self.by_priority.first().map(|(priority, _)| *priority)
    }

    /// The cordon on `target`.
    #[must_use]
    pub fn cordon(&self, target: &Target) -> Option<Cordon> {
        self.cordons.get(target).copied()
    }

    /// All cordons.
    pub fn cordons(&self) -> impl Iterator<Item = (&Target, Cordon)> {
        self.cordons.iter().map(|(target, cordon)| (target, *cordon))
    }

    /// Open experiments that wait for `experiment`.
    #[must_use]
    pub fn waiting_for(&self, experiment: &ExperimentId) -> Vec<ExperimentId> {
        self.waiting.get(experiment).into_iter().flatten().cloned().collect()
    }

    /// The experiment that `text` names: by id, else the newest of that name.
    #[must_use]
    pub fn named(&self, text: &str) -> Option<&Experiment> {
        let by_id = text.parse().ok().and_then(|id| self.experiment(&id));
        let of_name = || self.experiments.values().filter(|experiment| experiment.submission.name.as_str() == text);
        by_id.or_else(|| of_name().max_by_key(|experiment| experiment.sequence))
    }

    /// The trial that `attempt` is the present attempt of; `None` makes it stale.
    #[must_use]
    pub fn trial_of(&self, attempt: AttemptId) -> Option<&TrialId> {
        self.live.get(&attempt).map(|held| &held.trial)
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
            Event::Asked { trial, parent, told, payload } => {
                let experiment = self.open_mut(&trial.experiment)?;
                let next = u32::try_from(experiment.trials.len()).unwrap_or(u32::MAX);
                if trial.index != next {
                    return Err(IllegalEvent::OutOfTurn { trial: trial.clone(), next });
                }
                if let Some(descent) = parent.filter(|descent| descent.trial >= next) {
                    return Err(IllegalEvent::NoTrial(TrialId { index: descent.trial, ..trial.clone() }));
                }
                experiment.ask(at, payload.clone(), *parent, told.clone());
                Ok(())
            }
            Event::Trial { trial, change } => self.change(at, trial, change),
            Event::Ended { experiment, state, reason } => self.end(at, experiment, *state, reason.as_ref()),
            Event::Cordoned { target, cordon } => {
                self.cordons.insert(target.clone(), *cordon);
                Ok(())
            }
            Event::Uncordoned { target } => {
                self.cordons.remove(target);
                Ok(())
            }
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
        let mut experiment = Experiment::new(submission.clone(), at, sequence);
        for other in &submission.policy.after {
            let on = other.as_str().parse().ok().and_then(|on| self.experiments.get(&on));
            if let Some(on) = on.filter(|on| on.state != ExperimentState::Succeeded) {
                let on = on.submission.experiment.clone();
                self.waiting.entry(on.clone()).or_default().insert(id.clone());
                experiment.waits.insert(on);
            }
        }
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
        let again = *change == Change::Requeue;
        let experiment = if again { self.reopened(&id.experiment)? } else { self.open_mut(&id.experiment)? };
        let before = experiment.trials.get(id.index as usize).map(|trial| trial.state.live_attempt());
        let before = before.ok_or_else(|| IllegalEvent::NoTrial(id.clone()))?;
        experiment
            .change(at, id.index, change)
            .map_err(|source| IllegalEvent::Transition { trial: id.clone(), source })?;
        let after = experiment.trials[id.index as usize].state.live_attempt();
        if let Some(attempt) = after {
            experiment.state = ExperimentState::Running;
            experiment.served = experiment.served.max(attempt);
        }
        if before != after
            && let Some(attempt) = before
        {
            self.let_go(attempt);
        }
        if again {
            self.reopen(&id.experiment);
        }
        if let Change::Lease { attempt, worker, node, gpus } = change {
            let held = Held { trial: id.clone(), worker: worker.clone(), node: node.clone(), gpus: gpus.clone() };
            self.hold(*attempt, held);
            self.last_attempt = *attempt;
        }
        Ok(())
    }

    /// An experiment of which a failed trial may be tried again: open, or failed as a whole.
    fn reopened(&mut self, id: &ExperimentId) -> Result<&mut Experiment, IllegalEvent> {
        if self.experiments.get(id).is_some_and(|experiment| experiment.state != ExperimentState::Failed) {
            return self.open_mut(id);
        }
        self.experiments.get_mut(id).ok_or_else(|| IllegalEvent::NoExperiment(id.clone()))
    }

    fn reopen(&mut self, id: &ExperimentId) {
        if let Some(experiment) = self.experiments.get_mut(id).filter(|experiment| experiment.state.is_final()) {
            experiment.state = ExperimentState::Running;
            let priority = Reverse(experiment.submission.policy.priority);
            self.open.insert((priority, experiment.sequence, id.clone()));
        }
    }

    fn hold(&mut self, attempt: AttemptId, held: Held) {
        let Some(experiment) = self.experiments.get(&held.trial.experiment) else { return };
        let policy = &experiment.submission.policy;
        *self.cpus_of.entry(policy.owner.clone()).or_default() += u64::from(policy.cpus);
        self.by_priority.insert((policy.priority, attempt));
        self.of_worker.insert((held.worker.clone(), attempt));
        let node = held.node.clone().filter(|_| shares(&policy.demand()));
        self.of_node.extend(node.map(|node| (node, attempt)));
        self.live.insert(attempt, held);
    }

    fn let_go(&mut self, attempt: AttemptId) {
        let Some(held) = self.live.remove(&attempt) else { return };
        self.of_worker.remove(&(held.worker, attempt));
        if let Some(node) = held.node {
            self.of_node.remove(&(node, attempt));
        }
        let Some(experiment) = self.experiments.get(&held.trial.experiment) else { return };
        let policy = &experiment.submission.policy;
        self.by_priority.remove(&(policy.priority, attempt));
        if let Some(cpus) = self.cpus_of.get_mut(&policy.owner) {
            *cpus -= u64::from(policy.cpus);
            if *cpus == 0 {
                self.cpus_of.remove(&policy.owner);
            }
        }
    }

    fn end(
        &mut self,
        at: Timestamp,
        id: &ExperimentId,
        state: ExperimentState,
        reason: Option<&String>,
    ) -> Result<(), IllegalEvent> {
        if !state.is_final() {
            return Err(IllegalEvent::Ended { experiment: id.clone(), state });
        }
        let experiment = self.open_mut(id)?;
        let mut attempts = Vec::new();
        for index in 0..u32::try_from(experiment.trials.len()).unwrap_or(u32::MAX) {
            let before = &experiment.trials[index as usize].state;
            if !before.is_final() {
                attempts.extend(before.live_attempt());
                let trial = || TrialId { experiment: id.clone(), index };
                experiment
                    .change(at, index, &Change::Cancel)
                    .map_err(|source| IllegalEvent::Transition { trial: trial(), source })?;
            }
        }
        experiment.state = state;
        experiment.reason = reason.cloned();
        let waits = std::mem::take(&mut experiment.waits);
        let place = (Reverse(experiment.submission.policy.priority), experiment.sequence, id.clone());
        self.open.remove(&place);
        for attempt in attempts {
            self.let_go(attempt);
        }
        for on in waits {
            if let Some(waiting) = self.waiting.get_mut(&on) {
                waiting.remove(id);
                if waiting.is_empty() {
                    self.waiting.remove(&on);
                }
            }
        }
        if state == ExperimentState::Succeeded {
            for waits in self.waiting.remove(id).into_iter().flatten() {
                if let Some(waits) = self.experiments.get_mut(&waits) {
                    waits.waits.remove(id);
                }
            }
        }
        Ok(())
    }
}
