//! Proper scores of one forecast: less is better, and nobody gains by saying anything but what they believe (Gneiting &
//! Raftery 2007).

use statrs::distribution::{Continuous as _, ContinuousCDF as _, Normal};

/// Brier score of probabilities over classes: Σ (p − 1 of the class that came)². 0 to 2; NaN for a class that is not there.
#[must_use]
pub fn brier(probabilities: &[f64], class: usize) -> f64 {
    if class >= probabilities.len() {
        return f64::NAN;
    }
    let miss = |(index, probability): (usize, &f64)| probability - f64::from(u8::from(index == class));
    probabilities.iter().enumerate().map(|pair| miss(pair).powi(2)).sum()
}

/// Continuous ranked probability score of a Gaussian: eq. 21. In the unit of the outcome. A deviation of 0 is a point
/// forecast, whose score is its absolute miss; a negative one gives NaN.
#[must_use]
pub fn crps_gaussian((mean, deviation): (f64, f64), outcome: f64) -> f64 {
    if deviation == 0.0 {
        return (outcome - mean).abs();
    }
    if deviation < 0.0 {
        return f64::NAN;
    }
    let (z, normal) = ((outcome - mean) / deviation, Normal::standard());
    deviation * (z * (2.0 * normal.cdf(z) - 1.0) + 2.0 * normal.pdf(z) - 1.0 / std::f64::consts::PI.sqrt())
}

/// Pinball loss of a quantile at `level`, 0 to 1; in the unit of the outcome.
#[must_use]
pub fn pinball(quantile: f64, level: f64, outcome: f64) -> f64 {
    let miss = outcome - quantile;
    if miss < 0.0 { (level - 1.0) * miss } else { level * miss }
}

/// Continuous ranked probability score as far as some quantiles tell: twice the mean of their [`pinball`] losses. The score is
/// twice the integral of that loss over all levels (Laio & Tamea 2007, eq. 8), so this is an approximation, the same for all
/// that say the same levels. NaN without quantiles.
#[must_use]
pub fn crps_quantiles(quantiles: &[f64], levels: &[f64], outcome: f64) -> f64 {
    let losses = quantiles.iter().zip(levels).map(|(quantile, level)| pinball(*quantile, *level, outcome));
    2.0 * losses.sum::<f64>() / quantiles.len().min(levels.len()) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn undefined_forecasts_have_no_score_and_certain_ones_that_of_a_point() {
        assert!(brier(&[0.5, 0.5], 2).is_nan() && crps_gaussian((0.0, -1.0), 0.0).is_nan());
        assert!(crps_gaussian((f64::NAN, 1.0), 0.0).is_nan() && crps_quantiles(&[], &[], 0.0).is_nan());
        assert_eq!(crps_gaussian((1.5, 0.0), -0.5), 2.0);
        assert_eq!((brier(&[1.0, 0.0], 0), brier(&[1.0, 0.0], 1)), (0.0, 2.0));
    }

    #[test]
    fn many_quantiles_of_a_gaussian_come_to_its_score() {
        let levels: Vec<f64> = (0..2_000).map(|place| (f64::from(place) + 0.5) / 2_000.0).collect();
        let quantiles: Vec<f64> =
            levels.iter().map(|level| 0.3 + 2.0 * Normal::standard().inverse_cdf(*level)).collect();
        for outcome in [-4.0, 0.3, 1.7] {
            let (whole, cut) = (crps_gaussian((0.3, 2.0), outcome), crps_quantiles(&quantiles, &levels, outcome));
            assert!((whole / cut - 1.0).abs() < 2e-3, "{whole} {cut}");
        }
    }
}
