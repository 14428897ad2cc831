//! The close in the range of the last bars, and how wide that range is.

use serde::{Deserialize, Serialize};

use super::Indicator;
use super::average::{Average, Ema, Sma};
use super::volatility::WilderRange;
use crate::step::{Place, Step, ratio};
use crate::window::{Extremes, Highest, Lowest, Moments, Rolling, Sum};

fn extremes(step: &Step) -> Extremes {
    Extremes { high: step.bar.high, low: step.bar.low }
}

/// (close − lowest low) / (highest high − lowest low).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Stochastic(Rolling<Extremes>);

impl Stochastic {
    pub(crate) fn new(bars: usize) -> Self {
        Self(Rolling::new(bars))
    }
}

impl Indicator for Stochastic {
    #[inline]
    fn push(&mut self, step: &Step) -> Option<f64> {
        let range = self.0.push(extremes(step))?;
        Some(ratio(step.bar.close - range.low, range.high - range.low, 0.5))
    }
}

/// The stochastic, averaged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct StochasticSlow {
    fast: Stochastic,
    mean: Sma,
}

impl StochasticSlow {
    pub(crate) fn new(bars: usize, smooth: usize) -> Self {
        Self { fast: Stochastic::new(bars), mean: Sma::new(smooth) }
    }
}

impl Indicator for StochasticSlow {
    #[inline]
    fn push(&mut self, step: &Step) -> Option<f64> {
        let fast = self.fast.push(step)?;
        self.mean.push(fast)
    }
}

/// Bars since the lowest low less bars since the highest high, of `bars` and the present one, over `bars`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Aroon {
    bars: f64,
    highest: Rolling<Highest>,
    lowest: Rolling<Lowest>,
}

impl Aroon {
    pub(crate) fn new(bars: usize) -> Self {
        Self { bars: bars as f64, highest: Rolling::new(bars + 1), lowest: Rolling::new(bars + 1) }
    }
}

impl Indicator for Aroon {
    #[inline]
    fn push(&mut self, step: &Step) -> Option<f64> {
        let highest = self.highest.push(Highest(step.bar.high, 0.0));
        let lowest = self.lowest.push(Lowest(step.bar.low, 0.0));
        Some((lowest?.1 - highest?.1) / self.bars)
    }
}

/// (highest high − lowest low) / close.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ChannelWidth(Rolling<Extremes>);

impl ChannelWidth {
    pub(crate) fn new(bars: usize) -> Self {
        Self(Rolling::new(bars))
    }
}

impl Indicator for ChannelWidth {
    #[inline]
    fn push(&mut self, step: &Step) -> Option<f64> {
        self.0.push(extremes(step)).map(|range| (range.high - range.low) / step.bar.close)
    }
}

/// Middle of the fast range less that of the slow one, over close.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ichimoku {
    fast: Rolling<Extremes>,
    slow: Rolling<Extremes>,
}

impl Ichimoku {
    pub(crate) fn new(fast: usize, slow: usize) -> Self {
        Self { fast: Rolling::new(fast), slow: Rolling::new(slow) }
    }
}

impl Indicator for Ichimoku {
    #[inline]
    fn push(&mut self, step: &Step) -> Option<f64> {
        let fast = self.fast.push(extremes(step));
        let slow = self.slow.push(extremes(step));
        let middle = |range: Extremes| (range.high + range.low) / 2.0;
        Some((middle(fast?) - middle(slow?)) / step.bar.close)
    }
}

/// log10(sum of true ranges / range of all) / log10(bars).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Choppiness {
    ranges: Rolling<Sum>,
    extremes: Rolling<Extremes>,
}

impl Choppiness {
    pub(crate) fn new(bars: usize) -> Self {
        Self { ranges: Rolling::new(bars), extremes: Rolling::new(bars) }
    }
}

impl Indicator for Choppiness {
    #[inline]
    fn push(&mut self, step: &Step) -> Option<f64> {
        if step.place == Place::First {
            return None;
        }
        let path = self.ranges.push(Sum(step.true_range));
        let range = self.extremes.push(extremes(step));
        let (Sum(path), range) = (path?, range?);
        let width = range.high - range.low;
        Some(if width > 0.0 { (path / width).ln() / self.ranges.count().ln() } else { 0.0 })
    }
}

/// close / highest close − 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Drawdown(Rolling<Highest>);

impl Drawdown {
    pub(crate) fn new(bars: usize) -> Self {
        Self(Rolling::new(bars))
    }
}

impl Indicator for Drawdown {
    #[inline]
    fn push(&mut self, step: &Step) -> Option<f64> {
        self.0.push(Highest(step.bar.close, 0.0)).map(|peak| step.bar.close / peak.0 - 1.0)
    }
}

/// close / lowest close − 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Rally(Rolling<Lowest>);

impl Rally {
    pub(crate) fn new(bars: usize) -> Self {
        Self(Rolling::new(bars))
    }
}

impl Indicator for Rally {
    #[inline]
    fn push(&mut self, step: &Step) -> Option<f64> {
        self.0.push(Lowest(step.bar.close, 0.0)).map(|trough| step.bar.close / trough.0 - 1.0)
    }
}

/// (close − mean) / (width × deviation).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Bollinger {
    width: f64,
    closes: Rolling<Moments>,
}

impl Bollinger {
    pub(crate) fn new(bars: usize, width: f64) -> Self {
        Self { width, closes: Rolling::new(bars) }
    }
}

impl Indicator for Bollinger {
    #[inline]
    fn push(&mut self, step: &Step) -> Option<f64> {
        let band = self.closes.push(Moments::of(step.bar.close))?;
        let reach = self.width * band.population(self.closes.count());
        Some(ratio(step.bar.close - band.mean, reach, 0.0))
    }
}

/// Four deviations over the mean.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct BandWidth(Rolling<Moments>);

impl BandWidth {
    pub(crate) fn new(bars: usize) -> Self {
        Self(Rolling::new(bars))
    }
}

impl Indicator for BandWidth {
    #[inline]
    fn push(&mut self, step: &Step) -> Option<f64> {
        let band = self.0.push(Moments::of(step.bar.close))?;
        Some(4.0 * band.population(self.0.count()) / band.mean)
    }
}

/// (close − EMA) / (width × ATR).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Keltner {
    width: f64,
    middle: Ema,
    range: WilderRange,
}

impl Keltner {
    pub(crate) fn new(bars: usize, width: f64) -> Self {
        Self { width, middle: Ema::new(bars), range: WilderRange::new(bars) }
    }
}

impl Indicator for Keltner {
    #[inline]
    fn push(&mut self, step: &Step) -> Option<f64> {
        let middle = self.middle.push(step.bar.close);
        let range = self.range.push(step)?;
        Some(ratio(step.bar.close - middle?, self.width * range, 0.0))
    }
}
