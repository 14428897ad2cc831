//! The last observations of another environment side by side, and only some components of each: what a policy needs that is
//! shown no velocities.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::env::check_lengths;
use crate::{ActionSpace, Actions, Autoreset, Buffers, StateError, StepBuffers, VectorEnv};

/// An environment seen through a window: `window` observations, the oldest first, each reduced to the components kept.
/// Observations before an episode's start are zeros.
pub struct Windowed {
    env: Box<dyn VectorEnv>,
    window: usize,
    keep: Vec<usize>,
    /// The environment's last step; its outcomes say which copies begin anew in the next.
    inner: Buffers,
    /// `[envs × window × kept]`.
    shown: Vec<f32>,
}

/// What is saved beside the environment's own state; floats as bits.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    window: usize,
    keep: Vec<usize>,
    outcomes: Vec<crate::StepOutcome>,
    shown: Vec<u32>,
}

/// Between what is saved here and the environment's own state.
const SEPARATOR: u8 = b'\n';

impl Windowed {
    /// `env` through a window over the components listed in `keep`.
    ///
    /// # Panics
    /// When the window or the list is empty, or names a component that is not there: a caller's bug.
    #[must_use]
    pub fn new(env: Box<dyn VectorEnv>, window: usize, keep: Vec<usize>) -> Self {
        assert!(window > 0 && !keep.is_empty(), "a window shows something");
        assert!(keep.iter().all(|component| *component < env.observation_width()), "an observation has what is kept");
        let mut inner = Buffers::new(&*env);
        env.observe(&mut inner.observations);
        let shown = vec![0.0; env.envs() * window * keep.len()];
        let mut windowed = Self { env, window, keep, inner, shown };
        windowed.restart();
        windowed
    }

    /// Shows the first observation of every copy.
    fn restart(&mut self) {
        self.inner.outcomes.fill(crate::StepOutcome::Continues);
        self.shown.fill(0.0);
        for env in 0..self.envs() {
            self.push(env, Row::Present);
        }
    }

    /// Moves copy `env`'s window on by one row.
    fn push(&mut self, env: usize, row: Row) {
        let (width, kept) = (self.env.observation_width(), self.keep.len());
        let from = match row {
            Row::Present => &self.inner.observations,
            Row::Final => &self.inner.final_observations,
        };
        let seen = &from[env * width..(env + 1) * width];
        let shown = &mut self.shown[env * self.window * kept..(env + 1) * self.window * kept];
        shown.copy_within(kept.., 0);
        let newest = shown.len() - kept;
        for (place, component) in shown[newest..].iter_mut().zip(&self.keep) {
            *place = seen[*component];
        }
    }

    fn row(&self, env: usize) -> std::ops::Range<usize> {
        let width = self.observation_width();
        env * width..(env + 1) * width
    }
}

/// Which observation of the environment's last step.
#[derive(Clone, Copy)]
enum Row {
    Present,
    Final,
}

impl fmt::Display for Windowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} by {} of {:?}", self.env, self.window, self.keep)
    }
}

impl VectorEnv for Windowed {
    fn envs(&self) -> usize {
        self.env.envs()
    }

    fn observation_width(&self) -> usize {
        self.window * self.keep.len()
    }

    fn action_space(&self) -> &ActionSpace {
        self.env.action_space()
    }

    fn autoreset(&self) -> Autoreset {
        self.env.autoreset()
    }

    fn reset(&mut self, seed: u64, observations: &mut [f32]) {
        self.env.reset(seed, &mut self.inner.observations);
        self.restart();
        self.observe(observations);
    }

    fn step(&mut self, actions: Actions<'_>, out: StepBuffers<'_>) {
        check_lengths(self, actions, &out);
        let begins: Vec<bool> = match self.autoreset() {
            Autoreset::SameStep => vec![false; self.envs()],
            Autoreset::NextStep => self.inner.outcomes.iter().map(|outcome| outcome.is_end()).collect(),
        };
        self.env.step(actions, self.inner.lend());
        for (env, begins) in begins.into_iter().enumerate() {
            let row = self.row(env);
            if begins {
                self.shown[row.clone()].fill(0.0);
            }
            if self.inner.outcomes[env].is_end() {
                self.push(env, Row::Final);
                out.final_observations[row.clone()].copy_from_slice(&self.shown[row.clone()]);
                if self.autoreset() == Autoreset::NextStep {
                    continue;
                }
                self.shown[row].fill(0.0);
            }
            self.push(env, Row::Present);
        }
        out.observations.copy_from_slice(&self.shown);
        out.rewards.copy_from_slice(&self.inner.rewards);
        out.outcomes.copy_from_slice(&self.inner.outcomes);
    }

    fn observe(&self, observations: &mut [f32]) {
        assert_eq!(observations.len(), self.shown.len(), "observations are [envs × width]");
        observations.copy_from_slice(&self.shown);
    }

    fn clamped(&self) -> u64 {
        self.env.clamped()
    }

