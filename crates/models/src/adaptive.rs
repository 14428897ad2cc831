//! Intervals that learn from where outcomes fell (Gibbs & Candès 2021), and directions that follow how often they come: a
//! state that goes from bar to bar.
//!
//! The outcome of a forecast is known `horizon` bars later, so both move late, and never by what is not known yet. The
//! newest scores take the place of the oldest. The state is a function of the calibration, the closes, their directions and
//! the forecasts so far: a live session and a backtest over the same bars hold the same one, and a replay makes it again.
//! What a direction is, it is told: the rule is that of the labels, which stands in one place.

use std::collections::VecDeque;

use spec::Output;
use statistics::calibration::conformal::{Fell, adapted};
use statistics::calibration::frequencies::Frequencies;

use crate::CLASSES;
use crate::calibration::{Calibration, Ends, ends, moments};

/// The state of adaptive intervals and directions over one series of bars.
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
    /// Of the directions.
    frequencies: Frequencies<CLASSES>,
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
    /// Of the calibration alone.
    probabilities: [f32; CLASSES],
}

/// A calibrated forecast as outcomes so far have moved it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adapted {
    /// Where the outcome is to lie.
    pub ends: Ends,
    /// Of down, flat, up.
    pub probabilities: [f32; CLASSES],
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
            // Outcomes over a horizon overlap: as many bars count as one.
            frequencies: Frequencies::new(calibration.rate / f64::from(calibration.horizon)),
            waiting: VecDeque::with_capacity(calibration.horizon as usize + 1),
            bars: 0,
        }
    }

    /// A bar closed: due before [`Adaptive::forecast`], for every bar, also those without a forecast. `direction`: that of the
    /// bar `horizon` bars before, 0 down, 1 flat, 2 up; directions do not move where it is not known.
    pub fn close(&mut self, close: f64, direction: Option<u8>) {
        self.bars += 1;
        while let Some(waiting) = self.waiting.front().copied().filter(|waiting| waiting.due <= self.bars) {
            self.waiting.pop_front();
            self.learn(&waiting, libm::log(close / waiting.close));
            if let Some(direction) = direction {
                self.frequencies.learn(waiting.probabilities, usize::from(direction));
            }
        }
    }

    /// What becomes of the calibrated forecast made at this close; `None` for what is no forecast.
    pub fn forecast(&mut self, close: f64, output: &Output) -> Option<Adapted> {
        let Output::Forecast { probabilities, .. } = *output else { return None };
        let ends = ends(output, &self.sorted, self.miss)?;
        let (expected, deviation) = moments(output)?;
        let due = self.bars + self.horizon;
        self.waiting.push_back(Waiting { due, close, expected, deviation, ends, probabilities });
        Some(Adapted { ends, probabilities: self.frequencies.corrected(probabilities) })
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

    /// Of each forecast that the calibration alone makes.
    const SAID: [f32; CLASSES] = [0.1, 0.2, 0.7];

    /// A forecast of no return with a deviation of one percent, at each of `closes`; the direction is the sign of the return.
    fn over(fitted: &Calibration, closes: &[f64]) -> Vec<Adapted> {
        let (mut state, said) = (Adaptive::new(fitted), forecast(0.0, Some(Spread::Deviation(0.01))));
        let horizon = fitted.horizon as usize;
        let each = closes.iter().enumerate().map(|(bar, close)| {
            let before = bar.checked_sub(horizon).map(|bar| closes[bar]);
            state.close(*close, before.map(|before| u8::from(*close >= before) + u8::from(*close > before)));
            state.forecast(*close, &said).unwrap()
        });
        each.collect()
    }

    fn near(ours: [f32; CLASSES], parts: [f64; CLASSES]) -> bool {
        let sum: f64 = parts.iter().sum();
        ours.iter().zip(parts).all(|(ours, part)| (f64::from(*ours) - part / sum).abs() < 1e-6)
    }

    #[test]
    fn a_level_moves_once_the_outcome_is_known_and_by_the_rate() {
        let fitted = Calibration { horizon: 3, ..calibration() };
        // The fourth close is far outside of what the first forecast, three bars before, allows.
        let ends: Vec<Ends> =
            over(&fitted, &[100.0, 100.0, 100.0, 150.0, 150.0]).iter().map(|adapted| adapted.ends).collect();
        let miss: Vec<f64> = ends.iter().map(|ends| ends.miss).collect();
        let expected = [0.1, 0.1, 0.1, 0.1 - 0.05 * 0.9, 0.1 - 2.0 * 0.05 * 0.9];
        assert!(miss.iter().zip(expected).all(|(ours, theirs)| (ours - theirs).abs() < 1e-12), "{miss:?}");
        assert_eq!(ends[2].high, fitted.split().interval(&forecast(0.0, Some(Spread::Deviation(0.01)))).unwrap().high);
        assert!(ends[4].high > ends[3].high && ends[3].high > ends[2].high, "{ends:?}");
    }

    #[test]
    fn directions_move_once_the_outcome_is_known_and_by_the_rate() {
        // Half for an outcome that three bars share.
        let fitted = Calibration { horizon: 3, rate: 1.5, ..calibration() };
        let found: Vec<[f32; CLASSES]> = over(&fitted, &[100.0, 100.0, 100.0, 150.0, 150.0, 90.0])
            .iter()
            .map(|adapted| adapted.probabilities)
            .collect();
        assert_eq!(found[..3], [SAID; 3]);
        // Came: 1/6, 1/6, 2/3. Said: 13/60, 4/15, 31/60. Ratios: 10/13, 5/8, 40/31.
        assert!(near(found[3], [1.0 / 13.0, 1.0 / 8.0, 28.0 / 31.0]), "{found:?}");
        // Up again, 1/12, 1/12, 5/6, against 19/120, 7/30, 73/120; then down.
        assert!(near(found[4], [1.0 / 19.0, 1.0 / 14.0, 70.0 / 73.0]), "{found:?}");
        assert!(found[5][0] > found[4][0] && found[5][2] < found[4][2], "{found:?}");
    }

    #[test]
    fn a_direction_that_is_not_known_moves_nothing() {
        let said = forecast(0.0, Some(Spread::Deviation(0.01)));
        let mut state = Adaptive::new(&calibration());
        for _ in 0..5 {
            state.close(100.0, None);
            assert_eq!(state.forecast(100.0, &said).unwrap().probabilities, SAID);
        }
        state.close(100.0, Some(1));
        assert!(state.forecast(100.0, &said).unwrap().probabilities[1] > SAID[1]);
    }

    #[test]
    fn what_is_no_forecast_is_passed_over() {
        let mut state = Adaptive::new(&calibration());
        state.close(100.0, None);
        assert_eq!(state.forecast(100.0, &Output::Control { action: vec![0.5] }), None);
        assert_eq!(state.forecast(100.0, &forecast(0.0, None)), None, "without a spread there is no interval");
        state.close(100.0, Some(2));
        let said = state.forecast(100.0, &forecast(0.0, Some(Spread::Deviation(0.01)))).unwrap();
        assert_eq!(said.probabilities, SAID, "nothing had been said that it could be the outcome of");
    }

    #[test]
    fn directions_that_drift_are_followed() {
        let fitted = Calibration { rate: 0.02, ..calibration() };
        // 70 % up is said; seven of ten bars fall.
        let step = |bar: u32| if bar * 3 % 10 < 7 { 0.99 } else { 1.01 };
        let mut close = 100.0;
        let mut closes = Vec::new();
        for bar in 0..600 {
            close *= step(bar);
            closes.push(close);
        }
        let [down, _, up] = over(&fitted, &closes)[599].probabilities;
        assert!((down - 0.7).abs() < 0.04 && (up - 0.3).abs() < 0.04, "{down} {up}");
    }

    #[test]
    fn nothing_depends_on_a_later_close() {
        let fitted = Calibration { horizon: 3, ..calibration() };
        let closes: Vec<f64> = (0..40).map(|bar| 100.0 + f64::from(bar * 7 % 11)).collect();
        let whole = over(&fitted, &closes);
        assert_ne!(whole[39].probabilities, SAID);
        for cut in 1..40 {
            let mut other = closes.clone();
            other[cut..].iter_mut().for_each(|close| *close *= 3.0);
            assert_eq!(over(&fitted, &other)[..cut], whole[..cut]);
        }
    }

    #[test]
    fn the_newest_scores_take_the_place_of_the_oldest_and_a_rate_of_zero_keeps_directions() {
        let fitted = Calibration { horizon: 1, rate: 0.0, scores: vec![1.0; 9], ..calibration() };
        // Each bar falls 2 %: scores of 2 push out those of 1, and the reach follows once a tenth of them are gone.
        let closes: Vec<f64> = (0..12).map(|bar| 100.0 * f64::exp(-0.02 * f64::from(bar))).collect();
        let found = over(&fitted, &closes);
        let high = |bar: usize| found[bar].ends.high;
        assert!((high(0) - 0.01).abs() < 1e-9 && (high(11) - 0.02).abs() < 1e-9, "{found:?}");
        assert!(found.iter().all(|adapted| adapted.probabilities == SAID), "{found:?}");
    }
}
