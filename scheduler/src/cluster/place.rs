//! Which trial goes where. Reads the order and the machines, and leases.

use std::collections::BTreeMap;

use protocol::{Cordon, Demand, Target};
use spec::{Bytes, NodeId};

use super::*;
use crate::ledger::{Experiment, shares};

/// Time between two looks at who is blocked: each may weigh every worker.
const ATTEND_PAUSE_SECONDS: f64 = 1.0;

/// Where an attempt goes, and the GPUs it holds there.
struct Seat {
    worker: WorkerId,
    node: NodeId,
    gpus: Vec<u32>,
}

/// A machine that is kept free for an experiment that others would starve.
pub(crate) struct Reservation {
    pub(crate) experiment: ExperimentId,
    pub(crate) node: NodeId,
    pub(super) priority: i32,
}

/// Whether the time of an experiment is over. It ends at the next tick, and nothing of it starts before that.
fn is_late(now: Timestamp, experiment: &Experiment) -> bool {
    experiment.submission.policy.deadline.is_some_and(|deadline| deadline <= now)
}

/// What is held of one GPU.
#[derive(Clone, Copy, Default)]
pub(crate) struct Use {
    pub(crate) whole: bool,
    pub(crate) shared: Bytes,
}

impl Cluster {
    /// Gives queued trials to parked workers, the next in order first; one that fits nowhere lets others pass.
    pub(super) fn place(&mut self, now: Timestamp) -> Result<(), IllegalEvent> {
        if self.draining {
            return Ok(());
        }
        for id in self.order.woken(now) {
            self.refresh(now, &id);
        }
        while !self.order.is_empty() && !self.machines.parked.is_empty() {
            let placed = self.contenders(now).into_iter().find_map(|id| {
                let experiment = self.ledger.experiment(&id)?;
                let index = experiment.queue().next()?.1;
                let seat = self.seat(now, experiment)?;
                Some((TrialId { experiment: id, index }, seat))
            });
            let Some((trial, Seat { worker, node, gpus })) = placed else { return Ok(()) };
            let attempt = self.ledger.next_attempt();
            self.blocked.remove(&trial.experiment);
            self.reservation.take_if(|kept| kept.experiment == trial.experiment);
            self.preempting.retain(|_, preemption| preemption.told || preemption.by != trial.experiment);
            self.change(now, &trial, Change::Lease { attempt, worker: worker.clone(), node: Some(node), gpus })?;
            self.grant(now, &worker, attempt);
        }
        Ok(())
    }

    /// Experiments that may have a trial placed now, in order; one of each group that needs the same.
    pub(super) fn contenders(&self, now: Timestamp) -> Vec<ExperimentId> {
        let mut heads = self.order.heads();
        heads.retain(|id| {
            let experiment = self.ledger.experiment(id);
            experiment.is_some_and(|experiment| self.over_quota(experiment).is_none() && !is_late(now, experiment))
        });
        heads
    }

    /// The quota that keeps an experiment from holding more.
    pub(crate) fn over_quota(&self, experiment: &Experiment) -> Option<u32> {
        let policy = &experiment.submission.policy;
        let limit = self.options.quota.of(policy.owner.as_ref())?;
        let held = self.ledger.cpus_of(policy.owner.as_ref());
        (held + u64::from(policy.cpus) > u64::from(limit)).then_some(limit)
    }

    /// The smallest parked worker that an attempt fits on now.
    fn seat(&self, now: Timestamp, experiment: &Experiment) -> Option<Seat> {
        let demand = experiment.submission.policy.demand();
        let first: WorkerId = "0".parse().expect("it is the first of all names");
        let from = (demand.gpus as usize, 0, first);
        self.machines.parked.range(from..).find_map(|(_, _, id)| {
            let worker = self.machines.workers.get(id)?;
            let fits = worker.offer.holds(&demand)
                && self.closed(now, worker).is_none()
                && !self.kept_from(experiment, &worker.node);
            let gpus = fits.then(|| self.gpus_on(worker, &demand)).flatten()?;
            Some(Seat { worker: id.clone(), node: worker.node.clone(), gpus })
        })
    }

