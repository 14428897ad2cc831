//! The pure heart: `(now, input) → reply, events, commands`. Reads no clock, awaits nothing, writes nothing.
//!
//! Whoever calls [`Cluster::on`] makes the events durable before it lets a reply or a command out.

use std::collections::BTreeMap;

use market::Timestamp;
use protocol::{
    Assignment, Directive, Ending, ExperimentDetail, ExperimentState, ExperimentView, Explanation, Refusal,
    Registration, Report, StopCause, Submission, Terms, TrialState, TrialView, Update,
};
use spec::{AttemptId, CheckpointRef, ExperimentId, FailureClass, Progress, Rung, Span, TrialId, WorkerId};

use crate::driver::{Driver, SweepError};
use crate::event::{Event, Record};
use crate::ledger::{IllegalEvent, Ledger};
use crate::record;
use crate::retry::{self, Jitter};
use crate::sweep::Sweeps;
use crate::trial::Change;

/// Heartbeats in the time of a lease: four may be lost before the lease is.
const HEARTBEATS_PER_LEASE: u64 = 5;

/// A silent worker without an attempt is forgotten after this: above the long poll of a lease.
const WORKER_SILENCE_MAX: Span = Span::from_secs(60);

/// Characters kept of a failure's message: a journal is not a log.
const MESSAGE_CHARS_MAX: usize = 2_000;

/// Leases a restarted scheduler grants to attempts it has not heard of yet: workers need time to find it again.
const READOPTION_LEASES: u64 = 3;

/// Which experiments are served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All open ones.
    All,
    /// One; others stay as they are.
    Only(ExperimentId),
}

/// What becomes of attempts that ran when the scheduler ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// They are lost with their workers: the engine's children died with it.
    Requeue,
    /// They may go on: workers of their own find the scheduler again and show their token.
    Readopt,
}

/// How a cluster is run.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long a lease lasts after the last heartbeat. Default: 10s.
    pub lease: Span,
    /// Which experiments are served. Default: all.
    pub scope: Scope,
    /// What becomes of attempts that ran when the scheduler ended. Default: `Readopt`.
    pub recovery: Recovery,
    /// Seed of the jitter in back-off. Default: 0.
    pub jitter_seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { lease: Span::from_secs(10), scope: Scope::All, recovery: Recovery::Readopt, jitter_seed: 0 }
    }
}

/// Something a worker, a client, the engine or the clock says.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// A worker introduces itself.
    Register(Registration),
    /// A worker waits for an attempt.
    Lease(WorkerId),
    /// A worker no longer waits.
    Unpark(WorkerId),
    /// A worker works.
    Heartbeat(WorkerId, AttemptId, Option<Progress>),
    /// A worker stored a checkpoint.
    Checkpoint(WorkerId, AttemptId, CheckpointRef),
    /// A worker ended an attempt.
    Finish(WorkerId, AttemptId, Report),
    /// The engine saw a worker's process end.
    WorkerGone(WorkerId),
    /// A client submits.
    Submit(Submission),
    /// A client hands over what another cluster ran to its end.
    Record(Submission, Vec<Ending>),
    /// A client cancels.
    Cancel(ExperimentId),
    /// No lease is given any more; running attempts are asked to stop.
    Drain,
    /// Time passes.
    Tick,
}

/// The answer to an input.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// Understood.
    Done,
    /// The worker is admitted.
    Terms(Terms),
    /// The worker waits: a [`Command::Grant`] follows, now or later.
    Parked,
    /// What the worker is to do.
    Directive(Directive),
    /// Checkpoints kept, newest first.
    Kept(Vec<CheckpointRef>),
    /// An experiment.
    Experiment(ExperimentView),
}

/// What is to be done once the events are durable.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Gives a parked worker its attempt.
    Grant(WorkerId, Assignment),
    /// Tells watchers.
    Announce(Update),
}

/// What came of one input.
#[derive(Debug)]
pub struct Step {
    /// The answer.
    pub reply: Result<Reply, Refusal>,
    /// To be journalled, in order, before anything else happens.
    pub events: Vec<Record>,
    /// To be done after that, in order.
    pub commands: Vec<Command>,
}

/// A restart cannot go on where the journal ends.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecoveryError {
    /// A sweep does not open any more.
    #[error("experiment {experiment} cannot be opened again: {why}")]
    Unreadable {
        /// Which.
        experiment: ExperimentId,
        /// As the sweep said.
        why: String,
    },
    /// A sweep asks for something else than before.
    #[error("experiment {experiment} cannot go on: {source}")]
    Sweep {
        /// Which.
        experiment: ExperimentId,
        /// How it differs.
        source: SweepError,
    },
    /// An event follows from nothing.
    #[error("journal contradicts itself: {0}")]
    Illegal(#[from] IllegalEvent),
}

