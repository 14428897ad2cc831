//! How much trades, and on which side.

use serde::{Deserialize, Serialize};

use super::Indicator;
use super::average::{Average, Ema};
use crate::step::{Step, ratio};
use crate::window::{Moments, Pair, Rolling, Sum, Sum2};

/// z-score of ln(1 + volume) within its window, sample deviation; 0 where the volume does not vary.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct VolumeZ(Rolling<Moments>);

impl VolumeZ {
    pub(crate) fn new(bars: usize) -> Self {
        Self(Rolling::new(bars))
    }
}

impl Indicator for VolumeZ {
    #[inline]
    fn push(&mut self, step: &Step) -> Option<f64> {
        let log = step.bar.volume.ln_1p();
        let moments = self.0.push(Moments::of(log))?;
        Some(ratio(log - moments.mean, moments.sample(self.0.count()), 0.0))
    }
}

/// ln((1 + volume) / (1 + mean volume)).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct VolumeRatio(Rolling<Sum>);

impl VolumeRatio {
    pub(crate) fn new(bars: usize) -> Self {
        Self(Rolling::new(bars))
    }
}

impl Indicator for VolumeRatio {
    #[inline]
    fn push(&mut self, step: &Step) -> Option<f64> {
        let Sum(sum) = self.0.push(Sum(step.bar.volume))?;
        Some(((1.0 + step.bar.volume) / (1.0 + sum / self.0.count())).ln())
    }
}

/// Sum of ±volume over sum of volume.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SignedVolume(Rolling<Sum2>);

impl SignedVolume {
    pub(crate) fn new(bars: usize) -> Self {
        Self(Rolling::new(bars))
    }
}

impl Indicator for SignedVolume {
    #[inline]
    fn push(&mut self, step: &Step) -> Option<f64> {
        let before = step.later()?.close;
        let signed = match step.bar.close.total_cmp(&before) {
            std::cmp::Ordering::Greater => step.bar.volume,
            std::cmp::Ordering::Less => -step.bar.volume,
            std::cmp::Ordering::Equal => 0.0,
        };
        self.0.push(Sum2(signed, step.bar.volume)).map(|sums| ratio(sums.0, sums.1, 0.0))
    }
}

/// Sum of volume by close location over sum of volume.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ChaikinMoneyFlow(Rolling<Sum2>);

impl ChaikinMoneyFlow {
    pub(crate) fn new(bars: usize) -> Self {
        Self(Rolling::new(bars))
    }
}

impl Indicator for ChaikinMoneyFlow {
    #[inline]
    fn push(&mut self, step: &Step) -> Option<f64> {
        let flow = step.close_location() * step.bar.volume;
        self.0.push(Sum2(flow, step.bar.volume)).map(|sums| ratio(sums.0, sums.1, 0.0))
    }
}

/// Fast less slow average of the accumulation line, over the average volume. The averages start at the line's first value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ChaikinOscillator {
    alpha: [f64; 2],
    line: f64,
    averages: Option<[f64; 2]>,
    volume: Ema,
}

impl ChaikinOscillator {
    pub(crate) fn new(fast: usize, slow: usize) -> Self {
        let alpha = [fast, slow].map(|length| 2.0 / (length as f64 + 1.0));
        Self { alpha, line: 0.0, averages: None, volume: Ema::new(slow) }
    }
}

impl Indicator for ChaikinOscillator {
    fn push(&mut self, step: &Step) -> Option<f64> {
        self.line += step.close_location() * step.bar.volume;
        let line = self.line;
        let averages = self.averages.get_or_insert([line; 2]);
        for (average, alpha) in averages.iter_mut().zip(self.alpha) {
            *average += alpha * (line - *average);
        }
        let difference = averages[0] - averages[1];
        self.volume.push(step.bar.volume).map(|volume| ratio(difference, volume, 0.0))
    }
}

/// Money of rising over that of rising and falling typical prices.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct MoneyFlow {
    before: Option<f64>,
    flows: Rolling<Sum2>,
}

impl MoneyFlow {
    pub(crate) fn new(bars: usize) -> Self {
        Self { before: None, flows: Rolling::new(bars) }
    }
}

impl Indicator for MoneyFlow {
    #[inline]
    fn push(&mut self, step: &Step) -> Option<f64> {
        let typical = step.typical();
        let before = self.before.replace(typical)?;
        let money = typical * step.bar.volume;
        let rising = if typical > before { money } else { 0.0 };
        let falling = if typical < before { money } else { 0.0 };
        let flows = self.flows.push(Sum2(rising, falling))?;
        Some(ratio(flows.0, flows.0 + flows.1, 0.5))
    }
}

/// close / volume-weighted typical price − 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct VwapDistance(Rolling<Sum2>);

impl VwapDistance {
    pub(crate) fn new(bars: usize) -> Self {
        Self(Rolling::new(bars))
    }
}

impl Indicator for VwapDistance {
    #[inline]
    fn push(&mut self, step: &Step) -> Option<f64> {
        let sums = self.0.push(Sum2(step.typical() * step.bar.volume, step.bar.volume))?;
        let money = step.bar.close * sums.1;
        Some(if money > 0.0 && sums.0 > 0.0 { money / sums.0 - 1.0 } else { 0.0 })
    }
}

/// Average of change × volume over average of close × volume.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ForceIndex {
    force: Ema,
    money: Ema,
}

impl ForceIndex {
    pub(crate) const fn new(bars: usize) -> Self {
        Self { force: Ema::new(bars), money: Ema::new(bars) }
    }
}

impl Indicator for ForceIndex {
    #[inline]
    fn push(&mut self, step: &Step) -> Option<f64> {
        let change = step.bar.close - step.later()?.close;
        let force = self.force.push(change * step.bar.volume);
        let money = self.money.push(step.bar.close * step.bar.volume);
        Some(ratio(force?, money?, 0.0))
    }
}

/// Correlation of return and volume.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct VolumeReturnCorrelation(Rolling<Pair>);

impl VolumeReturnCorrelation {
    pub(crate) fn new(bars: usize) -> Self {
        Self(Rolling::new(bars))
    }
}

impl Indicator for VolumeReturnCorrelation {
    #[inline]
    fn push(&mut self, step: &Step) -> Option<f64> {
        step.later()?;
        self.0.push(Pair::of(step.log_return, step.bar.volume.ln_1p())).map(|pair| pair.correlation())
    }
}
