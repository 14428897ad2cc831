//! The whole control plane in one thread and in virtual time: a scheduler, workers that train a fake on machines they share,
//! clients and operators, and a network, a disk and clocks that fail. One seed is one world, and one world is one trace.
//!
//! What decides is the real code: [`crate::cluster`], [`crate::ledger`] and the order of [`crate::round`]. What is
//! played is what they cannot know: processes that die or freeze at any point, messages that get lost, late, doubled or
//! out of order, and a journal that forgets what it has not acknowledged. [`book`] holds what must be true after every
//! step. No thread, no clock and no tonic in here: real processes are killed by `scripts/chaos.py`.

use std::collections::{BTreeMap, BTreeSet};

use protocol::{ExperimentState, Target};
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use spec::{Digest, TrialId};

mod book;
mod check;
mod client;
mod disk;
mod due;
mod messages;
mod operator;
mod plan;
mod question;
mod scheduler;
mod site;
mod ties;
mod trace;
mod twin;
mod worker;

use book::Book;
use client::Client;
use disk::Storage;
use messages::{Answer, Peer, Request};
use plan::{Fault, MILLISECOND, Plan, SECOND};
use scheduler::Life;
use trace::Trace;
use worker::{Chore, Worker};

/// A world that takes more steps than this does not end.
const STEPS_MAX: u64 = 800_000;

/// After the last fault everything is over by then, in microseconds: three time limits with their back-off, for a generation
/// and for its children, and a margin.
const CALM_MAX: u64 = 6_000 * SECOND;

/// How long a process is down before it starts again, at most.
const DOWN_MAX: u64 = 6 * SECOND;

/// When a world begins: a day after the epoch, for a wall clock may run behind by hours.
const BEGAN: u64 = 86_400 * SECOND;

/// One in so many worlds keeps its journal in a real file.
const FILE_EVERY: u64 = 500;

/// Something that happens at a time.
enum Act {
    Arrive(Request),
    Deliver(Peer, u64, Answer),
    Round,
    StartScheduler,
    Work(usize, u32, Chore),
    Submit(usize),
    Cancel(u32),
    Show,
    Expire(usize),
    Lift(Target),
    LiftAll,
    Fault(Fault),
    Again(TrialId),
    Calm,
}

/// What a world came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Summary {
    trace: Digest,
    steps: u64,
    /// In virtual microseconds.
    lasted: u64,
    /// Lives of the scheduler.
    lives: u64,
    appends: u64,
    /// Messages that a scheduler dropped because their token was old.
    stale: u64,
    /// Attempts that were lost with their workers.
    losses: u64,
    rare: Rare,
}

/// What few worlds come to. One that none came to would show nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Rare {
    /// Appends that kept one end of an experiment and lost another's.
    parted: u64,
    /// Children that were tried again.
    children_again: u64,
    /// Experiments that were opened again and then met their deadline.
    late_again: u64,
}

impl Rare {
    const fn and(self, other: Self) -> Self {
        Self {
            parted: self.parted + other.parted,
            children_again: self.children_again + other.children_again,
            late_again: self.late_again + other.late_again,
        }
    }
}

