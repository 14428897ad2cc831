//! Confidence intervals for figures of dependent returns, by resampling blocks of them.
//!
//! Stationary bootstrap (Politis & Romano 1994): blocks of geometric length, wrapped around the end, so that a resampled
//! series is stationary. Moving blocks (Künsch 1989): blocks of one length that do not wrap. Draws no random number itself.

/// How blocks are cut.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Blocks {
    /// Geometric lengths with this mean, at least 1; wraps.
    Stationary(f64),
    /// Every block this long, cut short at the end of the sample.
    Moving(usize),
}

/// A two-sided percentile interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// A resampled series of the same length. `uniform` gives numbers in [0, 1) and decides everything. Empty stays empty.
#[must_use]
pub fn resample(returns: &[f64], blocks: Blocks, uniform: &mut dyn FnMut() -> f64) -> Vec<f64> {
    let count = returns.len();
    let mut sample = Vec::with_capacity(count);
    if count == 0 {
        return sample;
    }
    match blocks {
        Blocks::Stationary(mean) => {
            let restart = 1.0 / mean.max(1.0);
            let mut at = below(count, uniform());
            while sample.len() < count {
                sample.push(returns[at]);
                at = if uniform() < restart { below(count, uniform()) } else { (at + 1) % count };
            }
        }
        Blocks::Moving(length) => {
            let length = length.clamp(1, count);
            while sample.len() < count {
                let from = below(count - length + 1, uniform());
                let kept = length.min(count - sample.len());
                sample.extend_from_slice(&returns[from..from + kept]);
            }
        }
    }
    sample
}

/// The middle `confidence` (0 to 1) of `figure` over `draws` resampled series. NaN at both ends when there is no draw or a
/// figure is NaN: an interval that left them out would be too narrow.
#[must_use]
pub fn interval(
    returns: &[f64],
    blocks: Blocks,
    (draws, confidence): (usize, f64),
    figure: impl Fn(&[f64]) -> f64,
    uniform: &mut dyn FnMut() -> f64,
) -> Interval {
    let mut figures: Vec<f64> = (0..draws).map(|_| figure(&resample(returns, blocks, uniform))).collect();
    if figures.is_empty() || figures.iter().any(|figure| figure.is_nan()) {
        return Interval { low: f64::NAN, high: f64::NAN };
    }
    figures.sort_by(f64::total_cmp);
    let tail = (1.0 - confidence.clamp(0.0, 1.0)) / 2.0;
    Interval { low: quantile(&figures, tail), high: quantile(&figures, 1.0 - tail) }
}

/// Linear between order statistics, as numpy's default.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let at = share * (sorted.len() - 1) as f64;
    let (low, high) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    low + (high - low) * at.fract()
}

fn below(count: usize, uniform: f64) -> usize {
    ((uniform * count as f64) as usize).min(count - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::generator;
    use crate::mean;

    fn ramp(count: i32) -> Vec<f64> {
        (0..count).map(f64::from).collect()
    }

    #[test]
    fn moving_blocks_are_runs_of_the_series() {
        let sample = resample(&ramp(100), Blocks::Moving(10), &mut generator(1));
        assert_eq!(sample.len(), 100);
        assert!(sample.chunks(10).all(|block| block.windows(2).all(|pair| pair[1] == pair[0] + 1.0)));
    }

    #[test]
    fn stationary_blocks_have_the_mean_length_asked_for() {
        let sample = resample(&ramp(20_000), Blocks::Stationary(8.0), &mut generator(2));
        let breaks = sample.windows(2).filter(|pair| pair[1] != (pair[0] + 1.0) % 20_000.0).count();
        let length = sample.len() as f64 / (breaks + 1) as f64;
        assert!((length - 8.0).abs() < 0.5, "{length}");
    }

    #[test]
    fn a_block_as_long_as_the_series_gives_it_back() {
        assert_eq!(resample(&ramp(9), Blocks::Moving(50), &mut generator(3)), ramp(9));
        assert!(resample(&[], Blocks::Stationary(4.0), &mut generator(3)).is_empty());
    }

    /// For independent values the interval of the mean is near ±1.96 standard errors.
    #[test]
    fn the_interval_of_a_mean_has_the_width_that_theory_gives() {
        let mut uniform = generator(4);
        let returns: Vec<f64> = (0..400).map(|_| uniform() - 0.5).collect();
        let ours = interval(&returns, Blocks::Stationary(1.0), (2_000, 0.95), mean, &mut uniform);
        let error = crate::deviation(&returns) / 20.0;
        assert!(((ours.high - ours.low) / (2.0 * 1.96 * error) - 1.0).abs() < 0.08, "{ours:?}");
        assert!(ours.low < mean(&returns) && mean(&returns) < ours.high);
    }

    #[test]
    fn the_same_generator_gives_the_same_interval_and_an_undefined_figure_gives_none() {
        let of = |seed| interval(&ramp(50), Blocks::Moving(5), (100, 0.9), mean, &mut generator(seed));
        assert_eq!(of(5), of(5));
        assert_ne!(of(5), of(6));
        assert!(interval(&[f64::NAN], Blocks::Moving(1), (10, 0.9), mean, &mut generator(1)).low.is_nan());
        assert!(interval(&[1.0], Blocks::Moving(1), (0, 0.9), mean, &mut generator(1)).high.is_nan());
    }
}
