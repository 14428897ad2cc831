//! The classic control problems of Gymnasium, with its very dynamics: what an agent is proved on.
//!
//! States lie component by component (struct of arrays), f64 as Gymnasium's; observations are f32. Gymnasium's random
//! starts are NumPy's and not repeated here: starts are drawn from the same ranges, by counter.

mod acrobot;
mod angle;
mod cartpole;
mod mountain_car;
mod pendulum;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::env::{check_lengths, clamp};
use crate::{ActionSpace, Actions, Autoreset, Bounds, StateError, StepBuffers, StepOutcome, VectorEnv};

/// Most components of a state.
const COMPONENTS: usize = 4;

/// Which problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClassicKind {
    /// Balance a pole on a cart (Barto, Sutton and Anderson 1983): `CartPole-v1`.
    #[serde(rename = "CartPole-v1")]
    CartPole,
    /// Swing a pendulum up and hold it: `Pendulum-v1`.
    #[serde(rename = "Pendulum-v1")]
    Pendulum,
    /// Swing a two-link robot up (Sutton 1996): `Acrobot-v1`.
    #[serde(rename = "Acrobot-v1")]
    Acrobot,
    /// Get an underpowered car up a hill (Moore 1990): `MountainCar-v0`.
    #[serde(rename = "MountainCar-v0")]
    MountainCar,
    /// The same with a continuous force: `MountainCarContinuous-v0`.
    #[serde(rename = "MountainCarContinuous-v0")]
    MountainCarContinuous,
}

impl ClassicKind {
    /// Every problem.
    pub const ALL: [Self; 5] =
        [Self::CartPole, Self::Pendulum, Self::Acrobot, Self::MountainCar, Self::MountainCarContinuous];

    /// Gymnasium's id.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::CartPole => "CartPole-v1",
            Self::Pendulum => "Pendulum-v1",
            Self::Acrobot => "Acrobot-v1",
            Self::MountainCar => "MountainCar-v0",
            Self::MountainCarContinuous => "MountainCarContinuous-v0",
        }
    }

    /// Steps after which an episode is truncated.
    #[must_use]
    pub const fn steps_max(self) -> u32 {
        match self {
            Self::CartPole | Self::Acrobot => 500,
            Self::Pendulum | Self::MountainCar => 200,
            Self::MountainCarContinuous => 999,
        }
    }

    const fn components(self) -> usize {
        match self {
            Self::CartPole | Self::Acrobot => 4,
            Self::Pendulum | Self::MountainCar | Self::MountainCarContinuous => 2,
        }
    }

    const fn observation_width(self) -> usize {
        match self {
            Self::CartPole => 4,
            Self::Pendulum => 3,
            Self::Acrobot => 6,
            Self::MountainCar | Self::MountainCarContinuous => 2,
        }
    }

    fn space(self) -> ActionSpace {
        match self {
            Self::CartPole => ActionSpace::Discrete(2),
            Self::Acrobot | Self::MountainCar => ActionSpace::Discrete(3),
            Self::Pendulum => ActionSpace::Continuous(Bounds::uniform(1, -2.0, 2.0)),
            Self::MountainCarContinuous => ActionSpace::Continuous(Bounds::uniform(1, -1.0, 1.0)),
        }
    }

    /// Least and largest first value of a component.
    fn start(self, component: usize) -> (f64, f64) {
        use std::f64::consts::PI;
        match (self, component) {
            (Self::CartPole, _) => (-0.05, 0.05),
            (Self::Acrobot, _) => (-0.1, 0.1),
            (Self::Pendulum, 0) => (-PI, PI),
            (Self::Pendulum, _) => (-1.0, 1.0),
            (Self::MountainCar | Self::MountainCarContinuous, 0) => (-0.6, -0.4),
            (Self::MountainCar | Self::MountainCarContinuous, _) => (0.0, 0.0),
        }
    }

    fn show(self, state: [f64; COMPONENTS], out: &mut [f32]) {
        match self {
            Self::CartPole => out.iter_mut().zip(state).for_each(|(out, value)| *out = value as f32),
            Self::Pendulum => pendulum::show(state, out),
            Self::Acrobot => acrobot::show(state, out),
            Self::MountainCar | Self::MountainCarContinuous => {
                out.copy_from_slice(&[state[0] as f32, state[1] as f32]);
            }
        }
    }
}

impl FromStr for ClassicKind {
    type Err = String;
    fn from_str(id: &str) -> Result<Self, String> {
        let known = || Self::ALL.map(Self::id).join(", ");
        Self::ALL
            .into_iter()
            .find(|kind| kind.id() == id)
            .ok_or_else(|| format!("no environment `{id}`: there are {}", known()))
    }
}