    /// Whether `node` is kept free for somebody else.
    fn kept_from(&self, experiment: &Experiment, node: &NodeId) -> bool {
        let policy = &experiment.submission.policy;
        self.reservation.as_ref().is_some_and(|kept| {
            kept.node == *node
                && kept.experiment != experiment.submission.experiment
                && policy.priority <= kept.priority
                && shares(&policy.demand())
        })
    }

    /// Why nothing new starts on a worker.
    pub(crate) fn closed(&self, now: Timestamp, worker: &Worker) -> Option<String> {
        let id = worker.registration.worker.clone();
        for target in [Target::Worker(id), Target::Node(worker.node.clone())] {
            if self.ledger.cordon(&target).is_some() {
                return Some(format!("{target} is cordoned"));
            }
        }
        let until = self.machines.nodes.get(&worker.node)?.quarantined(now)?;
        Some(format!("node {} is in quarantine until {until}", worker.node))
    }

    /// Whether `attempt` is asked to stop where it runs. Where that is the journal knows: a restarted scheduler has yet to
    /// be told by its worker, who registers when the attempt has ended.
    pub(super) fn drained(&self, attempt: AttemptId) -> bool {
        if self.ledger.cordons().next().is_none() {
            return false;
        }
        let Some(held) = self.ledger.held(attempt) else { return false };
        let node = held.node.clone().map(Target::Node);
        let targets = [Some(Target::Worker(held.worker.clone())), node];
        targets.into_iter().flatten().any(|target| self.ledger.cordon(&target) == Some(Cordon::Drain))
    }

    /// The GPUs that an attempt would hold of the worker's machine, where it fits beside what others hold now.
    fn gpus_on(&self, worker: &Worker, demand: &Demand) -> Option<Vec<u32>> {
        if !shares(demand) {
            return Some(Vec::new());
        }
        let (memory, used) = self.held_on(&worker.node, &|_| true);
        let has = self.machines.memory(&worker.node).unwrap_or_default();
        if demand.memory.0 > 0 && memory.0.saturating_add(demand.memory.0) > has.0 {
            return None;
        }
        let used = |index: u32| used.get(&index).copied().unwrap_or_default();
        let gpus: Vec<u32> = match demand.gpu_memory {
            Some(share) if demand.gpus > 0 => {
                let fits = |gpu: &&protocol::Gpu| {
                    let used = used(gpu.index);
                    !used.whole && used.shared.0.saturating_add(share.0) <= gpu.memory.0
                };
                // The fullest that still fits: whole GPUs stay whole for those who need one.
                let fullest = |gpu: &&protocol::Gpu| (std::cmp::Reverse(used(gpu.index).shared), gpu.index);
                worker.offer.gpus.iter().filter(fits).min_by_key(fullest).map(|gpu| gpu.index).into_iter().collect()
            }
            Some(_) | None => {
                let free = |gpu: &&protocol::Gpu| !used(gpu.index).whole && used(gpu.index).shared == Bytes(0);
                let free = worker.offer.gpus.iter().filter(free).map(|gpu| gpu.index);
                free.take(demand.gpus as usize).collect()
            }
        };
        (gpus.len() == demand.gpus as usize).then_some(gpus)
    }

    /// Memory and GPUs of `node` that attempts hold, as far as they `count`.
    pub(crate) fn held_on(&self, node: &NodeId, count: &dyn Fn(AttemptId) -> bool) -> (Bytes, BTreeMap<u32, Use>) {
        let (mut memory, mut gpus) = (Bytes(0), BTreeMap::<u32, Use>::new());
        for (_, held) in self.ledger.attempts_on(node).filter(|(attempt, _)| count(*attempt)) {
            let Some(experiment) = self.ledger.experiment(&held.trial.experiment) else { continue };
            let policy = &experiment.submission.policy;
            memory.0 += policy.memory.unwrap_or_default().0;
            for index in &held.gpus {
                let used = gpus.entry(*index).or_default();
                match policy.gpu_memory {
                    Some(share) => used.shared.0 += share.0,
                    None => used.whole = true,
                }
            }
        }
        (memory, gpus)
    }

