//! The pure heart: `(now, input) → reply, events, commands`. Reads no clock, awaits nothing, writes nothing.
//!
//! Whoever calls [`Cluster::on`] makes the events durable before it lets a reply or a command out.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use market::Timestamp;
use protocol::{
    Assignment, Cordon, Directive, Ending, ExperimentDetail, ExperimentState, ExperimentView, Explanation, Refusal,
    Registration, Report, StopCause, Submission, Target, Terms, TrialState, TrialView, Update,
};
use spec::{AttemptId, CheckpointRef, ExperimentId, FailureClass, Progress, Rung, Span, TrialId, WorkerId};

use crate::driver::{Driver, SweepError};
use crate::event::{Event, Record};
use crate::ledger::{IllegalEvent, Ledger};
use crate::retry::{self, Jitter};
use crate::sweep::Sweeps;
use crate::trial::Change;

/// Heartbeats in the time of a lease: four may be lost before the lease is.
const HEARTBEATS_PER_LEASE: u64 = 5;

/// A silent worker without an attempt is forgotten after this: above the long poll of a lease.
const WORKER_SILENCE_MAX: Span = Span::from_secs(60);

/// Characters kept of a failure's message: a journal is not a log.
const MESSAGE_CHARS_MAX: usize = 2_000;

/// Times that the grant of an attempt is sent again to a worker that asks and has not spoken of it. A grant gets lost
/// now and then; one after the other, the attempt rather ends its worker before the first heartbeat, and a supervisor
/// starts that again under the same id. Each time would renew the lease, so that nothing would ever count.
const GRANT_REPEATS_MAX: u32 = 2;

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
    /// A client wants a failed trial tried again.
    Requeue(TrialId),
    /// An operator lets nothing new start there.
    Cordon(Target, Cordon),
    /// An operator takes that back.
    Uncordon(Target),
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
    /// A trial.
    Trial(TrialView),
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

/// The life sign of an attempt. Renewed without a journal entry: it decides nothing until it ends.
pub(crate) struct Lease {
    pub(crate) expires: Timestamp,
    pub(crate) progress: Option<Progress>,
    /// Since when this life of the scheduler knows its attempt at work; the time limit counts from here. A scheduler
    /// that was away cannot tell how long an attempt ran meanwhile, so its absence is nobody's time.
    since: Option<Timestamp>,
    /// Times that its grant was sent again.
    repeats: u32,
}

