//! The machines of a world, what they have, and what its trials ask of them.

use protocol::{Gpu, Offer, Policy, Registration};
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use spec::{Bytes, NodeId, ResourceName, WorkerId};

use super::question::CPUS_MAX;

const GIBIBYTE: u64 = 1 << 30;

/// Memory of a GPU.
pub(super) const GPU: Bytes = Bytes(16 * GIBIBYTE);

/// Memory of a machine.
pub(super) const MACHINE: Bytes = Bytes(32 * GIBIBYTE);

/// Where each worker runs, and what it has there.
#[derive(Clone, Debug)]
pub(super) struct Site {
    workers: Vec<Seat>,
    /// Its experiments ask for more than CPU cores.
    demanding: bool,
}

/// What one worker offers, in every life of its process.
#[derive(Clone, Debug)]
struct Seat {
    cpus: u32,
    /// `None`: a machine of its own, of which nothing is said.
    node: Option<usize>,
    gpus: u32,
    licensed: bool,
}

impl Site {
    /// Some worlds have CPU cores alone; in the others the first worker has all there is, so that each trial fits somewhere.
    pub(super) fn draw(rng: &mut ChaCha8Rng, workers: usize) -> Self {
        let demanding = rng.random_bool(0.6);
        let nodes = rng.random_range(1..=workers);
        let gpus: Vec<u32> = (0..nodes).map(|node| if node == 0 { 2 } else { rng.random_range(0..=2) }).collect();
        let seat = |index: usize| Seat {
            cpus: if index == 0 { CPUS_MAX } else { 1 + index as u32 % 2 },
            node: demanding.then_some(index % nodes),
            gpus: if demanding { gpus[index % nodes] } else { 0 },
            licensed: demanding && (index == 0 || rng.random_bool(0.5)),
        };
        Self { workers: (0..workers).map(seat).collect(), demanding }
    }

    pub(super) fn registration(&self, worker: usize, id: WorkerId) -> Registration {
        let seat = &self.workers[worker];
        let gpu = |index| Gpu { index, memory: GPU, name: "made up".to_owned() };
        Registration {
            custom: seat.licensed.then(|| (licence(), 1)).into_iter().collect(),
            node: seat.node.map(node),
            gpus: (0..seat.gpus).map(gpu).collect(),
            memory: seat.node.map(|_| MACHINE),
            ..Registration::of(id, seat.cpus)
        }
    }

    /// The machine of a worker, in whichever life.
    pub(super) fn node_of(&self, id: &WorkerId) -> NodeId {
        let seat = number(id).and_then(|number| self.workers.get(number));
        let own = || id.as_str().parse().expect("ids of workers and nodes follow one rule");
        seat.and_then(|seat| seat.node).map_or_else(own, node)
    }

    /// Whether a worker has what a trial asks for, while its machine runs nothing else.
    pub(super) fn holds(&self, id: &WorkerId, policy: &Policy) -> bool {
        let Some(seat) = number(id).and_then(|number| self.workers.get(number)) else { return false };
        let licences = policy.custom.values().copied().max().unwrap_or_default();
        let machine = if seat.node.is_some() { MACHINE } else { Bytes(0) };
        seat.cpus >= policy.cpus
            && seat.gpus >= policy.gpus
            && u32::from(seat.licensed) >= licences
            && machine >= policy.memory.unwrap_or_default()
    }

    /// GPUs that a worker sees.
    pub(super) fn gpus(&self, id: &WorkerId) -> u32 {
        number(id).and_then(|number| self.workers.get(number)).map_or(0, |seat| seat.gpus)
    }

    /// What the largest worker has.
    pub(super) fn largest(&self) -> Offer {
        self.registration(0, "w0".parse().expect("a letter and a digit make an id")).offer()
    }

    /// Lets the trials of an experiment ask for more than CPU cores.
    pub(super) fn ask(&self, rng: &mut ChaCha8Rng, policy: &mut Policy) {
        if !self.demanding {
            return;
        }
        (policy.gpus, policy.gpu_memory) = match rng.random_range(0..6) {
            0 => (1, Some(Bytes(6 * GIBIBYTE))),
            1 => (1, Some(Bytes(10 * GIBIBYTE))),
            2 => (1, None),
            3 => (2, None),
            _ => (0, None),
        };
        policy.memory = rng.random_bool(0.3).then(|| Bytes(rng.random_range(8..=24) * GIBIBYTE));
        if rng.random_bool(0.2) {
            policy.custom.insert(licence(), 1);
        }
    }
}

/// Which worker an id is of: `w2` and `w2-5` are of worker 2.
fn number(id: &WorkerId) -> Option<usize> {
    id.as_str().strip_prefix('w')?.split('-').next()?.parse().ok()
}

fn node(number: usize) -> NodeId {
    format!("n{number}").parse().expect("a letter and a digit make an id")
}

fn licence() -> ResourceName {
    "licence".parse().expect("letters make a name")
}
