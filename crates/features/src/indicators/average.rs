//! Moving averages, and the close against them.

use serde::{Deserialize, Serialize};

use super::Indicator;
use crate::step::Step;
use crate::window::{Lag, Rolling, Sum, Trend};

/// A moving average of a series.
pub(crate) trait Average {
    fn push(&mut self, value: f64) -> Option<f64>;
}

/// close / average − 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct CloseOver<A>(pub(crate) A);

impl<A: Average> Indicator for CloseOver<A> {
    #[inline]
    fn push(&mut self, step: &Step) -> Option<f64> {
        self.0.push(step.bar.close).map(|average| step.bar.close / average - 1.0)
    }
}

/// Simple mean.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sma(Rolling<Sum>);

impl Sma {
    pub(crate) fn new(bars: usize) -> Self {
        Self(Rolling::new(bars))
    }
}

impl Average for Sma {
    #[inline]
    fn push(&mut self, value: f64) -> Option<f64> {
        self.0.push(Sum(value)).map(|Sum(sum)| sum / self.0.count())
    }
}

/// Exponential moving average with α = 2 / (n + 1), started from the mean of its first n values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ema {
    length: usize,
    seen: usize,
    value: f64,
}

impl Ema {
    pub(crate) const fn new(length: usize) -> Self {
        Self { length, seen: 0, value: 0.0 }
    }
}

impl Average for Ema {
    #[inline]
    fn push(&mut self, value: f64) -> Option<f64> {
        if self.seen >= self.length {
            let alpha = 2.0 / (self.length as f64 + 1.0);
            self.value += alpha * (value - self.value);
            return Some(self.value);
        }
        self.seen += 1;
        if self.seen < self.length {
            self.value += value;
            return None;
        }
        self.value = (self.value + value) / self.length as f64;
        Some(self.value)
    }
}

/// Linearly weighted mean, the newest value heaviest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Wma(Rolling<Trend>);

impl Wma {
    pub(crate) fn new(bars: usize) -> Self {
        Self(Rolling::new(bars))
    }
}

impl Average for Wma {
    #[inline]
    fn push(&mut self, value: f64) -> Option<f64> {
        let n = self.0.count();
        self.0.push(Trend::of(value)).map(|trend| trend.mean + 2.0 * trend.tilt / (n * (n + 1.0)))
    }
}

/// 2 EMA − EMA of EMA (Mulloy 1994).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Dema([Ema; 2]);

impl Dema {
    pub(crate) fn new(bars: usize) -> Self {
        Self([Ema::new(bars), Ema::new(bars)])
    }
}

impl Average for Dema {
    #[inline]
    fn push(&mut self, value: f64) -> Option<f64> {
        let once = self.0[0].push(value)?;
        let twice = self.0[1].push(once)?;
        Some(2.0 * once - twice)
    }
}

/// 3 EMA − 3 EMA of EMA + EMA of EMA of EMA (Mulloy 1994).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Tema([Ema; 3]);

impl Tema {
    pub(crate) fn new(bars: usize) -> Self {
        Self([Ema::new(bars), Ema::new(bars), Ema::new(bars)])
    }
}

impl Average for Tema {
    #[inline]
    fn push(&mut self, value: f64) -> Option<f64> {
        let once = self.0[0].push(value)?;
        let twice = self.0[1].push(once)?;
        let thrice = self.0[2].push(twice)?;
        Some(3.0 * (once - twice) + thrice)
    }
}

/// Simple mean of a simple mean: weights in a triangle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Trima([Sma; 2]);

impl Trima {
    pub(crate) fn new(bars: usize) -> Self {
        Self([Sma::new(bars.div_ceil(2)), Sma::new(bars / 2 + 1)])
    }
}

impl Average for Trima {
    #[inline]
    fn push(&mut self, value: f64) -> Option<f64> {
        let mean = self.0[0].push(value)?;
        self.0[1].push(mean)
    }
}

/// Kaufman's adaptive moving average: between EMAs of 2 and 30, by how straight the path was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Kama {
    ago: Lag,
    path: Rolling<Sum>,
    before: Option<f64>,
    value: Option<f64>,
}

impl Kama {
    pub(crate) fn new(bars: usize) -> Self {
        Self { ago: Lag::new(bars), path: Rolling::new(bars), before: None, value: None }
    }
}

impl Average for Kama {
    fn push(&mut self, value: f64) -> Option<f64> {
        const FAST: f64 = 2.0 / 3.0;
        const SLOW: f64 = 2.0 / 31.0;
        let ago = self.ago.push(value);
        let before = self.before.replace(value)?;
        let path = self.path.push(Sum((value - before).abs()));
        let (Sum(path), change) = (path?, value - ago?);
        // As TA-Lib: a path that did not move counts as straight.
        let straight = if path <= change || path <= 0.0 { 1.0 } else { (change / path).abs() };
        let weight = straight * (FAST - SLOW) + SLOW;
        let last = self.value.unwrap_or(before);
        let next = last + weight * weight * (value - last);
        self.value = Some(next);
        Some(next)
    }
}

/// One-bar change of a triple exponential average, as a fraction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Trix {
    averages: [Ema; 3],
    before: Option<f64>,
}

impl Trix {
    pub(crate) fn new(bars: usize) -> Self {
        Self { averages: [Ema::new(bars), Ema::new(bars), Ema::new(bars)], before: None }
    }
}

impl Indicator for Trix {
    fn push(&mut self, step: &Step) -> Option<f64> {
        let once = self.averages[0].push(step.bar.close)?;
        let twice = self.averages[1].push(once)?;
        let thrice = self.averages[2].push(twice)?;
        let before = self.before.replace(thrice)?;
        Some(thrice / before - 1.0)
    }
}
