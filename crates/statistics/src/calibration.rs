//! Whether forecasts mean what they say: scores, calibration errors, coverage; and what brings them in line.
//!
//! [`scores`] judges a forecast, [`reliability`] probabilities against frequencies, [`coverage`] intervals against their
//! promise. [`temperature`] and [`spread`] fit one number each, [`conformal`] takes intervals from earlier misses, and
//! [`frequencies`] follows how often classes come.

pub mod conformal;
pub mod coverage;
pub mod frequencies;
pub mod reliability;
pub mod scores;
pub mod spread;
pub mod temperature;

/// The least `x` of a function with one valley between `low` and `high`, to within `tolerance`: golden section (Kiefer
/// 1953). Each step keeps 0.618 of the range, so the number of steps is known before.
fn least(mut low: f64, mut high: f64, tolerance: f64, of: impl Fn(f64) -> f64) -> f64 {
    let golden = (5f64.sqrt() - 1.0) / 2.0;
    let steps = ((tolerance / (high - low)).ln() / golden.ln()).ceil().max(0.0) as usize;
    let (mut left, mut right) = (high - golden * (high - low), low + golden * (high - low));
    let (mut at_left, mut at_right) = (of(left), of(right));
    for _ in 0..steps {
        if at_left <= at_right {
            (high, right, at_right) = (right, left, at_left);
            left = high - golden * (high - low);
            at_left = of(left);
        } else {
            (low, left, at_left) = (left, right, at_right);
            right = low + golden * (high - low);
            at_right = of(right);
        }
    }
    (low + high) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bottom_of_a_valley_is_found_inside_and_at_an_edge() {
        assert!((least(-4.0, 9.0, 1e-9, |x| (x - 1.25).powi(2)) - 1.25).abs() < 1e-7);
        assert!((least(0.0, 1.0, 1e-9, |x| (x - 3.0).abs()) - 1.0).abs() < 1e-8);
        assert!((least(0.0, 1.0, 1e-9, |x| (x - 0.3).abs()) - 0.3).abs() < 1e-8);
    }
}
