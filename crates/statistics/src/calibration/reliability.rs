//! Probabilities against frequencies: reliability bins and expected calibration errors.
//!
//! A row is the probability of the class that was named and whether it came. The error of few rows is mostly noise, always
//! upwards, so [`debiased`] takes out the noise that the counts of the bins explain; [`interval`] says what luck moves.

use statrs::distribution::{ContinuousCDF as _, Normal};

use crate::bootstrap::{Blocks, Interval};

/// The probability of the class that was named, 0 to 1, and whether it came.
pub type Named = (f64, bool);

/// Rows whose probabilities lie close together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bin {
    /// How many.
    pub count: usize,
    /// Mean probability.
    pub confidence: f64,
    /// Share of them that came.
    pub frequency: f64,
}

/// Cuts 0 to 1 into `bins` of equal width and leaves out the empty ones. A probability on an edge goes below it; NaN, or
/// what lies outside 0 to 1, makes a bin of its own whose confidence is NaN.
#[must_use]
pub fn bins(rows: &[Named], bins: usize) -> Vec<Bin> {
    let mut sums = vec![(0_usize, 0.0_f64, 0_usize); bins.max(1)];
    let mut undefined = 0;
    for (probability, came) in rows {
        if !(0.0..=1.0).contains(probability) {
            undefined += 1;
            continue;
        }
        let place = ((probability * sums.len() as f64).ceil() as usize).clamp(1, sums.len()) - 1;
        let (count, confidence, hits) = &mut sums[place];
        *count += 1;
        *confidence += probability;
        *hits += usize::from(*came);
    }
    let bin = |(count, confidence, hits): (usize, f64, usize)| Bin {
        count,
        confidence: confidence / count as f64,
        frequency: hits as f64 / count as f64,
    };
    let mut filled: Vec<Bin> = sums.into_iter().filter(|(count, ..)| *count > 0).map(bin).collect();
    if undefined > 0 {
        filled.push(Bin { count: undefined, confidence: f64::NAN, frequency: f64::NAN });
    }
    filled
}

/// Expected calibration error (Naeini et al. 2015; Guo et al. 2017, eq. 3): mean over rows of |confidence − frequency| of
/// their bin. NaN without rows.
#[must_use]
pub fn error(bins: &[Bin]) -> f64 {
    weighted(bins, |bin| (bin.confidence - bin.frequency).abs())
}

/// The same less the part that is noise of the counts (Kumar, Liang & Ma 2019, section 5): the frequency of a bin is taken as
/// Gaussian, and how much such noise adds to a gap of the size seen is subtracted from it. Not below 0. The gap itself holds
/// noise, so some remains where there is no true gap: about 0.47 deviations of a frequency of the 0.80 before. NaN without
/// rows.
#[must_use]
pub fn debiased(bins: &[Bin]) -> f64 {
    let noiseless = |bin: &Bin| {
        let gap = (bin.confidence - bin.frequency).abs();
        let deviation = (bin.frequency * (1.0 - bin.frequency) / bin.count as f64).sqrt();
        2.0 * gap - folded(gap, deviation)
    };
    let error = weighted(bins, noiseless);
    if error.is_nan() { error } else { error.max(0.0) }
}

/// Mean of |x| for a Gaussian x.
fn folded(mean: f64, deviation: f64) -> f64 {
    if deviation == 0.0 {
        return mean.abs();
    }
    let ratio = mean / deviation;
    deviation * (2.0 / std::f64::consts::PI).sqrt() * (-ratio * ratio / 2.0).exp()
        + mean * (1.0 - 2.0 * Normal::standard().cdf(-ratio))
}

