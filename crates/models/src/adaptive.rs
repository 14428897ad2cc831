//! Intervals that learn from where outcomes fell (Gibbs & Candès 2021): a state that goes from bar to bar.
//!
//! The outcome of a forecast is known `horizon` bars later, so the level moves late, and never by what is not known yet. The
//! newest scores take the place of the oldest. The state is a function of the calibration, the closes and the forecasts so
//! far: a live session and a backtest over the same bars hold the same one, and a replay makes it again.

use std::collections::VecDeque;

use spec::Output;
use statistics::calibration::conformal::{Fell, adapted};

use crate::calibration::{Calibration, Ends, ends, moments};

/// The state of adaptive intervals over one series of bars.
#[derive(Clone, Debug, PartialEq)]
pub struct Adaptive {
    target: f64,
    rate: f64,
    horizon: u64,
    /// Share of outcomes that the next interval may leave outside.
    miss: f64,
    /// Scores, oldest first, and the same from the least on.
    recent: VecDeque<f64>,
    sorted: Vec<f64>,
    /// Forecasts whose outcome is not known yet, oldest first.
    waiting: VecDeque<Waiting>,
    bars: u64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Waiting {
    due: u64,
    close: f64,
    expected: f64,
    deviation: f64,
    ends: Ends,
}

impl Adaptive {
    /// Before the first bar.
    #[must_use]
    pub fn new(calibration: &Calibration) -> Self {
        let mut sorted = calibration.scores.clone();
        sorted.sort_by(f64::total_cmp);
        let target = 1.0 - calibration.coverage;
        Self {
            target,
            rate: calibration.rate,
            horizon: u64::from(calibration.horizon),
            miss: target,
            recent: calibration.scores.iter().copied().collect(),
            sorted,
            waiting: VecDeque::with_capacity(calibration.horizon as usize + 1),
            bars: 0,
        }
    }

    /// A bar closed: due before [`Adaptive::interval`], for every bar, also those without a forecast.
    pub fn close(&mut self, close: f64) {
        self.bars += 1;
        while let Some(waiting) = self.waiting.front().copied().filter(|waiting| waiting.due <= self.bars) {
            self.waiting.pop_front();
            self.learn(&waiting, libm::log(close / waiting.close));
        }
    }

    /// The interval of the calibrated forecast made at this close; `None` for what is no forecast.
    pub fn interval(&mut self, close: f64, output: &Output) -> Option<Ends> {
        let ends = ends(output, &self.sorted, self.miss)?;
        let (expected, deviation) = moments(output)?;
        self.waiting.push_back(Waiting { due: self.bars + self.horizon, close, expected, deviation, ends });
        Some(ends)
    }

    fn learn(&mut self, waiting: &Waiting, outcome: f64) {
        let score = (outcome - waiting.expected).abs() / waiting.deviation;
        if !score.is_finite() {
            return;
        }
        let inside = (waiting.ends.low..=waiting.ends.high).contains(&outcome);
        let fell = if inside { Fell::Inside } else { Fell::Outside };
        self.miss = adapted(self.miss, (self.target, self.rate), fell);
        if let Some(oldest) = self.recent.pop_front() {
            let place = self.sorted.partition_point(|score| *score < oldest);
            self.sorted.remove(place);
        }
        self.recent.push_back(score);
        self.sorted.insert(self.sorted.partition_point(|other| *other < score), score);
    }
}

#[cfg(test)]
mod tests {
    use spec::Spread;

    use super::*;
    use crate::calibration::tests::{calibration, forecast};

    /// A forecast of no return with a deviation of one percent, at each of `closes`.
    fn over(fitted: &Calibration, closes: &[f64]) -> Vec<Ends> {
        let (mut state, said) = (Adaptive::new(fitted), forecast(0.0, Some(Spread::Deviation(0.01))));
        let each = closes.iter().map(|close| {
            state.close(*close);
            state.interval(*close, &said).unwrap()
        });
        each.collect()
    }

    #[test]
    fn a_level_moves_once_the_outcome_is_known_and_by_the_rate() {
        let fitted = Calibration { horizon: 3, ..calibration() };
        // The fourth close is far outside of what the first forecast, three bars before, allows.
        let ends = over(&fitted, &[100.0, 100.0, 100.0, 150.0, 150.0]);
        let miss: Vec<f64> = ends.iter().map(|ends| ends.miss).collect();
        let expected = [0.1, 0.1, 0.1, 0.1 - 0.05 * 0.9, 0.1 - 2.0 * 0.05 * 0.9];
        assert!(miss.iter().zip(expected).all(|(ours, theirs)| (ours - theirs).abs() < 1e-12), "{miss:?}");
        assert_eq!(ends[2].high, fitted.split().interval(&forecast(0.0, Some(Spread::Deviation(0.01)))).unwrap().high);
        assert!(ends[4].high > ends[3].high && ends[3].high > ends[2].high, "{ends:?}");
    }

    #[test]
    fn no_interval_depends_on_a_later_close() {
        let fitted = Calibration { horizon: 3, ..calibration() };
        let closes: Vec<f64> = (0..40).map(|bar| 100.0 + f64::from(bar * 7 % 11)).collect();
        let whole = over(&fitted, &closes);
        for cut in 1..40 {
            let mut other = closes.clone();
            other[cut..].iter_mut().for_each(|close| *close *= 3.0);
            assert_eq!(over(&fitted, &other)[..cut], whole[..cut]);
        }
    }

    #[test]
    fn the_newest_scores_take_the_place_of_the_oldest() {
        let fitted = Calibration { horizon: 1, rate: 0.0, scores: vec![1.0; 9], ..calibration() };
        // Each bar falls 2 %: scores of 2 push out those of 1, and the reach follows once a tenth of them are gone.
        let closes: Vec<f64> = (0..12).map(|bar| 100.0 * f64::exp(-0.02 * f64::from(bar))).collect();
        let ends = over(&fitted, &closes);
        assert!((ends[0].high - 0.01).abs() < 1e-9 && (ends[11].high - 0.02).abs() < 1e-9, "{ends:?}");
    }
}
