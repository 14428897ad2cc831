//! Random numbers by counter: what is drawn at a step depends on the trial's seed and the step alone, so a resumed training
//! has no generator to restore.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// What numbers are drawn for. Streams never overlap.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stream {
    /// First weights.
    Weights = 1,
    /// Order of the rows in an epoch.
    Order = 2,
    /// Dropout masks of a step.
    Dropout = 3,
    /// Actions of a rollout step.
    Actions = 4,
    /// Episodes of the environment.
    Episodes = 5,
    /// Episodes of an evaluation.
    Evaluation = 6,
    /// Noise on actions.
    Noise = 7,
    /// The matrix of state-dependent noise.
    NoiseMatrix = 8,
    /// Which transitions are learned from.
    Replay = 9,
    /// What an update draws.
    Update = 10,
}

/// The seed of `stream` at `step`.
pub(crate) fn derive(seed: u64, stream: Stream, step: u64) -> u64 {
    mix(mix(mix(seed) ^ stream as u64) ^ step)
}

/// A generator of its own for `stream` at `step`.
pub(crate) fn generator(seed: u64, stream: Stream, step: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(derive(seed, stream, step))
}

/// SplitMix64's finaliser (Steele et al. 2014), a bijection that spreads neighbouring inputs.
fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
