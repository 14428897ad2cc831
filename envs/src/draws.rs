//! Seekable randomness: the draw of an episode depends on the seed, the environment and the episode, not on the others.

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// Draws by (environment, episode).
#[derive(Clone, Debug)]
pub(crate) struct Draws {
    seed: u64,
    generator: ChaCha8Rng,
}

impl Draws {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, generator: ChaCha8Rng::seed_from_u64(seed) }
    }

    pub(crate) const fn seed(&self) -> u64 {
        self.seed
    }

    /// A whole number below `bound`, uniform to within 2^-64 of each other; 0 for a bound of 0.
    pub(crate) fn below(&mut self, env: usize, episode: u64, bound: usize) -> usize {
        self.generator.set_stream(env as u64);
        self.generator.set_word_pos(u128::from(episode) * 2);
        ((u128::from(self.generator.next_u64()) * bound as u128) >> 64) as usize
    }
}

/// A short stream of uniform draws by (seed, environment, episode): SplitMix64 (Steele, Lea and Flood 2014) from a hashed
/// start. A ChaCha block for each episode would cost more than a short episode itself.
#[derive(Clone, Debug)]
pub(crate) struct Stream(u64);

/// SplitMix64's increment: 2^64 over the golden ratio, made odd.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

impl Stream {
    pub(crate) const fn new(seed: u64, env: usize, episode: u64) -> Self {
        Self(mix(mix(mix(seed).wrapping_add(env as u64)).wrapping_add(episode)))
    }

    /// In [0, 1), a multiple of 2^-53.
    pub(crate) const fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        (mix(self.0) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// SplitMix64's finaliser, over a shifted argument so that 0 is not its own image.
const fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(GOLDEN);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draw_can_be_repeated_out_of_order_and_covers_its_range() {
        let mut draws = Draws::new(7);
        let first: Vec<usize> = (0..400).map(|episode| draws.below(3, episode, 10)).collect();
        let again: Vec<usize> = (0..400).rev().map(|episode| draws.below(3, episode, 10)).collect();
        assert!(first.iter().eq(again.iter().rev()));
        assert!((0..10).all(|value| first.iter().filter(|&&drawn| drawn == value).count() > 20));
        assert_ne!(first, (0..400).map(|episode| draws.below(4, episode, 10)).collect::<Vec<_>>());
        assert_ne!(first, (0..400).map(|episode| Draws::new(8).below(3, episode, 10)).collect::<Vec<_>>());
    }

    #[test]
    fn streams_are_uniform_and_differ_by_seed_environment_and_episode() {
        let draws = |seed, env, episode| {
            let mut stream = Stream::new(seed, env, episode);
            [stream.uniform(), stream.uniform()]
        };
        let mut seen: Vec<f64> = (0..2_000)
            .flat_map(|at| [draws(at, 0, 0), draws(0, 1 + at as usize, 0), draws(0, 0, 1 + at)])
            .flatten()
            .collect();
        seen.sort_by(f64::total_cmp);
        // Kolmogorov and Smirnov's distance; 1.95 / √n is passed once in a thousand.
        let count = seen.len() as f64;
        let distance =
            seen.iter().zip(0..).map(|(value, at)| (value - f64::from(at) / count).abs()).fold(0.0, f64::max);
        assert!(distance < 1.95 / count.sqrt(), "{distance}");
        seen.dedup();
        assert_eq!(seen.len() as f64, count);
    }
}
