//! Adam over a flat buffer in one pass, and Polyak averaging.

use crate::elementary::{sum_of_squares, vectorised};

/// Decay of the gradient's running mean.
const BETA_1: f32 = 0.9;
/// Decay of its square's.
const BETA_2: f32 = 0.999;

/// A gradient or a mean below this is zero, and so is a square below its square: beside any ε in use it moves no weight. Else
/// the means of units that no longer learn would sink into subnormal numbers, which many CPUs add a hundred times as slowly.
const NEGLIGIBLE: f32 = 1e-17;

/// What Adam is told once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamOptions {
    /// Added to the denominator.
    pub epsilon: f32,
    /// Largest norm of the gradient of all weights together; a longer one is scaled down.
    pub norm_max: Option<f64>,
}

/// The gradient holds NaN or infinity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotFinite;

/// Adam (Kingma and Ba 2015): moments and count.
#[derive(Clone, Debug, PartialEq)]
pub struct Adam {
    options: AdamOptions,
    /// Steps done.
    pub steps: u64,
    /// Running mean of the gradient.
    pub first: Vec<f32>,
    /// Running mean of its square.
    pub second: Vec<f32>,
}

impl Adam {
    /// For a flat buffer of `len` weights.
    #[must_use]
    pub fn new(len: usize, options: AdamOptions) -> Self {
        Self { options, steps: 0, first: vec![0.0; len], second: vec![0.0; len] }
    }

    /// One step against the gradient, which is zero afterwards: backward passes add to it.
    ///
    /// # Errors
    /// [`NotFinite`]; the weights are unchanged then.
    ///
    /// # Panics
    /// When `weights` or `gradient` has another length: a caller's bug.
    pub fn step(&mut self, weights: &mut [f32], gradient: &mut [f32], learning_rate: f64) -> Result<(), NotFinite> {
        assert_eq!((weights.len(), gradient.len()), (self.first.len(), self.first.len()), "one gradient a weight");
        let norm = sum_of_squares(gradient).sqrt();
        if !norm.is_finite() {
            return Err(NotFinite);
        }
        let scale = match self.options.norm_max {
            Some(most) if norm > most => (most / (norm + 1e-6)) as f32,
            Some(_) | None => 1.0,
        };
        self.steps += 1;
        let exponent = self.steps as f64;
        let bias = |beta: f32| 1.0 - f64::from(beta).powf(exponent);
        let rate = (learning_rate / bias(BETA_1)) as f32;
        let (unbias, epsilon) = ((1.0 / bias(BETA_2).sqrt()) as f32, self.options.epsilon);
        let moments = self.first.iter_mut().zip(&mut self.second).zip(gradient);
        vectorised(|| {
            for (weight, ((first, second), gradient)) in weights.iter_mut().zip(moments) {
                let g = kept(*gradient * scale, NEGLIGIBLE);
                *gradient = 0.0;
                *first = kept(*first + (1.0 - BETA_1) * (g - *first), NEGLIGIBLE);
                *second = kept(*second + (1.0 - BETA_2) * (g * g - *second), NEGLIGIBLE * NEGLIGIBLE);
                *weight -= rate * *first / (second.sqrt() * unbias + epsilon);
            }
        });
        Ok(())
    }
}

#[inline(always)]
fn kept(value: f32, least: f32) -> f32 {
    if value.abs() < least { 0.0 } else { value }
}

/// weights ← (1 − share)·weights: decoupled weight decay (Loshchilov and Hutter 2019), before a step of Adam.
pub fn decay(weights: &mut [f32], share: f64) {
    let keep = (1.0 - share) as f32;
    vectorised(|| weights.iter_mut().for_each(|weight| *weight *= keep));
}

