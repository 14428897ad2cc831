//! How fast an environment steps by itself.

use envs::{ActionSpace, Actions, Buffers, VectorEnv};
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;

use crate::clock::{Elapsed, Moment};

/// Action sets that are drawn beforehand and used in turn, so that drawing is not timed.
const ACTION_SETS: u64 = 64;

/// Steps taken and the time it took.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stepping {
    /// Steps, each copy's counted.
    pub steps: u64,
    /// Time of stepping alone.
    pub elapsed: Elapsed,
}

/// One action for each copy.
enum Set {
    Discrete(Vec<u32>),
    Continuous(Vec<f32>),
}

/// Steps `env` at random for at least `seconds` of CPU time, episodes starting anew as they end.
pub fn stepping(env: &mut dyn VectorEnv, seconds: f64) -> Stepping {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let count = env.envs() * env.action_space().width();
    let mut set = || match env.action_space() {
        ActionSpace::Discrete(actions) => {
            Set::Discrete((0..count).map(|_| rng.random_range(0..*actions as u32)).collect())
        }
        ActionSpace::Continuous(bounds) => {
            let (low, high) = (bounds.low()[0], bounds.high()[0]);
            Set::Continuous((0..count).map(|_| rng.random_range(low..=high)).collect())
        }
    };
    let sets: Vec<Set> = (0..ACTION_SETS).map(|_| set()).collect();
    let mut buffers = Buffers::new(env);
    env.reset(1, &mut buffers.observations);
    let mut rounds = 0;
    let began = Moment::now();
    loop {
        for set in &sets {
            let actions = match set {
                Set::Discrete(actions) => Actions::Discrete(actions),
                Set::Continuous(actions) => Actions::Continuous(actions),
            };
            env.step(actions, buffers.lend());
        }
        rounds += ACTION_SETS;
        let elapsed = began.elapsed();
        if elapsed.cpu_s >= seconds {
            return Stepping { steps: rounds * env.envs() as u64, elapsed };
        }
    }
}
