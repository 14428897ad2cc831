//! The thread that owns cluster and journal. Takes calls in rounds: all that came meanwhile is decided, journalled with
//! one commit, and only then answered. No decision is taken in here.

use std::collections::BTreeMap;
use std::time::Duration;

use protocol::{Assignment, ExperimentDetail, ExperimentView, Explanation, NodeView, Refusal, Update};
use spec::{ExperimentId, Span, TrialId, WorkerId};
use tokio::sync::{broadcast, mpsc, oneshot};

use crate::clock::Clock;
use crate::cluster::{Cluster, Command, Input, Reply, Step};
use crate::config::SchedulerError;
use crate::engine::EngineError;
use crate::event::Record;
use crate::journal::Journal;
use crate::side_log::SideLog;

/// Calls of one round, and so of one commit.
const CALLS_PER_ROUND: usize = 512;

/// Calls that wait before callers do.
pub(crate) const CALLS_WAITING_MAX: usize = 1_024;

/// Updates kept for a slow watcher before it starts over.
const UPDATES_MAX: usize = 4_096;

/// Longest time between two looks at the clock.
const TICK: Duration = Duration::from_millis(50);

/// Longest wait of a worker for an attempt before it asks again.
const LONG_POLL: Duration = Duration::from_secs(20);

/// How often step metrics reach their files.
const FLUSH: Duration = Duration::from_secs(1);

type Answer<T> = oneshot::Sender<Result<T, Refusal>>;

/// The updates a watcher starts with, and those that follow.
pub(crate) type Watch = (Vec<Update>, broadcast::Receiver<Update>);

/// What the rim asks of the core.
pub(crate) enum Call {
    Input(Input, Answer<Reply>),
    Lease(WorkerId, Answer<Option<Assignment>>),
    List(Answer<Vec<ExperimentView>>),
    Show(ExperimentId, Answer<ExperimentDetail>),
    Explain(TrialId, Answer<Explanation>),
    Nodes(Answer<Vec<NodeView>>),
    Watch(Option<ExperimentId>, Answer<Watch>),
    Stop(Answer<()>),
    WorkerGone(WorkerId),
    EngineFailed(EngineError),
}

struct Parked {
    answer: Answer<Option<Assignment>>,
    until: Duration,
}

pub(crate) struct Core {
    cluster: Cluster,
    journal: Box<dyn Journal>,
    side_log: SideLog,
    clock: Clock,
    updates: broadcast::Sender<Update>,
    parked: BTreeMap<WorkerId, Parked>,
    grace: Span,
    stop_at: Option<Duration>,
    flushed: Duration,
    round: Round,
}

/// What one round holds back until its commit.
#[derive(Default)]
struct Round {
    records: Vec<Record>,
    commands: Vec<Command>,
    answers: Vec<Box<dyn FnOnce() + Send>>,
}

fn hold<T: Send + 'static>(round: &mut Round, answer: Answer<T>, value: Result<T, Refusal>) {
    // A caller that hung up needs no answer.
    round.answers.push(Box::new(move || drop(answer.send(value))));
}

impl Core {
    /// `recovered`: what recovery decided; it is journalled first.
    pub(crate) fn new(
        (cluster, recovered): (Cluster, Step),
        journal: Box<dyn Journal>,
        side_log: SideLog,
        clock: Clock,
        grace: Span,
    ) -> Self {
        let round = Round { records: recovered.events, commands: recovered.commands, answers: Vec::new() };
        Self {
            cluster,
            journal,
            side_log,
            clock,
            updates: broadcast::channel(UPDATES_MAX).0,
            parked: BTreeMap::new(),
            grace,
            stop_at: None,
            flushed: Duration::ZERO,
            round,
        }
    }

    /// Runs until it is stopped. On an error nothing of the failed round was answered or done.
    pub(crate) async fn run(mut self, mut calls: mpsc::Receiver<Call>) -> Result<(), SchedulerError> {
        let mut batch = Vec::with_capacity(CALLS_PER_ROUND);
        let mut ticked = Duration::ZERO;
        loop {
            let received = tokio::time::timeout(TICK, calls.recv_many(&mut batch, CALLS_PER_ROUND)).await;
            if received == Ok(0) {
                return Ok(());
            }
            for call in batch.drain(..) {
                self.take(call)?;
            }
            if self.clock.elapsed().saturating_sub(ticked) >= TICK {
                ticked = self.clock.elapsed();
                self.tick();
            }
            self.commit()?;
            if let Some(stop_at) = self.stop_at
                && (self.cluster.is_idle() || self.clock.elapsed() >= stop_at)
            {
                tracing::info!(stale = self.cluster.stale(), "scheduler stops");
                return Ok(());
            }
        }
    }

