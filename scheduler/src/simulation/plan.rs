//! What goes wrong in one world. Each kind of fault is drawn for itself, so some worlds have one kind alone, in plenty,
//! and some have all at once (swarm testing: Groce et al. 2012).

use protocol::Cordon;
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;
use spec::Span;

use super::site::Site;
use super::ties::Ties;
use crate::cluster::Recovery;

pub(super) const SECOND: u64 = 1_000_000;
pub(super) const MILLISECOND: u64 = 1_000;

/// What the network does to a message while faults last.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Network {
    pub(super) drop: f64,
    pub(super) duplicate: f64,
    /// Longest delay, in microseconds: above the pause between two messages they overtake each other.
    pub(super) delay_max: u64,
}

/// A fault that happens at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    CrashScheduler,
    /// Asked to stop in good order.
    StopScheduler,
    /// Stopped for a while, all its timers late: a SIGSTOP.
    FreezeScheduler {
        micros: u64,
    },
    CrashWorker {
        worker: usize,
    },
    FreezeWorker {
        worker: usize,
        micros: u64,
    },
    Partition {
        worker: usize,
        micros: u64,
    },
    /// Somebody speaks with a token that is another's.
    Forge,
    /// A checkpoint in the store becomes unreadable.
    DamageCheckpoint,
    /// A second scheduler is started on the same journal.
    Rival,
    /// An operator lets nothing new start there, for a while.
    Cordon {
        worker: usize,
        reach: Reach,
        cordon: Cordon,
        micros: u64,
    },
    /// An operator deletes checkpoints that nobody can need.
    Clean,
    /// An operator wants a trial tried again.
    Requeue,
}

/// What an operator speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    Worker,
    Machine,
}

/// One world's mix.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) workers: usize,
    pub(super) site: Site,
    pub(super) ties: Ties,
    pub(super) experiments: u32,
    /// One of them that fails as a whole, and again whenever somebody wants it tried again.
    pub(super) hopeless: Option<u32>,
    /// In seconds.
    pub(super) lease: u64,
    /// The scheduler's pace, in microseconds.
    pub(super) tick: u64,
    pub(super) recovery: Recovery,
    pub(super) preempt_after: Span,
    pub(super) preempt_pause: Span,
    pub(super) reserve_after: Span,
    /// The engine tells the scheduler of dead workers.
    pub(super) engine: bool,
    /// A worker that starts again has another id.
    pub(super) fresh_ids: bool,
    pub(super) network: Network,
    /// Share of appends that fail or that the scheduler does not survive.
    pub(super) append_fails: f64,
    /// Share of rounds after which the scheduler dies with only some of its answers sent.
    pub(super) dies_answering: f64,
    /// A crash may leave part of one append: more than a journal may do, and recovery stands it all the same.
    pub(super) torn: bool,
    /// The same, and always: of an append that ends several experiments all behind the first of their ends is lost.
    pub(super) parts_ends: bool,
    /// A restarted scheduler reads a wall clock that is hours off.
    pub(super) clock_jumps: bool,
    /// Seconds that faults last.
    pub(super) faults_end: u64,
    pub(super) faults: Vec<(u64, Fault)>,
    /// Somebody watches, and wants whatever failed for good tried again.
    pub(super) eager: bool,
    /// Experiments that a client cancels, with the time.
    pub(super) cancels: Vec<(u64, u32)>,
}

/// Kinds of timed faults: name, longest mean interval in seconds.
const INTERVALS: [(Kind, u64); 12] = [
    (Kind::CrashScheduler, 40),
    (Kind::StopScheduler, 60),
    (Kind::FreezeScheduler, 40),
    (Kind::CrashWorker, 20),
    (Kind::FreezeWorker, 20),
    (Kind::Partition, 20),
    (Kind::Forge, 10),
    (Kind::DamageCheckpoint, 20),
    (Kind::Rival, 30),
    (Kind::Cordon, 20),
    (Kind::Clean, 30),
    (Kind::Requeue, 10),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    CrashScheduler,
    StopScheduler,
    FreezeScheduler,
    CrashWorker,
    FreezeWorker,
    Partition,
    Forge,
    DamageCheckpoint,
    Rival,
    Cordon,
    Clean,
    Requeue,
}

