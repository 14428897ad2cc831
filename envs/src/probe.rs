//! Probe environments: problems so small that the right value or policy is known, each hard for one bug.
//!
//! A trainer that cannot solve one of these has a fault in exactly the part the probe is about.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::draws::Draws;
use crate::env::{check_lengths, clamp};
use crate::{ActionSpace, Actions, Autoreset, Bounds, StateError, StepBuffers, StepOutcome, VectorEnv};

/// Steps until [`Kind::EndlessReward`] is cut off.
const ENDLESS_STEPS: u32 = 4;

/// Which question is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// One step, one observation, reward 1. The value is 1: does the value loss work at all?
    ConstantReward,
    /// One step, observation −1 or 1 at random, reward the same. The value is the observation: do gradients reach it?
    ObservedReward,
    /// Two steps, observation 0 then 1, reward 0 then 1. The values are γ and 1: is the discount right?
    DelayedReward,
    /// One step, reward 1 for action 1, −1 for action 0: does the policy loss work at all?
    ActionReward,
    /// One step, observation −1 or 1, reward 1 for the action that matches (0 or 1), else −1: does the policy see it?
    MatchingAction,
    /// One step, reward −(a − ½)² for a within ±1: is the best action found?
    TargetAction,
    /// One step, observation −1 or 1, reward −(a − ½ of it)²: does the policy see it?
    MatchingTarget,
    /// Reward 1 for ever, truncated every few steps. The value is 1/(1 − γ): does truncation bootstrap?
    EndlessReward,
}

impl Kind {
    /// Every probe, the easiest first.
    pub const ALL: [Self; 8] = [
        Self::ConstantReward,
        Self::ObservedReward,
        Self::DelayedReward,
        Self::ActionReward,
        Self::MatchingAction,
        Self::TargetAction,
        Self::MatchingTarget,
        Self::EndlessReward,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::ConstantReward => "constant_reward",
            Self::ObservedReward => "observed_reward",
            Self::DelayedReward => "delayed_reward",
            Self::ActionReward => "action_reward",
            Self::MatchingAction => "matching_action",
            Self::TargetAction => "target_action",
            Self::MatchingTarget => "matching_target",
            Self::EndlessReward => "endless_reward",
        }
    }

    fn space(self) -> ActionSpace {
        match self {
            Self::ConstantReward | Self::ObservedReward | Self::DelayedReward | Self::EndlessReward => {
                ActionSpace::Discrete(1)
            }
            Self::ActionReward | Self::MatchingAction => ActionSpace::Discrete(2),
            Self::TargetAction | Self::MatchingTarget => ActionSpace::Continuous(Bounds::uniform(1, -1.0, 1.0)),
        }
    }

    fn observation(self, place: Place) -> f32 {
        match self {
            Self::ConstantReward | Self::ActionReward | Self::TargetAction | Self::EndlessReward => 0.0,
            Self::ObservedReward | Self::MatchingAction | Self::MatchingTarget => place.sign(),
            Self::DelayedReward => place.steps as f32,
        }
    }

    /// Reward and outcome of `action` at `place`.
    fn answer(self, place: Place, action: f32) -> (f32, StepOutcome) {
        let right = |is: bool| if is { 1.0 } else { -1.0 };
        match self {
            Self::ConstantReward => (1.0, StepOutcome::Terminated),
            Self::ObservedReward => (place.sign(), StepOutcome::Terminated),
            Self::DelayedReward if place.steps == 0 => (0.0, StepOutcome::Continues),
            Self::DelayedReward => (1.0, StepOutcome::Terminated),
            Self::ActionReward => (right(action == 1.0), StepOutcome::Terminated),
            Self::MatchingAction => (right(action == place.coin as f32), StepOutcome::Terminated),
            Self::TargetAction => (-(action - 0.5).powi(2), StepOutcome::Terminated),
            Self::MatchingTarget => (-(action - place.sign() / 2.0).powi(2), StepOutcome::Terminated),
            Self::EndlessReward if place.steps + 1 < ENDLESS_STEPS => (1.0, StepOutcome::Continues),
            Self::EndlessReward => (1.0, StepOutcome::Truncated),
        }
    }
}

/// Where a copy stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    episode: u64,
    steps: u32,
    /// 0 or 1, drawn for the episode.
    coin: usize,
}

impl Place {
    const fn sign(self) -> f32 {
        if self.coin == 1 { 1.0 } else { -1.0 }
    }
}

/// Copies of one probe.
#[derive(Clone, Debug)]
pub struct Probe {
    kind: Kind,
    draws: Draws,
    places: Vec<Place>,
    clamped: u64,
    space: ActionSpace,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    kind: Kind,
    seed: u64,
    places: Vec<Place>,
    clamped: u64,
}

