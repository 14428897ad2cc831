//! What the cluster shows. Nothing here changes anything.

use protocol::{GpuView, NodeView, WorkerView};
use spec::NodeId;

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
        crate::explain::explain(self, now, trial).ok_or_else(|| no_trial(trial))
    }

    /// The machines with their workers, and what is held of them.
    #[must_use]
    pub fn nodes(&self, now: Timestamp) -> Vec<NodeView> {
        self.machines.nodes.keys().filter_map(|node| self.node_view(now, node)).collect()
    }

    fn node_view(&self, now: Timestamp, id: &NodeId) -> Option<NodeView> {
        let node = self.machines.nodes.get(id)?;
        let (memory_held, used) = self.held_on(id, &|_| true);
        let mut gpus = BTreeMap::new();
        let mut workers = Vec::new();
        let (mut cpus, mut cpus_held) = (0, 0);
        for worker in node.workers.iter().filter_map(|id| self.machines.workers.get(id)) {
            gpus.extend(worker.offer.gpus.iter().map(|gpu| (gpu.index, gpu)));
            let view = self.worker_view(worker);
            cpus += view.cpus;
            let policy = |trial: &TrialId| Some(self.ledger.experiment(&trial.experiment)?.submission.policy.cpus);
            cpus_held += view.attempt.as_ref().and_then(|(_, trial)| policy(trial)).unwrap_or_default();
            workers.push(view);
        }
        let gpu = |gpu: &protocol::Gpu| {
            let used = used.get(&gpu.index).copied().unwrap_or_default();
            let on = self.ledger.attempts_on(id).filter(|(_, held)| held.gpus.contains(&gpu.index));
            GpuView {
                index: gpu.index,
                name: gpu.name.clone(),
                memory: gpu.memory,
                held: if used.whole { gpu.memory } else { used.shared },
                attempts: on.map(|(attempt, _)| attempt).collect(),
            }
        };
        Some(NodeView {
            node: id.clone(),
            cordon: self.ledger.cordon(&Target::Node(id.clone())),
            quarantined_until: node.quarantined(now),
            quick_failures: u32::try_from(node.quick.len()).unwrap_or(u32::MAX),
            cpus,
            cpus_held,
            memory: self.machines.memory(id),
            memory_held,
            gpus: gpus.into_values().map(gpu).collect(),
            workers,
        })
    }

    fn worker_view(&self, worker: &Worker) -> WorkerView {
        let Registration { worker: id, cpus, custom, pid, version, .. } = &worker.registration;
        let attempt = self.ledger.attempts_of(id).next();
        WorkerView {
            worker: id.clone(),
            pid: *pid,
            version: version.clone(),
            cpus: *cpus,
            custom: custom.clone(),
            attempt: attempt.and_then(|attempt| Some((attempt, self.ledger.trial_of(attempt)?.clone()))),
            cordon: self.ledger.cordon(&Target::Worker(id.clone())),
        }
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

pub(super) fn no_trial(id: &TrialId) -> Refusal {
    Refusal::NotFound(format!("trial {id} does not exist"))
}

fn no_experiment(id: &ExperimentId) -> Refusal {
    Refusal::NotFound(format!("experiment {id} does not exist: `tradewind ls` lists them"))
}
