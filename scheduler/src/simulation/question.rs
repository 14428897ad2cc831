//! What a world is asked: its submissions, and the script of each trial that its fake trainer follows.

use market::Timestamp;
use protocol::{Policy, Submission};
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use spec::{CheckpointRef, Digest, FailureClass, Finite, RetrySpec, Share, Span};

use super::BEGAN;
use super::plan::SECOND;
use super::ties::name;
use crate::sweep::Ask;

mod sweeps;
mod undisturbed;

pub(super) use sweeps::{open, sweeps};
pub(super) use undisturbed::undisturbed;

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
    /// Of a family, whose payloads have a second word, all trials have steps and checkpoints alike.
    pub(super) fn read(payload: &[u8]) -> Self {
        let mut words = payload.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().expect("eight bytes")));
        let key = words.next().expect("payloads of a world have 8 bytes at least");
        let (draw, family) = (mix(key), mix(words.next().unwrap_or(key)));
        let steps = 3 + family % 12;
        let temper = match (draw >> 8) % 32 {
            0..=2 => Temper::Hungry(1),
            3 => Temper::Hungry(2),
            4 => Temper::Broken(FailureClass::Data),
            5 | 6 => Temper::Broken(FailureClass::Nan),
            7 => Temper::Hangs,
            _ => Temper::Good,
        };
        Self { key, temper, steps, every: 1 + (family >> 16) % 4, trouble: 1 + (draw >> 24) % steps }
    }

    /// Where it begins when it goes on from nobody.
    pub(super) const fn start(&self) -> Stand {
        Stand { step: 0, weights: self.key }
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

    /// Where it ends if nobody prunes it, having begun at `from` and been requeued so many times, with the failures that count
    /// against its last budget.
    pub(super) fn end(&self, from: Stand, retry: &RetrySpec, requeued: u32) -> (End, u32) {
        let failed = |class, failures| (End::Failed(class), failures);
        let metrics = || self.at(from, self.steps).weights.to_le_bytes().to_vec();
        // A requeue gives it a new budget, and leaves it at the step of the ladder that the old one took it to.
        let hungry = |times: u8| u32::from(times).saturating_sub(requeued * retry.attempts);
        match self.temper {
            Temper::Hungry(times) if hungry(times) >= retry.attempts => failed(FailureClass::Oom, retry.attempts),
            Temper::Broken(FailureClass::Data) => failed(FailureClass::Data, 1),
            Temper::Broken(class) => failed(class, retry.attempts),
            Temper::Hangs => failed(FailureClass::Timeout, retry.attempts),
            Temper::Good => (End::Succeeded(metrics()), 0),
            Temper::Hungry(times) => (End::Succeeded(metrics()), hungry(times)),
        }
    }

    /// Its failures on the way to `step`; `None` where it does not get there.
    pub(super) fn failures_before(&self, step: u64, retry: &RetrySpec, requeued: u32) -> Option<u32> {
        match self.end(self.start(), retry, requeued) {
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

    /// Where it stands after `step`, having begun at `from`.
    fn at(&self, from: Stand, step: u64) -> Stand {
        let weights = (from.step + 1..=step).fold(from.weights, |weights, step| self.train(weights, step));
        Stand { step, weights }
    }
}

/// How far a training is, and what it knows there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stand {
    pub(super) step: u64,
    pub(super) weights: u64,
}

/// How a trial ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    Succeeded(Vec<u8>),
    Failed(FailureClass),
    Pruned,
}

/// The `index`-th submission of a world.
pub(super) fn submission(rng: &mut ChaCha8Rng, index: u32) -> Submission {
    let payload = rng.random::<u64>().to_le_bytes().to_vec();
    let parallel = rng.random_bool(0.5).then(|| rng.random_range(1..=2));
    let retry =
        RetrySpec { attempts: rng.random_range(1..=3), backoff: Span::from_millis(rng.random_range(100..4_000)) };
    Submission {
        experiment: format!("e{index}").parse().expect("a letter and a digit make an id"),
        name: name(index).parse().expect("a letter and a digit make a name"),
        payload,
        policy: Policy {
            parallel,
            retry,
            timeout: TIME_LIMIT,
            priority: rng.random_range(0..3),
            cpus: rng.random_range(1..=CPUS_MAX),
            ..Policy::default()
        },
    }
}

/// Draws until one is hopeless: of a hundred one is, at least.
const DRAWS_MAX: u32 = 10_000;

/// Lets an experiment ask for one trial alone that spends its budget, mostly with a deadline that comes while faults last.
pub(super) fn give_no_hope(rng: &mut ChaCha8Rng, submission: &mut Submission) {
    let found = (0..DRAWS_MAX).any(|_| {
        submission.payload = rng.random::<u64>().to_le_bytes().to_vec();
        is_hopeless(submission)
    });
    assert!(found, "of {DRAWS_MAX} experiments none is hopeless");
    submission.policy.deadline = rng.random_bool(0.7).then(|| at(BEGAN + rng.random_range(8 * SECOND..=45 * SECOND)));
}

/// Whether it fails as a whole, soon, without anybody's doing and however often it is tried again.
fn is_hopeless(submission: &Submission) -> bool {
    let mut sweep = open(submission).expect("submissions of a world open");
    let Ask::Batch(payloads) = sweep.ask() else { return false };
    let ([payload], Ask::Done) = (payloads.as_slice(), sweep.ask()) else { return false };
    let script = Script::read(payload);
    let (end, _) = script.end(script.start(), &submission.policy.retry, 0);
    matches!(script.temper, Temper::Broken(_)) && matches!(end, End::Failed(_))
}

/// CPU cores of the largest trial, and of the largest worker.
pub(super) const CPUS_MAX: u32 = 2;

/// Far above what an honest attempt takes, disturbed or not, and above three leases.
pub(super) const TIME_LIMIT: Span = Span::from_secs(150);

/// Microseconds after the epoch as a time.
pub(super) fn at(micros: u64) -> Timestamp {
    Timestamp::from_micros(i64::try_from(micros).expect("a world ends before its time does"))
}
