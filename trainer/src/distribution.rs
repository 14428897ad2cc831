//! Distributions that policies draw actions from: log probabilities, entropies and their gradients.

use std::f64::consts::{LN_2, PI};

/// ln of the deviation of a squashed Gaussian stays within these (Haarnoja et al. 2018, reference code).
pub(crate) const LOG_DEVIATION: (f32, f32) = (-20.0, 2.0);

/// ln √(2π).
fn half_log_two_pi() -> f64 {
    (2.0 * PI).ln() / 2.0
}

/// Replaces logits by ln of the probabilities.
pub(crate) fn log_softmax(logits: &mut [f64]) {
    let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logits.iter().map(|logit| (logit - most).exp()).sum();
    logits.iter_mut().for_each(|logit| *logit -= most + sum.ln());
}

/// Entropy in nats of a distribution given by ln of its probabilities.
pub(crate) fn categorical_entropy(log_probabilities: &[f64]) -> f64 {
    -log_probabilities.iter().map(|log| log.exp() * log).sum::<f64>()
}

/// The action that `uniform`, in [0, 1), falls on.
pub(crate) fn draw_categorical(log_probabilities: &[f64], uniform: f64) -> usize {
    let mut left = uniform;
    for (action, log) in log_probabilities.iter().enumerate() {
        left -= log.exp();
        if left < 0.0 {
            return action;
        }
    }
    log_probabilities.len() - 1
}

/// ln of the density of a Gaussian.
pub(crate) fn gaussian_log_density(value: f64, mean: f64, log_deviation: f64) -> f64 {
    let z = (value - mean) * (-log_deviation).exp();
    -0.5 * z * z - log_deviation - half_log_two_pi()
}

/// Entropy in nats of a Gaussian.
pub(crate) fn gaussian_entropy(log_deviation: f64) -> f64 {
    0.5 + half_log_two_pi() + log_deviation
}

/// ln of the density of tanh(u), u Gaussian with standardised value `noise`: the change of variables without a small
/// constant (Haarnoja et al. 2018, appendix C; the stable form of Spinning Up), which is off by 4.8 nats at u = 10.
pub(crate) fn squashed_log_density(u: f64, noise: f64, log_deviation: f64) -> f64 {
    -0.5 * noise * noise - log_deviation - half_log_two_pi() - 2.0 * (LN_2 - u - softplus(-2.0 * u))
}

/// ln(1 + exp x).
fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(actual: f64, expected: f64) {
        assert!((actual - expected).abs() < 1e-10 * expected.abs().max(1.0), "{actual} is not {expected}");
    }

    #[test]
    fn squashed_densities_have_their_golden_values() {
        let at = |mean: f64, log_deviation: f64, u: f64| {
            squashed_log_density(u, (u - mean) / log_deviation.exp(), log_deviation)
        };
        close(at(0.3, -0.5, 0.7), -0.181_860_620_764_385_03);
        close(at(0.3, -0.5, 0.7) - 2.0_f64.ln(), -0.875_007_801_3);
        assert!((at(1.0, -1.0, 10.0) - -280.562_004_896_9).abs() < 1e-9);
    }

    #[test]
    fn a_squashed_density_integrates_to_one() {
        // Over a = tanh u: the midpoint rule.
        let count = 200_000;
        let sum: f64 = (0..count)
            .map(|index| {
                let a = -1.0 + 2.0 * (f64::from(index) + 0.5) / f64::from(count);
                let u = a.atanh();
                squashed_log_density(u, (u - 0.3) / 0.5_f64.exp(), 0.5).exp() * 2.0 / f64::from(count)
            })
            .sum();
        assert!((sum - 1.0).abs() < 1e-3, "{sum}");
    }

    #[test]
    fn gaussians_and_categories_have_their_textbook_values() {
        close(gaussian_log_density(1.0, 0.0, 0.0), -0.5 - 0.918_938_533_204_672_7);
        close(gaussian_log_density(3.0, 1.0, 2.0_f64.ln()), -0.5 - 2.0_f64.ln() - 0.918_938_533_204_672_7);
        close(gaussian_entropy(0.0), 1.418_938_533_204_672_7);
        let mut halves = [5.0, 5.0];
        log_softmax(&mut halves);
        close(halves[0], -LN_2);
        close(categorical_entropy(&halves), LN_2);
        let mut quarters = [1.0_f64, 3.0].map(f64::ln);
        log_softmax(&mut quarters);
        close(quarters[1].exp(), 0.75);
        close(categorical_entropy(&quarters), 0.562_335_144_618_808_3);
        assert_eq!([0.0, 0.249, 0.251, 0.999].map(|u| draw_categorical(&quarters, u)), [0, 0, 1, 1]);
    }
}
