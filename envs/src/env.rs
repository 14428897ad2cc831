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
    /// What each environment shows now; after an end, what [`Autoreset`] says.
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

/// What an agent may do in one copy.
#[derive(Clone, Debug, PartialEq)]
pub enum ActionSpace {
    /// One of so many actions, numbered from 0.
    Discrete(usize),
    /// A vector within a box.
    Continuous(Bounds),
}

/// A box: least and largest value of each component.
#[derive(Clone, Debug, PartialEq)]
pub struct Bounds {
    low: Vec<f32>,
    high: Vec<f32>,
}

impl Bounds {
    /// `width` components, each within `low..=high`.
    ///
    /// # Panics
    /// When there is no component or the range is empty or not finite: a caller's bug.
    #[must_use]
    pub fn uniform(width: usize, low: f32, high: f32) -> Self {
        assert!(width > 0 && low.is_finite() && high.is_finite() && low < high, "a box has an inside");
        Self { low: vec![low; width], high: vec![high; width] }
    }

    /// Components of an action.
    #[must_use]
    pub const fn width(&self) -> usize {
        self.low.len()
    }

    /// Least value of each component.
    #[must_use]
    pub fn low(&self) -> &[f32] {
        &self.low
    }

    /// Largest value of each component.
    #[must_use]
    pub fn high(&self) -> &[f32] {
        &self.high
    }

    /// Component `index` brought into the box, and whether that took a change. NaN becomes the middle.
    #[must_use]
    pub fn clamp(&self, index: usize, value: f32) -> (f32, bool) {
        let (low, high) = (self.low[index], self.high[index]);
        if value.is_nan() {
            return (low + (high - low) / 2.0, true);
        }
        (value.clamp(low, high), !(low..=high).contains(&value))
    }
}

impl ActionSpace {
    /// How many actions, where they are discrete.
    #[must_use]
    pub const fn actions(&self) -> Option<usize> {
        match self {
            Self::Discrete(actions) => Some(*actions),
            Self::Continuous(_) => None,
        }
    }

    /// Numbers that name one action: 1 for a discrete one.
    #[must_use]
    pub const fn width(&self) -> usize {
        match self {
            Self::Discrete(_) => 1,
            Self::Continuous(bounds) => bounds.width(),
        }
    }
}

/// One action for each copy.
///
/// # Shapes
/// `Discrete`: `[envs]`; `Continuous`: `[envs × width]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Actions<'a> {
    /// Indices.
    Discrete(&'a [u32]),
    /// Vectors, one after the other.
    Continuous(&'a [f32]),
}

impl<'a> Actions<'a> {
    /// The indices.
    ///
    /// # Panics
    /// When these are vectors: a caller's bug.
    #[must_use]
    pub fn discrete(self) -> &'a [u32] {
        match self {
            Self::Discrete(actions) => actions,
            Self::Continuous(_) => panic!("this environment takes discrete actions"),
        }
    }

    /// The vectors.
    ///
    /// # Panics
    /// When these are indices: a caller's bug.
    #[must_use]
    pub fn continuous(self) -> &'a [f32] {
        match self {
            Self::Continuous(actions) => actions,
            Self::Discrete(_) => panic!("this environment takes continuous actions"),
        }
    }
}

/// When the episode after an end begins; the two modes of Gymnasium 1.x that keep stepping.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Autoreset {
    /// In the step that ends one: `observations` shows the new episode, `final_observations` the true end of the old one.
    #[default]
    SameStep,
    /// In the step after it: the ending step shows the true end, in `observations` and `final_observations` alike; the next
    /// one ignores its action, gives reward 0, goes on, and shows the new episode. That row is no transition.
    NextStep,
}

/// Copies of one environment, stepped together.
///
/// An action outside the space is taken as the nearest inside it (a discrete one as the last), and counted.
pub trait VectorEnv: Display + Send {
    /// How many copies.
    fn envs(&self) -> usize;

    /// Values in one observation.
    fn observation_width(&self) -> usize;

    /// What an agent may do.
    fn action_space(&self) -> &ActionSpace;

    /// When the episode after an end begins.
    fn autoreset(&self) -> Autoreset;

    /// Starts every copy anew. All that happens from here on follows from `seed` and the actions.
    ///
    /// # Panics
    /// When `observations` is not `[envs × observation_width]`.
    fn reset(&mut self, seed: u64, observations: &mut [f32]);

    /// Takes one action in each copy.
    ///
    /// # Panics
    /// When `actions` is of the other kind, or it or a buffer has the wrong length; before the first [`VectorEnv::reset`] the seed is 0.
    fn step(&mut self, actions: Actions<'_>, out: StepBuffers<'_>);

    /// Writes what each copy shows at present; after a step or reset, the same again.
    fn observe(&self, observations: &mut [f32]);

    /// Actions so far that were outside the space: components, where they are vectors.
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
pub(crate) fn check_lengths(env: &(impl VectorEnv + ?Sized), actions: Actions<'_>, out: &StepBuffers<'_>) {
    check_actions(env, actions);
    let (envs, values) = (env.envs(), env.envs() * env.observation_width());
    assert_eq!(out.rewards.len(), envs, "rewards are [envs]");
    assert_eq!(out.outcomes.len(), envs, "outcomes are [envs]");
    assert_eq!(out.observations.len(), values, "observations are [envs × width]");
    assert_eq!(out.final_observations.len(), values, "final observations are [envs × width]");
}

/// Checks that there is an action for each copy.
pub(crate) fn check_actions(env: &(impl VectorEnv + ?Sized), actions: Actions<'_>) {
    let given = match actions {
        Actions::Discrete(actions) => actions.len(),
        Actions::Continuous(actions) => actions.len(),
    };
    assert_eq!(given, env.envs() * env.action_space().width(), "actions are [envs × width]");
}
