//! What clients and operators ask for: experiments in and out, trials again, machines open and closed.

use protocol::{Ending, Offer};

use super::*;
use crate::ledger::Experiment;
use crate::record;

impl Cluster {
    pub(super) fn submit(&mut self, now: Timestamp, mut submission: Submission) -> Result<Reply, Refusal> {
        let id = submission.experiment.clone();
        if let Some(known) = self.ledger.experiment(&id) {
            if known.submission.payload != submission.payload {
                return Err(Refusal::Conflict(format!(
                    "experiment {id} exists with another spec: change its name, or show the one there is"
                )));
            }
            return Ok(Reply::Experiment(known.view()));
        }
        if self.draining {
            return Err(Refusal::Stopping);
        }
        self.feasible(&submission)?;
        self.name_predecessors(&mut submission)?;
        if let Some(deadline) = submission.policy.deadline.filter(|deadline| *deadline <= now) {
            return Err(Refusal::Invalid(format!("deadline {deadline} of {id} has passed: choose a later one")));
        }
        let sweep = self.sweeps.open(&submission).map_err(|error| Refusal::Invalid(error.why))?;
        let serves = self.serves(&id);
        let mut driver = Driver::new(sweep);
        // What cannot be driven is refused before it leaves a trace.
        let driven = serves.then(|| driver.drive(&Experiment::proposed(&submission))).transpose();
        let driven = driven.map_err(|error| Refusal::Invalid(format!("experiment {id} cannot start: {error}")))?;
        if driven.as_ref().is_some_and(|driven| driven.new.is_empty()) {
            return Err(Refusal::Invalid(format!("experiment {id} asks for no trial: ask for 1 at least")));
        }
        self.emit(now, Event::Submitted(submission))?;
        self.watch_deadline(&id);
        self.announce_experiment(&id);
        if let Some(driven) = driven {
            self.drivers.insert(id.clone(), driver);
            self.follow(now, &id, driven)?;
            self.place(now)?;
        }
        self.experiment_view(&id).map(Reply::Experiment)
    }

    /// Refuses what no worker could ever hold, as far as workers are known.
    fn feasible(&self, submission: &Submission) -> Result<(), Refusal> {
        let offers: Vec<Offer> = self.machines.offers.iter().chain(&self.options.largest).cloned().collect();
        let demand = submission.policy.demand();
        if offers.is_empty() || offers.iter().any(|offer| offer.holds(&demand)) {
            return Ok(());
        }
        let short: Vec<String> = demand.shortages(&offers).iter().map(ToString::to_string).collect();
        let why = if short.is_empty() {
            "each of it is there, but on no worker all of it".to_owned()
        } else {
            short.join(", ")
        };
        let id = &submission.experiment;
        Err(Refusal::Infeasible(format!(
            "a trial of {id} needs {demand}, which no worker could hold: {why}; ask for less, or start a larger worker"
        )))
    }

    /// Puts ids where names stand, so that what is waited for stays the same whatever is submitted later.
    fn name_predecessors(&self, submission: &mut Submission) -> Result<(), Refusal> {
        let id = submission.experiment.clone();
        for other in &mut submission.policy.after {
            if other.as_str() == id.as_str() || *other == submission.name {
                return Err(Refusal::Invalid(format!("experiment {id} waits for itself: name another in `after`")));
            }
            let on = self.ledger.named(other.as_str()).ok_or_else(|| {
                Refusal::Invalid(format!("experiment {id} waits for {other}, which does not exist: submit that first"))
            })?;
            if matches!(on.state, ExperimentState::Failed | ExperimentState::Cancelled) {
                let (on, fate) = (&on.submission.experiment, acts::fate(on.state));
                return Err(Refusal::Invalid(format!("experiment {id} waits for {on}, which {fate}: nothing follows")));
            }
            *other = on.submission.experiment.as_str().parse().expect("ids and names follow one rule");
        }
        Ok(())
    }

    /// Takes in what ran elsewhere, once: of an experiment that is known here, what is known stands.
    pub(super) fn record(
        &mut self,
        now: Timestamp,
        submission: Submission,
        trials: &[Ending],
    ) -> Result<Reply, Refusal> {
        let id = submission.experiment.clone();
        if self.ledger.experiment(&id).is_some() {
            return self.submit(now, submission);
        }
        let sweep = self.sweeps.open(&submission).map_err(|error| Refusal::Invalid(error.why))?;
        for event in record::events(now, &self.ledger, sweep, submission, trials)? {
            self.emit(now, event)?;
        }
        self.announce_experiment(&id);
        self.experiment_view(&id).map(Reply::Experiment)
    }

    pub(super) fn cancel(&mut self, now: Timestamp, id: &ExperimentId) -> Result<Reply, Refusal> {
        let state = self.experiment_view(id)?.state;
        if !state.is_final() {
            self.end(now, id, ExperimentState::Cancelled)?;
            self.place(now)?;
        }
        self.experiment_view(id).map(Reply::Experiment)
    }

