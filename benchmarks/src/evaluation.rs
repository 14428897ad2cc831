//! A learned policy on fresh episodes, asked as a served one is.

use envs::{ActionSpace, Actions, Buffers, Classic, VectorEnv};
use models::Predictor;
use spec::Output;

use crate::agent::BenchmarkError;

/// Where the episodes of an evaluation begin.
#[derive(Clone, Debug, PartialEq)]
pub enum Starts {
    /// So many drawn by a seed that training never uses.
    Drawn {
        /// Episodes.
        episodes: usize,
        /// Of the draw.
        seed: u64,
    },
    /// These states, with the best return from each.
    Fixed(Vec<Start>),
}

/// A state to start from.
#[derive(Clone, Debug, PartialEq)]
pub struct Start {
    /// In Gymnasium's order.
    pub state: Vec<f64>,
    /// What no policy can better: by dynamic programming.
    pub optimum: f64,
}

impl Starts {
    /// Episodes.
    #[must_use]
    pub const fn len(&self) -> usize {
        match self {
            Self::Drawn { episodes, .. } => *episodes,
            Self::Fixed(starts) => starts.len(),
        }
    }

    /// Whether there is no episode.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Mean of optimum − return over the episodes; `None` where no optimum is known.
    #[must_use]
    pub fn regret(&self, returns: &[f64]) -> Option<f64> {
        match self {
            Self::Drawn { .. } => None,
            Self::Fixed(starts) => {
                let lost = starts.iter().zip(returns).map(|(start, got)| start.optimum - got);
                Some(lost.sum::<f64>() / returns.len() as f64)
            }
        }
    }

    /// Puts each copy of `env` at its start.
    pub fn place(&self, env: &mut Classic) {
        let mut shown = vec![0.0; env.envs() * env.observation_width()];
        match self {
            Self::Drawn { seed, .. } => env.reset(*seed, &mut shown),
            Self::Fixed(starts) => {
                starts.iter().enumerate().for_each(|(copy, start)| env.set_state(copy, &start.state));
            }
        }
    }
}

/// Undiscounted return of one episode in each copy of `env`, from where it stands.
///
/// # Errors
/// [`BenchmarkError`] when the policy breaks on an observation.
pub fn returns(env: &mut dyn VectorEnv, policy: &Predictor) -> Result<Vec<f64>, BenchmarkError> {
    let (width, envs) = (env.observation_width(), env.envs());
    let mut buffers = Buffers::new(env);
    env.observe(&mut buffers.observations);
    let space = env.action_space().clone();
    let mut results = vec![(0.0, false); envs];
    let (mut discrete, mut continuous) = (vec![0; envs], vec![0.0; envs * space.width()]);
    while results.iter().any(|(_, ended)| !ended) {
        let rows: Vec<&[f32]> = buffers.observations.chunks_exact(width).collect();
        for (copy, output) in policy.predict(&rows)?.into_iter().enumerate() {
            match output {
                Output::Policy { action, .. } | Output::Values { action, .. } => discrete[copy] = action,
                Output::Control { action } => {
                    continuous[copy * action.len()..(copy + 1) * action.len()].copy_from_slice(&action);
                }
                Output::Forecast { .. } => return Err(BenchmarkError::NoPolicy),
            }
        }
        match &space {
            ActionSpace::Discrete(_) => env.step(Actions::Discrete(&discrete), buffers.lend()),
            ActionSpace::Continuous(bounds) => {
                for action in continuous.chunks_exact_mut(bounds.width()) {
                    for ((value, low), high) in action.iter_mut().zip(bounds.low()).zip(bounds.high()) {
                        *value = low + (*value + 1.0) / 2.0 * (high - low);
                    }
                }
                env.step(Actions::Continuous(&continuous), buffers.lend());
            }
        }
        for ((sum, ended), (reward, outcome)) in results.iter_mut().zip(buffers.rewards.iter().zip(&buffers.outcomes)) {
            if !*ended {
                *sum += f64::from(*reward);
                *ended = outcome.is_end();
            }
        }
    }
    Ok(results.into_iter().map(|(sum, _)| sum).collect())
}
