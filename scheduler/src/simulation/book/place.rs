//! What attempts hold of machines, and who may start there.

use std::collections::BTreeMap;

use protocol::{Cordon, Policy, Target};
use spec::{ExperimentId, NodeId, TrialId, WorkerId};

use super::{Book, Live};
use crate::simulation::site::{GPU, MACHINE};

/// Whether a trial holds something that other workers of its machine could hold.
pub(in crate::simulation) const fn shares(policy: &Policy) -> bool {
    policy.gpus > 0 || policy.memory.is_some()
}

impl Book {
    /// An attempt starts where there is all that it asks for, and where it may. `kept`: a machine that is kept free.
    pub(super) fn check_place(&self, id: &TrialId, live: &Live, kept: Option<&(ExperimentId, NodeId)>) {
        let policy = &self.chapters[&id.experiment].submission.policy;
        let Live { worker, node, gpus, .. } = live;
        assert_eq!(self.cordon(worker), None, "{id} starts on {worker}, which is cordoned");
        assert!(self.site.holds(worker, policy), "{id} starts on {worker}, which has not what it needs");
        let there = self.site.node_of(worker);
        assert_eq!(node.as_ref(), Some(&there), "{id} is said to run on another machine than it does");
        assert_eq!(gpus.len(), policy.gpus as usize, "{id} holds more or fewer GPUs than it needs");
        let free = self.free_gpus(worker, policy);
        let mut distinct = gpus.iter().enumerate().all(|(at, gpu)| !gpus[..at].contains(gpu));
        distinct &= gpus.iter().all(|gpu| free.contains(gpu));
        assert!(distinct, "{id} gets GPUs {gpus:?} of {there}, where {free:?} have room");
        assert!(self.memory_fits(&there, policy), "{id} gets more memory of {there} than is left");
        if let Some((experiment, machine)) = kept.filter(|(experiment, _)| *experiment != id.experiment) {
            let higher = policy.priority > self.chapters[experiment].submission.policy.priority;
            let passes = higher || !shares(policy) || *machine != there;
            assert!(passes, "{id} starts on {there}, which is kept free for {experiment}");
        }
    }

    /// Whether a trial would find all it asks for on a worker now, beside what others hold of its machine.
    pub(in crate::simulation) fn has_room(&self, worker: &WorkerId, policy: &Policy) -> bool {
        self.site.holds(worker, policy)
            && self.free_gpus(worker, policy).len() >= policy.gpus as usize
            && self.memory_fits(&self.site.node_of(worker), policy)
    }

    /// What keeps attempts from a worker.
    pub(in crate::simulation) fn cordon(&self, worker: &WorkerId) -> Option<Cordon> {
        let targets = [Target::Worker(worker.clone()), Target::Node(self.site.node_of(worker))];
        targets.iter().find_map(|target| self.cordons.get(target)).copied()
    }

    /// GPUs that have room for one of a trial. One that is somebody's alone is held whole.
    fn free_gpus(&self, worker: &WorkerId, policy: &Policy) -> Vec<u32> {
        let part = |policy: &Policy| policy.gpu_memory.unwrap_or(GPU).0;
        let mut held: BTreeMap<u32, u64> = BTreeMap::new();
        for (other, live) in self.held_on(&self.site.node_of(worker)) {
            for gpu in &live.gpus {
                *held.entry(*gpu).or_default() += part(other);
            }
        }
        let fits = |gpu: &u32| held.get(gpu).copied().unwrap_or_default() + part(policy) <= GPU.0;
        (0..self.site.gpus(worker)).filter(fits).collect()
    }

    fn memory_fits(&self, node: &NodeId, policy: &Policy) -> bool {
        let Some(asked) = policy.memory else { return true };
        let held: u64 = self.held_on(node).map(|(other, _)| other.memory.unwrap_or_default().0).sum();
        held + asked.0 <= MACHINE.0
    }

    /// Attempts on a machine, with what their trials ask for.
    fn held_on(&self, node: &NodeId) -> impl Iterator<Item = (&Policy, &Live)> {
        let all = self.chapters.values().flat_map(|chapter| {
            chapter.trials.iter().filter_map(|trial| Some((&chapter.submission.policy, trial.live.as_ref()?)))
        });
        all.filter(move |(_, live)| live.node.as_ref() == Some(node))
    }
}