impl Plan {
    /// The mix of `seed`, and the generator that goes on drawing in its world.
    pub(super) fn draw(seed: u64) -> (Self, ChaCha8Rng) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let embedded = rng.random_bool(0.3);
        let workers = rng.random_range(1..=4);
        let mut plan = Self {
            workers,
            site: Site::draw(&mut rng, workers),
            ties: Ties::draw(&mut rng),
            experiments: rng.random_range(1..=3),
            hopeless: None,
            lease: rng.random_range(2..=8),
            tick: [50, 100, 250][rng.random_range(0..3_usize)] * MILLISECOND,
            recovery: if embedded { Recovery::Requeue } else { Recovery::Readopt },
            preempt_after: Span::from_secs(rng.random_range(1..=5)),
            preempt_pause: Span::from_secs([5, 30, 600][rng.random_range(0..3_usize)]),
            reserve_after: Span::from_secs([2, 10, 60][rng.random_range(0..3_usize)]),
            engine: embedded || rng.random_bool(0.2),
            fresh_ids: embedded || rng.random_bool(0.5),
            network: Network::default(),
            append_fails: 0.0,
            dies_answering: 0.0,
            torn: rng.random_bool(0.3),
            parts_ends: rng.random_bool(0.5),
            clock_jumps: rng.random_bool(0.3),
            faults_end: rng.random_range(15..=70),
            faults: Vec::new(),
            eager: rng.random_bool(0.4),
            cancels: Vec::new(),
        };
        if rng.random_bool(0.3) {
            // One more: the others are as many as in any world.
            plan.hopeless = Some(rng.random_range(0..=plan.experiments));
            plan.experiments += 1;
        }
        plan.draw_network(&mut rng);
        plan.draw_faults(&mut rng);
        // Where others may wait for it, more often.
        let cancelled = if plan.ties.chained { 0.25 } else { 0.15 };
        for experiment in 0..plan.experiments {
            if rng.random_bool(cancelled) {
                plan.cancels.push((rng.random_range(1..=plan.faults_end) * SECOND, experiment));
            }
        }
        (plan, rng)
    }

    /// The same world with nothing going wrong: what it must come to.
    pub(super) fn calm(mut self) -> Self {
        self.network = Network::default();
        self.append_fails = 0.0;
        self.dies_answering = 0.0;
        (self.parts_ends, self.eager) = (false, false);
        self.faults.clear();
        self.cancels.clear();
        self
    }

    fn draw_network(&mut self, rng: &mut ChaCha8Rng) {
        if rng.random_bool(0.5) {
            self.network.drop = rng.random_range(0.01..0.3);
        }
        if rng.random_bool(0.5) {
            self.network.duplicate = rng.random_range(0.01..0.3);
        }
        if rng.random_bool(0.5) {
            self.network.delay_max = [50 * MILLISECOND, SECOND, 12 * SECOND][rng.random_range(0..3_usize)];
        }
        if rng.random_bool(0.4) {
            self.append_fails = rng.random_range(0.005..0.1);
        }
        if rng.random_bool(0.4) {
            self.dies_answering = rng.random_range(0.002..0.05);
        }
    }

    fn draw_faults(&mut self, rng: &mut ChaCha8Rng) {
        for (kind, slowest) in INTERVALS {
            if rng.random_bool(0.5) {
                continue;
            }
            let mean = rng.random_range(2..=slowest) * SECOND;
            let mut at = 0;
            loop {
                at += rng.random_range(1..=2 * mean);
                if at >= self.faults_end * SECOND {
                    break;
                }
                let fault = self.fault(kind, rng);
                self.faults.push((at, fault));
            }
        }
    }

    fn fault(&self, kind: Kind, rng: &mut ChaCha8Rng) -> Fault {
        let worker = rng.random_range(0..self.workers);
        // Up to three leases: some end before anybody notices, some long after.
        let micros = rng.random_range(SECOND / 2..=3 * self.lease * SECOND);
        match kind {
            Kind::CrashScheduler => Fault::CrashScheduler,
            Kind::StopScheduler => Fault::StopScheduler,
            Kind::FreezeScheduler => Fault::FreezeScheduler { micros },
            Kind::CrashWorker => Fault::CrashWorker { worker },
            Kind::FreezeWorker => Fault::FreezeWorker { worker, micros },
            Kind::Partition => Fault::Partition { worker, micros },
            Kind::Forge => Fault::Forge,
            Kind::DamageCheckpoint => Fault::DamageCheckpoint,
            Kind::Rival => Fault::Rival,
            Kind::Cordon => {
                let reach = if rng.random_bool(0.5) { Reach::Worker } else { Reach::Machine };
                let cordon = if rng.random_bool(0.5) { Cordon::Finish } else { Cordon::Drain };
                Fault::Cordon { worker, reach, cordon, micros: rng.random_range(SECOND..=20 * SECOND) }
            }
            Kind::Clean => Fault::Clean,
            Kind::Requeue => Fault::Requeue,
        }
    }
}
