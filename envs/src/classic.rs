//! The classic control problems, with the dynamics of Gymnasium 1.4.
//!
//! The state is kept in 64 bits, observations in 32. Lanes lie side by side in blocks (block, component, lane), so that one
//! branch-free pass moves them all with vector instructions; a second, scalar one visits only lanes that ended. A lane's
//! start follows from (seed, lane, episode) through SplitMix64, which costs less than the step it precedes.

mod acrobot;
mod cartpole;
mod dynamics;
mod mountain_car;
mod pendulum;
mod trigonometry;

use std::fmt;
use std::str::FromStr;

use pulp::Arch;
use serde::{Deserialize, Serialize};

use crate::draws::Stream;
use crate::env::{check_lengths, clamp};
use crate::{ActionSpace, Actions, Autoreset, Bounds, StateError, StepBuffers, StepOutcome, VectorEnv};
use dynamics::{BLOCK, Dynamics, Step};

/// Which problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClassicKind {
    /// Balance a pole on a cart: 2 actions, 500 steps.
    #[serde(rename = "CartPole-v1")]
    CartPole,
    /// Swing up a pendulum: a torque within ±2, 200 steps.
    #[serde(rename = "Pendulum-v1")]
    Pendulum,
    /// Swing up a two-link arm: 3 actions, 500 steps.
    #[serde(rename = "Acrobot-v1")]
    Acrobot,
    /// Drive out of a valley: 3 actions, 200 steps.
    #[serde(rename = "MountainCar-v0")]
    MountainCar,
    /// Drive out of a valley: a push within ±1, 999 steps.
    #[serde(rename = "MountainCarContinuous-v0")]
    MountainCarContinuous,
}

/// No classic problem has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no classic problem `{name}`: use one of {}", ClassicKind::ALL.map(ClassicKind::name).join(", "))]
pub struct UnknownClassic {
    /// What was asked for.
    pub name: String,
}

impl ClassicKind {
    /// Every problem.
    pub const ALL: [Self; 5] =
        [Self::CartPole, Self::Pendulum, Self::Acrobot, Self::MountainCar, Self::MountainCarContinuous];

    /// Gymnasium's id of it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CartPole => "CartPole-v1",
            Self::Pendulum => "Pendulum-v1",
            Self::Acrobot => "Acrobot-v1",
            Self::MountainCar => "MountainCar-v0",
            Self::MountainCarContinuous => "MountainCarContinuous-v0",
        }
    }

    /// Steps after which an episode is cut off.
    #[must_use]
    pub const fn steps_max(self) -> u32 {
        match self {
            Self::CartPole | Self::Acrobot => 500,
            Self::Pendulum | Self::MountainCar => 200,
            Self::MountainCarContinuous => 999,
        }
    }

    fn space(self) -> ActionSpace {
        match self {
            Self::CartPole => ActionSpace::Discrete(2),
            Self::Acrobot | Self::MountainCar => ActionSpace::Discrete(3),
            Self::Pendulum => ActionSpace::Continuous(Bounds::uniform(1, -pendulum::TORQUE_MAX, pendulum::TORQUE_MAX)),
            Self::MountainCarContinuous => ActionSpace::Continuous(Bounds::uniform(1, -1.0, 1.0)),
        }
    }

    const fn dynamics(self) -> Dynamics {
        match self {
            Self::CartPole => Dynamics::of::<cartpole::CartPole, 4, 4>(),
            Self::Pendulum => Dynamics::of::<pendulum::Pendulum, 2, 3>(),
            Self::Acrobot => Dynamics::of::<acrobot::Acrobot, 4, 6>(),
            Self::MountainCar => Dynamics::of::<mountain_car::MountainCar, 2, 2>(),
            Self::MountainCarContinuous => Dynamics::of::<mountain_car::MountainCarContinuous, 2, 2>(),
        }
    }
}

impl fmt::Display for ClassicKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for ClassicKind {
    type Err = UnknownClassic;

    fn from_str(name: &str) -> Result<Self, UnknownClassic> {
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| UnknownClassic { name: name.to_owned() })
    }
}

