//! How far prices move, and in what shape.

use serde::{Deserialize, Serialize};

use super::{Indicator, SESSIONS_PER_YEAR};
use crate::step::{Place, Step};
use crate::window::{Moments, Pair, Rolling, Shape, Sum};

fn annualised(variance: f64) -> f64 {
    (variance.max(0.0) * SESSIONS_PER_YEAR).sqrt()
}

/// Annualised sample deviation of one-bar log returns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct RealisedVolatility(Rolling<Moments>);

impl RealisedVolatility {
    pub(crate) fn new(bars: usize) -> Self {
        Self(Rolling::new(bars))
    }
}

impl Indicator for RealisedVolatility {
    #[inline]
    fn push(&mut self, step: &Step) -> Option<f64> {
        step.later()?;
        let moments = self.0.push(Moments::of(step.log_return))?;
        Some(moments.sample(self.0.count()) * SESSIONS_PER_YEAR.sqrt())
    }
}

/// ln of the fast over the slow volatility.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct VolatilityRatio {
    fast: RealisedVolatility,
    slow: RealisedVolatility,
}

impl VolatilityRatio {
    pub(crate) fn new(fast: usize, slow: usize) -> Self {
        Self { fast: RealisedVolatility::new(fast), slow: RealisedVolatility::new(slow) }
    }
}

impl Indicator for VolatilityRatio {
    #[inline]
    fn push(&mut self, step: &Step) -> Option<f64> {
        let fast = self.fast.push(step);
        let slow = self.slow.push(step);
        let (fast, slow) = (fast?, slow?);
        Some(if fast > 0.0 && slow > 0.0 { (fast / slow).ln() } else { 0.0 })
    }
}

/// Wilder's average true range, in price units.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct WilderRange {
    length: usize,
    seen: usize,
    value: f64,
}

impl WilderRange {
    pub(crate) const fn new(length: usize) -> Self {
        Self { length, seen: 0, value: 0.0 }
    }

    /// `None` for the first `length` bars.
    #[inline]
    pub(crate) fn push(&mut self, step: &Step) -> Option<f64> {
        if step.place == Place::First {
            return None;
        }
        let n = self.length as f64;
        if self.seen >= self.length {
            self.value = (self.value * (n - 1.0) + step.true_range) / n;
            return Some(self.value);
        }
        self.seen += 1;
        self.value += step.true_range;
        if self.seen < self.length {
            return None;
        }
        self.value /= n;
        Some(self.value)
    }
}

/// Wilder's average true range over close.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Atr(WilderRange);

impl Atr {
    pub(crate) const fn new(bars: usize) -> Self {
        Self(WilderRange::new(bars))
    }
}

impl Indicator for Atr {
    #[inline]
    fn push(&mut self, step: &Step) -> Option<f64> {
        self.0.push(step).map(|range| range / step.bar.close)
    }
}

/// A volatility that is a mean over the window of one figure of each bar.
macro_rules! range_based {
    ($($(#[$doc:meta])* $name:ident = $figure:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        pub(crate) struct $name(Rolling<Sum>);

        impl $name {
            pub(crate) fn new(bars: usize) -> Self {
                Self(Rolling::new(bars))
            }
        }

        impl Indicator for $name {
            #[inline]
            fn push(&mut self, step: &Step) -> Option<f64> {
                let figure: fn(&Step) -> f64 = $figure;
                let Sum(sum) = self.0.push(Sum(figure(step)))?;
                Some(annualised(sum / self.0.count()))
            }
        }
    )*};
}
range_based! {
    /// ln(high / low)² / (4 ln 2).
    Parkinson = |step| (step.bar.high / step.bar.low).ln().powi(2) / (4.0 * std::f64::consts::LN_2);
    /// ln(high / low)² / 2 − (2 ln 2 − 1) ln(close / open)².
    GarmanKlass = |step| {
        0.5 * (step.bar.high / step.bar.low).ln().powi(2)
            - (2.0 * std::f64::consts::LN_2 - 1.0) * (step.bar.close / step.bar.open).ln().powi(2)
    };
    /// ln(h / c) ln(h / o) + ln(l / c) ln(l / o).
    RogersSatchell = rogers_satchell;
}

fn rogers_satchell(step: &Step) -> f64 {
    let bar = &step.bar;
    (bar.high / bar.close).ln() * (bar.high / bar.open).ln() + (bar.low / bar.close).ln() * (bar.low / bar.open).ln()
}

/// Overnight, open-to-close and Rogers–Satchell variance, weighted for least variance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct YangZhang {
    overnight: Rolling<Moments>,
    session: Rolling<Moments>,
    within: Rolling<Sum>,
}

