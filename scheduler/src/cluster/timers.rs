//! What happens by itself when its time comes, in one ordered set: a tick looks at what is due and at nothing else.

use std::collections::{BTreeMap, BTreeSet};

use super::{AttemptId, ExperimentId, Timestamp, WorkerId};

/// Something that is looked at when its time comes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// A lease may be over. A heartbeat moves the lease and not the timer, which is set again when it fires early.
    Lease(AttemptId),
    /// An attempt reaches its time limit.
    Limit(AttemptId),
    /// A worker may have been silent for too long.
    Silence(WorkerId),
    /// An experiment reaches its deadline.
    Deadline(ExperimentId),
}

#[derive(Default)]
pub(super) struct Timers {
    due: BTreeSet<(Timestamp, Timer)>,
    at: BTreeMap<Timer, Timestamp>,
}

impl Timers {
    /// Sets `timer` to `at`, wherever it was.
    pub(super) fn set(&mut self, timer: Timer, at: Timestamp) {
        if let Some(before) = self.at.insert(timer.clone(), at) {
            self.due.remove(&(before, timer.clone()));
        }
        self.due.insert((at, timer));
    }

    /// Sets `timer` to `at` unless it fires before that anyway.
    pub(super) fn set_by(&mut self, timer: Timer, at: Timestamp) {
        if self.at.get(&timer).is_none_or(|before| *before > at) {
            self.set(timer, at);
        }
    }

    pub(super) fn clear(&mut self, timer: &Timer) {
        if let Some(at) = self.at.remove(timer) {
            self.due.remove(&(at, timer.clone()));
        }
    }

    /// Takes out all that is due, in the order of its time.
    pub(super) fn take_due(&mut self, now: Timestamp) -> Vec<Timer> {
        let mut taken = Vec::new();
        while self.due.first().is_some_and(|(at, _)| *at <= now)
            && let Some((_, timer)) = self.due.pop_first()
        {
            self.at.remove(&timer);
            taken.push(timer);
        }
        taken
    }
}