/// Copies of one classic problem.
#[derive(Clone, Debug)]
pub struct Classic {
    kind: ClassicKind,
    dynamics: Dynamics,
    arch: Arch,
    space: ActionSpace,
    autoreset: Autoreset,
    /// Whole blocks of `[components × BLOCK]`.
    state: Vec<f64>,
    lanes: Lanes,
    /// Room for a step: actions as numbers, in whole blocks, and which lanes terminated.
    actions: Vec<f64>,
    terminated: Vec<bool>,
}

/// What changes from step to step, besides the state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Lanes {
    seed: u64,
    clamped: u64,
    /// Episodes begun before the present one.
    episodes: Vec<u64>,
    /// Steps taken in the present one.
    steps: Vec<u32>,
    /// Ended in the last step, and to begin anew in the next; only in [`Autoreset::NextStep`].
    ended: Vec<bool>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    kind: ClassicKind,
    autoreset: Autoreset,
    lanes: Lanes,
    /// `[envs × components]`.
    state: Vec<f64>,
}

impl Lanes {
    fn new(seed: u64, envs: usize) -> Self {
        Self { seed, clamped: 0, episodes: vec![0; envs], steps: vec![0; envs], ended: vec![false; envs] }
    }
}

impl Classic {
    /// `envs` copies of a problem.
    #[must_use]
    pub fn new(kind: ClassicKind, envs: usize, autoreset: Autoreset) -> Self {
        let (dynamics, padded) = (kind.dynamics(), envs.next_multiple_of(BLOCK));
        let mut classic = Self {
            kind,
            dynamics,
            arch: Arch::new(),
            space: kind.space(),
            autoreset,
            state: vec![0.0; padded * dynamics.state],
            lanes: Lanes::new(0, envs),
            actions: vec![0.0; padded],
            terminated: vec![false; envs],
        };
        classic.restart(0);
        classic
    }

    /// Which problem.
    #[must_use]
    pub const fn kind(&self) -> ClassicKind {
        self.kind
    }

    /// Puts one copy at a state of the problem, as the first of its episode.
    ///
    /// # Panics
    /// When there is no such copy, or the state has another length or is not finite.
    pub fn set_state(&mut self, env: usize, state: &[f64]) {
        assert_eq!(state.len(), self.dynamics.state, "a state is all its components");
        assert!(state.iter().all(|value| value.is_finite()), "a state is finite");
        (self.lanes.steps[env], self.lanes.ended[env]) = (0, false);
        self.put(env, state);
    }

    /// The state of one copy.
    ///
    /// # Panics
    /// When there is no such copy.
    #[must_use]
    pub fn state_of(&self, env: usize) -> Vec<f64> {
        assert!(env < self.envs(), "there is such a copy");
        let start = self.offset(env);
        self.state[start..].iter().step_by(BLOCK).take(self.dynamics.state).copied().collect()
    }

    /// Where a lane's first component lies; the others follow a block apart.
    const fn offset(&self, env: usize) -> usize {
        env / BLOCK * BLOCK * self.dynamics.state + env % BLOCK
    }

    fn put(&mut self, env: usize, state: &[f64]) {
        let start = self.offset(env);
        for (place, value) in self.state[start..].iter_mut().step_by(BLOCK).zip(state) {
            *place = *value;
        }
    }

    fn restart(&mut self, seed: u64) {
        self.lanes = Lanes::new(seed, self.envs());
        for env in 0..self.envs() {
            self.begin(env);
        }
    }

    /// Starts the episode that `lanes.episodes` counts.
    fn begin(&mut self, env: usize) {
        let mut stream = Stream::new(self.lanes.seed, env, self.lanes.episodes[env]);
        let (mut room, components) = ([0.0; 4], self.dynamics.state);
        (self.dynamics.start)(&mut || stream.uniform(), &mut room[..components]);
        (self.lanes.steps[env], self.lanes.ended[env]) = (0, false);
        self.put(env, &room[..components]);
    }

    fn show(&self, env: usize, shown: &mut [f32]) {
        let (mut room, start) = ([0.0; 4], self.offset(env));
        for (value, place) in room.iter_mut().zip(self.state[start..].iter().step_by(BLOCK)) {
            *value = *place;
        }
        (self.dynamics.observe)(&room[..self.dynamics.state], shown);
    }

