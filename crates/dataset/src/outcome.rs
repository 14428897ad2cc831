//! What came of a bar: the return over a horizon and its direction. The one place that reads bars after a decision; what is
//! learned, what is judged and what follows outcomes as they become known take it from here.

use std::collections::VecDeque;
use std::ops::Range;

use market::Bar;
use spec::{LabelSpec, SupervisedSpec};

/// ln(close of `to` / close of `from`).
#[must_use]
pub fn log_return(bars: &[Bar], from: usize, to: usize) -> f64 {
    between(&|at: usize| bars[at].close, from, to)
}

/// Direction of what follows `bar`: 0 down, 1 flat, 2 up. Reads closes up to `bar` for its unit, and those of (`bar`, `bar` +
/// horizon] for its value. `unit`: the deviation of the training split's returns over the horizon, log return.
#[must_use]
pub fn direction(bars: &[Bar], bar: usize, task: &SupervisedSpec, unit: f64) -> u8 {
    Rule::of(task, unit).direction(&|at: usize| bars[at].close, &|at: usize| log_return(bars, at, at + 1), bar)
}

/// Bars before a decision whose closes its direction reads: where there are fewer, barriers are drawn by fewer returns than
/// asked for.
#[must_use]
pub const fn bars_before(task: &SupervisedSpec) -> usize {
    match task.labels {
        LabelSpec::Horizon => 0,
        LabelSpec::TripleBarrier { bars, .. } => bars as usize,
    }
}

/// Deviation of the last `known` one-bar returns up to `bar`; of fewer where there are no more, 0 below two.
#[must_use]
pub fn trailing_deviation(bars: &[Bar], bar: usize, known: usize) -> f64 {
    deviation(&|at: usize| log_return(bars, at, at + 1), bar, known)
}

/// Closes of bars one after the other, with the return from each to the next: what the outcomes of many bars are read from,
/// to the same bits as from the bars, and each logarithm taken once.
#[derive(Clone, Debug, PartialEq)]
pub struct Closes {
    closes: Vec<f64>,
    returns: Vec<f64>,
}

impl Closes {
    /// Of closes in order of time.
    #[must_use]
    pub fn new(closes: Vec<f64>) -> Self {
        let returns = closes.windows(2).map(|pair| (pair[1] / pair[0]).ln()).collect();
        Self { closes, returns }
    }

    /// Those of bars.
    #[must_use]
    pub fn of(bars: &[Bar]) -> Self {
        Self::new(bars.iter().map(|bar| bar.close).collect())
    }

    /// As [`log_return`].
    #[must_use]
    pub fn log_return(&self, from: usize, to: usize) -> f64 {
        between(&|at: usize| self.closes[at], from, to)
    }

    /// The log returns from each of these bars to the next.
    #[must_use]
    pub fn returns(&self, bars: Range<usize>) -> &[f64] {
        &self.returns[bars]
    }

    /// As [`direction`].
    #[must_use]
    pub fn direction(&self, bar: usize, task: &SupervisedSpec, unit: f64) -> u8 {
        Rule::of(task, unit).direction(&|at: usize| self.closes[at], &|at: usize| self.returns[at], bar)
    }
}

/// Directions of bars that close one after the other, each said once it is known. Keeps the closes that the next one reads,
/// and asks for no memory after it was made.
#[derive(Clone, Debug, PartialEq)]
pub struct Directions {
    rule: Rule,
    /// Closes that are read before that of the bar decided on.
    before: usize,
    /// The newest, oldest first; at most [`Directions::reach`].
    closes: VecDeque<f64>,
}

impl Directions {
    /// Before the first bar. `unit` as in [`direction`].
    #[must_use]
    pub fn new(task: &SupervisedSpec, unit: f64) -> Self {
        let (rule, before) = (Rule::of(task, unit), bars_before(task));
        Self { rule, before, closes: VecDeque::with_capacity(before + 1 + rule.horizon) }
    }

    /// A bar closed: due for every bar. The [`direction`] of the bar `horizon` bars before, by the same closes; `None` where
    /// that bar, or one of those that its unit is read from, lies before the first.
    pub fn close(&mut self, close: f64) -> Option<u8> {
        if self.closes.len() == self.reach() {
            self.closes.pop_front();
        }
        self.closes.push_back(close);
        let known = self.closes.len() == self.reach();
        let held = |at: usize| self.closes[at];
        known.then(|| self.rule.direction(&held, &|at: usize| between(&held, at, at + 1), self.before))
    }

    /// Closes that one direction reads.
    const fn reach(&self) -> usize {
        self.before + 1 + self.rule.horizon
    }
}

/// How a direction is read from closes.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Rule {
    labels: LabelSpec,
    flat_band: f64,
    horizon: usize,
    unit: f64,
}

impl Rule {
    const fn of(task: &SupervisedSpec, unit: f64) -> Self {
        Self { labels: task.labels, flat_band: task.flat_band, horizon: task.horizon as usize, unit }
    }