impl Probe {
    /// `envs` copies of a probe.
    #[must_use]
    pub fn new(kind: Kind, envs: usize) -> Self {
        let places = vec![Place { episode: 0, steps: 0, coin: 0 }; envs];
        let mut probe = Self { kind, draws: Draws::new(0), places, clamped: 0, space: kind.space() };
        probe.restart(0);
        probe
    }

    fn restart(&mut self, seed: u64) {
        self.draws = Draws::new(seed);
        self.clamped = 0;
        for env in 0..self.places.len() {
            self.begin(env, 0);
        }
    }

    fn begin(&mut self, env: usize, episode: u64) {
        self.places[env] = Place { episode, steps: 0, coin: self.draws.below(env, episode, 2) };
    }
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "probe({} × {})", self.kind.name(), self.places.len())
    }
}

impl VectorEnv for Probe {
    fn envs(&self) -> usize {
        self.places.len()
    }

    fn observation_width(&self) -> usize {
        1
    }

    fn action_space(&self) -> &ActionSpace {
        &self.space
    }

    fn autoreset(&self) -> Autoreset {
        Autoreset::SameStep
    }

    fn reset(&mut self, seed: u64, observations: &mut [f32]) {
        self.restart(seed);
        self.observe(observations);
    }

    fn step(&mut self, actions: Actions<'_>, out: StepBuffers<'_>) {
        check_lengths(self, actions, &out);
        for env in 0..self.places.len() {
            let (action, outside) = match &self.space {
                ActionSpace::Discrete(count) => {
                    let (action, outside) = clamp(actions.discrete()[env], *count);
                    (action as f32, outside)
                }
                ActionSpace::Continuous(bounds) => bounds.clamp(0, actions.continuous()[env]),
            };
            self.clamped += u64::from(outside);
            let place = self.places[env];
            (out.rewards[env], out.outcomes[env]) = self.kind.answer(place, action);
            let next = Place { steps: place.steps + 1, ..place };
            if out.outcomes[env].is_end() {
                out.final_observations[env] = self.kind.observation(next);
                self.begin(env, place.episode + 1);
            } else {
                self.places[env] = next;
            }
            out.observations[env] = self.kind.observation(self.places[env]);
        }
    }

    fn observe(&self, observations: &mut [f32]) {
        assert_eq!(observations.len(), self.envs(), "observations are [envs × width]");
        for (place, shown) in self.places.iter().zip(observations) {
            *shown = self.kind.observation(*place);
        }
    }

    fn clamped(&self) -> u64 {
        self.clamped
    }

    fn state(&self) -> Vec<u8> {
        let saved =
            Saved { kind: self.kind, seed: self.draws.seed(), places: self.places.clone(), clamped: self.clamped };
        serde_json::to_vec(&saved).expect("plain data has a JSON form")
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), StateError> {
        let saved: Saved =
            serde_json::from_slice(state).map_err(|source| StateError::Unreadable { env: self.to_string(), source })?;
        if saved.kind != self.kind || saved.places.len() != self.places.len() {
            let why = format!("it is of {} copies of {}", saved.places.len(), saved.kind.name());
            return Err(StateError::Foreign { env: self.to_string(), why });
        }
        self.draws = Draws::new(saved.seed);
        self.places = saved.places;
        self.clamped = saved.clamped;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Buffers, conformance};

    #[test]
    fn every_probe_conforms() {
        for kind in Kind::ALL.into_iter().filter(|kind| kind.space().actions().is_some()) {
            conformance::check(|| Probe::new(kind, 5));
        }
    }

    #[test]
    fn a_delayed_reward_comes_on_the_second_step_and_an_endless_one_is_cut_off() {
        let run = |kind: Kind| {
            let mut probe = Probe::new(kind, 1);
            let mut buffers = Buffers::new(&probe);
            let mut seen = Vec::new();
            for _ in 0..5 {
                probe.step(Actions::Discrete(&[0]), buffers.lend());
                seen.push((buffers.rewards[0], buffers.outcomes[0]));
            }
            seen
        };
        use StepOutcome::{Continues, Terminated, Truncated};
        let delayed = [(0.0, Continues), (1.0, Terminated), (0.0, Continues), (1.0, Terminated), (0.0, Continues)];
        assert_eq!(run(Kind::DelayedReward), delayed);
        let endless = [Continues, Continues, Continues, Truncated, Continues].map(|outcome| (1.0, outcome));
        assert_eq!(run(Kind::EndlessReward), endless);
    }

    #[test]
    fn the_matching_action_wins_on_both_sides_of_the_coin() {
        let mut probe = Probe::new(Kind::MatchingAction, 64);
        let mut buffers = Buffers::new(&probe);
        probe.reset(3, &mut buffers.observations);
        let matching: Vec<u32> = buffers.observations.iter().map(|&sign| u32::from(sign > 0.0)).collect();
        assert!((10..54).contains(&matching.iter().sum::<u32>()), "both sides come up");
        probe.step(Actions::Discrete(&matching), buffers.lend());
        assert!(buffers.rewards.iter().all(|&reward| reward == 1.0));
    }
}
