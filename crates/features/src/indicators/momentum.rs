//! Returns and oscillators of the close.

use serde::{Deserialize, Serialize};

use super::Indicator;
use super::average::{Average, Ema};
use crate::step::{Step, ratio};
use crate::window::{Extremes, Lag, Rolling, Sum, Sum2};

/// ln(close / close `bars` ago).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct LogReturn(Lag);

impl LogReturn {
    pub(crate) fn new(bars: usize) -> Self {
        Self(Lag::new(bars))
    }
}

impl Indicator for LogReturn {
    #[inline]
    fn push(&mut self, step: &Step) -> Option<f64> {
        self.0.push(step.bar.close).map(|before| (step.bar.close / before).ln())
    }
}

/// A fast and a slow EMA of the close that start at the same bar, as TA-Lib's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct FastSlow {
    skip: usize,
    fast: Ema,
    slow: Ema,
}

impl FastSlow {
    const fn new(fast: usize, slow: usize) -> Self {
        Self { skip: slow.saturating_sub(fast), fast: Ema::new(fast), slow: Ema::new(slow) }
    }

    #[inline]
    fn push(&mut self, close: f64) -> Option<(f64, f64)> {
        let slow = self.slow.push(close);
        if self.skip > 0 {
            self.skip -= 1;
            return None;
        }
        let fast = self.fast.push(close);
        Some((fast?, slow?))
    }
}

/// Histogram of the moving average convergence/divergence (Appel), over close.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Macd {
    averages: FastSlow,
    signal: Ema,
}

impl Macd {
    pub(crate) const fn new(fast: usize, slow: usize, signal: usize) -> Self {
        Self { averages: FastSlow::new(fast, slow), signal: Ema::new(signal) }
    }
}

impl Indicator for Macd {
    #[inline]
    fn push(&mut self, step: &Step) -> Option<f64> {
        let (fast, slow) = self.averages.push(step.bar.close)?;
        let line = fast - slow;
        let signal = self.signal.push(line)?;
        Some((line - signal) / step.bar.close)
    }
}

/// Fast over slow EMA, less 1; each starts from its own first values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ppo {
    fast: Ema,
    slow: Ema,
}

impl Ppo {
    pub(crate) const fn new(fast: usize, slow: usize) -> Self {
        Self { fast: Ema::new(fast), slow: Ema::new(slow) }
    }
}

impl Indicator for Ppo {
    #[inline]
    fn push(&mut self, step: &Step) -> Option<f64> {
        let fast = self.fast.push(step.bar.close);
        let slow = self.slow.push(step.bar.close);
        let (fast, slow) = (fast?, slow?);
        Some((fast - slow) / slow)
    }
}

/// Wilder's relative strength index, 0 to 1; 0.5 while nothing moves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Rsi {
    length: usize,
    seen: usize,
    gain: f64,
    loss: f64,
}

impl Rsi {
    pub(crate) const fn new(length: usize) -> Self {
        Self { length, seen: 0, gain: 0.0, loss: 0.0 }
    }
}

impl Indicator for Rsi {
    #[inline]
    fn push(&mut self, step: &Step) -> Option<f64> {
        let change = step.bar.close - step.later()?.close;
        let n = self.length as f64;
        let (gain, loss) = (change.max(0.0), (-change).max(0.0));
        if self.seen >= self.length {
            self.gain = (self.gain * (n - 1.0) + gain) / n;
            self.loss = (self.loss * (n - 1.0) + loss) / n;
        } else {
            self.seen += 1;
            self.gain += gain;
            self.loss += loss;
            if self.seen < self.length {
                return None;
            }
            self.gain /= n;
            self.loss /= n;
        }
        let moved = self.gain + self.loss;
        Some(if moved > 0.0 { 100.0 * self.gain / moved / 100.0 } else { 0.5 })
    }
}

/// The RSI in its own range of a window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct StochasticRsi {
    rsi: Rsi,
    range: Rolling<Extremes>,
}

impl StochasticRsi {
    pub(crate) fn new(bars: usize, window: usize) -> Self {
        Self { rsi: Rsi::new(bars), range: Rolling::new(window) }
    }
}

impl Indicator for StochasticRsi {
    #[inline]
    fn push(&mut self, step: &Step) -> Option<f64> {
        let rsi = self.rsi.push(step)?;
        let range = self.range.push(Extremes { high: rsi, low: rsi })?;
        Some(ratio(rsi - range.low, range.high - range.low, 0.5))
    }
}

/// Buying pressure over true range in three windows, weighted 4, 2 and 1 (Williams 1985).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct UltimateOscillator([Rolling<Sum2>; 3]);

impl UltimateOscillator {
    pub(crate) fn new(short: usize, middle: usize, long: usize) -> Self {
        Self([short, middle, long].map(Rolling::new))
    }
}

impl Indicator for UltimateOscillator {
    #[inline]
    fn push(&mut self, step: &Step) -> Option<f64> {
        let pressure = step.bar.close - step.bar.low.min(step.later()?.close);
        let value = Sum2(pressure, step.true_range);
        let [short, middle, long] = self.0.each_mut().map(|window| window.push(value));
        let share = |window: Sum2| ratio(window.0, window.1, 0.5);
        Some((4.0 * share(short?) + 2.0 * share(middle?) + share(long?)) / 7.0)
    }
}

/// Change over path.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct EfficiencyRatio {
    ago: Lag,
    path: Rolling<Sum>,
}

impl EfficiencyRatio {
    pub(crate) fn new(bars: usize) -> Self {
        Self { ago: Lag::new(bars), path: Rolling::new(bars) }
    }
}

impl Indicator for EfficiencyRatio {
    #[inline]
    fn push(&mut self, step: &Step) -> Option<f64> {
        let ago = self.ago.push(step.bar.close);
        let Sum(path) = self.path.push(Sum((step.bar.close - step.later()?.close).abs()))?;
        Some(ratio(step.bar.close - ago?, path, 0.0).clamp(-1.0, 1.0))
    }
}
