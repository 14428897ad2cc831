//! Noise on continuous actions, in halves of their range.

use neural::Tiles;
use rand::RngExt as _;
use rand_distr::StandardNormal;
use spec::Exploration;

use crate::seeds::{self, Stream};

/// The noise of all environments.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Noise {
    exploration: Exploration,
    /// Of an Ornstein-Uhlenbeck process, `[envs × width]`; empty of others.
    pub(crate) drift: Vec<f32>,
    /// Of a state-dependent noise, `[hidden × width]`, with the number of its drawing.
    matrix: (Option<u64>, Vec<f32>),
}

/// Where noise is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment<'a> {
    pub(crate) seed: u64,
    /// Environment steps taken: with the seed, all that draws depend on.
    pub(crate) step: u64,
    /// The policy's last hidden layer.
    pub(crate) hidden: Option<&'a Tiles>,
}

impl Noise {
    pub(crate) fn new(exploration: Exploration, envs: usize, width: usize) -> Self {
        let drift = match exploration {
            Exploration::OrnsteinUhlenbeck { .. } => vec![0.0; envs * width],
            Exploration::Gaussian { .. } | Exploration::StateDependent { .. } => Vec::new(),
        };
        Self { exploration, drift, matrix: (None, Vec::new()) }
    }

    /// Adds noise to actions, `[envs × width]`, and keeps them within ±1.
    pub(crate) fn add(&mut self, moment: Moment<'_>, width: usize, actions: &mut [f32]) {
        let mut rng = seeds::generator(moment.seed, Stream::Noise, moment.step);
        match self.exploration {
            Exploration::Gaussian { deviation } => {
                for action in &mut *actions {
                    *action += deviation as f32 * rng.sample::<f32, _>(StandardNormal);
                }
            }
            Exploration::OrnsteinUhlenbeck { deviation, reversion } => {
                for (action, drift) in actions.iter_mut().zip(&mut self.drift) {
                    let push = deviation as f32 * rng.sample::<f32, _>(StandardNormal);
                    *drift += push - reversion as f32 * *drift;
                    *action += *drift;
                }
            }
            Exploration::StateDependent { deviation, every } => {
                let units = moment.hidden.map_or(1, Tiles::units);
                self.draw(moment.seed, moment.step / u64::from(every), (units * width, deviation as f32));
                for (row, action) in actions.chunks_exact_mut(width).enumerate() {
                    let mut add = |(value, weights): (f32, &[f32])| {
                        action.iter_mut().zip(weights).for_each(|(action, weight)| *action += value * weight);
                    };
                    let weights = self.matrix.1.chunks_exact(width);
                    match moment.hidden {
                        Some(hidden) => hidden.row(row).zip(weights).for_each(&mut add),
                        // A linear policy has no hidden layer: its noise then is the same in every state.
                        None => weights.for_each(|weights| add((1.0, weights))),
                    }
                }
            }
        }
        actions.iter_mut().for_each(|action| *action = action.clamp(-1.0, 1.0));
    }

    fn draw(&mut self, seed: u64, number: u64, (len, deviation): (usize, f32)) {
        if self.matrix.0 == Some(number) && self.matrix.1.len() == len {
            return;
        }
        let mut rng = seeds::generator(seed, Stream::NoiseMatrix, number);
        self.matrix.1.clear();
        self.matrix.1.extend((0..len).map(|_| deviation * rng.sample::<f32, _>(StandardNormal)));
        self.matrix.0 = Some(number);
    }

    /// A new episode of environment `env` begins.
    pub(crate) fn restart(&mut self, env: usize, width: usize) {
        if let Some(drift) = self.drift.get_mut(env * width..(env + 1) * width) {
            drift.fill(0.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(step: u64) -> Moment<'static> {
        Moment { seed: 3, step, hidden: None }
    }

    fn series(exploration: Exploration, steps: u64) -> Vec<f32> {
        let mut noise = Noise::new(exploration, 1, 1);
        (0..steps)
            .map(|step| {
                let mut action = [0.0];
                noise.add(moment(step), 1, &mut action);
                action[0]
            })
            .collect()
    }

    fn correlation(values: &[f32]) -> f32 {
        let square: f32 = values.iter().map(|v| v * v).sum();
        values.windows(2).map(|pair| pair[0] * pair[1]).sum::<f32>() / square
    }

    #[test]
    fn gaussian_noise_forgets_and_a_drift_remembers() {
        let gaussian = series(Exploration::Gaussian { deviation: 0.1 }, 4000);
        let deviation = (gaussian.iter().map(|v| v * v).sum::<f32>() / 4000.0).sqrt();
        assert!((deviation - 0.1).abs() < 0.005 && correlation(&gaussian).abs() < 0.05);
        let drift = series(Exploration::OrnsteinUhlenbeck { deviation: 0.1, reversion: 0.15 }, 4000);
        assert!((correlation(&drift) - 0.85).abs() < 0.05, "{}", correlation(&drift));
    }

    #[test]
    fn a_drift_begins_anew_with_an_episode() {
        let mut noise = Noise::new(Exploration::OrnsteinUhlenbeck { deviation: 0.3, reversion: 0.1 }, 2, 1);
        noise.add(moment(0), 1, &mut [0.0, 0.0]);
        noise.restart(1, 1);
        assert!(noise.drift[0] != 0.0 && noise.drift[1] == 0.0);
    }

    #[test]
    fn state_dependent_noise_is_a_function_of_the_state_until_it_is_drawn_anew() {
        let mut noise = Noise::new(Exploration::StateDependent { deviation: 0.1, every: 10 }, 2, 1);
        let mut at = |step: u64, states: [[f32; 2]; 2]| {
            let mut hidden = Tiles::new(2, 2);
            hidden.take(states.as_flattened());
            let mut actions = [0.0; 2];
            noise.add(Moment { hidden: Some(&hidden), ..moment(step) }, 1, &mut actions);
            actions
        };
        let (one, other) = ([1.0, 0.5], [2.0, -1.0]);
        let first = at(0, [one, other]);
        assert_eq!(at(9, [one, other]), first);
        assert_eq!(at(9, [other, one]), [first[1], first[0]]);
        assert_ne!(at(10, [one, other]), first);
    }

    #[test]
    fn actions_stay_within_their_range() {
        assert!(series(Exploration::Gaussian { deviation: 9.0 }, 100).iter().all(|a| a.abs() <= 1.0));
    }
}