/// Bootstrap interval of the [`debiased`] error of rows in order of time, by blocks of them: from the lower of the percentile
/// and the basic interval (Davison & Hinkley 1997, section 5.2) to the higher. Resampling adds noise once more, so that where
/// there is no gap the percentiles lie too high; the basic interval, twice the error less them, is right there and too low
/// elsewhere. Together they held 86 to 98 % of gaps of 0 to 0.1 where 90 % were asked, in simulations of 800 rows. Not below
/// 0; NaN without rows or draws.
#[must_use]
pub fn interval(
    rows: &[Named],
    count: usize,
    blocks: Blocks,
    (draws, confidence): (usize, f64),
    uniform: &mut dyn FnMut() -> f64,
) -> Interval {
    let places: Vec<f64> = (0..rows.len()).map(|place| place as f64).collect();
    let figure = |places: &[f64]| {
        let drawn: Vec<Named> = places.iter().map(|place| rows[*place as usize]).collect();
        debiased(&bins(&drawn, count))
    };
    let around = crate::bootstrap::interval(&places, blocks, (draws, confidence), figure, uniform);
    let error = figure(&places);
    Interval {
        low: at_least_zero(around.low.min(2.0 * error - around.high)),
        high: at_least_zero(around.high.max(2.0 * error - around.low)),
    }
}

fn at_least_zero(value: f64) -> f64 {
    if value.is_nan() { value } else { value.max(0.0) }
}

fn weighted(bins: &[Bin], of: impl Fn(&Bin) -> f64) -> f64 {
    let rows: usize = bins.iter().map(|bin| bin.count).sum();
    bins.iter().map(|bin| bin.count as f64 * of(bin)).sum::<f64>() / rows as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::generator;

    /// Probabilities spread over 0.35 to 0.75, of which `excess` too much is said.
    fn said(count: usize, excess: f64, seed: u64) -> Vec<Named> {
        let mut uniform = generator(seed);
        let mut row = || {
            let truth = 0.35 + 0.4 * uniform();
            (truth + excess, uniform() < truth)
        };
        (0..count).map(|_| row()).collect()
    }

    #[test]
    fn bins_hold_every_row_once_and_an_edge_goes_below() {
        let rows = [(0.0, false), (0.2, true), (0.2, false), (0.200_001, true), (1.0, true)];
        let cut = bins(&rows, 5);
        assert_eq!(cut.iter().map(|bin| bin.count).collect::<Vec<_>>(), [3, 1, 1]);
        assert!((cut[0].confidence - 0.4 / 3.0).abs() < 1e-15 && (cut[0].frequency - 1.0 / 3.0).abs() < 1e-15);
        assert!(error(&bins(&[(f64::NAN, true), (0.5, true)], 15)).is_nan());
        assert!(error(&bins(&[(1.5, true)], 15)).is_nan() && error(&[]).is_nan() && debiased(&[]).is_nan());
    }

    #[test]
    fn the_debiased_error_of_true_probabilities_is_far_below_the_plain_one_and_a_gap_stays() {
        let mean = |count: usize, excess: f64, of: fn(&[Bin]) -> f64| {
            (0..40).map(|seed| of(&bins(&said(count, excess, seed), 15))).sum::<f64>() / 40.0
        };
        let (plain, less) = (mean(600, 0.0, error), mean(600, 0.0, debiased));
        assert!(plain > 0.035 && less < 0.65 * plain, "{plain} {less}");
        let (plain, less) = (mean(600, 0.1, error), mean(600, 0.1, debiased));
        assert!((plain - 0.1).abs() < 0.012 && (less - 0.1).abs() < 0.012, "{plain} {less}");
        assert!(mean(60_000, 0.0, debiased) < 0.006, "with many rows nothing is left");
    }

    #[test]
    fn the_interval_holds_the_true_gap_nine_times_of_ten_or_more() {
        for gap in [0.0, 0.03, 0.1] {
            let holds = |seed: &u64| {
                let rows = said(800, gap, *seed);
                let around = interval(&rows, 15, Blocks::Stationary(1.0), (200, 0.9), &mut generator(seed + 1_000));
                (around.low..=around.high).contains(&gap)
            };
            let held = (0..60).filter(holds).count();
            // At 90 % each, fewer than 47 of 60 would have a probability of 0.2 %.
            assert!(held >= 47, "{held} of 60 at {gap}");
        }
        let nothing = interval(&[], 15, Blocks::Stationary(1.0), (10, 0.9), &mut generator(1));
        assert!(nothing.low.is_nan() && nothing.high.is_nan());
    }
}
