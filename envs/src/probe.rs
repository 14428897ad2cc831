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
    /// Reward 1 for ever, truncated every few steps. The value is 1/(1 − γ): does truncation bootstrap?
    EndlessReward,
    /// One step, reward −(a − 0.5)² for a number a in [−1, 1]: does the actor climb its critic?
    TargetAction,
    /// One step, observation s of −1 or 1, reward −(a − 0.5 s)²: does it see what it climbs from?
    MatchingTarget,
}

impl Kind {
    /// Every probe, the easiest first.
    pub const ALL: [Self; 8] = [
        Self::ConstantReward,
        Self::ObservedReward,
        Self::DelayedReward,
        Self::ActionReward,
        Self::MatchingAction,
        Self::EndlessReward,
        Self::TargetAction,
        Self::MatchingTarget,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::ConstantReward => "constant_reward",
            Self::ObservedReward => "observed_reward",
            Self::DelayedReward => "delayed_reward",
            Self::ActionReward => "action_reward",
            Self::MatchingAction => "matching_action",
            Self::EndlessReward => "endless_reward",
            Self::TargetAction => "target_action",
            Self::MatchingTarget => "matching_target",
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
            Self::ConstantReward | Self::ActionReward | Self::EndlessReward | Self::TargetAction => 0.0,
            Self::ObservedReward | Self::MatchingAction | Self::MatchingTarget => place.sign(),
            Self::DelayedReward => place.steps as f32,
        }
    }

    /// Reward and outcome of `action`, an index or a number, at `place`.
    fn answer(self, place: Place, action: f32) -> (f32, StepOutcome) {
        let right = |is: bool| if is { 1.0 } else { -1.0 };
        match self {
            Self::ConstantReward => (1.0, StepOutcome::Terminated),
            Self::ObservedReward => (place.sign(), StepOutcome::Terminated),
            Self::DelayedReward if place.steps == 0 => (0.0, StepOutcome::Continues),
            Self::DelayedReward => (1.0, StepOutcome::Terminated),
            Self::ActionReward => (right(action == 1.0), StepOutcome::Terminated),
            Self::MatchingAction => (right(action == place.coin as f32), StepOutcome::Terminated),
            Self::EndlessReward if place.steps + 1 < ENDLESS_STEPS => (1.0, StepOutcome::Continues),
            Self::EndlessReward => (1.0, StepOutcome::Truncated),
            Self::TargetAction => (-(action - 0.5).powi(2), StepOutcome::Terminated),
            Self::MatchingTarget => (-(action - 0.5 * place.sign()).powi(2), StepOutcome::Terminated),
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
    /// The episode is over, and the next step begins another.
    ended: bool,
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
    autoreset: Autoreset,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    kind: Kind,
    autoreset: Autoreset,
    seed: u64,
    places: Vec<Place>,
    clamped: u64,
}

impl Probe {
    /// `envs` copies of a probe, which begin anew in the step that ends them.
    #[must_use]
    pub fn new(kind: Kind, envs: usize) -> Self {
        let places = vec![Place { episode: 0, steps: 0, coin: 0, ended: false }; envs];
        let (space, autoreset) = (kind.space(), Autoreset::SameStep);
        let mut probe = Self { kind, draws: Draws::new(0), places, clamped: 0, space, autoreset };
        probe.restart(0);
        probe
    }

    /// The same, beginning anew as `autoreset` says.
    #[must_use]
    pub const fn with_autoreset(mut self, autoreset: Autoreset) -> Self {
        self.autoreset = autoreset;
        self
    }

    fn restart(&mut self, seed: u64) {
        self.draws = Draws::new(seed);
        self.clamped = 0;
        for env in 0..self.places.len() {
            self.begin(env, 0);
        }
    }

    fn begin(&mut self, env: usize, episode: u64) {
        self.places[env] = Place { episode, steps: 0, coin: self.draws.below(env, episode, 2), ended: false };
    }

    /// Copy `env`'s action as a number inside the space, counted when it was not.
    fn read(&mut self, actions: Actions<'_>, env: usize) -> f32 {
        let (action, outside) = match &self.space {
            ActionSpace::Discrete(number) => {
                let (action, outside) = clamp(actions.discrete()[env], *number);
                (action as f32, outside)
            }
            ActionSpace::Continuous(bounds) => bounds.clamp(0, actions.continuous()[env]),
        };
        self.clamped += u64::from(outside);
        action
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
        self.autoreset
    }

    fn reset(&mut self, seed: u64, observations: &mut [f32]) {
        self.restart(seed);
        self.observe(observations);
    }

    fn step(&mut self, actions: Actions<'_>, out: StepBuffers<'_>) {
        check_lengths(self, actions, &out);
        for env in 0..self.envs() {
            let place = self.places[env];
            if place.ended {
                (out.rewards[env], out.outcomes[env]) = (0.0, StepOutcome::Continues);
                self.begin(env, place.episode + 1);
            } else {
                let action = self.read(actions, env);
                (out.rewards[env], out.outcomes[env]) = self.kind.answer(place, action);
                let ended = out.outcomes[env].is_end();
                self.places[env] = Place { steps: place.steps + 1, ended, ..place };
                if ended {
                    out.final_observations[env] = self.kind.observation(self.places[env]);
                    if self.autoreset == Autoreset::SameStep {
                        self.begin(env, place.episode + 1);
                    }
                }
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
        let (kind, autoreset, clamped) = (self.kind, self.autoreset, self.clamped);
        let saved = Saved { kind, autoreset, seed: self.draws.seed(), places: self.places.clone(), clamped };
        serde_json::to_vec(&saved).expect("plain data has a JSON form")
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), StateError> {
        let saved: Saved =
            serde_json::from_slice(state).map_err(|source| StateError::Unreadable { env: self.to_string(), source })?;
        if (saved.kind, saved.autoreset, saved.places.len()) != (self.kind, self.autoreset, self.places.len()) {
            let (copies, name) = (saved.places.len(), saved.kind.name());
            let why = format!("it is of {copies} copies of {name}, reset {:?}", saved.autoreset);
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
        for kind in Kind::ALL {
            for autoreset in [Autoreset::SameStep, Autoreset::NextStep] {
                conformance::check(|| Probe::new(kind, 5).with_autoreset(autoreset));
            }
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

    #[test]
    fn the_best_number_is_half_and_has_the_sign_of_the_observation_where_there_is_one() {
        for (kind, target) in [(Kind::TargetAction, None), (Kind::MatchingTarget, Some(0.5))] {
            let mut probe = Probe::new(kind, 64);
            let mut buffers = Buffers::new(&probe);
            probe.reset(3, &mut buffers.observations);
            let best = |shown: &f32| target.map_or(0.5, |target: f32| target * shown);
            let actions: Vec<f32> = buffers.observations.iter().map(best).collect();
            let off: Vec<f32> = actions.iter().map(|action| action - 0.25).collect();
            probe.step(Actions::Continuous(&actions), buffers.lend());
            assert_eq!(buffers.rewards, [0.0; 64]);
            probe.reset(3, &mut buffers.observations);
            probe.step(Actions::Continuous(&off), buffers.lend());
            assert_eq!(buffers.rewards, [-0.0625; 64]);
        }
    }

    #[test]
    fn in_next_step_mode_an_endless_reward_takes_a_row_to_begin_anew() {
        let mut probe = Probe::new(Kind::EndlessReward, 1).with_autoreset(Autoreset::NextStep);
        let mut buffers = Buffers::new(&probe);
        let step = |_| {
            probe.step(Actions::Discrete(&[0]), buffers.lend());
            buffers.rewards[0]
        };
        assert_eq!((0..10).map(step).collect::<Vec<_>>(), [1.0, 1.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0, 0.0]);
    }
}
