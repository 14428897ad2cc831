//! The sweeps of a world, its fake trainer, and what both come to when nothing disturbs them.

use std::collections::VecDeque;

use market::Timestamp;
use protocol::{ExperimentState, Policy, Submission};
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use spec::{CheckpointRef, Digest, FailureClass, Finite, RetrySpec, Share, Span};

use crate::sweep::{Ask, Judgement, OpenError, Sweep, SweepOutcome, Sweeps};

/// SplitMix64's finaliser: the fake trainer's arithmetic.
pub(super) const fn mix(value: u64) -> u64 {
    let mut mixed = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

/// What a trial does, read from its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Script {
    key: u64,
    pub(super) temper: Temper,
    pub(super) steps: u64,
    /// Steps between two checkpoints.
    pub(super) every: u64,
    /// The step at which it fails, if it does.
    pub(super) trouble: u64,
}

/// How a trial behaves whatever happens around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Temper {
    /// Trains to its end.
    Good,
    /// Runs out of memory until it is degraded this often.
    Hungry(u8),
    /// Fails each time with this class.
    Broken(FailureClass),
    /// Stands still until its time is over.
    Hangs,
}

impl Script {
    pub(super) fn read(payload: &[u8]) -> Self {
        let key = u64::from_le_bytes(payload.try_into().expect("payloads of a world have 8 bytes"));
        let draw = mix(key);
        let steps = 3 + draw % 12;
        let temper = match (draw >> 8) % 32 {
            0..=2 => Temper::Hungry(1),
            3 => Temper::Hungry(2),
            4 => Temper::Broken(FailureClass::Data),
            5 | 6 => Temper::Broken(FailureClass::Nan),
            7 => Temper::Hangs,
            _ => Temper::Good,
        };
        Self { key, temper, steps, every: 1 + (draw >> 16) % 4, trouble: 1 + (draw >> 24) % steps }
    }

    /// Weights before the first step.
    pub(super) const fn start(&self) -> u64 {
        self.key
    }

    /// Weights after `step`, from those before.
    pub(super) const fn train(&self, weights: u64, step: u64) -> u64 {
        mix(weights ^ self.key.rotate_left(17) ^ step)
    }

    /// The bytes of a checkpoint.
    pub(super) fn checkpoint(&self, weights: u64, step: u64) -> CheckpointRef {
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&self.key.to_le_bytes());
        bytes[8..16].copy_from_slice(&weights.to_le_bytes());
        bytes[16..].copy_from_slice(&step.to_le_bytes());
        CheckpointRef { digest: Digest::of(&bytes), step }
    }

    /// Where it ends if nobody prunes it, with the failures that count against its budget.
    fn end(&self, retry: &RetrySpec) -> (End, u32) {
        let failed = |class, failures| (End::Failed(class), failures);
        match self.temper {
            Temper::Hungry(times) if u32::from(times) >= retry.attempts => failed(FailureClass::Oom, retry.attempts),
            Temper::Broken(FailureClass::Data) => failed(FailureClass::Data, 1),
            Temper::Broken(class) => failed(class, retry.attempts),
            Temper::Hangs => failed(FailureClass::Timeout, retry.attempts),
            Temper::Good => (End::Succeeded(self.metrics()), 0),
            Temper::Hungry(times) => (End::Succeeded(self.metrics()), u32::from(times)),
        }
    }

    /// Its failures on the way to `step`; `None` where it does not get there.
    fn failures_before(&self, step: u64, retry: &RetrySpec) -> Option<u32> {
        match self.end(retry) {
            // It holds at a rung before it looks for trouble there.
            _ if step <= self.trouble => Some(0),
            (End::Failed(_), _) => None,
            (End::Succeeded(_) | End::Pruned, failures) => Some(failures),
        }
    }

    /// The step at which it holds for `rung`.
    pub(super) fn holds_at(&self, rung: Share) -> u64 {
        (1..self.steps).find(|step| rung.is_reached(*step, self.steps)).unwrap_or(self.steps)
    }

    /// What it measures with these weights.
    pub(super) fn value(weights: u64) -> Option<Finite> {
        Finite::new((weights >> 40) as f64)
    }

    fn weights(&self, steps: u64) -> u64 {
        (1..=steps).fold(self.start(), |weights, step| self.train(weights, step))
    }

    fn metrics(&self) -> Vec<u8> {
        self.weights(self.steps).to_le_bytes().to_vec()
    }
}