    /// Whether an attempt would fit on the worker and its machine if only attempts that `count` held something there.
    pub(super) fn would_fit(&self, worker: &Worker, demand: &Demand, count: &dyn Fn(AttemptId) -> bool) -> bool {
        if !worker.offer.holds(demand) {
            return false;
        }
        let (memory, used) = self.held_on(&worker.node, count);
        let has = self.machines.memory(&worker.node).unwrap_or_default();
        let free = worker.offer.gpus.iter().filter(|gpu| {
            let used = used.get(&gpu.index).copied().unwrap_or_default();
            match demand.gpu_memory {
                Some(share) => !used.whole && used.shared.0.saturating_add(share.0) <= gpu.memory.0,
                None => !used.whole && used.shared == Bytes(0),
            }
        });
        (demand.memory == Bytes(0) || memory.0.saturating_add(demand.memory.0) <= has.0)
            && free.count() >= demand.gpus as usize
    }

    /// Notes who cannot be placed, and helps those who could not for long: by keeping a machine free, or by asking lower
    /// priorities to stop.
    pub(super) fn attend(&mut self, now: Timestamp) {
        let lately = self.attended.is_some_and(|last| now.seconds_since(last) < ATTEND_PAUSE_SECONDS);
        if self.draining || lately {
            return;
        }
        self.attended = Some(now);
        let contenders = self.contenders(now);
        self.blocked.retain(|id, _| contenders.contains(id));
        self.reservation
            .take_if(|kept| !contenders.contains(&kept.experiment) || !self.machines.nodes.contains_key(&kept.node));
        self.preempting.retain(|_, preemption| preemption.told || contenders.contains(&preemption.by));
        self.spared.retain(|_, until| *until > now);
        for id in contenders {
            let since = *self.blocked.entry(id.clone()).or_insert(now);
            let waited = now.seconds_since(since) * 1_000.0;
            if waited >= self.options.reserve_after.millis() as f64 {
                self.reserve(now, &id);
            }
            if waited >= self.options.preempt_after.millis() as f64 {
                self.preempt(now, &id);
            }
        }
    }

    /// Keeps the machine that is nearest to having room free for `id`. One machine at a time, so that each ask that is
    /// blocked is placed once those before it were, and what ran on its machine has ended.
    fn reserve(&mut self, now: Timestamp, id: &ExperimentId) {
        let Some(experiment) = self.ledger.experiment(id) else { return };
        let policy = &experiment.submission.policy;
        let demand = policy.demand();
        if self.reservation.is_some() || !shares(&demand) {
            return;
        }
        let open = self
            .machines
            .workers
            .values()
            .filter(|worker| worker.offer.holds(&demand) && self.closed(now, worker).is_none());
        let busy = |worker: &&Worker| (self.ledger.attempts_on(&worker.node).count(), worker.node.clone());
        if let Some(node) = open.min_by_key(busy).map(|worker| worker.node.clone()) {
            self.reserve_node(id.clone(), node, policy.priority);
        }
    }

    pub(super) fn reserve_node(&mut self, experiment: ExperimentId, node: NodeId, priority: i32) {
        tracing::info!(%experiment, %node, "node is kept free for an experiment that others would starve");
        self.reservation = Some(Reservation { experiment, node, priority });
    }

    /// Where a trial holds next.
    pub(super) fn rung_of(&self, id: &TrialId) -> Option<Rung> {
        let reached = self.ledger.trial(id)?.rungs.len();
        self.drivers.get(&id.experiment)?.rung(id.index, reached)
    }

    pub(super) fn grant(&mut self, now: Timestamp, worker: &WorkerId, attempt: AttemptId) {
        let Some(held) = self.ledger.held(attempt).cloned() else { return };
        let rung = self.rung_of(&held.trial);
        let Some(trial) = self.ledger.trial(&held.trial) else { return };
        let trace = self.ledger.experiment(&held.trial.experiment).and_then(|found| found.submission.policy.trace);
        let assignment = Assignment {
            rung,
            trace,
            trial: held.trial,
            attempt,
            degrade: trial.degrade,
            gpus: held.gpus,
            payload: trial.payload.clone(),
            checkpoints: trial.checkpoints.clone(),
            parent: trial.parent.map(|descent| descent.checkpoint),
            lent: trial.lent.clone(),
        };
        self.renew(now, attempt);
        self.machines.unpark(worker);
        self.commands.push(Command::Grant(worker.clone(), assignment));
    }
}