/// Copies of one problem, side by side.
#[derive(Clone, Debug)]
pub struct Classic {
    kind: ClassicKind,
    space: ActionSpace,
    autoreset: Autoreset,
    lanes: Lanes,
    /// Of the last step, by copy: whether the problem itself ended the episode.
    ended: Vec<bool>,
    forces: Vec<f64>,
}

/// What changes from step to step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Lanes {
    kind: ClassicKind,
    autoreset: Autoreset,
    seed: u64,
    /// `[component][copy]`; those a problem has not are empty.
    state: [Vec<f64>; COMPONENTS],
    /// Steps of the present episode.
    elapsed: Vec<u32>,
    /// Episodes begun before the present one.
    episodes: Vec<u64>,
    /// Whether the coming step begins an episode; [`Autoreset::NextStep`] alone.
    over: Vec<bool>,
    clamped: u64,
}

impl Classic {
    /// `envs` copies, at the starts of seed 0.
    #[must_use]
    pub fn new(kind: ClassicKind, envs: usize, autoreset: Autoreset) -> Self {
        let state = std::array::from_fn(|component| vec![0.0; if component < kind.components() { envs } else { 0 }]);
        let lanes = Lanes {
            kind,
            autoreset,
            seed: 0,
            state,
            elapsed: vec![0; envs],
            episodes: vec![0; envs],
            over: vec![false; envs],
            clamped: 0,
        };
        let mut env =
            Self { kind, space: kind.space(), autoreset, lanes, ended: vec![false; envs], forces: vec![0.0; envs] };
        env.restart(0);
        env
    }

    /// Puts copy `env` at the start of an episode in this state.
    ///
    /// # Panics
    /// When there is no such copy or the state has another number of components: a caller's bug.
    pub fn set_state(&mut self, env: usize, state: &[f64]) {
        assert_eq!(state.len(), self.kind.components(), "components of a state");
        self.lanes.state.iter_mut().zip(state).for_each(|(column, value)| column[env] = *value);
        (self.lanes.elapsed[env], self.lanes.over[env]) = (0, false);
    }

    /// The state of copy `env`, in Gymnasium's order.
    ///
    /// # Panics
    /// When there is no such copy.
    #[must_use]
    pub fn state_of(&self, env: usize) -> Vec<f64> {
        self.lanes.state[..self.kind.components()].iter().map(|column| column[env]).collect()
    }

    fn restart(&mut self, seed: u64) {
        self.lanes.seed = seed;
        self.lanes.clamped = 0;
        self.lanes.episodes.fill(0);
        for env in 0..self.envs() {
            self.begin(env);
        }
    }

    /// Starts the episode that `episodes` counts.
    fn begin(&mut self, env: usize) {
        let Lanes { seed, state, elapsed, episodes, over, .. } = &mut self.lanes;
        let mut draw = mix(mix(*seed ^ (env as u64).wrapping_mul(GOLDEN)) ^ episodes[env]);
        for (component, column) in state.iter_mut().enumerate().take(self.kind.components()) {
            let (low, high) = self.kind.start(component);
            draw = mix(draw.wrapping_add(GOLDEN));
            column[env] = low + (high - low) * (draw >> 11) as f64 / (1u64 << 53) as f64;
        }
        (elapsed[env], over[env]) = (0, false);
    }

    fn place(&self, env: usize) -> [f64; COMPONENTS] {
        std::array::from_fn(|component| self.lanes.state[component].get(env).copied().unwrap_or_default())
    }

    /// Brings actions into the space, as forces in the problem's own units.
    fn push(&mut self, actions: Actions<'_>) {
        let clamped = &mut self.lanes.clamped;
        match &self.space {
            ActionSpace::Discrete(count) => {
                for (force, action) in self.forces.iter_mut().zip(actions.discrete()) {
                    let (action, outside) = clamp(*action, *count);
                    *clamped += u64::from(outside);
                    *force = action as f64;
                }
            }
            ActionSpace::Continuous(bounds) => {
                for (force, action) in self.forces.iter_mut().zip(actions.continuous()) {
                    let (action, outside) = bounds.clamp(0, *action);
                    *clamped += u64::from(outside);
                    *force = f64::from(action);
                }
            }
        }
    }