/// A connected worker.
pub(crate) struct Worker {
    pub(crate) registration: Registration,
    heard: Timestamp,
    pub(crate) parked: bool,
}

/// The life sign of an attempt. Renewed without a journal entry: it decides nothing until it ends.
pub(crate) struct Lease {
    pub(crate) expires: Timestamp,
    pub(crate) progress: Option<Progress>,
    /// Since when this life of the scheduler knows its attempt at work; the time limit counts from here. A scheduler
    /// that was away cannot tell how long an attempt ran meanwhile, so its absence is nobody's time.
    since: Option<Timestamp>,
}

/// All trials, the workers at them and the sweeps behind them.
pub struct Cluster {
    pub(crate) options: Options,
    pub(crate) ledger: Ledger,
    pub(crate) workers: BTreeMap<WorkerId, Worker>,
    pub(crate) leases: BTreeMap<AttemptId, Lease>,
    pub(crate) draining: bool,
    drivers: BTreeMap<ExperimentId, Driver>,
    sweeps: Box<dyn Sweeps>,
    jitter: Jitter,
    stale: u64,
    events: Vec<Record>,
    commands: Vec<Command>,
}

impl Cluster {
    /// Goes on from `ledger`: sweeps are opened and driven to where they were, attempts of the last life are judged.
    ///
    /// # Errors
    /// [`RecoveryError`] when a sweep does not come back as it was.
    pub fn recover(
        now: Timestamp,
        ledger: Ledger,
        sweeps: Box<dyn Sweeps>,
        options: Options,
    ) -> Result<(Self, Step), RecoveryError> {
        let mut cluster = Self {
            jitter: Jitter::new(options.jitter_seed),
            options,
            ledger,
            workers: BTreeMap::new(),
            leases: BTreeMap::new(),
            draining: false,
            drivers: BTreeMap::new(),
            sweeps,
            stale: 0,
            events: Vec::new(),
            commands: Vec::new(),
        };
        let open: Vec<_> =
            cluster.ledger.open().map(|(id, experiment)| (id.clone(), experiment.submission.clone())).collect();
        for (id, submission) in open.into_iter().filter(|(id, _)| cluster.serves(id)).collect::<Vec<_>>() {
            let sweep = cluster
                .sweeps
                .open(&submission)
                .map_err(|error| RecoveryError::Unreadable { experiment: id.clone(), why: error.why })?;
            cluster.drivers.insert(id.clone(), Driver::new(sweep));
            cluster.drive(now, &id)?.map_err(|source| RecoveryError::Sweep { experiment: id, source })?;
        }
        let live: Vec<AttemptId> = cluster.ledger.live().map(|(attempt, _)| attempt).collect();
        for attempt in live {
            match cluster.options.recovery {
                Recovery::Requeue => cluster.lose(now, attempt)?,
                Recovery::Readopt => cluster.readopt(now, attempt),
            }
        }
        let step = cluster.step(Ok(Reply::Done));
        Ok((cluster, step))
    }

    /// What the journal holds, folded.
    #[must_use]
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Messages dropped because their token was old.
    #[must_use]
    pub const fn stale(&self) -> u64 {
        self.stale
    }

