//! Decides calls in rounds: all that came is decided, made durable by one append, and only then let out.
//!
//! Knows no clock, no thread and no channel: the core runs it on a thread, the simulation in virtual time. Whatever a
//! caller may learn of a round leaves through [`Rounds::commit`], so nothing is told that a crash could take back.

use std::collections::BTreeMap;

use market::Timestamp;
use protocol::{Assignment, Refusal, Report, Update};
use spec::{AttemptId, WorkerId};

use crate::cluster::{Cluster, Command, Input, Reply, Step};
use crate::event::Record;
use crate::journal::{Journal, JournalError};

/// What may leave once its round is durable.
#[derive(Debug)]
pub(crate) enum Release<A, W> {
    /// An answer that was held back.
    Answer(A),
    /// A waiting worker gets its attempt, or nothing for now.
    Leased(W, Option<Assignment>),
    /// News for watchers.
    Announce(Update),
}

/// What a worker says of an attempt that it ended.
#[derive(Clone, Debug)]
pub(crate) struct End {
    pub(crate) worker: WorkerId,
    pub(crate) attempt: AttemptId,
    pub(crate) report: Report,
}

/// Cluster and journal, with what the present round holds back. `A` is an answer with its caller, `W` a worker's
/// waiting call.
pub(crate) struct Rounds<A, W> {
    cluster: Cluster,
    journal: Box<dyn Journal>,
    parked: BTreeMap<WorkerId, W>,
    records: Vec<Record>,
    commands: Vec<Command>,
    held: Vec<Release<A, W>>,
}

impl<A, W> Rounds<A, W> {
    /// `recovered`: what recovery decided; it is part of the first round.
    pub(crate) fn new((cluster, recovered): (Cluster, Step), journal: Box<dyn Journal>) -> Self {
        let Step { events: records, commands, .. } = recovered;
        Self { cluster, journal, parked: BTreeMap::new(), records, commands, held: Vec::new() }
    }

    /// The cluster, to be looked at: what is seen may not leave but through [`Self::hold`].
    pub(crate) const fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Whether a call of `worker` waits here.
    #[cfg(test)]
    pub(crate) fn is_waiting(&self, worker: &WorkerId) -> bool {
        self.parked.contains_key(worker)
    }

    /// Decides `input`; `answer` wraps the reply for its caller.
    pub(crate) fn call(&mut self, now: Timestamp, input: Input, answer: impl FnOnce(Result<Reply, Refusal>) -> A) {
        let reply = self.step(now, input);
        self.hold(answer(reply));
    }

    /// Decides an input that nobody waits for.
    pub(crate) fn report(&mut self, now: Timestamp, input: Input) {
        if let Err(error) = self.step(now, input) {
            tracing::error!(%error, "cluster refused its own input");
        }
    }

    /// Holds back an answer that is known already.
    pub(crate) fn hold(&mut self, answer: A) {
        self.held.push(Release::Answer(answer));
    }

    /// Lets `worker` wait for an attempt. A refused call is given back with the reason.
    pub(crate) fn lease(&mut self, now: Timestamp, worker: WorkerId, waiting: W) -> Result<(), (W, Refusal)> {
        match self.step(now, Input::Lease(worker.clone())) {
            Ok(_) => {
                self.parked.insert(worker, waiting);
                Ok(())
            }
            Err(refusal) => Err((waiting, refusal)),
        }
    }

    /// Takes in the end of an attempt and lets its worker wait for the next, in one round. A refused call is given back with
    /// the reason; refused for [`Refusal::NotRegistered`], the end was taken in all the same.
    pub(crate) fn exchange(&mut self, now: Timestamp, end: End, waiting: W) -> Result<(), (W, Refusal)> {
        let End { worker, attempt, report } = end;
        match self.step(now, Input::Finish(worker.clone(), attempt, report)) {
            Ok(_) => self.lease(now, worker, waiting),
            Err(refusal) => Err((waiting, refusal)),
        }
    }

    /// The engine saw a worker's process end.
    pub(crate) fn worker_gone(&mut self, now: Timestamp, worker: WorkerId) {
        self.parked.remove(&worker);
        self.report(now, Input::WorkerGone(worker));
    }

    /// Lets time pass. Workers whose waiting is `over` are sent away without an attempt.
    pub(crate) fn tick(&mut self, now: Timestamp, over: impl Fn(&W) -> bool) {
        let ended: Vec<WorkerId> =
            self.parked.iter().filter(|(_, waiting)| over(waiting)).map(|(worker, _)| worker.clone()).collect();
        for worker in ended {
            if let Some(waiting) = self.parked.remove(&worker) {
                self.held.push(Release::Leased(waiting, None));
            }
            self.report(now, Input::Unpark(worker));
        }
        self.report(now, Input::Tick);
    }

    /// Makes the round durable; what comes back may leave, in this order: watchers wait for nothing, and are told last.
    ///
    /// # Errors
    /// [`JournalError`]: nothing of the round may leave, and no round may follow.
    pub(crate) fn commit(&mut self) -> Result<Vec<Release<A, W>>, JournalError> {
        let records = std::mem::take(&mut self.records);
        if !records.is_empty() {
            self.journal.append(&records)?;
        }
        let (mut released, mut news) = (std::mem::take(&mut self.held), Vec::new());
        for command in std::mem::take(&mut self.commands) {
            match command {
                // A worker that hung up asks again and gets the same attempt.
                Command::Grant(worker, assignment) => released
                    .extend(self.parked.remove(&worker).map(|waiting| Release::Leased(waiting, Some(assignment)))),
                Command::Announce(update) => news.push(Release::Announce(update)),
            }
        }
        released.extend(news);
        Ok(released)
    }

    fn step(&mut self, now: Timestamp, input: Input) -> Result<Reply, Refusal> {
        let Step { reply, events, commands } = self.cluster.on(now, input);
        self.records.extend(events);
        self.commands.extend(commands);
        reply
    }
}
