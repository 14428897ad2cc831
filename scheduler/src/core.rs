//! The thread that owns cluster and journal. Feeds calls into [`Rounds`] and delivers what they let out. No decision is
//! taken in here.

use std::time::Duration;

use protocol::{Assignment, ExperimentDetail, ExperimentView, Explanation, NodeView, Refusal, Update};
use spec::{ExperimentId, Span, TrialId, WorkerId};
use tokio::sync::{broadcast, mpsc, oneshot};

use crate::clock::Clock;
use crate::cluster::{Cluster, Input, Reply, Step};
use crate::config::SchedulerError;
use crate::engine::EngineError;
use crate::journal::Journal;
use crate::round::{End, Release, Rounds};
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

/// How often attempts that are gone are forgotten.
const FORGET: Duration = Duration::from_secs(1);

type Answer<T> = oneshot::Sender<Result<T, Refusal>>;

/// The updates a watcher starts with, and those that follow.
pub(crate) type Watch = (Vec<Update>, broadcast::Receiver<Update>);

/// What the rim asks of the core.
pub(crate) enum Call {
    Input(Box<Input>, Answer<Reply>),
    Lease(WorkerId, Answer<Option<Assignment>>),
    Exchange(Box<End>, Answer<Option<Assignment>>),
    List(Answer<Vec<ExperimentView>>),
    Show(ExperimentId, Answer<ExperimentDetail>),
    Explain(TrialId, Answer<Explanation>),
    Nodes(Answer<Vec<NodeView>>),
    Watch(Option<ExperimentId>, Answer<Watch>),
    Stop(Answer<()>),
    WorkerGone(WorkerId),
    EngineFailed(EngineError),
}

/// A worker's call that waits for an attempt.
struct Waiting {
    answer: Answer<Option<Assignment>>,
    until: Duration,
}

/// An answer with its caller.
type Held = Box<dyn FnOnce() + Send>;

fn held<T: Send + 'static>(answer: Answer<T>, value: Result<T, Refusal>) -> Held {
    // A caller that hung up needs no answer.
    Box::new(move || drop(answer.send(value)))
}

pub(crate) struct Core {
    rounds: Rounds<Held, Waiting>,
    side_log: SideLog,
    clock: Clock,
    updates: broadcast::Sender<Update>,
    grace: Span,
    stop_at: Option<Duration>,
    forgot: Duration,
}

impl Core {
    /// `recovered`: what recovery decided; it is journalled first.
    pub(crate) fn new(
        recovered: (Cluster, Step),
        journal: Box<dyn Journal>,
        side_log: SideLog,
        clock: Clock,
        grace: Span,
    ) -> Self {
        Self {
            rounds: Rounds::new(recovered, journal),
            side_log,
            clock,
            updates: broadcast::channel(UPDATES_MAX).0,
            grace,
            stop_at: None,
            forgot: Duration::ZERO,
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
            self.side_log.flush();
            for release in self.rounds.commit()? {
                self.deliver(release);
            }
            if let Some(stop_at) = self.stop_at
                && (self.rounds.cluster().is_idle() || self.clock.elapsed() >= stop_at)
            {
                tracing::info!(stale = self.rounds.cluster().stale(), "scheduler stops");
                return Ok(());
            }
        }
    }

    fn take(&mut self, call: Call) -> Result<(), SchedulerError> {
        let now = self.clock.now();
        let rounds = &mut self.rounds;
        match call {
            Call::Input(input, answer) => rounds.call(now, *input, |reply| held(answer, reply)),
            Call::Lease(worker, answer) => {
                let until = self.clock.elapsed() + LONG_POLL;
                if let Err((Waiting { answer, .. }, refusal)) = rounds.lease(now, worker, Waiting { answer, until }) {
                    rounds.hold(held(answer, Err(refusal)));
                }
            }
            Call::Exchange(end, answer) => {
                let until = self.clock.elapsed() + LONG_POLL;
                if let Err((Waiting { answer, .. }, refusal)) = rounds.exchange(now, *end, Waiting { answer, until }) {
                    rounds.hold(held(answer, Err(refusal)));
                }
            }
            Call::List(answer) => rounds.hold(held(answer, Ok(rounds.cluster().ledger().list()))),
            Call::Show(experiment, answer) => rounds.hold(held(answer, rounds.cluster().show(&experiment))),
            Call::Explain(trial, answer) => rounds.hold(held(answer, rounds.cluster().explain(now, &trial))),
            Call::Nodes(answer) => rounds.hold(held(answer, Ok(rounds.cluster().nodes(now)))),
            Call::Watch(experiment, answer) => {
                let present = rounds.cluster().present(experiment.as_ref());
                let receiver = self.updates.subscribe();
                rounds.hold(held(answer, present.map(|present| (present, receiver))));
            }
            Call::Stop(answer) => {
                rounds.call(now, Input::Drain, |drained| held(answer, drained.map(drop)));
                self.stop_at.get_or_insert(self.clock.elapsed() + self.grace.as_duration());
            }
            Call::WorkerGone(worker) => rounds.worker_gone(now, worker),
            Call::EngineFailed(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn tick(&mut self) {
        let elapsed = self.clock.elapsed();
        self.rounds.tick(self.clock.now(), |waiting| waiting.until <= elapsed || waiting.answer.is_closed());
        if elapsed.saturating_sub(self.forgot) >= FORGET {
            self.forgot = elapsed;
            let ledger = self.rounds.cluster().ledger();
            self.side_log.forget(|attempt| ledger.trial_of(attempt).is_some());
        }
    }

    fn deliver(&mut self, release: Release<Held, Waiting>) {
        match release {
            Release::Answer(answer) => answer(),
            Release::Leased(waiting, assignment) => drop(waiting.answer.send(Ok(assignment))),
            Release::Announce(update) => {
                if let Update::Progress { trial, attempt, progress } = &update {
                    self.side_log.write(self.clock.now(), trial, *attempt, progress);
                }
                // Errs only when nobody watches.
                drop(self.updates.send(update));
            }
        }
    }
}

#[cfg(test)]
mod tests;
