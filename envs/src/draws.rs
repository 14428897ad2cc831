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
}
