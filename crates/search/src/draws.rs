//! Random draws: ChaCha with the run's key and a stream for each use, and elementary functions from `libm`, so that
//! the same arguments give the same bits on every machine.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// 2^-53, the spacing of doubles on [1/2, 1).
const UNIT: f64 = 1.0 / (1_u64 << 53) as f64;

/// What a stream is used for. Two uses never share draws.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Use {
    /// Independent points; also the prior of the other samplers.
    Point = 0,
    /// The scrambling of a low-discrepancy sequence.
    Scramble = 1,
    /// Candidates of an estimator or an acquisition.
    Candidates = 2,
    /// The mutation of a search distribution.
    Mutation = 3,
    /// Where a search starts again.
    Restart = 4,
    /// Crossing and mutation of parents.
    Offspring = 5,
    /// Weights of objectives.
    Weights = 6,
    /// Rows and axes of a forest.
    Forest = 7,
    /// Which trial a member of a population copies, and how it changes.
    Population = 8,
    /// The first draws of a generation of mutations.
    Generation = 9,
    /// Which trials a forest is grown on again.
    Resample = 10,
}

/// A stream of draws.
#[derive(Debug)]
pub(crate) struct Draws(ChaCha8Rng);

impl Draws {
    /// Stream `index` of `key` for one use.
    pub(crate) fn new(key: &[u8; 32], purpose: Use, index: u32) -> Self {
        let mut generator = ChaCha8Rng::from_seed(*key);
        generator.set_stream((purpose as u64) << 32 | u64::from(index));
        Self(generator)
    }

    pub(crate) fn word(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Uniform on [0, 1).
    pub(crate) fn unit(&mut self) -> f64 {
        (self.word() >> 11) as f64 * UNIT
    }

    /// Uniform on 0..width by multiply and shift; the bias is below width / 2^64.
    pub(crate) fn below(&mut self, width: u128) -> u128 {
        debug_assert!(width <= 1 << 64, "an axis has at most 2^64 values");
        (u128::from(self.word()) * width) >> 64
    }

    /// One of `count` places.
    pub(crate) fn pick(&mut self, count: usize) -> usize {
        self.below(count as u128) as usize
    }

    /// Standard normal (Box and Muller 1958).
    pub(crate) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * libm::log(1.0 - self.unit())).sqrt();
        radius * libm::cos(core::f64::consts::TAU * self.unit())
    }

    /// A place of the weights, drawn in proportion to them. They are not negative and some are positive.
    pub(crate) fn weighted(&mut self, weights: &[f64]) -> usize {
        let mut rest = self.unit() * weights.iter().sum::<f64>();
        for (place, weight) in weights.iter().enumerate() {
            rest -= weight;
            if rest < 0.0 {
                return place;
            }
        }
        weights.len() - 1
    }
}
