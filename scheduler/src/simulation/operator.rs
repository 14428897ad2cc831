//! Operators: they close machines for a while and open them again, delete checkpoints that nobody can need, and want trials
//! tried again.

use protocol::{Cordon, ExperimentState, Target, TrialState, Update};
use rand::RngExt as _;
use spec::TrialId;

use super::messages::{Body, Peer, Request};
use super::plan::{Reach, SECOND};
use super::question::End;
use super::{Act, World};
use crate::journal::{Journal as _, MemoryJournal};
use crate::surplus;

/// Between two looks at what is still closed once faults are over.
const LOOK: u64 = 3 * SECOND;

/// Longest wait of somebody who watches before what failed is to be tried again: batches are open for seconds.
const EAGER_WAIT_MAX: u64 = 4 * SECOND;

/// Times that it tries the same trial again, or one that always fails would keep its world busy.
const TRIES_MAX: u32 = 4;

impl World {
    pub(super) fn cordon(&mut self, (worker, reach): (usize, Reach), cordon: Cordon, micros: u64) {
        let id = self.workers[worker].id.clone();
        let target = match reach {
            Reach::Worker => Target::Worker(id),
            Reach::Machine => Target::Node(self.book.site.node_of(&id)),
        };
        self.operate(Body::Cordon(target.clone(), cordon));
        self.after(micros, Act::Lift(target));
    }

    pub(super) fn lift(&mut self, target: Target) {
        self.operate(Body::Uncordon(target));
    }

    /// Opens whatever is closed, again and again: a word may have been lost, or an older one come late.
    pub(super) fn lift_all(&mut self) {
        let closed: Vec<Target> = self.book.cordons.keys().cloned().collect();
        closed.into_iter().for_each(|target| self.lift(target));
        self.after(LOOK, Act::LiftAll);
    }

    fn operate(&mut self, body: Body) {
        let call = self.call();
        self.send(Request { from: Peer::Operator, call, body });
    }

    /// Wants a trial tried again: mostly one that failed, now and then any.
    pub(super) fn requeue(&mut self) {
        let any = self.rng.random_bool(0.2);
        let mut trials = Vec::new();
        for (id, chapter) in &self.book.chapters {
            let asked = (0..).zip(&chapter.trials);
            let chosen = asked.filter(|(_, trial)| any || matches!(trial.end, Some(End::Failed(_))));
            trials.extend(chosen.map(|(index, _)| TrialId { experiment: id.clone(), index }));
        }
        if trials.is_empty() {
            return;
        }
        let trial = trials[self.rng.random_range(0..trials.len())].clone();
        self.try_again(trial);
    }

    /// Somebody who watches is told of a trial that failed for good.
    pub(super) fn hear_news(&mut self, news: &Update) {
        let Update::Trial(view) = news else { return };
        let failed = matches!(view.status, TrialState::Failed { .. });
        if self.calm || !self.plan.eager || !failed {
            return;
        }
        let tries = self.book.chapters[&view.trial.experiment].requeued()[view.trial.index as usize];
        if tries < TRIES_MAX {
            let wait = self.rng.random_range(0..EAGER_WAIT_MAX);
            self.after(wait, Act::Again(view.trial.clone()));
        }
    }

    /// The same wants it tried again. Half the time somebody else makes room in the store first.
    pub(super) fn again(&mut self, trial: TrialId) {
        if self.calm {
            return;
        }
        if self.rng.random_bool(0.5) {
            self.clean();
        }
        self.try_again(trial);
    }

    fn try_again(&mut self, trial: TrialId) {
        // Whoever was told that it all failed looks again.
        if let Some(client) = self.clients.iter_mut().find(|client| client.submission.experiment == trial.experiment) {
            client.ended.take_if(|state| *state == ExperimentState::Failed);
        }
        self.operate(Body::Requeue(trial));
    }

    /// Deletes what the journal names as surplus, as `clean` does beside a scheduler that runs.
    pub(super) fn clean(&mut self) {
        let mut journal = MemoryJournal::default();
        journal.append(&self.storage.disk.lock().expect("one thread runs a world").records).expect("it has room");
        let deleted = surplus::checkpoints(&journal).expect("what is durable can be replayed");
        self.book.check_deleted(&deleted);
        for digest in &deleted {
            self.store.remove(digest);
        }
    }
}
