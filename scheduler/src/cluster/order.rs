//! Who is next. Experiments that have a trial to lease, grouped by what they need, each group in the order it is served:
//! a decision looks at one experiment of each group, however many wait behind it.
//!
//! Derived from the ledger, and kept in step with it event by event.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use protocol::Demand;
use spec::Owner;

use super::{AttemptId, ExperimentId, Timestamp};
use crate::ledger::Experiment;

/// Higher priority first, then [`Experiment::turn`].
pub(crate) type Turn = (Reverse<i32>, (u64, AttemptId, u32));

/// Experiments with the same needs and the same quota: when one cannot be placed, none of them can.
type Class = (Option<Owner>, Demand);

enum Spot {
    /// A trial of it may be leased now.
    Ready(usize, Turn),
    /// Its first trial may be leased from then on.
    Asleep(Timestamp),
}

#[derive(Default)]
pub(super) struct Order {
    classes: BTreeMap<Class, usize>,
    ready: BTreeMap<usize, BTreeSet<(Turn, ExperimentId)>>,
    asleep: BTreeSet<(Timestamp, ExperimentId)>,
    spots: BTreeMap<ExperimentId, Spot>,
}

pub(crate) fn turn(experiment: &Experiment) -> Turn {
    (Reverse(experiment.submission.policy.priority), experiment.turn())
}

impl Order {
    /// Puts an experiment where it belongs after something happened to it.
    pub(super) fn refresh(&mut self, now: Timestamp, experiment: &Experiment) {
        let id = &experiment.submission.experiment;
        let open = !experiment.state.is_final() && experiment.waits.is_empty() && experiment.has_room();
        let first = if open { experiment.queue().next() } else { None };
        let turn = turn(experiment);
        match (self.spots.get(id), first) {
            (None, None) => return,
            (Some(Spot::Ready(_, before)), Some((at, _))) if at <= now && *before == turn => return,
            (Some(Spot::Asleep(before)), Some((at, _))) if at > now && *before == at => return,
            (Some(_) | None, _) => self.remove(id),
        }
        let Some((at, _)) = first else { return };
        if at > now {
            self.asleep.insert((at, id.clone()));
            self.spots.insert(id.clone(), Spot::Asleep(at));
        } else {
            let policy = &experiment.submission.policy;
            let next = self.classes.len();
            let class = *self.classes.entry((policy.owner.clone(), policy.demand())).or_insert(next);
            self.ready.entry(class).or_default().insert((turn, id.clone()));
            self.spots.insert(id.clone(), Spot::Ready(class, turn));
        }
    }

    fn remove(&mut self, id: &ExperimentId) {
        match self.spots.remove(id) {
            Some(Spot::Ready(class, turn)) => {
                if let Some(ready) = self.ready.get_mut(&class) {
                    ready.remove(&(turn, id.clone()));
                    if ready.is_empty() {
                        self.ready.remove(&class);
                    }
                }
            }
            Some(Spot::Asleep(at)) => {
                self.asleep.remove(&(at, id.clone()));
            }
            None => {}
        }
    }

    /// Experiments whose back-off is over, for [`Self::refresh`].
    pub(super) fn woken(&self, now: Timestamp) -> Vec<ExperimentId> {
        self.asleep.iter().take_while(|(at, _)| *at <= now).map(|(_, id)| id.clone()).collect()
    }

    /// The first experiment of each group, in the order they are served.
    pub(super) fn heads(&self) -> Vec<ExperimentId> {
        let mut heads: Vec<_> = self.ready.values().filter_map(BTreeSet::first).collect();
        heads.sort();
        heads.into_iter().map(|(_, id)| id.clone()).collect()
    }

    /// Where an experiment stands: the turn it is ready with, or none while it sleeps; `None` when it is in no place.
    #[cfg(test)]
    pub(super) fn place_of(&self, id: &ExperimentId) -> Option<Option<Turn>> {
        self.spots.get(id).map(|spot| match spot {
            Spot::Ready(_, turn) => Some(*turn),
            Spot::Asleep(_) => None,
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ready.is_empty()
    }
}
