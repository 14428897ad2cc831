//! The acts a decision is made of: each emits events, keeps leases in step and tells watchers.

use std::collections::VecDeque;

use super::*;
use crate::driver::{Driven, New};

impl Cluster {
    /// Applies and records `event`.
    pub(super) fn emit(&mut self, now: Timestamp, event: Event) -> Result<(), IllegalEvent> {
        self.ledger.apply(now, &event)?;
        match &event {
            Event::Submitted(Submission { experiment, .. })
            | Event::Asked { trial: TrialId { experiment, .. }, .. }
            | Event::Trial { trial: TrialId { experiment, .. }, .. }
            | Event::Ended { experiment, .. } => self.refresh(now, experiment),
            Event::Cordoned { .. } | Event::Uncordoned { .. } => {}
        }
        self.events.push(Record { at: now, event });
        Ok(())
    }

    /// Puts an experiment in its place in the order.
    pub(super) fn refresh(&mut self, now: Timestamp, id: &ExperimentId) {
        if self.serves(id)
            && let Some(experiment) = self.ledger.experiment(id)
        {
            self.order.refresh(now, experiment);
        }
    }

    /// Forgets the life signs of an attempt that no longer counts.
    fn lay_down(&mut self, now: Timestamp, trial: &TrialId, attempt: AttemptId) {
        self.leases.remove(&attempt);
        self.timers.clear(&Timer::Lease(attempt));
        self.timers.clear(&Timer::Limit(attempt));
        self.made_room(now, trial, attempt);
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
            self.lay_down(now, trial, attempt);
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
        let policy = &experiment.submission.policy;
        let (failures, degrade) = self.ledger.trial(&trial).map_or((0, 0), |trial| (trial.failures, trial.degrade));
        let mut retry = retry::after_failure(now, &policy.retry, class, failures + 1, &mut self.jitter);
        let mut message = message;
        if class == FailureClass::Oom
            && let Some(steps) = policy.degrade_max.filter(|steps| degrade >= *steps)
        {
            retry = None;
            message = format!("out of memory after all {steps} steps of `degrade`, add a smaller one: {message}");
        }
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
        match driver.drive(experiment) {
            Ok(driven) => self.follow(now, id, driven).map(Ok),
            Err(error) => Ok(Err(error)),
        }
    }

