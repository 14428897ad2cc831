//! What the cluster shows. Nothing here changes anything.

use super::*;

impl Cluster {
    /// An experiment with its trials, payloads and outcomes.
    ///
    /// # Errors
    /// [`Refusal::NotFound`].
    pub fn show(&self, id: &ExperimentId) -> Result<ExperimentDetail, Refusal> {
        let mut detail = self.ledger.detail(id).ok_or_else(|| no_experiment(id))?;
        for view in &mut detail.trials {
            view.progress = self.trial_view(&view.trial).and_then(|live| live.progress);
        }
        Ok(detail)
    }

    /// The present state of one experiment, or of all that are open, as a new watcher needs it.
    ///
    /// # Errors
    /// [`Refusal::NotFound`].
    pub fn present(&self, of: Option<&ExperimentId>) -> Result<Vec<Update>, Refusal> {
        let ids: Vec<ExperimentId> = match of {
            Some(id) => vec![id.clone()],
            None => self.ledger.open().map(|(id, _)| id.clone()).collect(),
        };
        let mut updates = Vec::new();
        for id in ids {
            let experiment = self.ledger.experiment(&id).ok_or_else(|| no_experiment(&id))?;
            let trials = (0..).zip(&experiment.trials).map(|(index, _)| TrialId { experiment: id.clone(), index });
            updates.extend(trials.filter_map(|trial| self.trial_view(&trial)).map(Update::Trial));
            // Last, so that a watcher of an ended experiment has seen all of it.
            updates.push(Update::Experiment(experiment.view()));
        }
        Ok(updates)
    }

    /// Why a trial is where it is.
    ///
    /// # Errors
    /// [`Refusal::NotFound`].
    pub fn explain(&self, now: Timestamp, trial: &TrialId) -> Result<Explanation, Refusal> {
        crate::explain::explain(self, now, trial)
            .ok_or_else(|| Refusal::NotFound(format!("trial {trial} does not exist")))
    }

    pub(crate) fn serves(&self, id: &ExperimentId) -> bool {
        match &self.options.scope {
            Scope::All => true,
            Scope::Only(only) => only == id,
        }
    }

    pub(super) fn experiment_view(&self, id: &ExperimentId) -> Result<ExperimentView, Refusal> {
        self.ledger.experiment(id).map(crate::ledger::Experiment::view).ok_or_else(|| no_experiment(id))
    }

    pub(super) fn trial_view(&self, trial: &TrialId) -> Option<TrialView> {
        let view = self.ledger.experiment(&trial.experiment)?.trial_view(trial.index)?;
        let lease = view.status.live_attempt().and_then(|attempt| self.leases.get(&attempt));
        Some(TrialView { progress: lease.and_then(|lease| lease.progress.clone()), ..view })
    }

    pub(super) fn trial_state(&self, attempt: AttemptId) -> Option<&TrialState> {
        Some(&self.ledger.trial(self.ledger.trial_of(attempt)?)?.state)
    }

    pub(super) fn worker_of(&self, trial: &TrialId) -> Option<&WorkerId> {
        holder(&self.ledger.trial(trial)?.state).map(|(worker, _)| worker)
    }

    pub(super) fn attempts_of(&self, worker: &WorkerId) -> Vec<AttemptId> {
        let held = self.ledger.live().filter(|(_, trial)| self.worker_of(trial) == Some(worker));
        held.map(|(attempt, _)| attempt).collect()
    }
}

/// Who holds a trial, and since when.
pub(crate) const fn holder(state: &TrialState) -> Option<(&WorkerId, Timestamp)> {
    match state {
        TrialState::Leased { worker, since, .. } | TrialState::Running { worker, since, .. } => Some((worker, *since)),
        TrialState::Waiting { .. }
        | TrialState::Queued { .. }
        | TrialState::Paused { .. }
        | TrialState::Succeeded { .. }
        | TrialState::Pruned
        | TrialState::Failed { .. }
        | TrialState::Cancelled => None,
    }
}

fn no_experiment(id: &ExperimentId) -> Refusal {
    Refusal::NotFound(format!("experiment {id} does not exist: `tradewind ls` lists them"))
}