    /// A failed trial is tried again with a new budget; an experiment that failed as a whole is opened again for it.
    /// Only while no later trial was asked knowing how it ended, and no rung was judged without it: or the experiment would no
    /// longer come to its trials, and their verdicts.
    pub(super) fn requeue(&mut self, now: Timestamp, trial: &TrialId) -> Result<Reply, Refusal> {
        let experiment = self.ledger.experiment(&trial.experiment);
        let known = experiment.and_then(|experiment| Some((experiment, experiment.trials.get(trial.index as usize)?)));
        let (experiment, failed) = known.ok_or_else(|| views::no_trial(trial))?;
        let refuse = |why: &str| Err(Refusal::Conflict(format!("trial {trial} cannot be requeued: {why}")));
        if matches!(experiment.state, ExperimentState::Succeeded | ExperimentState::Cancelled) {
            let fate = acts::fate(experiment.state);
            return refuse(&format!("its experiment {fate}, submit it under a new name"));
        }
        if !matches!(failed.state, TrialState::Failed { .. }) {
            return refuse(&format!("it is {}, only a failed one can", failed.state.name()));
        }
        if !self.serves(&trial.experiment) {
            return refuse("this scheduler runs another experiment");
        }
        if experiment.submission.policy.deadline.is_some_and(|deadline| deadline <= now) {
            return refuse("the deadline of its experiment has passed");
        }
        let mut proposed = experiment.clone();
        let source = proposed.change(now, trial.index, &Change::Requeue).err();
        let sweep = self.sweeps.open(&experiment.submission).map_err(|error| Refusal::Conflict(error.why))?;
        let mut driver = Driver::new(sweep);
        let driven = driver.drive(&proposed);
        let same = driven.is_ok_and(|driven| driven.new.is_empty())
            && source.is_none()
            && driver.asked() as usize == experiment.trials.len()
            && !driver.is_behind(&proposed);
        if !same {
            return refuse("its sweep was told that it failed and went on");
        }
        self.drivers.insert(trial.experiment.clone(), driver);
        self.change(now, trial, Change::Requeue)?;
        self.watch_deadline(&trial.experiment);
        self.announce_experiment(&trial.experiment);
        self.place(now)?;
        self.trial_view(trial).map(Reply::Trial).ok_or_else(|| views::no_trial(trial))
    }

    pub(super) fn cordon(&mut self, now: Timestamp, target: Target, cordon: Cordon) -> Result<Reply, Refusal> {
        let known = match &target {
            Target::Worker(worker) => self.machines.workers.contains_key(worker),
            Target::Node(node) => self.machines.nodes.contains_key(node),
        };
        // After a restart a worker at an attempt registers only once that has ended.
        if !known && !self.ledger.is_busy(&target) && self.ledger.cordon(&target).is_none() {
            return Err(Refusal::NotFound(format!("{target} is not connected: `tradewind top` lists what is")));
        }
        if self.ledger.cordon(&target) != Some(cordon) {
            self.emit(now, Event::Cordoned { target, cordon })?;
        }
        Ok(Reply::Done)
    }

    pub(super) fn uncordon(&mut self, now: Timestamp, target: Target) -> Result<Reply, Refusal> {
        if self.ledger.cordon(&target).is_some() {
            self.emit(now, Event::Uncordoned { target })?;
            self.place(now)?;
        }
        Ok(Reply::Done)
    }

    pub(super) fn watch_deadline(&mut self, id: &ExperimentId) {
        let deadline = self.ledger.experiment(id).and_then(|experiment| experiment.submission.policy.deadline);
        if let Some(deadline) = deadline {
            self.timers.set(Timer::Deadline(id.clone()), deadline);
        }
    }

    pub(super) fn overdue(&mut self, now: Timestamp, id: &ExperimentId) -> Result<(), IllegalEvent> {
        let Some(experiment) = self.ledger.experiment(id).filter(|experiment| !experiment.state.is_final()) else {
            return Ok(());
        };
        let deadline = experiment.submission.policy.deadline.unwrap_or(now);
        let reason = format!("its deadline {deadline} has passed");
        self.end_because(now, id, ExperimentState::Cancelled, Some(reason))
    }

    /// What a failure says of the machine it happened on.
    pub(super) fn judge(&mut self, now: Timestamp, worker: &WorkerId, trial: &TrialId) {
        let since = self.ledger.trial(trial).and_then(|trial| views::holder(&trial.state)).map(|(_, since)| since);
        let within = seconds(self.options.quarantine.within);
        if since.is_some_and(|since| now.seconds_since(since) < within) {
            self.machines.failed_quickly(now, worker, trial, &self.options.quarantine);
        }
    }
}
