//! How far prices move.

use serde::{Deserialize, Serialize};

use super::{LogReturn, Window};

/// Sessions in a year, for annualisation.
const SESSIONS_PER_YEAR: f64 = 252.0;

/// Annualised sample deviation of one-bar log returns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RealisedVolatility {
    step: LogReturn,
    returns: Window,
}

impl RealisedVolatility {
    /// Over `bars` returns.
    #[must_use]
    pub fn new(bars: usize) -> Self {
        Self { step: LogReturn::new(1), returns: Window::new(bars) }
    }

    /// `None` for the first `bars` bars.
    pub fn push(&mut self, close: f64) -> Option<f64> {
        self.returns.push(self.step.push(close)?);
        self.returns.is_full().then(|| self.returns.deviation_sample() * SESSIONS_PER_YEAR.sqrt())
    }
}

/// Wilder's average true range, in price units.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Atr {
    length: usize,
    seen: usize,
    before: f64,
    value: f64,
}

impl Atr {
    /// Smoothed over `length` bars.
    #[must_use]
    pub const fn new(length: usize) -> Self {
        Self { length, seen: 0, before: 0.0, value: 0.0 }
    }

    /// `None` for the first `length` bars.
    pub fn push(&mut self, high: f64, low: f64, close: f64) -> Option<f64> {
        let range = (high - low).max((high - self.before).abs()).max((low - self.before).abs());
        self.before = close;
        self.seen = self.seen.saturating_add(1);
        if self.seen == 1 {
            return None;
        }
        let n = self.length as f64;
        if self.seen <= self.length + 1 {
            self.value += range;
            if self.seen <= self.length {
                return None;
            }
            self.value /= n;
        } else {
            self.value = (self.value * (n - 1.0) + range) / n;
        }
        Some(self.value)
    }
}

/// Middle and band deviation of Bollinger bands, in price units.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BollingerValue {
    /// Simple mean of the closes.
    pub middle: f64,
    /// Population deviation of the closes.
    pub deviation: f64,
}

/// Bollinger bands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bollinger {
    closes: Window,
}

impl Bollinger {
    /// Over `bars` closes.
    #[must_use]
    pub fn new(bars: usize) -> Self {
        Self { closes: Window::new(bars) }
    }

    /// `None` for the first `bars` − 1 bars.
    pub fn push(&mut self, close: f64) -> Option<BollingerValue> {
        self.closes.push(close);
        self.closes
            .is_full()
            .then(|| BollingerValue { middle: self.closes.mean(), deviation: self.closes.deviation_population() })
    }
}
