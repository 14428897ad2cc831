//! Generalised advantage estimation (Schulman et al. 2016, eq. 16, arXiv:1506.02438).

use envs::StepOutcome;

/// What a rollout measured.
///
/// # Shapes
/// `last_values`: `[envs]`; all else `[steps, envs]`, row-major.
#[derive(Clone, Copy, Debug)]
pub struct Trace<'a> {
    /// Reward of each step.
    pub rewards: &'a [f64],
    /// Value of the observation that each step was decided on.
    pub values: &'a [f64],
    /// How each step ended.
    pub outcomes: &'a [StepOutcome],
    /// Value of the final observation, where a step was truncated; not read elsewhere.
    pub final_values: &'a [f64],
    /// Value of what each environment shows after the last step.
    pub last_values: &'a [f64],
}

/// Advantage of each step, `[steps, envs]`, in the unit of the rewards. A truncated step bootstraps from its final
/// observation, a terminated one does not, and no trace crosses the end of an episode.
///
/// # Panics
/// When the slices do not fit each other: a caller's bug.
#[must_use]
pub fn advantages(trace: &Trace<'_>, gamma: f64, lambda: f64) -> Vec<f64> {
    let envs = trace.last_values.len();
    let mut advantages = vec![0.0; trace.rewards.len()];
    for env in 0..envs {
        let (mut next_value, mut next_advantage) = (trace.last_values[env], 0.0);
        for at in (env..trace.rewards.len()).step_by(envs).rev() {
            let (following, carried) = match trace.outcomes[at] {
                StepOutcome::Continues => (next_value, next_advantage),
                StepOutcome::Terminated => (0.0, 0.0),
                StepOutcome::Truncated => (trace.final_values[at], 0.0),
            };
            let surprise = trace.rewards[at] + gamma * following - trace.values[at];
            advantages[at] = surprise + gamma * lambda * carried;
            (next_value, next_advantage) = (trace.values[at], advantages[at]);
        }
    }
    advantages
}

#[cfg(test)]
mod tests {
    use StepOutcome::{Continues, Terminated, Truncated};

    use super::*;

    const REWARDS: [f64; 4] = [1.0, 2.0, 3.0, 4.0];
    const VALUES: [f64; 4] = [0.5, 0.6, 0.7, 0.8];

    fn with_second_step(outcome: StepOutcome, final_value: f64) -> Vec<f64> {
        let trace = Trace {
            rewards: &REWARDS,
            values: &VALUES,
            outcomes: &[Continues, outcome, Continues, Continues],
            final_values: &[f64::NAN, final_value, f64::NAN, f64::NAN],
            last_values: &[0.9],
        };
        advantages(&trace, 0.99, 0.95)
    }

    fn assert_close(actual: &[f64], expected: &[f64]) {
        assert_eq!(actual.len(), expected.len());
        for (actual, expected) in actual.iter().zip(expected) {
            assert!((actual - expected).abs() < 1e-9, "{actual} is not {expected}");
        }
    }

    #[test]
    fn an_episode_that_goes_on_carries_the_whole_trace() {
        let expected = [9.200_809_193_137_5, 8.619_680_162_5, 6.939_585_5, 4.091];
        let actual = with_second_step(Continues, f64::NAN);
        assert!(actual.iter().zip(expected).all(|(actual, expected)| (actual - expected).abs() < 1e-8), "{actual:?}");
    }

    #[test]
    fn termination_neither_bootstraps_nor_lets_the_trace_cross() {
        assert_close(&with_second_step(Terminated, f64::NAN), &[2.4107, 1.4, 6.939_585_5, 4.091]);
    }

    #[test]
    fn truncation_bootstraps_from_the_final_observation_but_lets_no_trace_cross() {
        assert_close(&with_second_step(Truncated, 0.65), &[3.015_911_75, 2.0435, 6.939_585_5, 4.091]);
    }

    #[test]
    fn environments_side_by_side_do_not_touch() {
        let both = |values: [f64; 4]| values.into_iter().flat_map(|value| [value, 10.0 * value]).collect::<Vec<_>>();
        let (rewards, values) = (both(REWARDS), both(VALUES));
        let outcomes = [Continues, Terminated, Continues, Continues, Continues, Continues, Continues, Continues];
        let trace = Trace {
            rewards: &rewards,
            values: &values,
            outcomes: &outcomes,
            final_values: &[0.0; 8],
            last_values: &[0.9, 9.0],
        };
        let first: Vec<f64> = advantages(&trace, 0.99, 0.95).into_iter().step_by(2).collect();
        assert_close(&first, &with_second_step(Continues, 0.0));
    }
}
