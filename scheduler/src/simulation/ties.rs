//! What ties the experiments of a world to people, to one another and to time: quotas, predecessors and deadlines.

use protocol::{Policy, Submission};
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use spec::Owner;

use super::plan::SECOND;
use super::question::{CPUS_MAX, at};
use crate::cluster::Quota;

/// Which ties the experiments of a world have.
#[derive(Clone, Debug)]
pub(super) struct Ties {
    /// At least what one trial asks for, or it would wait for ever.
    pub(super) quota: Quota,
    pub(super) chained: bool,
    hurried: bool,
}

impl Ties {
    /// Each kind is drawn for itself, as faults are.
    pub(super) fn draw(rng: &mut ChaCha8Rng) -> Self {
        let mut quota = Quota::default();
        if rng.random_bool(0.4) {
            quota.default = rng.random_bool(0.6).then(|| rng.random_range(CPUS_MAX..=CPUS_MAX + 1));
            quota.owners = [(owner("ann"), rng.random_range(CPUS_MAX..=CPUS_MAX + 2))].into();
        }
        Self { quota, chained: rng.random_bool(0.4), hurried: rng.random_bool(0.25) }
    }

    /// Gives the `index`-th submission of a world that began at `began` an owner, who it waits for, and a time to end by.
    pub(super) fn bind(&self, rng: &mut ChaCha8Rng, (index, began): (u32, u64), submission: &mut Submission) {
        let policy = &mut submission.policy;
        policy.owner = [None, Some(owner("ann")), Some(owner("bob"))][rng.random_range(0..3_usize)].clone();
        for before in 0..index {
            // Train, ensemble, evaluate: mostly the one before, by its id or by its name.
            let near = if before + 1 == index { 0.8 } else { 0.3 };
            if self.chained && rng.random_bool(near) {
                let said = if rng.random_bool(0.5) { format!("e{before}") } else { name(before) };
                policy.after.push(said.parse().expect("a letter and a digit make a name"));
            }
        }
        if self.hurried && rng.random_bool(0.6) {
            policy.deadline = Some(at(began + rng.random_range(5 * SECOND..=90 * SECOND)));
        }
    }

    /// CPU cores that the attempts of one owner may hold.
    pub(super) fn limit(&self, policy: &Policy) -> u64 {
        let own = policy.owner.as_ref().and_then(|owner| self.quota.owners.get(owner));
        own.or(self.quota.default.as_ref()).map_or(u64::MAX, |limit| u64::from(*limit))
    }
}

fn owner(name: &str) -> Owner {
    name.parse().expect("letters make a name")
}

/// The name of the `index`-th experiment, which is not its id.
pub(super) fn name(index: u32) -> String {
    format!("n{index}")
}

/// Whether `said` means the experiment of the `index`-th client.
pub(super) fn means(said: &str, index: u32) -> bool {
    said == name(index) || said == format!("e{index}")
}
