//! Direction: Wilder's directional system, straight lines, vortex, stop and reverse.

use serde::{Deserialize, Serialize};

use super::Indicator;
use crate::step::{Step, ratio};
use crate::window::{Rolling, Sum3, Trend};

/// Wilder's smoothed directional movements and true range, as TA-Lib starts them: sums of the first n − 1, then smoothed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Movements {
    length: usize,
    seen: usize,
    plus: f64,
    minus: f64,
    range: f64,
}

impl Movements {
    const fn new(length: usize) -> Self {
        Self { length, seen: 0, plus: 0.0, minus: 0.0, range: 0.0 }
    }

    /// +DI and −DI, 0 to 1.
    #[inline]
    fn push(&mut self, step: &Step) -> Option<(f64, f64)> {
        let before = step.later()?;
        let (up, down) = (step.bar.high - before.high, before.low - step.bar.low);
        let plus = if up > 0.0 && up > down { up } else { 0.0 };
        let minus = if down > 0.0 && down > up { down } else { 0.0 };
        if self.seen + 1 < self.length {
            self.seen += 1;
            self.plus += plus;
            self.minus += minus;
            self.range += step.true_range;
            return None;
        }
        let n = self.length as f64;
        self.plus += plus - self.plus / n;
        self.minus += minus - self.minus / n;
        self.range += step.true_range - self.range / n;
        Some((ratio(self.plus, self.range, 0.0), ratio(self.minus, self.range, 0.0)))
    }
}

/// +DI − −DI.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct DirectionalSpread(Movements);

impl DirectionalSpread {
    pub(crate) const fn new(bars: usize) -> Self {
        Self(Movements::new(bars))
    }
}

impl Indicator for DirectionalSpread {
    #[inline]
    fn push(&mut self, step: &Step) -> Option<f64> {
        self.0.push(step).map(|(plus, minus)| plus - minus)
    }
}

/// Wilder's smoothing of |+DI − −DI| / (+DI + −DI).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Adx {
    movements: Movements,
    seen: usize,
    value: f64,
}

impl Adx {
    pub(crate) const fn new(bars: usize) -> Self {
        Self { movements: Movements::new(bars), seen: 0, value: 0.0 }
    }
}

impl Indicator for Adx {
    #[inline]
    fn push(&mut self, step: &Step) -> Option<f64> {
        let (plus, minus) = self.movements.push(step)?;
        let strength = ratio((plus - minus).abs(), plus + minus, 0.0);
        let n = self.movements.length as f64;
        if self.seen >= self.movements.length {
            self.value = (self.value * (n - 1.0) + strength) / n;
            return Some(self.value);
        }
        self.seen += 1;
        self.value += strength;
        if self.seen < self.movements.length {
            return None;
        }
        self.value /= n;
        Some(self.value)
    }
}

/// Which way the stop and reverse stands.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Side {
    Long,
    Short,
}

/// Wilder's parabolic stop and reverse as a distance from the close.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ParabolicSar {
    step: f64,
    limit: f64,
    /// From the second bar on.
    run: Option<Run>,
}

/// A run in one direction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Run {
    side: Side,
    stop: f64,
    extreme: f64,
    acceleration: f64,
}

impl ParabolicSar {
    pub(crate) const fn new(step: f64, limit: f64) -> Self {
        Self { step, limit: if step < limit { limit } else { step }, run: None }
    }

    /// As TA-Lib: long unless the second bar moves down by more than up, and it trails from the first bar.
    fn start(&self, step: &Step) -> Run {
        let (bar, before) = (&step.bar, &step.before);
        let (up, down) = (bar.high - before.high, before.low - bar.low);
        let (side, stop, extreme) = if down > 0.0 && up < down {
            (Side::Short, before.high, bar.low)
        } else {
            (Side::Long, before.low, bar.high)
        };
        Run { side, stop, extreme, acceleration: self.step }
    }
}

