//! How a column was distributed where it was fitted, and how far later values are from it.

use serde::{Deserialize, Serialize};

/// Bins of equal share.
const BINS: usize = 10;

/// Share that an empty bin counts as, so that the index stays finite.
const SHARE_LEAST: f64 = 1e-4;

/// A column's distribution over the rows it was fitted on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Rows.
    pub rows: u64,
    /// Smallest value.
    pub least: f64,
    /// Largest value.
    pub most: f64,
    /// Ends of the bins between the smallest and the largest: the deciles. A value equal to one lies above it.
    pub deciles: Vec<f64>,
    /// Share of the rows in each bin; a tenth each where values differ.
    pub shares: Vec<f64>,
}

/// How far values are from a profile.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Drift {
    /// Population stability index over the deciles: below 0.1 is usual noise, above 0.25 another distribution.
    pub stability: f64,
    /// Largest distance between the two distribution functions at the deciles (Kolmogorov and Smirnov).
    pub distance: f64,
    /// Share of values outside the smallest to the largest.
    pub outside: f64,
}

impl Profile {
    /// Of finite values; `None` without any.
    #[must_use]
    pub fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_unstable_by(f64::total_cmp);
        let (least, most) = (*values.first()?, *values.last()?);
        let deciles = (1..BINS).map(|decile| quantile(&values, decile as f64 / BINS as f64)).collect();
        let mut profile = Self { rows: values.len() as u64, least, most, deciles, shares: Vec::new() };
        profile.shares = profile.shares_of(&values);
        Some(profile)
    }

    /// Whether the column did not vary, so that it teaches nothing.
    #[must_use]
    pub fn is_constant(&self) -> bool {
        self.least >= self.most
    }

    /// Compares later values; `None` without any.
    #[must_use]
    pub fn drift(&self, values: &[f64]) -> Option<Drift> {
        if values.is_empty() {
            return None;
        }
        let now = self.shares_of(values);
        let (mut stability, mut distance, mut gap) = (0.0, 0.0f64, 0.0);
        for (then, now) in self.shares.iter().zip(&now) {
            let (p, q) = (then.max(SHARE_LEAST), now.max(SHARE_LEAST));
            stability += (q - p) * (q / p).ln();
            gap += now - then;
            distance = distance.max(gap.abs());
        }
        let outside = values.iter().filter(|value| **value < self.least || **value > self.most).count();
        Some(Drift { stability, distance, outside: outside as f64 / values.len() as f64 })
    }

    fn shares_of(&self, values: &[f64]) -> Vec<f64> {
        let mut counts = [0.0; BINS];
        for value in values {
            counts[self.deciles.partition_point(|end| end <= value)] += 1.0;
        }
        counts.iter().map(|count| count / values.len() as f64).collect()
    }
}

/// By linear interpolation between sorted values.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    let (below, part) = (place.floor() as usize, place.fract());
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + part * (sorted[above] - sorted[below])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_the_fit_have_no_drift_and_others_have_theirs() {
        let fitted: Vec<f64> = (0..1_000).map(|n| f64::from(n * 7 % 1_000)).collect();
        let profile = Profile::of(fitted.clone()).unwrap();
        assert_eq!((profile.rows, profile.least, profile.most), (1_000, 0.0, 999.0));
        assert!(profile.shares.iter().all(|share| (share - 0.1).abs() < 1e-12), "{:?}", profile.shares);
        assert_eq!(profile.drift(&fitted).unwrap(), Drift { stability: 0.0, distance: 0.0, outside: 0.0 });
        // Half of the values move to the upper half: 10 bins of 0.1 become five of 0 and five of 0.2.
        let moved: Vec<f64> = fitted.iter().map(|value| 500.0 + value / 2.0).collect();
        let drift = profile.drift(&moved).unwrap();
        assert!((drift.distance - 0.5).abs() < 0.01, "{drift:?}");
        let expected = 5.0 * 0.1 * 2f64.ln() + 5.0 * (SHARE_LEAST - 0.1) * (SHARE_LEAST / 0.1).ln();
        assert!((drift.stability - expected).abs() < 0.05, "{} against {expected}", drift.stability);
        assert_eq!(profile.drift(&[-1.0, 5.0]).unwrap().outside, 0.5);
        assert_eq!(profile.drift(&[]), None);
    }

    #[test]
    fn a_constant_column_is_said_to_be_one() {
        assert!(Profile::of(vec![0.5; 20]).unwrap().is_constant());
        assert!(!Profile::of(vec![0.5, 0.6]).unwrap().is_constant());
        assert_eq!(Profile::of(Vec::new()), None);
    }
}