/// target ← (1 − τ)·target + τ·weights.
pub fn polyak(target: &mut [f32], weights: &[f32], tau: f64) {
    let (keep, take) = ((1.0 - tau) as f32, tau as f32);
    vectorised(|| target.iter_mut().zip(weights).for_each(|(target, weight)| *target = keep * *target + take * weight));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_those_of_the_paper() {
        let options = AdamOptions { epsilon: 1e-8, norm_max: None };
        let mut adam = Adam::new(2, options);
        let (mut weights, mut gradient) = ([1.0_f32, -2.0], [0.0; 2]);
        let (mut first, mut second, mut wanted) = ([0.0_f64; 2], [0.0_f64; 2], [1.0_f64, -2.0]);
        for step in 1..=5_i32 {
            for index in 0..2 {
                let g = f64::from(step) * [0.1, -0.3][index];
                gradient[index] = g as f32;
                first[index] = 0.9 * first[index] + 0.1 * g;
                second[index] = 0.999 * second[index] + 0.001 * g * g;
                let (m, v) = (first[index] / (1.0 - 0.9_f64.powi(step)), second[index] / (1.0 - 0.999_f64.powi(step)));
                wanted[index] -= 0.01 * m / (v.sqrt() + 1e-8);
            }
            adam.step(&mut weights, &mut gradient, 0.01).unwrap();
            assert_eq!(gradient, [0.0, 0.0], "a step uses its gradient up");
        }
        for (weight, wanted) in weights.iter().zip(wanted) {
            assert!((f64::from(*weight) - wanted).abs() < 1e-6, "{weight} is not {wanted}");
        }
    }

    #[test]
    fn moments_of_a_weight_that_no_longer_learns_end_at_zero() {
        let mut adam = Adam::new(2, AdamOptions { epsilon: 1e-8, norm_max: None });
        let mut weights = [1.0, 1.0];
        adam.step(&mut weights, &mut [1.0, 1e-18], 0.1).unwrap();
        assert_eq!((weights[1], adam.first[1], adam.second[1]), (1.0, 0.0, 0.0));
        for _ in 0..100_000 {
            adam.step(&mut weights, &mut [0.0, 0.0], 0.1).unwrap();
            assert!(!adam.first[0].is_subnormal() && !adam.second[0].is_subnormal());
        }
        assert_eq!((adam.first[0], adam.second[0]), (0.0, 0.0));
    }

    #[test]
    fn a_long_gradient_is_scaled_to_the_norm_and_a_short_one_is_left() {
        let options = AdamOptions { epsilon: 1.0, norm_max: Some(1.0) };
        let moved = |mut gradient: [f32; 2]| {
            let mut adam = Adam::new(2, options);
            adam.step(&mut [0.0; 2], &mut gradient, 1.0).unwrap();
            [adam.first[0] * 10.0, adam.first[1] * 10.0]
        };
        let [a, b] = moved([30.0, 40.0]);
        assert!((a - 0.6).abs() < 1e-5 && (b - 0.8).abs() < 1e-5, "{a} {b}");
        let [a, b] = moved([0.3, 0.4]);
        assert!((a - 0.3).abs() < 1e-6 && (b - 0.4).abs() < 1e-6);
    }

    #[test]
    fn a_gradient_that_is_not_finite_changes_nothing() {
        let mut adam = Adam::new(1, AdamOptions { epsilon: 1e-8, norm_max: Some(1.0) });
        let mut weights = [5.0];
        assert_eq!(adam.step(&mut weights, &mut [f32::NAN], 0.1), Err(NotFinite));
        assert_eq!((weights, adam.steps), ([5.0], 0));
    }

    #[test]
    fn decay_takes_its_share_of_every_weight() {
        let mut weights = [2.0_f32, -4.0];
        decay(&mut weights, 0.25);
        assert_eq!(weights, [1.5, -3.0]);
        decay(&mut weights, 0.0);
        assert_eq!(weights, [1.5, -3.0]);
    }

    #[test]
    fn polyak_keeps_one_minus_tau_of_the_error_each_step() {
        let mut target = [0.0_f32];
        for _ in 0..100 {
            polyak(&mut target, &[1.0], 0.005);
        }
        assert!((f64::from(1.0 - target[0]) - 0.995_f64.powi(100)).abs() < 1e-6);
        polyak(&mut target, &[3.5], 1.0);
        assert_eq!(target, [3.5], "τ = 1 copies");
    }
}