impl Indicator for ParabolicSar {
    fn push(&mut self, step: &Step) -> Option<f64> {
        step.later()?;
        // The first run trails the second bar against itself.
        let trailed = if self.run.is_none() { step.bar } else { step.before };
        let mut run = self.run.take().unwrap_or_else(|| self.start(step));
        let bar = &step.bar;
        let (highest, lowest) = (bar.high.max(trailed.high), bar.low.min(trailed.low));
        let shown;
        match run.side {
            Side::Long if bar.low <= run.stop => {
                shown = run.extreme.max(highest);
                run = Run { side: Side::Short, stop: shown, extreme: bar.low, acceleration: self.step };
                run.stop = (run.stop + run.acceleration * (run.extreme - run.stop)).max(highest);
            }
            Side::Short if bar.high >= run.stop => {
                shown = run.extreme.min(lowest);
                run = Run { side: Side::Long, stop: shown, extreme: bar.high, acceleration: self.step };
                run.stop = (run.stop + run.acceleration * (run.extreme - run.stop)).min(lowest);
            }
            Side::Long => {
                shown = run.stop;
                if bar.high > run.extreme {
                    run.extreme = bar.high;
                    run.acceleration = (run.acceleration + self.step).min(self.limit);
                }
                run.stop = (run.stop + run.acceleration * (run.extreme - run.stop)).min(lowest);
            }
            Side::Short => {
                shown = run.stop;
                if bar.low < run.extreme {
                    run.extreme = bar.low;
                    run.acceleration = (run.acceleration + self.step).min(self.limit);
                }
                run.stop = (run.stop + run.acceleration * (run.extreme - run.stop)).max(highest);
            }
        }
        self.run = Some(run);
        Some((bar.close - shown) / bar.close)
    }
}

/// Slope over close.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct TrendSlope(Rolling<Trend>);

impl TrendSlope {
    pub(crate) fn new(bars: usize) -> Self {
        Self(Rolling::new(bars))
    }
}

impl Indicator for TrendSlope {
    #[inline]
    fn push(&mut self, step: &Step) -> Option<f64> {
        self.0.push(Trend::of(step.bar.close)).map(|trend| trend.slope(self.0.count()) / step.bar.close)
    }
}

/// close over the line's end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct TrendResidual(Rolling<Trend>);

impl TrendResidual {
    pub(crate) fn new(bars: usize) -> Self {
        Self(Rolling::new(bars))
    }
}

impl Indicator for TrendResidual {
    #[inline]
    fn push(&mut self, step: &Step) -> Option<f64> {
        let trend = self.0.push(Trend::of(step.bar.close))?;
        let n = self.0.count();
        let end = trend.mean + trend.slope(n) * (n - 1.0) / 2.0;
        // A crash can drive the line's end to 0 and below, where a quotient says nothing: the difference over close.
        Some((step.bar.close - end) / step.bar.close)
    }
}

/// Signed share of explained variance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct TrendFit(Rolling<Trend>);

impl TrendFit {
    pub(crate) fn new(bars: usize) -> Self {
        Self(Rolling::new(bars))
    }
}

impl Indicator for TrendFit {
    #[inline]
    fn push(&mut self, step: &Step) -> Option<f64> {
        let trend = self.0.push(Trend::of(step.bar.close))?;
        let explained = trend.tilt * trend.slope(self.0.count()).abs();
        Some(ratio(explained, trend.squares, 0.0).clamp(-1.0, 1.0))
    }
}

/// |high − low before| less |low − high before|, summed, over the sum of true ranges.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Vortex(Rolling<Sum3>);

impl Vortex {
    pub(crate) fn new(bars: usize) -> Self {
        Self(Rolling::new(bars))
    }
}

impl Indicator for Vortex {
    #[inline]
    fn push(&mut self, step: &Step) -> Option<f64> {
        let before = step.later()?;
        let (plus, minus) = ((step.bar.high - before.low).abs(), (step.bar.low - before.high).abs());
        let sums = self.0.push(Sum3(plus, minus, step.true_range))?;
        Some(ratio(sums.0 - sums.1, sums.2, 0.0))
    }
}
