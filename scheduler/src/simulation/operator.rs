//! Operators: they close machines for a while and open them again, and delete checkpoints that nobody can need.

use protocol::{Cordon, Target};

use super::messages::{Body, Peer, Request};
use super::plan::{Reach, SECOND};
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

    /// Deletes what the journal names as surplus, as `clean` does beside a scheduler that runs.
    pub(super) fn clean(&mut self) {
        let mut journal = MemoryJournal::default();
        journal.append(&self.storage.disk.lock().expect("one thread runs a world").records).expect("it has room");
        for digest in surplus::checkpoints(&journal).expect("what is durable can be replayed") {
            self.store.remove(&digest);
        }
    }
}