    /// No attempt runs.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.ledger.live().next().is_none()
    }

    /// Takes in what was said at `now`.
    pub fn on(&mut self, now: Timestamp, input: Input) -> Step {
        let reply = self.answer(now, input);
        self.step(reply)
    }

    fn step(&mut self, reply: Result<Reply, Refusal>) -> Step {
        Step { reply, events: std::mem::take(&mut self.events), commands: std::mem::take(&mut self.commands) }
    }

    fn answer(&mut self, now: Timestamp, input: Input) -> Result<Reply, Refusal> {
        match input {
            Input::Register(registration) => Ok(Reply::Terms(self.register(now, registration))),
            Input::Lease(worker) => self.park(now, &worker),
            Input::Unpark(worker) => {
                if let Some(worker) = self.workers.get_mut(&worker) {
                    worker.parked = false;
                }
                Ok(Reply::Done)
            }
            Input::Heartbeat(worker, attempt, progress) => self.heartbeat(now, &worker, attempt, progress),
            Input::Checkpoint(worker, attempt, checkpoint) => self.checkpoint(now, &worker, attempt, checkpoint),
            Input::Finish(worker, attempt, report) => self.finish(now, &worker, attempt, report),
            Input::WorkerGone(worker) => self.worker_gone(now, &worker),
            Input::Submit(submission) => self.submit(now, submission),
            Input::Record(submission, trials) => self.record(now, submission, &trials),
            Input::Cancel(experiment) => self.cancel(now, &experiment),
            Input::Drain => {
                self.draining = true;
                Ok(Reply::Done)
            }
            Input::Tick => self.tick(now),
        }
    }

    fn register(&mut self, now: Timestamp, registration: Registration) -> Terms {
        let worker = Worker { registration, heard: now, parked: false };
        self.workers.insert(worker.registration.worker.clone(), worker);
        let heartbeat = Span::from_millis((self.options.lease.millis() / HEARTBEATS_PER_LEASE).max(1));
        Terms { lease: self.options.lease, heartbeat }
    }

    fn park(&mut self, now: Timestamp, id: &WorkerId) -> Result<Reply, Refusal> {
        let worker = self.workers.get_mut(id).ok_or(Refusal::NotRegistered)?;
        worker.heard = now;
        worker.parked = true;
        // One attempt at a time: a worker that asks does not run what it holds by the book.
        let held: Vec<AttemptId> = self.attempts_of(id);
        for attempt in held {
            if matches!(self.trial_state(attempt), Some(TrialState::Leased { .. })) {
                // The grant did not arrive: it is sent again.
                self.grant(now, id, attempt);
                return Ok(Reply::Parked);
            }
            self.lose(now, attempt)?;
        }
        self.place(now)?;
        Ok(Reply::Parked)
    }

    fn heartbeat(
        &mut self,
        now: Timestamp,
        worker: &WorkerId,
        attempt: AttemptId,
        progress: Option<Progress>,
    ) -> Result<Reply, Refusal> {
        let Some(trial) = self.current(now, worker, attempt) else {
            self.stale += 1;
            return Ok(Reply::Directive(Directive::Stop(StopCause::Fenced)));
        };
        self.start(now, &trial, attempt)?;
        self.renew(now, attempt);
        if let Some(progress) = progress {
            let news = Update::Progress { trial, attempt, progress: progress.clone() };
            if let Some(lease) = self.leases.get_mut(&attempt) {
                lease.progress = Some(progress);
            }
            self.commands.push(Command::Announce(news));
        }
        let directive = if self.draining { Directive::Stop(StopCause::Draining) } else { Directive::Continue };
        Ok(Reply::Directive(directive))
    }

    fn checkpoint(
        &mut self,
        now: Timestamp,
        worker: &WorkerId,
        attempt: AttemptId,
        checkpoint: CheckpointRef,
    ) -> Result<Reply, Refusal> {
        let Some(trial) = self.current(now, worker, attempt) else {
            self.stale += 1;
            return Err(Refusal::Fenced);
        };
        self.start(now, &trial, attempt)?;
        self.renew(now, attempt);
        // A word that was long on its way, or is said again, does not take the place of a newer one.
        let newest = self.ledger.trial(&trial).and_then(|trial| trial.stored);
        if newest.is_none_or(|(by, step)| by != attempt || step < checkpoint.step) {
            self.change(now, &trial, Change::Checkpoint { attempt, checkpoint })?;
        }
        Ok(Reply::Kept(self.ledger.trial(&trial).map(|trial| trial.checkpoints.clone()).unwrap_or_default()))
    }

    fn finish(
        &mut self,
        now: Timestamp,
        worker: &WorkerId,
        attempt: AttemptId,
        report: Report,
    ) -> Result<Reply, Refusal> {
        let Some(trial) = self.current(now, worker, attempt) else {
            self.stale += 1;
            return Err(Refusal::Fenced);
        };
        match report {
            Report::Succeeded(outcome) => self.change(now, &trial, Change::Succeed { attempt, outcome })?,
            Report::Failed { class, message } => {
                let message = message.chars().take(MESSAGE_CHARS_MAX).collect();
                self.fail(now, attempt, class, message)?;
            }
            Report::Paused { rung, checkpoint, value } => {
                let reached = self.ledger.trial(&trial).map_or(0, |trial| trial.rungs.len());
                if self.rung_of(&trial).is_none_or(|next| next.index != rung) {
                    return Err(Refusal::Invalid(format!(
                        "trial {trial} is not to hold at rung {rung}: it reached {reached} so far"
                    )));
                }
                self.change(now, &trial, Change::Pause { attempt, rung, checkpoint, value })?;
            }
            Report::Stopped => self.change(now, &trial, Change::Release { attempt })?,
        }
        self.place(now)?;
        Ok(Reply::Done)
    }

    fn worker_gone(&mut self, now: Timestamp, worker: &WorkerId) -> Result<Reply, Refusal> {
        self.workers.remove(worker);
        for attempt in self.attempts_of(worker) {
            self.lose(now, attempt)?;
        }
        self.place(now)?;
        Ok(Reply::Done)
    }

    fn submit(&mut self, now: Timestamp, submission: Submission) -> Result<Reply, Refusal> {
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
        let sweep = self.sweeps.open(&submission).map_err(|error| Refusal::Invalid(error.why))?;
        self.emit(now, Event::Submitted(submission))?;
        self.announce_experiment(&id);
        if self.serves(&id) {
            self.drivers.insert(id.clone(), Driver::new(sweep));
            self.settle(now, &id)?;
            self.place(now)?;
        }
        self.experiment_view(&id).map(Reply::Experiment)
    }

    /// Takes in what ran elsewhere, once: of an experiment that is known here, what is known stands.
    fn record(&mut self, now: Timestamp, submission: Submission, trials: &[Ending]) -> Result<Reply, Refusal> {
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

    fn cancel(&mut self, now: Timestamp, id: &ExperimentId) -> Result<Reply, Refusal> {
        let state = self.experiment_view(id)?.state;
        if !state.is_final() {
            self.end(now, id, ExperimentState::Cancelled)?;
            self.place(now)?;
        }
        self.experiment_view(id).map(Reply::Experiment)
    }

    fn tick(&mut self, now: Timestamp) -> Result<Reply, Refusal> {
        let expired: Vec<AttemptId> =
            self.leases.iter().filter(|(_, lease)| lease.expires <= now).map(|(attempt, _)| *attempt).collect();
        for attempt in expired {
            self.lose(now, attempt)?;
        }
        for (attempt, limit) in self.overdue(now) {
            let message = format!("attempt {attempt} ran past its limit of {limit}");
            self.fail(now, attempt, FailureClass::Timeout, message)?;
        }
        let silence = WORKER_SILENCE_MAX.millis() as f64 / 1_000.0;
        let busy: Vec<WorkerId> = self.ledger.live().filter_map(|(_, trial)| self.worker_of(trial).cloned()).collect();
        self.workers
            .retain(|id, worker| worker.parked || busy.contains(id) || now.seconds_since(worker.heard) < silence);
        self.place(now)?;
        Ok(Reply::Done)
    }

    /// Attempts past the time limit of their experiment.
    fn overdue(&self, now: Timestamp) -> Vec<(AttemptId, Span)> {
        let late = |(attempt, trial): (AttemptId, &TrialId)| {
            let limit = self.ledger.experiment(&trial.experiment)?.submission.policy.timeout;
            let since = self.leases.get(&attempt)?.since?;
            let over = now.seconds_since(since) * 1_000.0 >= limit.millis() as f64;
            over.then_some((attempt, limit))
        };
        self.ledger.live().filter_map(late).collect()
    }

    /// Gives queued trials to parked workers: the first that may run, by priority, submission, then age in the queue.
    fn place(&mut self, now: Timestamp) -> Result<(), IllegalEvent> {
        if self.draining {
            return Ok(());
        }
        let parked: Vec<(WorkerId, u32)> = self
            .workers
            .iter()
            .filter(|(_, worker)| worker.parked)
            .map(|(id, worker)| (id.clone(), worker.registration.cpus))
            .collect();
        for (worker, cpus) in parked {
            let Some(trial) = self.next_for(now, cpus) else { continue };
            let attempt = self.ledger.next_attempt();
            self.change(now, &trial, Change::Lease { attempt, worker: worker.clone() })?;
            self.grant(now, &worker, attempt);
        }
        Ok(())
    }

    fn next_for(&self, now: Timestamp, cpus: u32) -> Option<TrialId> {
        self.ledger.open().find_map(|(id, experiment)| {
            let fits = self.serves(id) && experiment.submission.policy.cpus <= cpus && experiment.has_room();
            let (not_before, index) = experiment.queue().next()?;
            (fits && not_before <= now).then(|| TrialId { experiment: id.clone(), index })
        })
    }

    /// Where a trial holds next.
    fn rung_of(&self, id: &TrialId) -> Option<Rung> {
        let reached = self.ledger.trial(id)?.rungs.len();
        self.drivers.get(&id.experiment)?.rung(id.index, reached)
    }

    fn grant(&mut self, now: Timestamp, worker: &WorkerId, attempt: AttemptId) {
        let Some(id) = self.ledger.trial_of(attempt).cloned() else { return };
        let rung = self.rung_of(&id);
        let Some(trial) = self.ledger.trial(&id) else { return };
        let assignment = Assignment {
            rung,
            trial: id,
            attempt,
            degrade: trial.degrade,
            payload: trial.payload.clone(),
            checkpoints: trial.checkpoints.clone(),
        };
        self.renew(now, attempt);
        if let Some(worker) = self.workers.get_mut(worker) {
            worker.parked = false;
        }
        self.commands.push(Command::Grant(worker.clone(), assignment));
    }
}

mod acts;
mod views;

#[cfg(test)]
mod tests;
