//! Running mean and deviation of observations, and the scale of rewards.

use serde::{Deserialize, Serialize};

/// Added to a variance before its root is taken.
const EPSILON: f64 = 1e-8;

/// Where a normalised reward is cut off.
const REWARD_MAX: f64 = 10.0;

/// Mean and variance of each column so far; parts merge exactly as one pass would go (Chan, Golub and LeVeque 1983).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Moments {
    count: f64,
    mean: Vec<f64>,
    /// Sum of squared distances from the mean.
    spread: Vec<f64>,
}

impl Moments {
    /// Of nothing yet: mean 0, deviation 1.
    #[must_use]
    pub fn new(width: usize) -> Self {
        Self { count: 0.0, mean: vec![0.0; width], spread: vec![0.0; width] }
    }

    /// Takes in rows of all columns.
    pub fn update(&mut self, rows: &[f32]) {
        let width = self.mean.len();
        let count = (rows.len() / width) as f64;
        let mut part = Self { count, ..Self::new(width) };
        for (column, mean) in part.mean.iter_mut().enumerate() {
            *mean = rows[column..].iter().step_by(width).map(|value| f64::from(*value)).sum::<f64>() / count;
            let off = |value: &f32| (f64::from(*value) - *mean).powi(2);
            part.spread[column] = rows[column..].iter().step_by(width).map(off).sum();
        }
        self.merge(&part);
    }

    /// Takes in what another has seen.
    pub fn merge(&mut self, other: &Self) {
        let total = self.count + other.count;
        if total == 0.0 {
            return;
        }
        for column in 0..self.mean.len() {
            let apart = other.mean[column] - self.mean[column];
            self.mean[column] += apart * other.count / total;
            self.spread[column] += other.spread[column] + apart * apart * self.count * other.count / total;
        }
        self.count = total;
    }

    /// Means, by column.
    #[must_use]
    pub fn means(&self) -> &[f64] {
        &self.mean
    }

    /// Population variances, by column; 1 before anything is seen.
    pub fn variances(&self) -> impl Iterator<Item = f64> + '_ {
        self.spread.iter().map(|spread| if self.count > 0.0 { spread / self.count } else { 1.0 })
    }

    /// 1 / deviation, by column.
    pub fn scales(&self) -> impl Iterator<Item = f64> + '_ {
        self.variances().map(|variance| 1.0 / (variance + EPSILON).sqrt())
    }
}

/// Divides rewards by the deviation of the running discounted return, which starts anew with each episode.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RewardScale {
    gamma: f64,
    /// Per environment.
    running: Vec<f64>,
    moments: Moments,
}

impl RewardScale {
    pub(crate) fn new(envs: usize, gamma: f64) -> Self {
        Self { gamma, running: vec![0.0; envs], moments: Moments::new(1) }
    }

    /// Looks at the rewards of one step. `resetting` tells which rows are resets and no transitions, `ended` which episodes
    /// did.
    pub(crate) fn observe(&mut self, rewards: &[f32], resetting: &[bool], ended: impl Iterator<Item = bool>) {
        let mut seen = Vec::with_capacity(rewards.len());
        for ((running, reward), resetting) in self.running.iter_mut().zip(rewards).zip(resetting) {
            if !resetting {
                *running = *running * self.gamma + f64::from(*reward);
                seen.push(*running as f32);
            }
        }
        if !seen.is_empty() {
            self.moments.update(&seen);
        }
        for (running, ended) in self.running.iter_mut().zip(ended) {
            if ended {
                *running = 0.0;
            }
        }
    }

    /// Scales rewards, each the sum of `steps`, in place.
    pub(crate) fn scale(&self, rewards: &mut [f32], steps: u32) {
        let (scale, most) = (self.moments.scales().next().expect("there is one column"), REWARD_MAX * f64::from(steps));
        rewards.iter_mut().for_each(|reward| *reward = (f64::from(*reward) * scale).clamp(-most, most) as f32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_of_parts_merge_to_those_of_one_pass() {
        let rows: Vec<f32> = (0..600).map(|i| (i as f32 * 0.37).sin() * 50.0 + 1e3).collect();
        let (mut whole, mut parts) = (Moments::new(3), Moments::new(3));
        whole.update(&rows);
        for (index, part) in rows.chunks(60).enumerate() {
            let mut worker = Moments::new(3);
            worker.update(&part[..30]);
            worker.update(&part[30..]);
            assert!(index < 10);
            parts.merge(&worker);
        }
        for column in 0..3 {
            let direct: Vec<f64> = rows[column..].iter().step_by(3).map(|v| f64::from(*v)).collect();
            let mean = direct.iter().sum::<f64>() / 200.0;
            let variance = direct.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 200.0;
            assert!((parts.means()[column] / mean - 1.0).abs() < 1e-12);
            assert!((parts.variances().nth(column).unwrap() / variance - 1.0).abs() < 1e-12);
            assert!((whole.variances().nth(column).unwrap() / variance - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn before_anything_is_seen_the_scale_is_one() {
        let moments = Moments::new(2);
        assert_eq!(moments.means(), [0.0, 0.0]);
        assert!(moments.scales().all(|scale| (scale - 1.0).abs() < 1e-7));
    }

    #[test]
    fn a_reset_is_no_reward_and_a_sum_of_rewards_may_be_so_many_times_as_large() {
        let seen = |rewards: &[f32], resetting: &[bool]| {
            let mut scale = RewardScale::new(2, 0.5);
            scale.observe(&[1.0, -3.0], &[false; 2], [false; 2].into_iter());
            scale.observe(rewards, resetting, [false; 2].into_iter());
            scale
        };
        let masked = seen(&[2.0, 7.0], &[false, true]);
        assert_eq!((masked.moments.count, masked.running.as_slice()), (3.0, [2.5, -3.0].as_slice()));
        let mut rewards = [1e9, 1e9];
        masked.scale(&mut rewards[..1], 1);
        masked.scale(&mut rewards[1..], 3);
        assert_eq!(rewards, [10.0, 30.0]);
    }

    #[test]
    fn rewards_are_divided_by_the_deviation_of_the_discounted_return() {
        let mut scale = RewardScale::new(1, 0.5);
        let (mut running, mut seen) = (0.0_f64, Vec::new());
        for (step, reward) in [1.0_f32, 2.0, -1.0, 4.0].into_iter().enumerate() {
            let ends = step == 1;
            let mut rewards = [reward];
            scale.observe(&rewards, &[false], [ends].into_iter());
            scale.scale(&mut rewards, 1);
            running = running * 0.5 + f64::from(reward);
            seen.push(running);
            let mean = seen.iter().sum::<f64>() / seen.len() as f64;
            let variance = seen.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / seen.len() as f64;
            let wanted = (f64::from(reward) / (variance + 1e-8).sqrt()).clamp(-10.0, 10.0);
            assert!((f64::from(rewards[0]) - wanted).abs() < 1e-5, "{rewards:?} is not {wanted}");
            if ends {
                running = 0.0;
            }
        }
    }
}