    fn state(&self) -> Vec<u8> {
        let shown = self.shown.iter().map(|value| value.to_bits()).collect();
        let (keep, outcomes) = (self.keep.clone(), self.inner.outcomes.clone());
        let saved = Saved { window: self.window, keep, outcomes, shown };
        let mut bytes = serde_json::to_vec(&saved).expect("plain data has a JSON form");
        bytes.push(SEPARATOR);
        bytes.extend(self.env.state());
        bytes
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), StateError> {
        // JSON in one line holds no line feed of its own.
        let split = state.iter().position(|byte| *byte == SEPARATOR).unwrap_or(state.len());
        let saved: Saved = serde_json::from_slice(&state[..split])
            .map_err(|source| StateError::Unreadable { env: self.to_string(), source })?;
        let settings = (saved.window, &saved.keep, saved.outcomes.len(), saved.shown.len());
        if settings != (self.window, &self.keep, self.envs(), self.shown.len()) {
            let why = format!("it is of a window of {} over {:?}", saved.window, saved.keep);
            return Err(StateError::Foreign { env: self.to_string(), why });
        }
        self.env.restore(state.get(split + 1..).unwrap_or_default())?;
        self.inner.outcomes = saved.outcomes;
        self.shown = saved.shown.into_iter().map(f32::from_bits).collect();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::{Kind, Probe};
    use crate::{Classic, ClassicKind, conformance};

    const MODES: [Autoreset; 2] = [Autoreset::SameStep, Autoreset::NextStep];

    #[test]
    fn windows_over_any_environment_conform() {
        for autoreset in MODES {
            for (kind, keep) in [(ClassicKind::CartPole, [0, 2]), (ClassicKind::Pendulum, [0, 1])] {
                for window in [1, 6] {
                    let classic = || Box::new(Classic::new(kind, 5, autoreset));
                    conformance::check(|| Windowed::new(classic(), window, keep.into()));
                }
            }
            let probe = || Box::new(Probe::new(Kind::EndlessReward, 3).with_autoreset(autoreset));
            conformance::check(|| Windowed::new(probe(), 2, vec![0]));
        }
    }

    /// What one copy of the delayed reward, which shows 0, 1 and at its end 2, shows in each step; and its ends.
    fn counted(autoreset: Autoreset) -> (Vec<Vec<f32>>, Vec<Vec<f32>>) {
        let probe = Probe::new(Kind::DelayedReward, 1).with_autoreset(autoreset);
        let mut windowed = Windowed::new(Box::new(probe), 2, vec![0]);
        let mut buffers = Buffers::new(&windowed);
        windowed.reset(1, &mut buffers.observations);
        let (mut shown, mut ends) = (vec![buffers.observations.clone()], Vec::new());
        for _ in 0..4 {
            windowed.step(Actions::Discrete(&[0]), buffers.lend());
            shown.push(buffers.observations.clone());
            if buffers.outcomes[0].is_end() {
                ends.push(buffers.final_observations.clone());
            }
        }
        (shown, ends)
    }

    #[test]
    fn a_window_holds_the_past_of_its_own_episode_and_zeros_before_it() {
        let (shown, ends) = counted(Autoreset::SameStep);
        assert_eq!(shown, [[0.0, 0.0], [0.0, 1.0], [0.0, 0.0], [0.0, 1.0], [0.0, 0.0]]);
        assert_eq!(ends, [[1.0, 2.0], [1.0, 2.0]]);
        let (shown, ends) = counted(Autoreset::NextStep);
        assert_eq!(shown, [[0.0, 0.0], [0.0, 1.0], [1.0, 2.0], [0.0, 0.0], [0.0, 1.0]]);
        assert_eq!(ends, [[1.0, 2.0]]);
    }

    #[test]
    fn a_masked_cartpole_shows_the_last_positions_and_angles() {
        let mut plain = Classic::new(ClassicKind::CartPole, 3, Autoreset::SameStep);
        let mut windowed = Windowed::new(Box::new(plain.clone()), 2, vec![0, 2]);
        let (mut expected, mut got) = (Buffers::new(&plain), Buffers::new(&windowed));
        plain.reset(2, &mut expected.observations);
        windowed.reset(2, &mut got.observations);
        let before = expected.observations.clone();
        plain.step(Actions::Discrete(&[0, 1, 1]), expected.lend());
        windowed.step(Actions::Discrete(&[0, 1, 1]), got.lend());
        for env in 0..3 {
            let (old, new) = (&before[env * 4..], &expected.observations[env * 4..]);
            assert_eq!(got.observations[env * 4..][..4], [old[0], old[2], new[0], new[2]]);
        }
    }

    #[test]
    fn a_state_of_another_window_is_refused() {
        let build = |window| {
            Windowed::new(Box::new(Classic::new(ClassicKind::CartPole, 2, Autoreset::SameStep)), window, vec![0])
        };
        assert!(build(2).restore(&build(3).state()).unwrap_err().to_string().contains("a window of 3"));
    }
}
