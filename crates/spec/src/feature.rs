//! The features an experiment may ask for: what each is, its parameters and their ranges. The registry of them all.

mod parameters;
#[cfg(test)]
mod tests;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use parameters::{Parameter, ParameterRange};

/// Longest window of a feature, bars: it bounds a bundle's state.
pub const FEATURE_BARS_MAX: u32 = 1_000;

/// One feature of the row. Each is O(1) per bar, amortised.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FeatureSpec {
    /// ln(close / close `bars` ago).
    LogReturn {
        /// Bars back. Range: 1 to 1000.
        bars: u32,
    },
    /// Sample standard deviation of one-bar log returns over `bars`, annualised.
    RealisedVolatility {
        /// Window. Range: 2 to 1000.
        bars: u32,
    },
    /// Wilder's relative strength index over 100.
    Rsi {
        /// Smoothing length. Range: 2 to 1000.
        bars: u32,
    },
    /// MACD histogram over close.
    Macd {
        /// Fast EMA length, below `slow`.
        fast: u32,
        /// Slow EMA length.
        slow: u32,
        /// Signal EMA length.
        signal: u32,
    },
    /// Wilder's average true range over close.
    Atr {
        /// Smoothing length. Range: 1 to 1000.
        bars: u32,
    },
    /// (close − mean) / (`width` × population standard deviation) over `bars`.
    Bollinger {
        /// Window. Range: 2 to 1000.
        bars: u32,
        /// Width of a band in standard deviations, above 0.
        width: f64,
    },
    /// z-score of ln(1 + volume) over `bars`.
    VolumeZ {
        /// Window. Range: 2 to 1000.
        bars: u32,
    },
    /// close over its simple moving average, less 1.
    Sma {
        /// Window. Range: 2 to 1000.
        bars: u32,
    },
    /// close over its exponential moving average, less 1.
    Ema {
        /// Window. Range: 2 to 1000.
        bars: u32,
    },
    /// close over its linearly weighted moving average, less 1.
    Wma {
        /// Window. Range: 2 to 1000.
        bars: u32,
    },
    /// close over its double exponential moving average (Mulloy), less 1.
    Dema {
        /// Window. Range: 2 to 1000.
        bars: u32,
    },
    /// close over its triple exponential moving average (Mulloy), less 1.
    Tema {
        /// Window. Range: 2 to 1000.
        bars: u32,
    },
    /// close over its triangular moving average, less 1.
    Trima {
        /// Window. Range: 2 to 1000.
        bars: u32,
    },
    /// close over Kaufman's adaptive moving average, less 1.
    Kama {
        /// Window. Range: 2 to 1000.
        bars: u32,
    },
    /// Percentage price oscillator of exponential averages, as a fraction: fast over slow, less 1.
    Ppo {
        /// Shorter length, below `slow`. Range: 1 to 1000.
        fast: u32,
        /// Longer length. Range: 2 to 1000.
        slow: u32,
    },
    /// One-bar change of the triple-smoothed exponential average, as a fraction.
    Trix {
        /// Window. Range: 2 to 1000.
        bars: u32,
    },
    /// Wilder's average directional index over 100.
    Adx {
        /// Smoothing length. Range: 2 to 1000.
        bars: u32,
    },
    /// Wilder's +DI less −DI, over 100.
    DirectionalSpread {
        /// Smoothing length. Range: 2 to 1000.
        bars: u32,
    },
    /// Aroon oscillator over 100: how much younger the highest high is than the lowest low.
    Aroon {
        /// Window. Range: 1 to 1000.
        bars: u32,
    },
    /// close less Wilder's parabolic stop and reverse, over close.
    ParabolicSar {
        /// Acceleration gained at each new extreme. Range: above 0, at most 1.
        step: f64,
        /// Largest acceleration. Range: above 0, at most 1.
        limit: f64,
    },
    /// Slope of the least-squares line through the last `bars` closes, over close, a bar.
    TrendSlope {
        /// Window. Range: 2 to 1000.
        bars: u32,
    },
    /// close less the end of the least-squares line through the last `bars` closes, over close.
    TrendResidual {
        /// Window. Range: 3 to 1000.
        bars: u32,
    },
    /// Share of the variance of the last `bars` closes that a straight line explains, signed by its slope.
    TrendFit {
        /// Window. Range: 3 to 1000.
        bars: u32,
    },
    /// Change of the close over `bars` over the sum of its absolute one-bar changes (Kaufman), signed.
    EfficiencyRatio {
        /// Window. Range: 2 to 1000.
        bars: u32,
    },
    /// Where the close lies between the lowest low and the highest high of `bars`, 0 to 1; 0.5 where they meet.
    Stochastic {
        /// Window. Range: 1 to 1000.
        bars: u32,
    },
    /// Mean of the last `smooth` values of the stochastic.
    StochasticSlow {
        /// Window. Range: 1 to 1000.
        bars: u32,
        /// Values averaged. Range: 1 to 1000.
        smooth: u32,
    },
    /// Where the RSI lies in its own range of `window` bars, 0 to 1; 0.5 where it does not vary.
    StochasticRsi {
        /// Window. Range: 2 to 1000.
        bars: u32,
        /// Window of the range. Range: 2 to 1000.
        window: u32,
    },
    /// Williams's ultimate oscillator over 100, of three windows, each longer than the one before.
    UltimateOscillator {
        /// Shortest window, below `middle`. Range: 1 to 998.
        short: u32,
        /// Middle window, below `long`. Range: 2 to 999.
        middle: u32,
        /// Longest window. Range: 3 to 1000.
        long: u32,
    },
    /// Middle of the range of `fast` bars less that of `slow` bars, over close.
    Ichimoku {
        /// Shorter window, below `slow`. Range: 1 to 1000.
        fast: u32,
        /// Longer window. Range: 2 to 1000.
        slow: u32,
    },
    /// Vortex indicator, positive less negative (Botes and Siepman).
    Vortex {
        /// Window. Range: 2 to 1000.
        bars: u32,
    },
    /// Choppiness index (Dreiss) over 100: 1 for a walk that goes nowhere, 0 for a straight line.
    Choppiness {
        /// Window. Range: 2 to 1000.
        bars: u32,
    },
    /// close over the highest close of `bars`, less 1.
    Drawdown {
        /// Window. Range: 2 to 1000.
        bars: u32,
    },
    /// close over the lowest close of `bars`, less 1.
    Rally {
        /// Window. Range: 2 to 1000.
        bars: u32,
    },
    /// Highest high less lowest low of `bars`, over close (Donchian).
    ChannelWidth {
        /// Window. Range: 1 to 1000.
        bars: u32,
    },
    /// (close − EMA) / (`width` × average true range), both of `bars` (Keltner).
    Keltner {
        /// Window. Range: 2 to 1000.
        bars: u32,
        /// Width of a band in average true ranges, above 0.
        width: f64,
    },
    /// Four population standard deviations of the closes of `bars` over their mean (Bollinger).
    BandWidth {
        /// Window. Range: 2 to 1000.
        bars: u32,
    },
    /// Volatility from high and low over `bars`, annualised (Parkinson 1980).
    Parkinson {
        /// Window. Range: 1 to 1000.
        bars: u32,
    },
    /// Volatility from open, high, low and close over `bars`, annualised (Garman and Klass 1980).
    GarmanKlass {
        /// Window. Range: 1 to 1000.
        bars: u32,
    },
    /// Volatility from open, high, low and close over `bars`, free of drift, annualised (Rogers and Satchell 1991).
    RogersSatchell {
        /// Window. Range: 1 to 1000.
        bars: u32,
    },
    /// Volatility with overnight jumps over `bars`, free of drift, annualised (Yang and Zhang 2000).
    YangZhang {
        /// Window. Range: 3 to 1000.
        bars: u32,
    },
    /// Exponentially weighted volatility of log returns with decay exp(−1 / `bars`), annualised; starts from the
    /// first `bars` returns.
    EwmaVolatility {
        /// Window. Range: 2 to 1000.
        bars: u32,
    },
    /// ln of the realised volatility over `fast` bars over that over `slow` bars; 0 where either is 0.
    VolatilityRatio {
        /// Shorter window, below `slow`. Range: 2 to 999.
        fast: u32,
        /// Longer window. Range: 3 to 1000.
        slow: u32,
    },
    /// Root mean square of the negative log returns of `bars`, others as 0, annualised.
    DownsideDeviation {
        /// Window. Range: 2 to 1000.
        bars: u32,
    },
    /// Population skewness of the log returns of `bars`; 0 where they do not vary.
    Skewness {
        /// Window. Range: 3 to 1000.
        bars: u32,
    },
    /// Population excess kurtosis of the log returns of `bars`; 0 where they do not vary.
    Kurtosis {
        /// Window. Range: 4 to 1000.
        bars: u32,
    },
    /// Correlation of the log returns of `bars` with those one bar earlier; 0 where they do not vary.
    Autocorrelation {
        /// Window. Range: 3 to 1000.
        bars: u32,
    },
    /// ln(open / close before).
    Gap {},
    /// close less open over the bar's range (balance of power); 0 for a bar without range.
    Body {},
    /// High less the higher of open and close, over the bar's range; 0 for a bar without range.
    UpperShadow {},
    /// The lower of open and close less low, over the bar's range; 0 for a bar without range.
    LowerShadow {},
    /// Where the close lies in the bar's range, −1 at the low to 1 at the high; 0 for a bar without range.
    CloseLocation {},
    /// ln of 1 + volume over 1 + the mean volume of `bars`.
    VolumeRatio {
        /// Window. Range: 1 to 1000.
        bars: u32,
    },
    /// Volume of rising less that of falling bars over all volume of `bars` (the change of on-balance volume); 0
    /// without volume.
    SignedVolume {
        /// Window. Range: 1 to 1000.
        bars: u32,
    },
    /// Volume weighted by where each close lies in its bar's range, over all volume of `bars`; 0 without volume.
    ChaikinMoneyFlow {
        /// Window. Range: 1 to 1000.
        bars: u32,
    },
    /// Fast less slow exponential average of the accumulation line, over the slow average of volume; 0 without
    /// volume.
    ChaikinOscillator {
        /// Shorter length, below `slow`. Range: 1 to 999.
        fast: u32,
        /// Longer length. Range: 2 to 1000.
        slow: u32,
    },
    /// Money flow index over 100; 0.5 where no money flows.
    MoneyFlow {
        /// Window. Range: 1 to 1000.
        bars: u32,
    },
    /// close over the volume-weighted typical price of `bars`, less 1; 0 without volume.
    VwapDistance {
        /// Window. Range: 1 to 1000.
        bars: u32,
    },
    /// Exponential average of the close's change times volume over that of close times volume (Elder); 0 without
    /// volume.
    ForceIndex {
        /// Window. Range: 2 to 1000.
        bars: u32,
    },
    /// Correlation of log returns and ln(1 + volume) over `bars`; 0 where either does not vary.
    VolumeReturnCorrelation {
        /// Window. Range: 3 to 1000.
        bars: u32,
    },
    /// Mean over the symbols of their log returns over `bars`. Needs several symbols.
    MarketReturn {
        /// Window. Range: 1 to 1000.
        bars: u32,
    },
    /// Own log return over `bars` less the mean over the symbols. Needs several symbols.
    RelativeReturn {
        /// Window. Range: 1 to 1000.
        bars: u32,
    },
    /// Rank of the own log return over `bars` among the symbols, 0 lowest to 1 highest, ties shared. Needs several
    /// symbols.
    ReturnRank {
        /// Window. Range: 1 to 1000.
        bars: u32,
    },
    /// Own log return over `bars` in deviations from the mean of the symbols; 0 where they agree. Needs several
    /// symbols.
    ReturnZ {
        /// Window. Range: 1 to 1000.
        bars: u32,
    },
    /// Population deviation over the symbols of their log returns over `bars`. Needs several symbols.
    Dispersion {
        /// Window. Range: 1 to 1000.
        bars: u32,
    },
    /// Share of rising less share of falling symbols over `bars`. Needs several symbols.
    Breadth {
        /// Window. Range: 1 to 1000.
        bars: u32,
    },
    /// Slope of own on mean one-bar log returns of the symbols over `bars`; 0 where the mean does not vary. Needs
    /// several symbols.
    Beta {
        /// Window. Range: 3 to 1000.
        bars: u32,
    },
    /// Correlation of own with mean one-bar log returns of the symbols over `bars`; 0 where either does not vary.
    /// Needs several symbols.
    MarketCorrelation {
        /// Window. Range: 3 to 1000.
        bars: u32,
    },
    /// Deviation of own one-bar log returns that the mean of the symbols does not explain, over `bars`, annualised.
    /// Needs several symbols.
    ResidualVolatility {
        /// Window. Range: 4 to 1000.
        bars: u32,
    },
}

