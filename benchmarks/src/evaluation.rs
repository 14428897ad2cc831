//! A learned policy on fresh episodes, asked as a served one is.

use envs::{ActionSpace, Actions, Buffers, Classic, VectorEnv};
use models::{ModelError, Predictor};
use spec::Output;

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

/// The actions of all copies, as an environment takes them.
#[derive(Clone, Debug)]
pub(crate) struct Hands {
    space: ActionSpace,
    discrete: Vec<u32>,
    continuous: Vec<f32>,
}

impl Hands {
    pub(crate) fn new(env: &dyn VectorEnv) -> Self {
        let space = env.action_space().clone();
        Self { discrete: vec![0; env.envs()], continuous: vec![0.0; env.envs() * space.width()], space }
    }

    /// Takes what a policy answers, one output a copy.
    ///
    /// # Panics
    /// At a forecast: a caller's bug, since no forecaster is trained here.
    pub(crate) fn take(&mut self, outputs: Vec<Output>) {
        let width = self.space.width();
        for (copy, output) in outputs.into_iter().enumerate() {
            match output {
                Output::Policy { action, .. } | Output::Values { action, .. } => self.discrete[copy] = action,
                Output::Control { action } => {
                    self.continuous[copy * width..(copy + 1) * width].copy_from_slice(&action);
                }
                Output::Forecast { .. } => panic!("what was learned is no policy"),
            }
        }
        if let ActionSpace::Continuous(bounds) = &self.space {
            for action in self.continuous.chunks_exact_mut(width) {
                for ((value, low), high) in action.iter_mut().zip(bounds.low()).zip(bounds.high()) {
                    *value = low + (*value + 1.0) / 2.0 * (high - low);
                }
            }
        }
    }

    pub(crate) fn actions(&self) -> Actions<'_> {
        match self.space {
            ActionSpace::Discrete(_) => Actions::Discrete(&self.discrete),
            ActionSpace::Continuous(_) => Actions::Continuous(&self.continuous),
        }
    }
}

/// Undiscounted return of one episode in each copy of `env`, from where it stands.
///
/// # Errors
/// [`ModelError`] when the policy breaks on an observation.
pub fn returns(env: &mut dyn VectorEnv, policy: &Predictor) -> Result<Vec<f64>, ModelError> {
    let (width, envs) = (env.observation_width(), env.envs());
    let mut buffers = Buffers::new(env);
    env.observe(&mut buffers.observations);
    let (mut results, mut hands) = (vec![(0.0, false); envs], Hands::new(env));
    while results.iter().any(|(_, ended)| !ended) {
        let rows: Vec<&[f32]> = buffers.observations.chunks_exact(width).collect();
        hands.take(policy.predict(&rows)?);
        env.step(hands.actions(), buffers.lend());
        for ((sum, ended), (reward, outcome)) in results.iter_mut().zip(buffers.rewards.iter().zip(&buffers.outcomes)) {
            if !*ended {
                *sum += f64::from(*reward);
                *ended = outcome.is_end();
            }
        }
    }
    Ok(results.into_iter().map(|(sum, _)| sum).collect())
}
