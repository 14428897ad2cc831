//! How fast environments step.

use std::hint::black_box;

use crate::batch::Batch;
use crate::{Buffers, VectorEnv};

/// Batches of actions prepared beforehand, so that drawing them is not measured.
const BATCHES: usize = 64;

/// Least time measured, CPU seconds.
const SECONDS_MIN: f64 = 1.0;

/// Steps between looks at the clock.
const ROUND: usize = 64;

/// Steps in a CPU second, all copies together, resets included. `cpu_seconds` says how much CPU time this process has used.
pub fn stepping(env: &mut dyn VectorEnv, mut cpu_seconds: impl FnMut() -> f64) -> f64 {
    let mut buffers = Buffers::new(env);
    env.reset(1, &mut buffers.observations);
    let batches: Vec<Batch> = (0..BATCHES).map(|batch| Batch::varied(env.action_space(), env.envs(), batch)).collect();
    let mut measure = |seconds: f64| {
        let (start, mut steps) = (cpu_seconds(), 0);
        loop {
            for batch in batches.iter().cycle().take(ROUND) {
                env.step(black_box(batch.lend()), buffers.lend());
            }
            black_box(&buffers);
            steps += ROUND * env.envs();
            let spent = cpu_seconds() - start;
            if spent >= seconds {
                return steps as f64 / spent;
            }
        }
    };
    measure(SECONDS_MIN / 10.0);
    measure(SECONDS_MIN)
}
