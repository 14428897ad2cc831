//! How fast an environment steps by itself.

use envs::{ActionSpace, Actions, Buffers, VectorEnv};
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;

use crate::clock::{Elapsed, Moment};

/// Action sets that are drawn beforehand and used in turn, so that drawing is not timed.
const ACTION_SETS: usize = 64;

/// Steps taken and the time it took.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stepping {
    /// Steps, each copy's counted.
    pub steps: u64,
    /// Time of stepping alone.
    pub elapsed: Elapsed,
}

/// Steps `env` at random for at least `seconds` of CPU time, episodes starting anew as they end.
pub fn stepping(env: &mut dyn VectorEnv, seconds: f64) -> Stepping {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let count = env.envs() * env.action_space().width();
    let (discrete, continuous): (Vec<Vec<u32>>, Vec<Vec<f32>>) = match env.action_space() {
        ActionSpace::Discrete(actions) => {
            let last = *actions as u32 - 1;
            ((0..ACTION_SETS).map(|_| (0..count).map(|_| rng.random_range(0..=last)).collect()).collect(), Vec::new())
        }
        ActionSpace::Continuous(bounds) => {
            let (low, high) = (bounds.low()[0], bounds.high()[0]);
            let set = |rng: &mut ChaCha8Rng| (0..count).map(|_| rng.random_range(low..=high)).collect();
            (Vec::new(), (0..ACTION_SETS).map(|_| set(&mut rng)).collect())
        }
    };
    let mut buffers = Buffers::new(env);
    env.reset(1, &mut buffers.observations);
    let mut rounds = 0;
    let began = Moment::now();
    loop {
        for set in 0..ACTION_SETS {
            let actions = match discrete.get(set) {
                Some(actions) => Actions::Discrete(actions),
                None => Actions::Continuous(&continuous[set]),
            };
            env.step(actions, buffers.lend());
        }
        rounds += ACTION_SETS as u64;
        let elapsed = began.elapsed();
        if elapsed.cpu_s >= seconds {
            return Stepping { steps: rounds * env.envs() as u64, elapsed };
        }
    }
}
