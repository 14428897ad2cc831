//! The contract between an agent and its environments.

use std::fmt::Display;

use serde::{Deserialize, Serialize};

/// How a step ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepOutcome {
    /// The episode goes on.
    #[default]
    Continues,
    /// The episode is over for good: no value comes after it.
    Terminated,
    /// The episode was cut off: what would have come is estimated from the final observation.
    Truncated,
}

impl StepOutcome {
    /// Whether the episode is over, either way.
    #[must_use]
    pub const fn is_end(self) -> bool {
        matches!(self, Self::Terminated | Self::Truncated)
    }
}

/// Where a step writes its results.
///
/// # Shapes
/// `observations` and `final_observations`: `[envs × observation_width]`; `rewards` and `outcomes`: `[envs]`. Rows of
/// `final_observations` are written only for environments whose episode ended in this step.
#[derive(Debug)]
pub struct StepBuffers<'a> {
    /// What each environment shows now; after an end, the first observation of its next episode.
    pub observations: &'a mut [f32],
    /// Reward of the step.
    pub rewards: &'a mut [f32],
    /// How the step ended.
    pub outcomes: &'a mut [StepOutcome],
    /// The last observation of each episode that ended.
    pub final_observations: &'a mut [f32],
}

/// Storage for one step of all environments, allocated once.
#[derive(Clone, Debug, PartialEq)]
pub struct Buffers {
    /// `[envs × observation_width]`.
    pub observations: Vec<f32>,
    /// `[envs]`.
    pub rewards: Vec<f32>,
    /// `[envs]`.
    pub outcomes: Vec<StepOutcome>,
    /// `[envs × observation_width]`.
    pub final_observations: Vec<f32>,
}

impl Buffers {
    /// Buffers of the right size for `env`, all zero.
    #[must_use]
    pub fn new(env: &(impl VectorEnv + ?Sized)) -> Self {
        let (envs, values) = (env.envs(), env.envs() * env.observation_width());
        Self {
            observations: vec![0.0; values],
            rewards: vec![0.0; envs],
            outcomes: vec![StepOutcome::Continues; envs],
            final_observations: vec![0.0; values],
        }
    }

    /// These buffers, lent to a step.
    pub fn lend(&mut self) -> StepBuffers<'_> {
        StepBuffers {
            observations: &mut self.observations,
            rewards: &mut self.rewards,
            outcomes: &mut self.outcomes,
            final_observations: &mut self.final_observations,
        }
    }
}

/// A saved state that cannot be taken up.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The bytes are no state.
    #[error("the saved state of {env} cannot be read")]
    Unreadable {
        /// Which environment.
        env: String,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// The state is of other data, settings or size.
    #[error("the saved state is not of {env}: {why}")]
    Foreign {
        /// Which environment.
        env: String,
        /// What differs.
        why: String,
    },
}

/// Copies of one environment with discrete actions, stepped together.
///
/// An environment whose episode ends starts the next in the same step: `observations` shows the new episode,
/// `final_observations` the true end of the old one. An action beyond the last is taken as the last, and counted.
pub trait VectorEnv: Display + Send {
    /// How many copies.
    fn envs(&self) -> usize;

    /// Values in one observation.
    fn observation_width(&self) -> usize;

    /// How many actions there are; they are numbered from 0.
    fn actions(&self) -> usize;

    /// Starts every copy anew. All that happens from here on follows from `seed` and the actions.
    ///
    /// # Panics
    /// When `observations` is not `[envs × observation_width]`.
    fn reset(&mut self, seed: u64, observations: &mut [f32]);

    /// Takes one action in each copy.
    ///
    /// # Panics
    /// When `actions` or a buffer has the wrong length; before the first [`VectorEnv::reset`] the seed is 0.
    fn step(&mut self, actions: &[u32], out: StepBuffers<'_>);

    /// Writes what each copy shows at present; after a step or reset, the same again.
    fn observe(&self, observations: &mut [f32]);

    /// Actions so far that were beyond the last.
    fn clamped(&self) -> u64;

    /// All that is needed to go on from here, bit for bit.
    fn state(&self) -> Vec<u8>;

    /// Goes on from a saved state of the same environment.
    ///
    /// # Errors
    /// [`StateError`]; the present state is kept then.
    fn restore(&mut self, state: &[u8]) -> Result<(), StateError>;
}

/// `action` brought into the space, and whether that took a change.
pub(crate) fn clamp(action: u32, actions: usize) -> (usize, bool) {
    let action = action as usize;
    (action.min(actions - 1), action >= actions)
}

/// Checks the lengths once, so that a step cannot write half.
pub(crate) fn check_lengths(env: &(impl VectorEnv + ?Sized), actions: &[u32], out: &StepBuffers<'_>) {
    let (envs, values) = (env.envs(), env.envs() * env.observation_width());
    assert_eq!(actions.len(), envs, "actions are [envs]");
    assert_eq!(out.rewards.len(), envs, "rewards are [envs]");
    assert_eq!(out.outcomes.len(), envs, "outcomes are [envs]");
    assert_eq!(out.observations.len(), values, "observations are [envs × width]");
    assert_eq!(out.final_observations.len(), values, "final observations are [envs × width]");
}