    fn take(&mut self, call: Call) -> Result<(), SchedulerError> {
        let now = self.clock.now();
        match call {
            Call::Input(input, answer) => {
                let reply = self.step(input);
                hold(&mut self.round, answer, reply);
            }
            Call::Lease(worker, answer) => match self.step(Input::Lease(worker.clone())) {
                Ok(_) => {
                    let until = self.clock.elapsed() + LONG_POLL;
                    self.parked.insert(worker, Parked { answer, until });
                }
                Err(refusal) => hold(&mut self.round, answer, Err(refusal)),
            },
            Call::List(answer) => {
                let list = self.cluster.ledger().list();
                hold(&mut self.round, answer, Ok(list));
            }
            Call::Show(experiment, answer) => {
                let detail = self.cluster.show(&experiment);
                hold(&mut self.round, answer, detail);
            }
            Call::Explain(trial, answer) => {
                let explanation = self.cluster.explain(now, &trial);
                hold(&mut self.round, answer, explanation);
            }
            Call::Nodes(answer) => {
                let nodes = self.cluster.nodes(now);
                hold(&mut self.round, answer, Ok(nodes));
            }
            Call::Watch(experiment, answer) => {
                let present = self.cluster.present(experiment.as_ref());
                let receiver = self.updates.subscribe();
                hold(&mut self.round, answer, present.map(|present| (present, receiver)));
            }
            Call::Stop(answer) => {
                let drained = self.step(Input::Drain);
                self.stop_at.get_or_insert(self.clock.elapsed() + self.grace.as_duration());
                hold(&mut self.round, answer, drained.map(drop));
            }
            Call::WorkerGone(worker) => {
                self.parked.remove(&worker);
                self.report(Input::WorkerGone(worker));
            }
            Call::EngineFailed(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn tick(&mut self) {
        let elapsed = self.clock.elapsed();
        let over: Vec<WorkerId> = self
            .parked
            .iter()
            .filter(|(_, parked)| parked.until <= elapsed || parked.answer.is_closed())
            .map(|(worker, _)| worker.clone())
            .collect();
        for worker in over {
            if let Some(parked) = self.parked.remove(&worker) {
                hold(&mut self.round, parked.answer, Ok(None));
            }
            self.report(Input::Unpark(worker));
        }
        self.report(Input::Tick);
        if elapsed.saturating_sub(self.flushed) >= FLUSH {
            self.flushed = elapsed;
            let ledger = self.cluster.ledger();
            self.side_log.flush(|attempt| ledger.trial_of(attempt).is_some());
        }
    }

    fn step(&mut self, input: Input) -> Result<Reply, Refusal> {
        let Step { reply, events, commands } = self.cluster.on(self.clock.now(), input);
        self.round.records.extend(events);
        self.round.commands.extend(commands);
        reply
    }

    /// For inputs that nobody waits for.
    fn report(&mut self, input: Input) {
        if let Err(error) = self.step(input) {
            tracing::error!(%error, "cluster refused its own input");
        }
    }

    fn commit(&mut self) -> Result<(), SchedulerError> {
        let Round { records, commands, answers } = std::mem::take(&mut self.round);
        if !records.is_empty() {
            self.journal.append(&records)?;
        }
        for answer in answers {
            answer();
        }
        for command in commands {
            match command {
                Command::Grant(worker, assignment) => {
                    if let Some(parked) = self.parked.remove(&worker) {
                        // A worker that hung up asks again and gets the same attempt.
                        drop(parked.answer.send(Ok(Some(assignment))));
                    }
                }
                Command::Announce(update) => {
                    if let Update::Progress { trial, attempt, progress } = &update {
                        self.side_log.write(self.clock.now(), trial, *attempt, progress);
                    }
                    // Errs only when nobody watches.
                    drop(self.updates.send(update));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
