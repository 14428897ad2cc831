//! Returns, averages and oscillators of the close.

use serde::{Deserialize, Serialize};

use super::Window;

/// ln(close / close `bars` ago).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogReturn {
    closes: Window,
}

impl LogReturn {
    /// Over `bars` bars.
    #[must_use]
    pub fn new(bars: usize) -> Self {
        Self { closes: Window::new(bars) }
    }

    /// `None` for the first `bars` bars.
    pub fn push(&mut self, close: f64) -> Option<f64> {
        self.closes.push(close).map(|before| (close / before).ln())
    }
}

/// Exponential moving average with α = 2 / (n + 1), started from the mean of its first n values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ema {
    length: usize,
    seen: usize,
    value: f64,
}

impl Ema {
    /// Of length `length`, at least one.
    #[must_use]
    pub const fn new(length: usize) -> Self {
        Self { length, seen: 0, value: 0.0 }
    }

    /// `None` for the first `length` − 1 values.
    pub fn push(&mut self, value: f64) -> Option<f64> {
        self.seen = self.seen.saturating_add(1);
        if self.seen < self.length {
            self.value += value;
            return None;
        }
        if self.seen == self.length {
            self.value = (self.value + value) / self.length as f64;
        } else {
            let alpha = 2.0 / (self.length as f64 + 1.0);
            self.value += alpha * (value - self.value);
        }
        Some(self.value)
    }
}

/// Line, signal and histogram of a MACD, in price units.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MacdValue {
    /// Fast minus slow average.
    pub line: f64,
    /// Average of the line.
    pub signal: f64,
    /// Line minus signal.
    pub histogram: f64,
}

/// Moving average convergence/divergence (Appel). The fast average starts from the mean of the `fast` closes that end at
/// the bar where the slow one is first defined.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Macd {
    skip: usize,
    fast: Ema,
    slow: Ema,
    signal: Ema,
}

impl Macd {
    /// Lengths in bars, `fast` below `slow`.
    #[must_use]
    pub const fn new(fast: usize, slow: usize, signal: usize) -> Self {
        Self { skip: slow.saturating_sub(fast), fast: Ema::new(fast), slow: Ema::new(slow), signal: Ema::new(signal) }
    }

    /// `None` for the first `slow` + `signal` − 2 bars.
    pub fn push(&mut self, close: f64) -> Option<MacdValue> {
        let slow = self.slow.push(close);
        let fast = if self.skip > 0 {
            self.skip -= 1;
            None
        } else {
            self.fast.push(close)
        };
        let line = fast? - slow?;
        let signal = self.signal.push(line)?;
        Some(MacdValue { line, signal, histogram: line - signal })
    }
}

/// Wilder's relative strength index, 0 to 100; 50 while nothing moves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rsi {
    length: usize,
    seen: usize,
    before: f64,
    gain: f64,
    loss: f64,
}

impl Rsi {
    /// Smoothed over `length` bars.
    #[must_use]
    pub const fn new(length: usize) -> Self {
        Self { length, seen: 0, before: 0.0, gain: 0.0, loss: 0.0 }
    }

    /// `None` for the first `length` bars.
    pub fn push(&mut self, close: f64) -> Option<f64> {
        let change = close - self.before;
        self.before = close;
        self.seen = self.seen.saturating_add(1);
        if self.seen == 1 {
            return None;
        }
        let n = self.length as f64;
        let (gain, loss) = (change.max(0.0), (-change).max(0.0));
        if self.seen <= self.length + 1 {
            self.gain += gain;
            self.loss += loss;
            if self.seen <= self.length {
                return None;
            }
            self.gain /= n;
            self.loss /= n;
        } else {
            self.gain = (self.gain * (n - 1.0) + gain) / n;
            self.loss = (self.loss * (n - 1.0) + loss) / n;
        }
        let moved = self.gain + self.loss;
        Some(if moved > 0.0 { 100.0 * self.gain / moved } else { 50.0 })
    }
}