    fn advance(&mut self, rewards: &mut [f32]) {
        let [a, b, c, d] = self.lanes.state.each_mut().map(Vec::as_mut_slice);
        match self.kind {
            ClassicKind::CartPole => cartpole::step([a, b, c, d], &self.forces, &mut self.ended),
            ClassicKind::Pendulum => pendulum::step([a, b], &self.forces, rewards),
            ClassicKind::Acrobot => acrobot::step([a, b, c, d], &self.forces, &mut self.ended),
            ClassicKind::MountainCar => mountain_car::step([a, b], &self.forces, &mut self.ended),
            ClassicKind::MountainCarContinuous => {
                mountain_car::step_continuous([a, b], &self.forces, &mut self.ended);
            }
        }
        match self.kind {
            ClassicKind::CartPole => rewards.fill(1.0),
            ClassicKind::Pendulum => {}
            ClassicKind::Acrobot => {
                rewards
                    .iter_mut()
                    .zip(&self.ended)
                    .for_each(|(reward, ended)| *reward = if *ended { 0.0 } else { -1.0 });
            }
            ClassicKind::MountainCar => rewards.fill(-1.0),
            ClassicKind::MountainCarContinuous => {
                for ((reward, ended), force) in rewards.iter_mut().zip(&self.ended).zip(&self.forces) {
                    let goal = if *ended { 100.0 } else { 0.0 };
                    *reward = (goal - 0.1 * force * force) as f32;
                }
            }
        }
    }

    fn show_all(&self, observations: &mut [f32]) {
        if self.kind == ClassicKind::CartPole {
            return cartpole::show(self.lanes.state.each_ref().map(Vec::as_slice), observations);
        }
        for (env, row) in observations.chunks_exact_mut(self.observation_width()).enumerate() {
            self.kind.show(self.place(env), row);
        }
    }
}

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// SplitMix64's finaliser (Steele et al. 2014): a few instructions a draw, since most steps of a random agent end soon.
const fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(GOLDEN);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl fmt::Display for Classic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} × {}", self.kind.id(), self.envs())
    }
}

impl VectorEnv for Classic {
    fn envs(&self) -> usize {
        self.lanes.elapsed.len()
    }

    fn observation_width(&self) -> usize {
        self.kind.observation_width()
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
        self.push(actions);
        self.advance(out.rewards);
        let limit = self.kind.steps_max();
        let mut changes = 0;
        let outcomes = out.outcomes.iter_mut().zip(&mut self.lanes.elapsed).zip(&self.ended).zip(&self.lanes.over);
        for (((outcome, elapsed), ended), over) in outcomes {
            *elapsed += 1;
            let cut = *elapsed >= limit;
            *outcome = if *ended {
                StepOutcome::Terminated
            } else if cut {
                StepOutcome::Truncated
            } else {
                StepOutcome::Continues
            };
            changes += usize::from(*ended | cut | *over);
        }
        let width = self.observation_width();
        for env in 0..if changes == 0 { 0 } else { self.envs() } {
            if self.lanes.over[env] {
                self.begin(env);
                (out.rewards[env], out.outcomes[env]) = (0.0, StepOutcome::Continues);
            } else if out.outcomes[env].is_end() {
                self.kind.show(self.place(env), &mut out.final_observations[env * width..(env + 1) * width]);
                self.lanes.episodes[env] += 1;
                match self.autoreset {
                    Autoreset::SameStep => self.begin(env),
                    Autoreset::NextStep => self.lanes.over[env] = true,
                }
            }
        }
        self.show_all(out.observations);
    }

    fn observe(&self, observations: &mut [f32]) {
        assert_eq!(observations.len(), self.envs() * self.observation_width(), "observations are [envs × width]");
        self.show_all(observations);
    }

    fn clamped(&self) -> u64 {
        self.lanes.clamped
    }

    fn state(&self) -> Vec<u8> {
        serde_json::to_vec(&self.lanes).expect("plain data has a JSON form")
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), StateError> {
        let saved: Lanes =
            serde_json::from_slice(state).map_err(|source| StateError::Unreadable { env: self.to_string(), source })?;
        let lengths = |lanes: &Lanes| {
            let states: Vec<usize> = lanes.state.iter().map(Vec::len).collect();
            (states, lanes.elapsed.len(), lanes.episodes.len(), lanes.over.len(), lanes.kind, lanes.autoreset)
        };
        if lengths(&saved) != lengths(&self.lanes) || saved.state.iter().flatten().any(|value| !value.is_finite()) {
            let why = format!("it is of {} copies of {}", saved.elapsed.len(), saved.kind.id());
            return Err(StateError::Foreign { env: self.to_string(), why });
        }
        self.lanes = saved;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
