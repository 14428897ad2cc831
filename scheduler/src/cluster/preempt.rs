//! Asking attempts of lower priority to stop at their next checkpoint. They go on later, and pay no attempt for it.

use protocol::Demand;

use super::*;
use crate::ledger::shares;

/// An attempt that is asked to make room.
pub(crate) struct Preemption {
    /// For whom.
    pub(crate) by: ExperimentId,
    /// Its worker has heard of it.
    pub(super) told: bool,
}

/// What stopping some attempts would cost: as few as possible, of low priority, of little work done.
type Price = (usize, i32, Reverse<Timestamp>, WorkerId);

impl Cluster {
    /// Asks the attempts that stand in the way of `id` to stop, unless some were asked already. Only attempts of lower
    /// priority, and only where their place would be enough: nobody stops in vain.
    pub(super) fn preempt(&mut self, now: Timestamp, id: &ExperimentId) {
        let Some(experiment) = self.ledger.experiment(id) else { return };
        let policy = &experiment.submission.policy;
        let (priority, demand) = (policy.priority, policy.demand());
        let none_lower = self.ledger.priority_min().is_none_or(|lowest| lowest >= priority);
        if none_lower || self.preempting.values().any(|preemption| preemption.by == *id) {
            return;
        }
        let workers = self.machines.workers.values();
        let open = workers.filter(|worker| worker.offer.holds(&demand) && self.closed(now, worker).is_none());
        let plans = open.filter_map(|worker| self.victims(worker, &demand, priority));
        let Some((_, victims, node)) = plans.min_by(|a, b| a.0.cmp(&b.0)) else { return };
        if shares(&demand) {
            if self.reservation.as_ref().is_some_and(|kept| kept.experiment != *id && kept.priority >= priority) {
                return;
            }
            // What one gives back must not be taken before the last has.
            self.reserve_node(id.clone(), node, priority);
        }
        for attempt in victims {
            tracing::info!(%attempt, by = %id, "attempt is asked to make room");
            self.preempting.insert(attempt, Preemption { by: id.clone(), told: false });
        }
    }

    /// The attempts that would have to stop for room on `worker`; `None` when that would not be enough.
    fn victims(
        &self,
        worker: &Worker,
        demand: &Demand,
        priority: i32,
    ) -> Option<(Price, Vec<AttemptId>, spec::NodeId)> {
        let id = &worker.registration.worker;
        // Whoever is parked would have been placed on, had the machine room.
        let mut victims: Vec<AttemptId> = self.ledger.attempts_of(id).collect();
        let mut cost = (i32::MIN, Timestamp::default());
        for attempt in &victims {
            let (lower, since) = self.stoppable(*attempt, priority)?;
            cost = (cost.0.max(lower), since);
        }
        let mut others: Vec<_> = self
            .ledger
            .attempts_on(&worker.node)
            .filter(|(attempt, _)| !victims.contains(attempt))
            .filter_map(|(attempt, _)| Some((self.stoppable(attempt, priority)?, attempt)))
            .collect();
        others.sort_by_key(|((lower, since), attempt)| (*lower, Reverse(*since), *attempt));
        let mut others = others.into_iter();
        while !self.would_fit(worker, demand, &|attempt| !victims.contains(&attempt)) {
            let ((lower, since), attempt) = others.next()?;
            cost = (cost.0.max(lower), since);
            victims.push(attempt);
        }
        if victims.is_empty() {
            return None;
        }
        let price = (victims.len(), cost.0, Reverse(cost.1), id.clone());
        Some((price, victims, worker.node.clone()))
    }

    /// Priority and start of an attempt that may be asked to stop for one of `priority`.
    fn stoppable(&self, attempt: AttemptId, priority: i32) -> Option<(i32, Timestamp)> {
        let trial = self.ledger.trial_of(attempt)?;
        let lower = self.ledger.experiment(&trial.experiment)?.submission.policy.priority;
        let (_, since) = views::holder(&self.ledger.trial(trial)?.state)?;
        let free = !self.spared.contains_key(trial) && !self.preempting.contains_key(&attempt);
        (lower < priority && free).then_some((lower, since))
    }

    /// The attempt is over. When it was asked to make room, its trial is left alone for a while.
    pub(super) fn made_room(&mut self, now: Timestamp, trial: &TrialId, attempt: AttemptId) {
        if let Some(preemption) = self.preempting.remove(&attempt) {
            // Its worker has yet to ask again: until then nobody else is asked to make room.
            self.blocked.insert(preemption.by, now);
            let pause = self.options.preempt_pause.millis() as f64 / 1_000.0;
            self.spared.insert(trial.clone(), now.plus_seconds(pause));
        }
    }

    /// Attempts that are asked to stop for `id`.
    pub(crate) fn preempting_for(&self, id: &ExperimentId) -> Vec<AttemptId> {
        self.preempting.iter().filter(|(_, preemption)| preemption.by == *id).map(|(attempt, _)| *attempt).collect()
    }
}