    /// `step`: the log return from a bar to the next.
    fn direction(&self, close: &impl Fn(usize) -> f64, step: &impl Fn(usize) -> f64, bar: usize) -> u8 {
        match self.labels {
            LabelSpec::Horizon => {
                let standardised = between(close, bar, bar + self.horizon) / self.unit;
                u8::from(standardised >= -self.flat_band) + u8::from(standardised > self.flat_band)
            }
            LabelSpec::TripleBarrier { width, bars: known } => {
                self.barrier_touched(close, bar, width * deviation(step, bar, known as usize))
            }
        }
    }

    /// Which barrier the close touches first, `reach` times the root of the horizon away: 0 the lower, 2 the upper, 1 neither
    /// within the horizon, or where prices have not moved and the barriers lie on the price.
    fn barrier_touched(&self, close: &impl Fn(usize) -> f64, bar: usize, reach: f64) -> u8 {
        let barrier = reach * (self.horizon as f64).sqrt();
        if barrier == 0.0 {
            return 1;
        }
        let touched = |to: usize| {
            let value = between(close, bar, to);
            if value >= barrier {
                Some(2)
            } else if value <= -barrier {
                Some(0)
            } else {
                None
            }
        };
        (bar + 1..=bar + self.horizon).find_map(touched).unwrap_or(1)
    }
}

fn between(close: &impl Fn(usize) -> f64, from: usize, to: usize) -> f64 {
    (close(to) / close(from)).ln()
}

fn deviation(step: &impl Fn(usize) -> f64, bar: usize, known: usize) -> f64 {
    let first = bar.saturating_sub(known);
    let (count, returns) = (bar - first, || (first..bar).map(step));
    let mean = returns().sum::<f64>() / count.max(1) as f64;
    let variance = returns().map(|value| (value - mean).powi(2)).sum::<f64>();
    (variance / count.saturating_sub(1).max(1) as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bars whose closes go up and down by some percent.
    fn bars(count: u32) -> Vec<Bar> {
        let close = |bar: u32| 100.0 * f64::exp(0.01 * f64::from(bar * bar % 7) - 0.005 * f64::from(bar * 5 % 11));
        let bar = |at: u32| {
            let close = close(at);
            let time = "2020-01-01T00:00:00Z".parse().unwrap();
            Bar { time, open: close, high: close, low: close, close, volume: 1.0 }
        };
        (0..count).map(bar).collect()
    }

    fn task(labels: LabelSpec, horizon: u32) -> SupervisedSpec {
        let task = serde_json::json!({"window": 4, "horizon": horizon, "epochs": 1, "learning_rate": 0.001});
        SupervisedSpec { labels, ..serde_json::from_value(task).unwrap() }
    }

    #[test]
    fn closes_alone_give_the_bits_that_bars_give_wherever_they_begin() {
        let bars = bars(120);
        for labels in [LabelSpec::Horizon, LabelSpec::TripleBarrier { width: 0.7, bars: 9 }] {
            let task = task(labels, 4);
            // From the first bar, where fewer returns are known than asked for, and from as late as all of them are known.
            for (from, first) in [(0, 0), (40, 40 + bars_before(&task))] {
                let closes = Closes::of(&bars[from..]);
                for at in first..bars.len() - 4 {
                    assert_eq!(closes.direction(at - from, &task, 0.02), direction(&bars, at, &task, 0.02), "bar {at}");
                    let (own, whole) = (closes.log_return(at - from, at - from + 4), log_return(&bars, at, at + 4));
                    assert_eq!(own.to_bits(), whole.to_bits());
                    let step = closes.returns(at - from..at - from + 1)[0];
                    assert_eq!(step.to_bits(), log_return(&bars, at, at + 1).to_bits());
                }
            }
        }
    }

    #[test]
    fn bar_by_bar_each_direction_is_that_of_the_whole_series_and_said_as_soon_as_it_is_known() {
        let bars = bars(120);
        for (labels, before) in [(LabelSpec::Horizon, 0), (LabelSpec::TripleBarrier { width: 0.7, bars: 9 }, 9)] {
            for horizon in [1, 4] {
                let (task, ahead) = (task(labels, horizon), horizon as usize);
                assert_eq!(bars_before(&task), before);
                let mut stream = Directions::new(&task, 0.02);
                let said: Vec<Option<u8>> = bars.iter().map(|bar| stream.close(bar.close)).collect();
                let expected: Vec<Option<u8>> = (0..bars.len())
                    .map(|at| (at >= before + ahead).then(|| direction(&bars, at - ahead, &task, 0.02)))
                    .collect();
                assert_eq!(said, expected, "{labels:?}, {horizon} ahead");
                for class in 0..3 {
                    assert!(said.contains(&Some(class)), "{labels:?}, {horizon} ahead: never {class}");
                }
            }
        }
    }
}
