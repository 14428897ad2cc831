//! One factor that makes spreads as wide as outcomes are scattered (Kuleshov et al. 2018; Laves et al. 2020).

use super::least;
use super::scores::pinball;

/// Factors that are tried for quantiles.
const RANGE: (f64, f64) = (0.1, 10.0);

/// Accuracy of the logarithm of a factor.
const TOLERANCE: f64 = 1e-7;

/// The factor of Gaussian deviations that makes standardised misses, (outcome − mean) / deviation, most likely: their root
/// mean square, which is where the likelihood's slope is 0. NaN for none.
#[must_use]
pub fn gaussian_factor(standardised: &[f64]) -> f64 {
    (standardised.iter().map(|miss| miss * miss).sum::<f64>() / standardised.len() as f64).sqrt()
}

/// Quantiles of a row, their middle, and what came.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fanned<const LEVELS: usize> {
    /// Ascending.
    pub quantiles: [f64; LEVELS],
    /// What the factor does not move.
    pub middle: f64,
    /// What came.
    pub outcome: f64,
}

/// The factor in 0.1 to 10 of the distances of quantiles from their middle that has the least pinball loss. That loss is
/// convex in the factor, since a quantile is linear in it, so there is one valley; golden section over its logarithm. NaN
/// for no rows.
#[must_use]
pub fn quantile_factor<const LEVELS: usize>(rows: &[Fanned<LEVELS>], levels: &[f64; LEVELS]) -> f64 {
    if rows.is_empty() {
        return f64::NAN;
    }
    let loss = |factor: f64| -> f64 {
        let of = |row: &Fanned<LEVELS>| -> f64 {
            let moved = row.quantiles.map(|quantile| row.middle + factor * (quantile - row.middle));
            moved.iter().zip(levels).map(|(quantile, level)| pinball(*quantile, *level, row.outcome)).sum()
        };
        rows.iter().map(of).sum()
    };
    least(RANGE.0.ln(), RANGE.1.ln(), TOLERANCE, |log| loss(log.exp())).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spreads_that_are_said_half_as_wide_are_doubled() {
        assert!((gaussian_factor(&[2.0, -2.0, 2.0, -2.0]) - 2.0).abs() < 1e-12);
        assert!(gaussian_factor(&[]).is_nan());
        // Outcomes spread evenly over −1 to 1, quantiles said as of −0.5 to 0.5.
        let rows: Vec<Fanned<3>> = (0..2_001)
            .map(|row| Fanned { quantiles: [-0.4, 0.0, 0.4], middle: 0.0, outcome: f64::from(row) / 1_000.0 - 1.0 })
            .collect();
        let factor = quantile_factor(&rows, &[0.1, 0.5, 0.9]);
        assert!((factor - 2.0).abs() < 5e-3, "{factor}");
        assert!(quantile_factor::<3>(&[], &[0.1, 0.5, 0.9]).is_nan());
    }
}