impl FeatureSpec {
    /// Every feature once, with usual parameters.
    #[must_use]
    #[allow(clippy::too_many_lines, reason = "one line a feature")]
    pub fn all() -> Vec<Self> {
        vec![
            Self::LogReturn { bars: 5 },
            Self::RealisedVolatility { bars: 20 },
            Self::Rsi { bars: 14 },
            Self::Macd { fast: 12, slow: 26, signal: 9 },
            Self::Atr { bars: 14 },
            Self::Bollinger { bars: 20, width: 2.0 },
            Self::VolumeZ { bars: 20 },
            Self::Sma { bars: 20 },
            Self::Ema { bars: 20 },
            Self::Wma { bars: 20 },
            Self::Dema { bars: 20 },
            Self::Tema { bars: 20 },
            Self::Trima { bars: 20 },
            Self::Kama { bars: 30 },
            Self::Ppo { fast: 12, slow: 26 },
            Self::Trix { bars: 15 },
            Self::Adx { bars: 14 },
            Self::DirectionalSpread { bars: 14 },
            Self::Aroon { bars: 25 },
            Self::ParabolicSar { step: 0.02, limit: 0.2 },
            Self::TrendSlope { bars: 14 },
            Self::TrendResidual { bars: 14 },
            Self::TrendFit { bars: 20 },
            Self::EfficiencyRatio { bars: 10 },
            Self::Stochastic { bars: 14 },
            Self::StochasticSlow { bars: 14, smooth: 3 },
            Self::StochasticRsi { bars: 14, window: 5 },
            Self::UltimateOscillator { short: 7, middle: 14, long: 28 },
            Self::Ichimoku { fast: 9, slow: 26 },
            Self::Vortex { bars: 14 },
            Self::Choppiness { bars: 14 },
            Self::Drawdown { bars: 60 },
            Self::Rally { bars: 60 },
            Self::ChannelWidth { bars: 20 },
            Self::Keltner { bars: 20, width: 2.0 },
            Self::BandWidth { bars: 20 },
            Self::Parkinson { bars: 20 },
            Self::GarmanKlass { bars: 20 },
            Self::RogersSatchell { bars: 20 },
            Self::YangZhang { bars: 20 },
            Self::EwmaVolatility { bars: 16 },
            Self::VolatilityRatio { fast: 5, slow: 60 },
            Self::DownsideDeviation { bars: 20 },
            Self::Skewness { bars: 60 },
            Self::Kurtosis { bars: 60 },
            Self::Autocorrelation { bars: 20 },
            Self::Gap {},
            Self::Body {},
            Self::UpperShadow {},
            Self::LowerShadow {},
            Self::CloseLocation {},
            Self::VolumeRatio { bars: 20 },
            Self::SignedVolume { bars: 20 },
            Self::ChaikinMoneyFlow { bars: 20 },
            Self::ChaikinOscillator { fast: 3, slow: 10 },
            Self::MoneyFlow { bars: 14 },
            Self::VwapDistance { bars: 20 },
            Self::ForceIndex { bars: 13 },
            Self::VolumeReturnCorrelation { bars: 20 },
            Self::MarketReturn { bars: 5 },
            Self::RelativeReturn { bars: 5 },
            Self::ReturnRank { bars: 20 },
            Self::ReturnZ { bars: 20 },
            Self::Dispersion { bars: 5 },
            Self::Breadth { bars: 20 },
            Self::Beta { bars: 60 },
            Self::MarketCorrelation { bars: 60 },
            Self::ResidualVolatility { bars: 60 },
        ]
    }
}
