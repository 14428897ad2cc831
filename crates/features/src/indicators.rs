//! The indicators, one push a bar, O(1) amortised, each with its state as data.
//!
//! Conventions are TA-Lib's: EMAs start from a simple mean, Wilder's smoothing where Wilder wrote it, Bollinger bands with
//! the population deviation. What stands over a price is divided by the close, so that rows of any price level compare.

mod average;
mod channel;
mod momentum;
mod shape;
mod trend;
mod volatility;
mod volume;

use crate::step::Step;

pub(crate) use average::{CloseOver, Dema, Ema, Kama, Sma, Tema, Trima, Trix, Wma};
pub(crate) use channel::{
    Aroon, BandWidth, Bollinger, ChannelWidth, Choppiness, Drawdown, Ichimoku, Keltner, Rally, Stochastic,
    StochasticSlow,
};
pub(crate) use momentum::{EfficiencyRatio, LogReturn, Macd, Ppo, Rsi, StochasticRsi, UltimateOscillator};
pub(crate) use shape::{Body, CloseLocation, Gap, LowerShadow, UpperShadow};
pub(crate) use trend::{Adx, DirectionalSpread, ParabolicSar, TrendFit, TrendResidual, TrendSlope, Vortex};
pub(crate) use volatility::{
    Atr, Autocorrelation, DownsideDeviation, EwmaVolatility, GarmanKlass, Kurtosis, Parkinson, RealisedVolatility,
    RogersSatchell, Skewness, VolatilityRatio, YangZhang,
};
pub(crate) use volume::{
    ChaikinMoneyFlow, ChaikinOscillator, ForceIndex, MoneyFlow, SignedVolume, VolumeRatio, VolumeReturnCorrelation,
    VolumeZ, VwapDistance,
};

/// Sessions in a year, for annualisation.
pub(crate) const SESSIONS_PER_YEAR: f64 = 252.0;

/// A column: takes in each bar once, in order.
pub(crate) trait Indicator {
    /// The value at this bar; `None` while too few bars are in. Once defined, always defined.
    fn push(&mut self, step: &Step) -> Option<f64>;
}
