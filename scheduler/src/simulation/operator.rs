//! Operators: they close machines for a while and open them again, delete checkpoints that nobody can need, and want trials
//! tried again.

use protocol::{Cordon, ExperimentState, Target};
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
        for digest in surplus::checkpoints(&journal).expect("what is durable can be replayed") {
            self.store.remove(&digest);
        }
    }
}
