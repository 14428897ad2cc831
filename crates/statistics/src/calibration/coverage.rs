//! Intervals against their promise: how many outcomes they hold, and how many chance allows.

use statrs::distribution::{Binomial, DiscreteCDF as _};

/// The central band of the share of `trials` that succeed when each does with probability `share`: with `confidence` the
/// share lies in it, ends included, and beyond each end lies at most half of the rest. Trials are taken as independent; those
/// of overlapping outcomes are not, and vary more. NaN for no trials or what is no probability.
#[must_use]
pub fn binomial_band(trials: u64, share: f64, confidence: f64) -> (f64, f64) {
    let probability = |value: f64| (0.0..=1.0).contains(&value);
    let Ok(binomial) = Binomial::new(share, trials) else { return (f64::NAN, f64::NAN) };
    if trials == 0 || !probability(confidence) {
        return (f64::NAN, f64::NAN);
    }
    let tail = (1.0 - confidence) / 2.0;
    // The first count with more than `tail` at or below it, and the last with more than `tail` at or above it.
    let low = first(trials, |count| binomial.cdf(count) > tail);
    let high = trials - first(trials, |missing| upper(&binomial, trials - missing) > tail);
    (low as f64 / trials as f64, high as f64 / trials as f64)
}

/// Probability of `count` or more.
fn upper(binomial: &Binomial, count: u64) -> f64 {
    if count == 0 { 1.0 } else { 1.0 - binomial.cdf(count - 1) }
}

/// The first of 0 to `most` that holds, of what holds for all after the first.
fn first(most: u64, holds: impl Fn(u64) -> bool) -> u64 {
    let (mut low, mut high) = (0, most);
    while low < high {
        let middle = low + (high - low) / 2;
        if holds(middle) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wider_confidence_has_a_wider_band_and_more_trials_a_narrower_one() {
        let width = |trials, confidence| {
            let (low, high) = binomial_band(trials, 0.9, confidence);
            assert!(low <= 0.9 && 0.9 <= high);
            high - low
        };
        assert!(width(200, 0.99) > width(200, 0.9) && width(200, 0.99) > 2.0 * width(2_000, 0.99));
        assert_eq!(binomial_band(10, 1.0, 0.99), (1.0, 1.0));
        assert_eq!(binomial_band(10, 0.0, 0.99), (0.0, 0.0));
    }

    #[test]
    fn what_is_no_probability_has_no_band() {
        for (trials, share, confidence) in [(0, 0.9, 0.99), (10, 1.1, 0.99), (10, f64::NAN, 0.99), (10, 0.9, 1.5)] {
            assert!(binomial_band(trials, share, confidence).0.is_nan(), "{trials} {share} {confidence}");
        }
    }
}
