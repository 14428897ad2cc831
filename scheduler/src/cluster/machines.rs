//! The connected workers and the machines they are on. Lost with a restart: workers register again.

use std::collections::{BTreeMap, BTreeSet};

use protocol::{Offer, Registration};
use spec::{Bytes, NodeId, Span, TrialId};

use super::{Quarantine, Timestamp, WorkerId};

/// Different offers remembered, to say what would fit.
const OFFERS_MAX: usize = 256;

/// A connected worker.
pub(crate) struct Worker {
    pub(crate) registration: Registration,
    pub(crate) offer: Offer,
    pub(crate) node: NodeId,
    pub(super) heard: Timestamp,
    pub(crate) parked: bool,
}

/// A machine.
#[derive(Default)]
pub(crate) struct Node {
    pub(crate) workers: BTreeSet<WorkerId>,
    /// Trials that failed in a row as soon as they started.
    pub(crate) quick: BTreeSet<TrialId>,
    /// Quarantines in a row.
    times: u32,
    pub(crate) until: Option<Timestamp>,
}

impl Node {
    pub(crate) fn quarantined(&self, now: Timestamp) -> Option<Timestamp> {
        self.until.filter(|until| *until > now)
    }
}

#[derive(Default)]
pub(crate) struct Machines {
    pub(crate) workers: BTreeMap<WorkerId, Worker>,
    pub(crate) nodes: BTreeMap<NodeId, Node>,
    /// Workers that wait for an attempt, those with least first.
    pub(super) parked: BTreeSet<(usize, u32, WorkerId)>,
    /// What any worker ever offered in this life of the scheduler.
    pub(super) offers: BTreeSet<Offer>,
}

/// A worker that names no machine has one of its own.
pub(super) fn node_of(registration: &Registration) -> NodeId {
    let own = || registration.worker.as_str().parse().expect("ids of workers and nodes follow one rule");
    registration.node.clone().unwrap_or_else(own)
}

impl Machines {
    pub(super) fn add(&mut self, now: Timestamp, registration: Registration) {
        self.remove(now, &registration.worker);
        let (offer, node) = (registration.offer(), node_of(&registration));
        if self.offers.len() < OFFERS_MAX {
            self.offers.insert(offer.clone());
        }
        let id = registration.worker.clone();
        self.nodes.entry(node.clone()).or_default().workers.insert(id.clone());
        self.workers.insert(id, Worker { registration, offer, node, heard: now, parked: false });
    }

    pub(super) fn remove(&mut self, now: Timestamp, id: &WorkerId) {
        self.unpark(id);
        let Some(worker) = self.workers.remove(id) else { return };
        if let Some(node) = self.nodes.get_mut(&worker.node) {
            node.workers.remove(id);
            if node.workers.is_empty() && node.quarantined(now).is_none() {
                self.nodes.remove(&worker.node);
            }
        }
    }

    pub(super) fn park(&mut self, id: &WorkerId) {
        if let Some(worker) = self.workers.get_mut(id) {
            worker.parked = true;
            self.parked.insert((worker.offer.gpus.len(), worker.offer.cpus, id.clone()));
        }
    }

    pub(super) fn unpark(&mut self, id: &WorkerId) {
        if let Some(worker) = self.workers.get_mut(id) {
            worker.parked = false;
            self.parked.remove(&(worker.offer.gpus.len(), worker.offer.cpus, id.clone()));
        }
    }

    pub(super) fn heard(&mut self, now: Timestamp, id: &WorkerId) {
        if let Some(worker) = self.workers.get_mut(id) {
            worker.heard = now;
        }
    }

    /// Memory of a machine, as its workers say.
    pub(crate) fn memory(&self, node: &NodeId) -> Option<Bytes> {
        let workers = self.nodes.get(node)?.workers.iter().filter_map(|id| self.workers.get(id));
        workers.filter_map(|worker| worker.offer.memory).max()
    }

    /// A trial succeeded there: whatever was wrong is over.
    pub(super) fn succeeded(&mut self, worker: &WorkerId) {
        let Some(worker) = self.workers.get(worker) else { return };
        if let Some(node) = self.nodes.get_mut(&worker.node) {
            node.quick.clear();
            (node.times, node.until) = (0, None);
        }
    }

    /// A trial failed there as soon as it started. A machine where that happens again and again would fail every trial
    /// there is, so it is left alone for a while; but never the last one, for then nobody would be left to try.
    pub(super) fn failed_quickly(&mut self, now: Timestamp, worker: &WorkerId, trial: &TrialId, rule: &Quarantine) {
        let Some(worker) = self.workers.get(worker) else { return };
        let id = worker.node.clone();
        let others = self
            .nodes
            .iter()
            .any(|(other, node)| *other != id && !node.workers.is_empty() && node.quarantined(now).is_none());
        let Some(node) = self.nodes.get_mut(&id) else { return };
        node.quick.insert(trial.clone());
        if others && node.quick.len() >= rule.failures as usize && node.quarantined(now).is_none() {
            let doubled = rule.first.millis().saturating_mul(1 << node.times.min(32));
            let wait = Span::from_millis(doubled.min(rule.longest.millis()));
            node.until = Some(now.plus_seconds(wait.millis() as f64 / 1_000.0));
            node.times += 1;
            node.quick.clear();
            tracing::warn!(node = %id, %wait, "node is in quarantine: attempts fail there as soon as they start");
        }
    }
}
