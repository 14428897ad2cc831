//! How far an interval must reach so that it holds a given share of outcomes, from how far earlier ones fell.
//!
//! A score is a miss over the spread that was said of it, so that an interval is wide where the forecast says so (normalised
//! conformal prediction, Papadopoulos et al. 2002; Lei et al. 2018).

/// What a product of a count and a share may be off.
const ROUNDING: f64 = 1e-9;

/// The score that a new one exceeds with probability at most `miss`, if it is exchangeable with `sorted` (Vovk et al. 2005):
/// the ⌈(n + 1)(1 − miss)⌉-th smallest. Where the theorem asks for more than was ever seen, the largest; 0 where `miss` is 1
/// or more. NaN for no scores.
#[must_use]
pub fn reach(sorted: &[f64], miss: f64) -> f64 {
    if miss >= 1.0 {
        return 0.0;
    }
    // Rounding must not lift a rank that is whole.
    let rank = ((sorted.len() + 1) as f64 * (1.0 - miss) - ROUNDING).ceil() as usize;
    let last = sorted.len().saturating_sub(1);
    sorted.get(rank.saturating_sub(1).min(last)).copied().unwrap_or(f64::NAN)
}

/// Where an outcome fell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fell {
    /// In its interval.
    Inside,
    /// Beyond an end.
    Outside,
}

/// The next level of an adaptive interval (Gibbs & Candès 2021, eq. 2): `miss` + `rate` × (`target` − 1 where the outcome fell
/// outside). May leave 0 to 1. Over T outcomes the share outside is within (1 + rate) / (rate × T) of `target`, whatever the
/// outcomes, as long as intervals beyond 0 and 1 hold everything and nothing; here one beyond 0 reaches as far as the largest
/// score.
#[must_use]
pub fn adapted(miss: f64, (target, rate): (f64, f64), fell: Fell) -> f64 {
    let error = match fell {
        Fell::Inside => 0.0,
        Fell::Outside => 1.0,
    };
    miss + rate * (target - error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reach_is_the_order_statistic_of_the_theorem() {
        let scores: Vec<f64> = (1..=9).map(f64::from).collect();
        // 10 × 0.9 = 9: the largest; 10 × 0.8 = 8 exactly, whatever binary fractions make of it.
        for (miss, expected) in [(0.1, 9.0), (0.2, 8.0), (0.25, 8.0), (0.5, 5.0), (0.05, 9.0), (-0.3, 9.0), (0.95, 1.0)]
        {
            assert_eq!(reach(&scores, miss), expected, "{miss}");
        }
        assert_eq!((reach(&scores, 1.0), reach(&scores, 1.7)), (0.0, 0.0));
        assert!(reach(&[], 0.1).is_nan());
    }

    #[test]
    fn a_level_falls_after_a_miss_and_rises_slowly_otherwise_to_the_share_asked() {
        assert!((adapted(0.1, (0.1, 0.05), Fell::Outside) - 0.055).abs() < 1e-15);
        assert!((adapted(0.1, (0.1, 0.05), Fell::Inside) - 0.105).abs() < 1e-15);
        // Outcomes up to a twentieth beyond what the scores know: the share outside still comes to the target.
        let scores: Vec<f64> = (1..=200).map(|place| f64::from(place) / 200.0).collect();
        let shares = [0.0, 0.02].map(|rate| {
            let (mut miss, mut outside, mut state) = (0.1, 0, 1_u32);
            for _ in 0..10_000 {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let score = 1.05 * f64::from(state) / f64::from(u32::MAX);
                let fell = if score > reach(&scores, miss) { Fell::Outside } else { Fell::Inside };
                outside += u32::from(fell == Fell::Outside);
                miss = adapted(miss, (0.1, rate), fell);
            }
            f64::from(outside) / 10_000.0
        });
        // (1 + 0.02) / (0.02 × 10,000) = 0.0051 is the bound of the paper.
        assert!(shares[0] > 0.13 && (shares[1] - 0.1).abs() < 0.0051, "{shares:?}");
    }
}