impl YangZhang {
    pub(crate) fn new(bars: usize) -> Self {
        Self { overnight: Rolling::new(bars), session: Rolling::new(bars), within: Rolling::new(bars) }
    }
}

impl Indicator for YangZhang {
    fn push(&mut self, step: &Step) -> Option<f64> {
        let before = step.later()?;
        let overnight = self.overnight.push(Moments::of((step.bar.open / before.close).ln()));
        let session = self.session.push(Moments::of((step.bar.close / step.bar.open).ln()));
        let Sum(within) = self.within.push(Sum(rogers_satchell(step)))?;
        let n = self.within.count();
        let k = 0.34 / (1.34 + (n + 1.0) / (n - 1.0));
        let sample = |moments: Moments| moments.squares / (n - 1.0);
        Some(annualised(sample(overnight?) + k * sample(session?) + (1.0 - k) * within / n))
    }
}

/// Exponentially weighted variance, started from the mean square of the first returns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct EwmaVolatility {
    bars: usize,
    seen: usize,
    variance: f64,
    decay: f64,
}

impl EwmaVolatility {
    pub(crate) fn new(bars: usize) -> Self {
        Self { bars, seen: 0, variance: 0.0, decay: (-1.0 / bars as f64).exp() }
    }
}

impl Indicator for EwmaVolatility {
    #[inline]
    fn push(&mut self, step: &Step) -> Option<f64> {
        step.later()?;
        let square = step.log_return * step.log_return;
        if self.seen >= self.bars {
            self.variance += (1.0 - self.decay) * (square - self.variance);
        } else {
            self.seen += 1;
            self.variance += square / self.bars as f64;
            if self.seen < self.bars {
                return None;
            }
        }
        Some(annualised(self.variance))
    }
}

/// Root mean square of the falls.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct DownsideDeviation(Rolling<Sum>);

impl DownsideDeviation {
    pub(crate) fn new(bars: usize) -> Self {
        Self(Rolling::new(bars))
    }
}

impl Indicator for DownsideDeviation {
    #[inline]
    fn push(&mut self, step: &Step) -> Option<f64> {
        step.later()?;
        let fall = step.log_return.min(0.0);
        self.0.push(Sum(fall * fall)).map(|Sum(sum)| annualised(sum / self.0.count()))
    }
}

/// Third standardised moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Skewness(Rolling<Shape>);

impl Skewness {
    pub(crate) fn new(bars: usize) -> Self {
        Self(Rolling::new(bars))
    }
}

impl Indicator for Skewness {
    fn push(&mut self, step: &Step) -> Option<f64> {
        step.later()?;
        let [second, third, _] = self.0.push(Shape::of(step.log_return))?.powers;
        let scale = second * second.sqrt();
        Some(if scale > 0.0 { self.0.count().sqrt() * third / scale } else { 0.0 })
    }
}

/// Fourth standardised moment less 3.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Kurtosis(Rolling<Shape>);

impl Kurtosis {
    pub(crate) fn new(bars: usize) -> Self {
        Self(Rolling::new(bars))
    }
}

impl Indicator for Kurtosis {
    fn push(&mut self, step: &Step) -> Option<f64> {
        step.later()?;
        let [second, _, fourth] = self.0.push(Shape::of(step.log_return))?.powers;
        let scale = second * second;
        Some(if scale > 0.0 { self.0.count() * fourth / scale - 3.0 } else { 0.0 })
    }
}

/// Correlation of each return with the one before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Autocorrelation {
    before: Option<f64>,
    pairs: Rolling<Pair>,
}

impl Autocorrelation {
    pub(crate) fn new(bars: usize) -> Self {
        Self { before: None, pairs: Rolling::new(bars) }
    }
}

impl Indicator for Autocorrelation {
    #[inline]
    fn push(&mut self, step: &Step) -> Option<f64> {
        step.later()?;
        let before = self.before.replace(step.log_return)?;
        self.pairs.push(Pair::of(before, step.log_return)).map(|pair| pair.correlation())
    }
}