struct World {
    plan: Plan,
    rng: ChaCha8Rng,
    now: u64,
    order: u64,
    acts: BTreeMap<(u64, u64), Act>,
    calm: bool,
    storage: Storage,
    /// As the last life of the scheduler found the journal; before the first, nothing.
    snapshot: Vec<u8>,
    book: Book,
    trace: Trace,
    scheduler: Option<Life>,
    scheduler_frozen: u64,
    lives: u64,
    stale: u64,
    workers: Vec<Worker>,
    clients: Vec<Client>,
    /// Checkpoints in the store: weights by digest.
    store: BTreeMap<Digest, u64>,
    /// Those of them that children may begin with: a child without fails, so that damage would rightly change its end.
    lendable: BTreeSet<Digest>,
    /// Until when each worker is cut off.
    cut: Vec<u64>,
    calls: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let (plan, rng) = Plan::draw(seed);
        let storage = if seed % FILE_EVERY == FILE_EVERY / 2 { Storage::in_a_file() } else { Storage::in_memory() };
        Self::with(seed, plan, (rng, storage))
    }

    fn with(seed: u64, plan: Plan, (mut rng, storage): (ChaCha8Rng, Storage)) -> Self {
        let submission = |index| {
            let mut submission = question::submission(&mut rng, index);
            if plan.hopeless == Some(index) {
                question::give_no_hope(&mut rng, &mut submission);
            }
            plan.site.ask(&mut rng, &mut submission.policy);
            plan.ties.bind(&mut rng, (index, BEGAN), &mut submission);
            Client::new(submission)
        };
        let clients = (0..plan.experiments).map(submission).collect();
        let mut world = Self {
            workers: (0..plan.workers).map(Worker::new).collect(),
            cut: vec![0; plan.workers],
            clients,
            book: Book::new(plan.site.clone(), plan.ties.clone()),
            plan,
            rng,
            now: BEGAN,
            order: 0,
            acts: BTreeMap::new(),
            calm: false,
            storage,
            snapshot: Vec::new(),
            trace: Trace::new(seed),
            scheduler: None,
            scheduler_frozen: 0,
            lives: 0,
            stale: 0,
            store: BTreeMap::new(),
            lendable: BTreeSet::new(),
            calls: 0,
        };
        world.set_the_stage();
        world
    }

    fn set_the_stage(&mut self) {
        self.after(0, Act::StartScheduler);
        for worker in 0..self.plan.workers {
            let wait = self.rng.random_range(0..SECOND);
            self.after(wait, Act::Work(worker, 0, Chore::Start));
        }
        for client in 0..self.clients.len() {
            let wait = self.rng.random_range(0..10 * SECOND);
            self.after(wait, Act::Submit(client));
        }
        for (at, fault) in std::mem::take(&mut self.plan.faults) {
            self.after(at, Act::Fault(fault));
        }
        for (at, experiment) in std::mem::take(&mut self.plan.cancels) {
            self.after(at, Act::Cancel(experiment));
        }
        self.after(2 * SECOND, Act::Show);
        self.after(self.plan.faults_end * SECOND, Act::Calm);
    }

    fn after(&mut self, micros: u64, act: Act) {
        self.order += 1;
        self.acts.insert((self.now + micros, self.order), act);
    }

    /// Runs to the end. Panics where something does not hold.
    fn run(mut self) -> Summary {
        let began = self.now;
        let end = began + self.plan.faults_end * SECOND + CALM_MAX;
        let mut steps = 0;
        while let Some(((at, _), act)) = self.acts.pop_first() {
            self.now = at;
            steps += 1;
            self.act(act);
            if self.is_over() {
                break;
            }
            assert!(at < end, "after the last fault it never ended: {}", self.standing());
            assert!(steps < STEPS_MAX, "it takes too many steps: {}", self.standing());
        }
        self.check_the_end();
        let (appends, parted) = {
            let disk = self.storage.disk.lock().expect("one thread runs a world");
            (disk.appends, disk.parted)
        };
        Summary {
            trace: self.trace.digest(),
            steps,
            lasted: self.now - began,
            lives: self.lives,
            appends,
            stale: self.stale,
            losses: self.book.losses(),
            rare: Rare { parted, ..self.book.rare },
        }
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Arrive(request) => self.arrive(request),
            Act::Deliver(peer, call, answer) => self.deliver(peer, call, answer),
            Act::Round => self.round(),
            Act::StartScheduler => self.start_scheduler(),
            Act::Work(worker, life, chore) => self.work(worker, life, chore),
            Act::Submit(client) => self.submit(client),
            Act::Cancel(experiment) => self.cancel(experiment),
            Act::Show => self.show(),
            Act::Expire(client) => self.expire(client),
            Act::Lift(target) => self.lift(target),
            Act::LiftAll => self.lift_all(),
            Act::Fault(fault) => self.fault(fault),
            Act::Again(trial) => self.again(trial),
            Act::Calm => self.calm_down(),
        }
    }

    fn fault(&mut self, fault: Fault) {
        if self.calm {
            return;
        }
        self.trace.step(self.now, b'!', format!("{fault:?}").as_bytes());
        match fault {
            Fault::CrashScheduler => self.crash_scheduler(),
            Fault::StopScheduler => self.stop_scheduler(),
            Fault::FreezeScheduler { micros } => self.scheduler_frozen = self.now + micros,
            Fault::CrashWorker { worker } => self.crash_worker(worker),
            Fault::FreezeWorker { worker, micros } => self.workers[worker].frozen = self.now + micros,
            Fault::Partition { worker, micros } => self.cut[worker] = self.now + micros,
            Fault::Forge => self.forge(),
            Fault::DamageCheckpoint => {
                let spare = self.store.keys().filter(|digest| !self.lendable.contains(digest));
                let spare: Vec<Digest> = spare.copied().collect();
                if !spare.is_empty() {
                    self.store.remove(&spare[self.rng.random_range(0..spare.len())]);
                }
            }
            Fault::Rival => self.rival(),
            Fault::Cordon { worker, reach, cordon, micros } => self.cordon((worker, reach), cordon, micros),
            Fault::Clean => self.clean(),
            Fault::Requeue => self.requeue(),
        }
    }

    /// From here on nothing new goes wrong; what is down or frozen comes back by itself.
    fn calm_down(&mut self) {
        self.calm = true;
        self.plan.network = plan::Network::default();
        self.plan.append_fails = 0.0;
        self.plan.dies_answering = 0.0;
        self.plan.parts_ends = false;
        self.cut.fill(0);
        self.after(0, Act::LiftAll);
        self.trace.step(self.now, b'c', &[]);
    }

    /// Time a message takes; `None`: it is lost.
    fn travel(&mut self, peer: Peer) -> Option<u64> {
        let cut = matches!(peer, Peer::Worker { worker, .. } if self.now < self.cut[worker]);
        let network = self.plan.network;
        if cut || (network.drop > 0.0 && self.rng.random_bool(network.drop)) {
            return None;
        }
        let usual = self.rng.random_range(MILLISECOND / 5..3 * MILLISECOND);
        // Most messages are quick on the slowest network too, or nothing would ever overtake.
        let slow = network.delay_max > 0 && self.rng.random_bool(0.3);
        Some(usual + if slow { self.rng.random_range(0..network.delay_max) } else { 0 })
    }

    fn doubled(&mut self) -> bool {
        let share = self.plan.network.duplicate;
        share > 0.0 && self.rng.random_bool(share)
    }

    fn send(&mut self, request: Request) {
        if self.doubled()
            && let Some(travel) = self.travel(request.from)
        {
            self.after(travel, Act::Arrive(request.clone()));
        }
        if let Some(travel) = self.travel(request.from) {
            self.after(travel, Act::Arrive(request));
        }
    }

    fn reply(&mut self, peer: Peer, call: u64, answer: Answer) {
        if self.doubled()
            && let Some(travel) = self.travel(peer)
        {
            self.after(travel, Act::Deliver(peer, call, answer.clone()));
        }
        if let Some(travel) = self.travel(peer) {
            self.after(travel, Act::Deliver(peer, call, answer));
        }
    }

    fn deliver(&mut self, peer: Peer, call: u64, answer: Answer) {
        match peer {
            Peer::Worker { worker, life } => self.hear_worker(worker, life, call, answer),
            Peer::Client(client) => self.hear_client(client, call, answer),
            Peer::Forger | Peer::Onlooker | Peer::Operator => {}
        }
    }

    fn call(&mut self) -> u64 {
        self.calls += 1;
        self.calls
    }

    /// Faults are over, every client knows its experiment to have ended or to be refused, and nobody is at work.
    fn is_over(&self) -> bool {
        self.calm
            && self.clients.iter().all(|client| client.ended.is_some() || client.refused)
            && self.book.chapters.values().all(|chapter| chapter.ended.is_some())
            && self.book.live().next().is_none()
            && self.scheduler.is_some()
    }

    fn check_the_end(&mut self) {
        self.book.check_promises();
        self.book.check_ends();
        for (index, client) in self.clients.iter().enumerate() {
            let Some(chapter) = self.book.chapters.get_mut(&client.submission.experiment) else {
                assert!(client.refused, "e{index} was never taken in");
                continue;
            };
            // Why, the book has looked at when it was.
            if chapter.ended == Some(ExperimentState::Cancelled) {
                continue;
            }
            let requeued = chapter.requeued();
            if let Some(twin) = &mut chapter.twin {
                assert!(twin.has_asked_all(), "e{index} ended before it asked for all");
                let succeeded =
                    chapter.trials.iter().any(|trial| matches!(trial.end, Some(question::End::Succeeded(_))));
                let state = if succeeded { ExperimentState::Succeeded } else { ExperimentState::Failed };
                assert_eq!(chapter.ended, Some(state), "e{index} ended otherwise than its trials did");
                continue;
            }
            let (trials, state) = question::undisturbed(&client.submission, &requeued);
            let asked: Vec<_> = chapter.trials.iter().map(|trial| &trial.payload).collect();
            let wanted: Vec<_> = trials.iter().map(|course| &course.payload).collect();
            assert_eq!(asked, wanted, "e{index} asked other trials than undisturbed");
            assert_eq!(chapter.ended, Some(state), "e{index} ended otherwise than undisturbed");
        }
    }

    fn standing(&self) -> String {
        let mut text =
            format!("at {} s, scheduler {}", self.now / SECOND, if self.scheduler.is_some() { "up" } else { "down" });
        for (id, chapter) in &self.book.chapters {
            let open = chapter.trials.iter().filter(|trial| trial.end.is_none()).count();
            text += &format!(", {id} {:?} with {open} of {} open", chapter.ended, chapter.trials.len());
        }
        text
    }
}

#[cfg(test)]
mod tests;