/// How a trial ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    Succeeded(Vec<u8>),
    Failed(FailureClass),
    Pruned,
}

/// A sweep with up to two open batches, whose payloads depend on everything it was told, in the order it was told. At each
/// of its rungs the better half of a batch goes on.
struct Question {
    rungs: Vec<Share>,
    left: u32,
    batch: u32,
    window: usize,
    told: u64,
    asked: u64,
    open: VecDeque<u32>,
}

impl Sweep for Question {
    fn ask(&mut self) -> Ask {
        if self.left == 0 {
            return Ask::Done;
        }
        if self.open.len() == self.window {
            return Ask::Waiting;
        }
        let count = self.batch.min(self.left);
        self.left -= count;
        self.open.push_back(count);
        let payloads = (0..count).map(|_| {
            self.asked += 1;
            mix(self.told ^ self.asked << 40).to_le_bytes().to_vec()
        });
        Ask::Batch(payloads.collect())
    }

    fn tell(&mut self, index: u32, outcome: SweepOutcome) {
        let word = match outcome {
            SweepOutcome::Succeeded(bytes) => u64::from_le_bytes(bytes.try_into().unwrap_or_default()),
            SweepOutcome::Failed => 1,
            SweepOutcome::Cancelled => 2,
            SweepOutcome::Pruned => 3,
        };
        self.told = mix(self.told.rotate_left(9) ^ word ^ u64::from(index) << 32);
        if let Some(first) = self.open.front_mut() {
            *first -= 1;
            if *first == 0 {
                self.open.pop_front();
            }
        }
    }

    fn rungs(&self, _: u32) -> Vec<Share> {
        self.rungs.clone()
    }

    fn judge(&mut self, _: u32, reached: &[(u32, Option<Finite>)]) -> Judgement {
        Judgement { go_on: better_half(reached), children: Vec::new() }
    }
}

/// The better half, by what was measured.
fn better_half(reached: &[(u32, Option<Finite>)]) -> Vec<u32> {
    let mut order: Vec<(u32, Option<Finite>)> = reached.to_vec();
    order.sort_by(|(_, one), (_, other)| other.map(Finite::get).partial_cmp(&one.map(Finite::get)).expect("finite"));
    order.truncate(reached.len().div_ceil(2));
    order.into_iter().map(|(index, _)| index).collect()
}

fn open(submission: &Submission) -> Result<Box<dyn Sweep>, OpenError> {
    let bytes: [u8; 8] =
        submission.payload.as_slice().try_into().map_err(|_| OpenError { why: "not a sweep".to_owned() })?;
    let draw = mix(u64::from_le_bytes(bytes));
    let (batch, window) = (1 + (draw >> 8) % 4, 1 + (draw >> 16) % 2);
    let rungs = match (draw >> 24) % 4 {
        0 => vec![Share::of(0.5)],
        1 => vec![Share::of(0.25), Share::of(0.6)],
        _ => Vec::new(),
    };
    Ok(Box::new(Question {
        rungs,
        left: 1 + (draw % 7) as u32,
        batch: batch as u32,
        window: window as usize,
        told: draw,
        asked: 0,
        open: VecDeque::new(),
    }))
}

pub(super) fn sweeps() -> Box<dyn Sweeps> {
    Box::new(open)
}