/// All trials, the workers at them and the sweeps behind them.
pub struct Cluster {
    pub(crate) options: Options,
    pub(crate) ledger: Ledger,
    pub(crate) machines: Machines,
    pub(crate) leases: BTreeMap<AttemptId, Lease>,
    pub(crate) draining: bool,
    /// Since when the first trial of an experiment cannot be placed.
    pub(crate) blocked: BTreeMap<ExperimentId, Timestamp>,
    /// When those were last looked after.
    attended: Option<Timestamp>,
    pub(crate) reservation: Option<Reservation>,
    preempting: BTreeMap<AttemptId, Preemption>,
    /// Trials that made room, and until when they are left alone.
    spared: BTreeMap<TrialId, Timestamp>,
    order: Order,
    timers: Timers,
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
            machines: Machines::default(),
            leases: BTreeMap::new(),
            draining: false,
            blocked: BTreeMap::new(),
            attended: None,
            reservation: None,
            preempting: BTreeMap::new(),
            spared: BTreeMap::new(),
            order: Order::default(),
            timers: Timers::default(),
            drivers: BTreeMap::new(),
            sweeps,
            stale: 0,
            events: Vec::new(),
            commands: Vec::new(),
        };
        let open: Vec<_> =
            cluster.ledger.open().map(|(id, experiment)| (id.clone(), experiment.submission.clone())).collect();
        for (id, submission) in open.into_iter().filter(|(id, _)| cluster.serves(id)).collect::<Vec<_>>() {
            // One that waited for an earlier of these may have ended with it.
            if cluster.ledger.experiment(&id).is_none_or(|experiment| experiment.state.is_final()) {
                continue;
            }
            let sweep = cluster
                .sweeps
                .open(&submission)
                .map_err(|error| RecoveryError::Unreadable { experiment: id.clone(), why: error.why })?;
            cluster.drivers.insert(id.clone(), Driver::new(sweep));
            cluster.refresh(now, &id);
            cluster.watch_deadline(&id);
            cluster.drive(now, &id)?.map_err(|source| RecoveryError::Sweep { experiment: id, source })?;
        }
        cluster.end_stranded(now)?;
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
                self.machines.unpark(&worker);
                Ok(Reply::Done)
            }
            Input::Heartbeat(worker, attempt, progress) => self.heartbeat(now, &worker, attempt, progress),
            Input::Checkpoint(worker, attempt, checkpoint) => self.checkpoint(now, &worker, attempt, checkpoint),
            Input::Finish(worker, attempt, report) => self.finish(now, &worker, attempt, report),
            Input::WorkerGone(worker) => self.worker_gone(now, &worker),
            Input::Submit(submission) => self.submit(now, submission),
            Input::Record(submission, trials) => self.record(now, submission, &trials),
            Input::Cancel(experiment) => self.cancel(now, &experiment),
            Input::Requeue(trial) => self.requeue(now, &trial),
            Input::Cordon(target, cordon) => self.cordon(now, target, cordon),
            Input::Uncordon(target) => self.uncordon(now, target),
            Input::Drain => {
                self.draining = true;
                Ok(Reply::Done)
            }
            Input::Tick => self.tick(now),
        }
    }

    fn register(&mut self, now: Timestamp, registration: Registration) -> Terms {
        self.timers.set(Timer::Silence(registration.worker.clone()), now.plus_seconds(seconds(WORKER_SILENCE_MAX)));
        self.machines.add(now, registration);
        let heartbeat = Span::from_millis((self.options.lease.millis() / HEARTBEATS_PER_LEASE).max(1));
        Terms { lease: self.options.lease, heartbeat }
    }

    fn park(&mut self, now: Timestamp, id: &WorkerId) -> Result<Reply, Refusal> {
        if !self.machines.workers.contains_key(id) {
            return Err(Refusal::NotRegistered);
        }
        self.machines.heard(now, id);
        self.machines.park(id);
        // One attempt at a time: a worker that asks does not run what it holds by the book.
        let held: Vec<AttemptId> = self.ledger.attempts_of(id).collect();
        for attempt in held {
            if matches!(self.trial_state(attempt), Some(TrialState::Leased { .. })) && self.may_repeat(attempt) {
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
        if self.draining || self.drained(attempt) {
            return Ok(Reply::Directive(Directive::Stop(StopCause::Draining)));
        }
        let Some(preemption) = self.preempting.get_mut(&attempt) else {
            return Ok(Reply::Directive(Directive::Continue));
        };
        preemption.told = true;
        Ok(Reply::Directive(Directive::Stop(StopCause::Preempted)))
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
            Report::Succeeded(outcome) => {
                self.machines.succeeded(worker);
                self.change(now, &trial, Change::Succeed { attempt, outcome })?;
            }
            Report::Failed { class, message } => {
                self.judge(now, worker, &trial);
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
        self.machines.remove(now, worker);
        self.timers.clear(&Timer::Silence(worker.clone()));
        for attempt in self.ledger.attempts_of(worker).collect::<Vec<_>>() {
            self.lose(now, attempt)?;
        }
        self.place(now)?;
        Ok(Reply::Done)
    }

    fn tick(&mut self, now: Timestamp) -> Result<Reply, Refusal> {
        for timer in self.timers.take_due(now) {
            match timer {
                Timer::Lease(attempt) => self.expire(now, attempt)?,
                Timer::Limit(attempt) => {
                    let Some(trial) = self.ledger.trial_of(attempt) else { continue };
                    let Some(experiment) = self.ledger.experiment(&trial.experiment) else { continue };
                    let limit = experiment.submission.policy.timeout;
                    let message = format!("attempt {attempt} ran past its limit of {limit}");
                    self.fail(now, attempt, FailureClass::Timeout, message)?;
                }
                Timer::Silence(worker) => self.forget(now, &worker),
                Timer::Deadline(experiment) => self.overdue(now, &experiment)?,
            }
        }
        self.place(now)?;
        self.attend(now);
        Ok(Reply::Done)
    }

    /// A lease may be over: a heartbeat after its timer was set made it longer.
    fn expire(&mut self, now: Timestamp, attempt: AttemptId) -> Result<(), IllegalEvent> {
        match self.leases.get(&attempt).map(|lease| lease.expires) {
            Some(expires) if expires > now => {
                self.timers.set(Timer::Lease(attempt), expires);
                Ok(())
            }
            Some(_) => self.lose(now, attempt),
            None => Ok(()),
        }
    }

    /// Forgets a worker that neither works nor waits, and was not heard of for long.
    fn forget(&mut self, now: Timestamp, id: &WorkerId) {
        let Some(worker) = self.machines.workers.get(id) else { return };
        let (until, asks) = (worker.heard.plus_seconds(seconds(WORKER_SILENCE_MAX)), worker.parked);
        if asks || self.ledger.attempts_of(id).next().is_some() {
            self.timers.set(Timer::Silence(id.clone()), now.plus_seconds(seconds(WORKER_SILENCE_MAX)));
        } else if until > now {
            self.timers.set(Timer::Silence(id.clone()), until);
        } else {
            self.machines.remove(now, id);
        }
    }
}

fn seconds(span: Span) -> f64 {
    span.millis() as f64 / 1_000.0
}

mod acts;
mod admission;
mod machines;
mod options;
mod order;
mod place;
mod preempt;
mod timers;
mod views;

pub use options::{Options, Quarantine, Quota};

pub(crate) use machines::{Machines, Worker};
pub(crate) use order::turn;
pub(crate) use place::Reservation;
pub(crate) use preempt::Preemption;

use order::Order;
use timers::{Timer, Timers};

#[cfg(test)]
mod tests;