    /// Takes actions as numbers, and counts those outside the space; not those of lanes that begin anew.
    fn read(&mut self, actions: Actions<'_>) {
        let ended = &self.lanes.ended;
        let mut count = 0_u64;
        match &self.space {
            ActionSpace::Discrete(number) => {
                for ((place, action), ended) in self.actions.iter_mut().zip(actions.discrete()).zip(ended) {
                    let (action, outside) = clamp(*action, *number);
                    // Through 32 bits, which convert to a float in one instruction.
                    *place = f64::from(action as i32);
                    count = count.wrapping_add(u64::from(outside & !ended));
                }
            }
            ActionSpace::Continuous(bounds) => {
                for ((place, action), ended) in self.actions.iter_mut().zip(actions.continuous()).zip(ended) {
                    let (inside, outside) = bounds.clamp(0, *action);
                    *place = f64::from(if action.is_finite() { *action } else { inside });
                    count = count.wrapping_add(u64::from(outside & !ended));
                }
            }
        }
        self.lanes.clamped += count;
    }

    /// Ends and begins episodes after all lanes have moved.
    fn settle(&mut self, out: StepBuffers<'_>) {
        let limit = self.kind.steps_max();
        for ((outcome, steps), terminated) in out.outcomes.iter_mut().zip(&mut self.lanes.steps).zip(&self.terminated) {
            *steps = steps.wrapping_add(1);
            let cut = if *steps >= limit { StepOutcome::Truncated } else { StepOutcome::Continues };
            *outcome = if *terminated { StepOutcome::Terminated } else { cut };
        }
        let width = self.dynamics.observation;
        for env in 0..self.envs() {
            if !(out.outcomes[env].is_end() | self.lanes.ended[env]) {
                continue;
            }
            let row = env * width..(env + 1) * width;
            if self.lanes.ended[env] {
                (out.rewards[env], out.outcomes[env]) = (0.0, StepOutcome::Continues);
            } else {
                out.final_observations[row.clone()].copy_from_slice(&out.observations[row.clone()]);
                if self.autoreset == Autoreset::NextStep {
                    self.lanes.ended[env] = true;
                    continue;
                }
            }
            self.lanes.episodes[env] += 1;
            self.begin(env);
            self.show(env, &mut out.observations[row]);
        }
    }
}

impl fmt::Display for Classic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} × {}", self.kind, self.envs())
    }
}

impl VectorEnv for Classic {
    fn envs(&self) -> usize {
        self.lanes.steps.len()
    }

    fn observation_width(&self) -> usize {
        self.dynamics.observation
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
        self.read(actions);
        let step = Step {
            state: &mut self.state,
            actions: &self.actions,
            rewards: out.rewards,
            terminated: &mut self.terminated,
            observations: out.observations,
        };
        (self.dynamics.advance)(self.arch, step);
        self.settle(out);
    }

    fn observe(&self, observations: &mut [f32]) {
        let width = self.dynamics.observation;
        assert_eq!(observations.len(), self.envs() * width, "observations are [envs × width]");
        for (env, row) in observations.chunks_exact_mut(width).enumerate() {
            self.show(env, row);
        }
    }

    fn clamped(&self) -> u64 {
        self.lanes.clamped
    }

    fn state(&self) -> Vec<u8> {
        let state = (0..self.envs()).flat_map(|env| self.state_of(env)).collect();
        let saved = Saved { kind: self.kind, autoreset: self.autoreset, lanes: self.lanes.clone(), state };
        serde_json::to_vec(&saved).expect("plain data has a JSON form")
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), StateError> {
        let saved: Saved =
            serde_json::from_slice(state).map_err(|source| StateError::Unreadable { env: self.to_string(), source })?;
        let (envs, lanes) = (self.envs(), &saved.lanes);
        let sizes = [lanes.episodes.len(), lanes.steps.len(), lanes.ended.len()];
        let fits = sizes == [envs; 3] && saved.state.len() == envs * self.dynamics.state;
        if (saved.kind, saved.autoreset) != (self.kind, self.autoreset) || !fits {
            let why = format!("it is of {} copies of {}, reset {:?}", sizes[1], saved.kind, saved.autoreset);
            return Err(StateError::Foreign { env: self.to_string(), why });
        }
        for (env, state) in saved.state.chunks_exact(self.dynamics.state).enumerate() {
            self.put(env, state);
        }
        self.lanes = saved.lanes;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