    /// Takes in what a sweep asked for, or its end.
    pub(super) fn follow(&mut self, now: Timestamp, id: &ExperimentId, driven: Driven) -> Result<(), IllegalEvent> {
        let Some(experiment) = self.ledger.experiment(id) else { return Ok(()) };
        let first = u32::try_from(experiment.trials.len()).unwrap_or(u32::MAX);
        for (index, New { payload, parent, told }) in (first..).zip(driven.new) {
            let trial = TrialId { experiment: id.clone(), index };
            self.emit(now, Event::Asked { trial: trial.clone(), parent, told, payload })?;
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
        Ok(())
    }

    /// Ends an experiment; its open trials are cancelled, their attempts fenced.
    pub(super) fn end(
        &mut self,
        now: Timestamp,
        id: &ExperimentId,
        state: ExperimentState,
    ) -> Result<(), IllegalEvent> {
        self.end_because(now, id, state, None)
    }

    /// The same, with a reason that nobody gave. Whoever waits for an experiment that did not succeed ends with it.
    pub(super) fn end_because(
        &mut self,
        now: Timestamp,
        id: &ExperimentId,
        state: ExperimentState,
        reason: Option<String>,
    ) -> Result<(), IllegalEvent> {
        let mut ends = VecDeque::from([(id.clone(), state, reason)]);
        while let Some((id, state, reason)) = ends.pop_front() {
            let waiting = self.ledger.waiting_for(&id);
            if !self.end_one(now, &id, state, reason)? {
                continue;
            }
            for waits in waiting {
                if state == ExperimentState::Succeeded {
                    self.refresh(now, &waits);
                } else {
                    ends.push_back((waits, ExperimentState::Cancelled, Some(in_vain(&id, state))));
                }
            }
        }
        Ok(())
    }

    /// Ends whoever waits for an experiment that has ended and did not succeed, should a journal have kept the one end
    /// without the other.
    pub(super) fn end_stranded(&mut self, now: Timestamp) -> Result<(), IllegalEvent> {
        let ended_in_vain = |on: &ExperimentId| {
            let state = self.ledger.experiment(on)?.state;
            state.is_final().then(|| in_vain(on, state))
        };
        let stranded: Vec<(ExperimentId, String)> = self
            .ledger
            .open()
            .filter(|(id, _)| self.serves(id))
            .filter_map(|(id, experiment)| Some((id.clone(), experiment.waits.iter().find_map(&ended_in_vain)?)))
            .collect();
        stranded
            .into_iter()
            .try_for_each(|(id, reason)| self.end_because(now, &id, ExperimentState::Cancelled, Some(reason)))
    }

    /// Whether it was still open.
    fn end_one(
        &mut self,
        now: Timestamp,
        id: &ExperimentId,
        state: ExperimentState,
        reason: Option<String>,
    ) -> Result<bool, IllegalEvent> {
        let Some(experiment) = self.ledger.experiment(id).filter(|experiment| !experiment.state.is_final()) else {
            return Ok(false);
        };
        let trials = (0..).zip(&experiment.trials).filter(|(_, trial)| !trial.state.is_final());
        let open: Vec<(TrialId, Option<AttemptId>)> = trials
            .map(|(index, trial)| (TrialId { experiment: id.clone(), index }, trial.state.live_attempt()))
            .collect();
        self.emit(now, Event::Ended { experiment: id.clone(), state, reason })?;
        self.drivers.remove(id);
        self.timers.clear(&Timer::Deadline(id.clone()));
        for (trial, attempt) in open {
            if let Some(attempt) = attempt {
                self.lay_down(now, &trial, attempt);
            }
            self.announce_trial(&trial);
        }
        self.announce_experiment(id);
        Ok(true)
    }

    /// The trial of `attempt`, if `worker` holds it now; hears the worker either way.
    pub(super) fn current(&mut self, now: Timestamp, worker: &WorkerId, attempt: AttemptId) -> Option<TrialId> {
        self.machines.heard(now, worker);
        let held = self.ledger.held(attempt)?;
        (held.worker == *worker).then(|| held.trial.clone())
    }

    /// The attempt is heard of.
    pub(super) fn renew(&mut self, now: Timestamp, attempt: AttemptId) {
        let lease = self.extend(now, attempt, 1);
        if lease.since.is_none() {
            lease.since = Some(now);
            self.limit(now, attempt);
        }
    }

    /// Whether the grant of an attempt that nobody has spoken of may be sent once more, which counts.
    pub(super) fn may_repeat(&mut self, attempt: AttemptId) -> bool {
        let Some(lease) = self.leases.get_mut(&attempt) else { return true };
        lease.repeats += 1;
        lease.repeats <= GRANT_REPEATS_MAX
    }

    /// The attempt ran when the scheduler ended, and may still.
    pub(super) fn readopt(&mut self, now: Timestamp, attempt: AttemptId) {
        self.extend(now, attempt, READOPTION_LEASES);
    }

    fn extend(&mut self, now: Timestamp, attempt: AttemptId, leases: u64) -> &mut Lease {
        let expires = now.plus_seconds((self.options.lease.millis() * leases) as f64 / 1_000.0);
        let lease = self.leases.entry(attempt).or_insert(Lease { expires, progress: None, since: None, repeats: 0 });
        lease.expires = expires;
        self.timers.set_by(Timer::Lease(attempt), expires);
        lease
    }

    /// Watches the time limit of an attempt that is heard of for the first time in this life of the scheduler.
    fn limit(&mut self, now: Timestamp, attempt: AttemptId) {
        let Some(trial) = self.ledger.trial_of(attempt) else { return };
        let Some(experiment) = self.ledger.experiment(&trial.experiment) else { return };
        let limit = now.plus_seconds(seconds(experiment.submission.policy.timeout));
        self.timers.set(Timer::Limit(attempt), limit);
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

/// Why whoever waited for `id` ends with it.
fn in_vain(id: &ExperimentId, state: ExperimentState) -> String {
    format!("it waited for {id}, which {}", fate(state))
}

/// How an experiment ended, in a sentence.
pub(super) const fn fate(state: ExperimentState) -> &'static str {
    match state {
        ExperimentState::Queued | ExperimentState::Running => "has not ended",
        ExperimentState::Succeeded => "succeeded",
        ExperimentState::Failed => "failed",
        ExperimentState::Cancelled => "was cancelled",
    }
}

impl From<IllegalEvent> for Refusal {
    fn from(error: IllegalEvent) -> Self {
        Self::Conflict(error.to_string())
    }
}