/// The `index`-th submission of a world.
pub(super) fn submission(rng: &mut ChaCha8Rng, index: u32) -> Submission {
    let payload = rng.random::<u64>().to_le_bytes().to_vec();
    let parallel = rng.random_bool(0.5).then(|| rng.random_range(1..=2));
    let retry =
        RetrySpec { attempts: rng.random_range(1..=3), backoff: Span::from_millis(rng.random_range(100..4_000)) };
    Submission {
        experiment: format!("e{index}").parse().expect("a letter and a digit make an id"),
        name: "e".parse().expect("a letter makes a name"),
        payload,
        policy: Policy {
            parallel,
            retry,
            timeout: TIME_LIMIT,
            priority: rng.random_range(0..2),
            cpus: rng.random_range(1..=CPUS_MAX),
            ..Policy::default()
        },
    }
}

/// CPU cores of the largest trial, and of the largest worker.
pub(super) const CPUS_MAX: u32 = 2;

/// Far above what an honest attempt takes, disturbed or not, and above three leases.
pub(super) const TIME_LIMIT: Span = Span::from_secs(150);

/// What an experiment comes to when nothing disturbs it: its payloads and ends by index, and its state.
pub(super) fn undisturbed(submission: &Submission) -> (Vec<(Vec<u8>, End, u32)>, ExperimentState) {
    let mut sweep = open(submission).expect("submissions of a world open");
    let mut trials: Vec<(Vec<u8>, End, u32)> = Vec::new();
    let mut batches = VecDeque::new();
    loop {
        let done = loop {
            match sweep.ask() {
                Ask::Batch(payloads) => {
                    let batch = trials.len()..trials.len() + payloads.len();
                    trials.extend(payloads.into_iter().map(|payload| {
                        let (end, failures) = Script::read(&payload).end(&submission.policy.retry);
                        (payload, end, failures)
                    }));
                    prune(&mut trials[batch.clone()], &*sweep, &submission.policy.retry);
                    batches.push_back(batch);
                }
                Ask::Waiting => break false,
                Ask::Done => break true,
            }
        };
        // Once it is done the rest is told, and changes nothing.
        let Some(batch) = batches.pop_front().filter(|_| !done) else { break };
        for index in batch {
            let outcome = match &trials[index].1 {
                End::Succeeded(bytes) => SweepOutcome::Succeeded(bytes.clone()),
                End::Failed(_) => SweepOutcome::Failed,
                End::Pruned => SweepOutcome::Pruned,
            };
            sweep.tell(u32::try_from(index).expect("few trials"), outcome);
        }
    }
    let any = trials.iter().any(|(_, end, _)| matches!(end, End::Succeeded(_)));
    (trials, if any { ExperimentState::Succeeded } else { ExperimentState::Failed })
}

/// Ends those of a batch that do not go on from one of their rungs.
fn prune(batch: &mut [(Vec<u8>, End, u32)], sweep: &dyn Sweep, retry: &RetrySpec) {
    let mut open: Vec<usize> = (0..batch.len()).collect();
    for rung in sweep.rungs(0) {
        // Who gets there, with its failures on the way.
        let (mut reached, mut failed) = (Vec::new(), Vec::new());
        for index in open {
            let script = Script::read(&batch[index].0);
            let step = script.holds_at(rung);
            if let Some(failures) = script.failures_before(step, retry) {
                reached.push((u32::try_from(index).expect("few trials"), Script::value(script.weights(step))));
                failed.push((index, failures));
            }
        }
        open = better_half(&reached).into_iter().map(|index| index as usize).collect();
        for (index, failures) in failed.into_iter().filter(|(index, _)| !open.contains(index)) {
            (batch[index].1, batch[index].2) = (End::Pruned, failures);
        }
    }
}

/// Microseconds after the epoch as a time.
pub(super) fn at(micros: u64) -> Timestamp {
    Timestamp::from_micros(i64::try_from(micros).expect("a world ends before its time does"))
}
