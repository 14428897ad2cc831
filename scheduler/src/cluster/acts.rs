//! The acts a decision is made of: each emits events, keeps leases in step and tells watchers.

use super::*;

impl Cluster {
    /// Applies and records `event`.
    pub(super) fn emit(&mut self, now: Timestamp, event: Event) -> Result<(), IllegalEvent> {
        self.ledger.apply(now, &event)?;
        self.events.push(Record { at: now, event });
        Ok(())
    }

    /// Lets `change` happen to `trial`, and whatever follows for its experiment.
    pub(super) fn change(&mut self, now: Timestamp, trial: &TrialId, change: Change) -> Result<(), IllegalEvent> {
        let before = self.ledger.trial(trial).and_then(|trial| trial.state.live_attempt());
        let first = self.ledger.experiment(&trial.experiment).map(|experiment| experiment.state);
        let silent = matches!(change, Change::Checkpoint { .. });
        self.emit(now, Event::Trial { trial: trial.clone(), change })?;
        let state = self.ledger.trial(trial).map(|trial| trial.state.clone());
        if let Some(attempt) = before
            && state.as_ref().and_then(TrialState::live_attempt) != Some(attempt)
        {
            self.leases.remove(&attempt);
        }
        if first == Some(ExperimentState::Queued) {
            self.announce_experiment(&trial.experiment);
        }
        if !silent {
            self.announce_trial(trial);
        }
        if state.is_some_and(|state| state.is_final() || matches!(state, TrialState::Paused { .. })) {
            self.settle(now, &trial.experiment)?;
        }
        Ok(())
    }

    /// A leased attempt that is heard of runs.
    pub(super) fn start(&mut self, now: Timestamp, trial: &TrialId, attempt: AttemptId) -> Result<(), IllegalEvent> {
        match self.trial_state(attempt) {
            Some(TrialState::Leased { .. }) => self.change(now, trial, Change::Start { attempt }),
            Some(_) | None => Ok(()),
        }
    }

    pub(super) fn fail(
        &mut self,
        now: Timestamp,
        attempt: AttemptId,
        class: FailureClass,
        message: String,
    ) -> Result<(), IllegalEvent> {
        let Some(trial) = self.ledger.trial_of(attempt).cloned() else { return Ok(()) };
        let Some(experiment) = self.ledger.experiment(&trial.experiment) else { return Ok(()) };
        let failures = self.ledger.trial(&trial).map_or(0, |trial| trial.failures) + 1;
        let retry = retry::after_failure(now, &experiment.submission.policy.retry, class, failures, &mut self.jitter);
        self.change(now, &trial, Change::Fail { attempt, class, message, retry })
    }

    /// The worker of `attempt` is gone; costs the trial no attempt.
    pub(super) fn lose(&mut self, now: Timestamp, attempt: AttemptId) -> Result<(), IllegalEvent> {
        let Some(trial) = self.ledger.trial_of(attempt).cloned() else {
            self.leases.remove(&attempt);
            return Ok(());
        };
        let losses = self.ledger.trial(&trial).map_or(0, |trial| trial.losses) + 1;
        let retry = retry::after_loss(now, losses, &mut self.jitter);
        self.change(now, &trial, Change::Lose { attempt, retry })
    }

    /// Goes on with the sweep of an experiment after an outcome; ends the experiment when nothing follows.
    pub(super) fn settle(&mut self, now: Timestamp, id: &ExperimentId) -> Result<(), IllegalEvent> {
        match self.drive(now, id)? {
            Ok(()) => Ok(()),
            Err(error) => {
                // Only a defect of the sweep comes here; the journal keeps what its trials reached.
                tracing::error!(experiment = %id, %error, "sweep failed");
                self.end(now, id, ExperimentState::Failed)
            }
        }
    }

    pub(super) fn drive(&mut self, now: Timestamp, id: &ExperimentId) -> Result<Result<(), SweepError>, IllegalEvent> {
        let (Some(driver), Some(experiment)) = (self.drivers.get_mut(id), self.ledger.experiment(id)) else {
            return Ok(Ok(()));
        };
        let driven = match driver.drive(experiment) {
            Ok(driven) => driven,
            Err(error) => return Ok(Err(error)),
        };
        let first = u32::try_from(experiment.trials.len()).unwrap_or(u32::MAX);
        for (index, payload) in (first..).zip(driven.new) {
            let trial = TrialId { experiment: id.clone(), index };
            self.emit(now, Event::Asked { trial: trial.clone(), payload })?;
            self.announce_trial(&trial);
        }
        for (index, change) in driven.judged {
            self.change(now, &TrialId { experiment: id.clone(), index }, change)?;
        }
        if driven.ended {
            let succeeded = self.experiment_view(id).is_ok_and(|view| view.trials.succeeded > 0);
            let state = if succeeded { ExperimentState::Succeeded } else { ExperimentState::Failed };
            self.end(now, id, state)?;
        }
        Ok(Ok(()))
    }

    /// Ends an experiment; its open trials are cancelled, their attempts fenced.
    pub(super) fn end(
        &mut self,
        now: Timestamp,
        id: &ExperimentId,
        state: ExperimentState,
    ) -> Result<(), IllegalEvent> {
        let open: Vec<TrialId> = self
            .ledger
            .experiment(id)
            .into_iter()
            .flat_map(|experiment| (0..).zip(&experiment.trials))
            .filter(|(_, trial)| !trial.state.is_final())
            .map(|(index, _)| TrialId { experiment: id.clone(), index })
            .collect();
        self.emit(now, Event::Ended { experiment: id.clone(), state })?;
        self.drivers.remove(id);
        let ledger = &self.ledger;
        self.leases.retain(|attempt, _| ledger.trial_of(*attempt).is_some());
        for trial in open {
            self.announce_trial(&trial);
        }
        self.announce_experiment(id);
        Ok(())
    }

    /// The trial of `attempt`, if `worker` holds it now; hears the worker either way.
    pub(super) fn current(&mut self, now: Timestamp, worker: &WorkerId, attempt: AttemptId) -> Option<TrialId> {
        if let Some(worker) = self.workers.get_mut(worker) {
            worker.heard = now;
        }
        let trial = self.ledger.trial_of(attempt)?;
        (self.worker_of(trial) == Some(worker)).then(|| trial.clone())
    }

    /// The attempt is heard of.
    pub(super) fn renew(&mut self, now: Timestamp, attempt: AttemptId) {
        self.extend(now, attempt, 1).since.get_or_insert(now);
    }

    /// The attempt ran when the scheduler ended, and may still.
    pub(super) fn readopt(&mut self, now: Timestamp, attempt: AttemptId) {
        self.extend(now, attempt, READOPTION_LEASES);
    }

    fn extend(&mut self, now: Timestamp, attempt: AttemptId, leases: u64) -> &mut Lease {
        let expires = now.plus_seconds((self.options.lease.millis() * leases) as f64 / 1_000.0);
        let lease = self.leases.entry(attempt).or_insert(Lease { expires, progress: None, since: None });
        lease.expires = expires;
        lease
    }

    pub(super) fn announce_trial(&mut self, trial: &TrialId) {
        if let Some(view) = self.trial_view(trial) {
            self.commands.push(Command::Announce(Update::Trial(view)));
        }
    }

    pub(super) fn announce_experiment(&mut self, id: &ExperimentId) {
        if let Ok(view) = self.experiment_view(id) {
            self.commands.push(Command::Announce(Update::Experiment(view)));
        }
    }
}

impl From<IllegalEvent> for Refusal {
    fn from(error: IllegalEvent) -> Self {
        Self::Conflict(error.to_string())
    }
}
