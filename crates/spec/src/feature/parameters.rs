//! Names, parameters and ranges of features, for checks, columns and the catalogue alike.

use super::{FEATURE_BARS_MAX, FeatureSpec};

/// One parameter of a feature.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parameter {
    /// Name of its field.
    pub field: &'static str,
    /// What is asked.
    pub value: f64,
    /// What may be asked.
    pub range: ParameterRange,
}

/// What a parameter may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ParameterRange {
    /// A number of bars, both ends included.
    Bars {
        /// Fewest.
        least: u32,
        /// Most.
        most: u32,
    },
    /// Above 0, at most this; infinite where there is no limit.
    Above {
        /// Largest.
        most: f64,
    },
}

impl Parameter {
    const fn bars(field: &'static str, value: u32, least: u32) -> Self {
        Self { field, value: value as f64, range: ParameterRange::Bars { least, most: FEATURE_BARS_MAX } }
    }

    const fn above(field: &'static str, value: f64, most: f64) -> Self {
        Self { field, value, range: ParameterRange::Above { most } }
    }

    /// Whether the value may be asked.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        match self.range {
            ParameterRange::Bars { least, most } => self.value >= f64::from(least) && self.value <= f64::from(most),
            ParameterRange::Above { most } => self.value > 0.0 && self.value.is_finite() && self.value <= most,
        }
    }
}

impl FeatureSpec {
    /// The name of the feature, as in a file.
    #[must_use]
    #[allow(clippy::too_many_lines, reason = "one line a feature")]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::LogReturn { .. } => "log_return",
            Self::RealisedVolatility { .. } => "realised_volatility",
            Self::Rsi { .. } => "rsi",
            Self::Macd { .. } => "macd",
            Self::Atr { .. } => "atr",
            Self::Bollinger { .. } => "bollinger",
            Self::VolumeZ { .. } => "volume_z",
            Self::Sma { .. } => "sma",
            Self::Ema { .. } => "ema",
            Self::Wma { .. } => "wma",
            Self::Dema { .. } => "dema",
            Self::Tema { .. } => "tema",
            Self::Trima { .. } => "trima",
            Self::Kama { .. } => "kama",
            Self::Ppo { .. } => "ppo",
            Self::Trix { .. } => "trix",
            Self::Adx { .. } => "adx",
            Self::DirectionalSpread { .. } => "directional_spread",
            Self::Aroon { .. } => "aroon",
            Self::ParabolicSar { .. } => "parabolic_sar",
            Self::TrendSlope { .. } => "trend_slope",
            Self::TrendResidual { .. } => "trend_residual",
            Self::TrendFit { .. } => "trend_fit",
            Self::EfficiencyRatio { .. } => "efficiency_ratio",
            Self::Stochastic { .. } => "stochastic",
            Self::StochasticSlow { .. } => "stochastic_slow",
            Self::StochasticRsi { .. } => "stochastic_rsi",
            Self::UltimateOscillator { .. } => "ultimate_oscillator",
            Self::Ichimoku { .. } => "ichimoku",
            Self::Vortex { .. } => "vortex",
            Self::Choppiness { .. } => "choppiness",
            Self::Drawdown { .. } => "drawdown",
            Self::Rally { .. } => "rally",
            Self::ChannelWidth { .. } => "channel_width",
            Self::Keltner { .. } => "keltner",
            Self::BandWidth { .. } => "band_width",
            Self::Parkinson { .. } => "parkinson",
            Self::GarmanKlass { .. } => "garman_klass",
            Self::RogersSatchell { .. } => "rogers_satchell",
            Self::YangZhang { .. } => "yang_zhang",
            Self::EwmaVolatility { .. } => "ewma_volatility",
            Self::VolatilityRatio { .. } => "volatility_ratio",
            Self::DownsideDeviation { .. } => "downside_deviation",
            Self::Skewness { .. } => "skewness",
            Self::Kurtosis { .. } => "kurtosis",
            Self::Autocorrelation { .. } => "autocorrelation",
            Self::Gap { .. } => "gap",
            Self::Body { .. } => "body",
            Self::UpperShadow { .. } => "upper_shadow",
            Self::LowerShadow { .. } => "lower_shadow",
            Self::CloseLocation { .. } => "close_location",
            Self::VolumeRatio { .. } => "volume_ratio",
            Self::SignedVolume { .. } => "signed_volume",
            Self::ChaikinMoneyFlow { .. } => "chaikin_money_flow",
            Self::ChaikinOscillator { .. } => "chaikin_oscillator",
            Self::MoneyFlow { .. } => "money_flow",
            Self::VwapDistance { .. } => "vwap_distance",
            Self::ForceIndex { .. } => "force_index",
            Self::VolumeReturnCorrelation { .. } => "volume_return_correlation",
            Self::MarketReturn { .. } => "market_return",
            Self::RelativeReturn { .. } => "relative_return",
            Self::ReturnRank { .. } => "return_rank",
            Self::ReturnZ { .. } => "return_z",
            Self::Dispersion { .. } => "dispersion",
            Self::Breadth { .. } => "breadth",
            Self::Beta { .. } => "beta",
            Self::MarketCorrelation { .. } => "market_correlation",
            Self::ResidualVolatility { .. } => "residual_volatility",
        }
    }

    /// Its parameters, in the order of its fields.
    #[must_use]
    #[allow(clippy::too_many_lines, reason = "one line a feature")]
    pub fn parameters(&self) -> Vec<Parameter> {
        let window = |bars: u32, least: u32| vec![Parameter::bars("bars", bars, least)];
        match *self {
            Self::LogReturn { bars }
            | Self::Atr { bars }
            | Self::Aroon { bars }
            | Self::Stochastic { bars }
            | Self::ChannelWidth { bars }
            | Self::Parkinson { bars }
            | Self::GarmanKlass { bars }
            | Self::RogersSatchell { bars }
            | Self::VolumeRatio { bars }
            | Self::SignedVolume { bars }
            | Self::ChaikinMoneyFlow { bars }
            | Self::MoneyFlow { bars }
            | Self::VwapDistance { bars }
            | Self::MarketReturn { bars }
            | Self::RelativeReturn { bars }
            | Self::ReturnRank { bars }
            | Self::ReturnZ { bars }
            | Self::Dispersion { bars }
            | Self::Breadth { bars } => window(bars, 1),
            Self::RealisedVolatility { bars }
            | Self::Rsi { bars }
            | Self::VolumeZ { bars }
            | Self::Sma { bars }
            | Self::Ema { bars }
            | Self::Wma { bars }
            | Self::Dema { bars }
            | Self::Tema { bars }
            | Self::Trima { bars }
            | Self::Kama { bars }
            | Self::Trix { bars }
            | Self::Adx { bars }
            | Self::DirectionalSpread { bars }
            | Self::TrendSlope { bars }
            | Self::EfficiencyRatio { bars }
            | Self::Vortex { bars }
            | Self::Choppiness { bars }
            | Self::Drawdown { bars }
            | Self::Rally { bars }
            | Self::BandWidth { bars }
            | Self::EwmaVolatility { bars }
            | Self::DownsideDeviation { bars }
            | Self::ForceIndex { bars } => window(bars, 2),
            Self::TrendResidual { bars }
            | Self::TrendFit { bars }
            | Self::YangZhang { bars }
            | Self::Skewness { bars }
            | Self::Autocorrelation { bars }
            | Self::VolumeReturnCorrelation { bars }
            | Self::Beta { bars }
            | Self::MarketCorrelation { bars } => window(bars, 3),
            Self::Kurtosis { bars } | Self::ResidualVolatility { bars } => window(bars, 4),
            Self::Gap {} | Self::Body {} | Self::UpperShadow {} | Self::LowerShadow {} | Self::CloseLocation {} => {
                Vec::new()
            }
            Self::Macd { fast, slow, signal } => vec![
                Parameter::bars("fast", fast, 1),
                Parameter::bars("slow", slow, 1),
                Parameter::bars("signal", signal, 1),
            ],
            Self::Bollinger { bars, width } | Self::Keltner { bars, width } => {
                vec![Parameter::bars("bars", bars, 2), Parameter::above("width", width, f64::INFINITY)]
            }
            Self::ParabolicSar { step, limit } => {
                vec![Parameter::above("step", step, 1.0), Parameter::above("limit", limit, 1.0)]
            }
            Self::Ppo { fast, slow } | Self::Ichimoku { fast, slow } | Self::ChaikinOscillator { fast, slow } => {
                vec![Parameter::bars("fast", fast, 1), Parameter::bars("slow", slow, 2)]
            }
            Self::VolatilityRatio { fast, slow } => {
                vec![Parameter::bars("fast", fast, 2), Parameter::bars("slow", slow, 3)]
            }
            Self::StochasticSlow { bars, smooth } => {
                vec![Parameter::bars("bars", bars, 1), Parameter::bars("smooth", smooth, 1)]
            }
            Self::StochasticRsi { bars, window } => {
                vec![Parameter::bars("bars", bars, 2), Parameter::bars("window", window, 2)]
            }
            Self::UltimateOscillator { short, middle, long } => vec![
                Parameter::bars("short", short, 1),
                Parameter::bars("middle", middle, 2),
                Parameter::bars("long", long, 3),
            ],
        }
    }

    /// Two parameters that stand in the wrong order, by their fields: the first must be below the second.
    #[must_use]
    pub fn misordered(&self) -> Option<(&'static str, &'static str)> {
        const ASCENDING: [(&str, &str); 3] = [("fast", "slow"), ("short", "middle"), ("middle", "long")];
        let parameters = self.parameters();
        let value = |field: &str| parameters.iter().find(|one| one.field == field).map(|found| found.value);
        ASCENDING.into_iter().find(|(low, high)| match (value(low), value(high)) {
            (Some(low), Some(high)) => low >= high,
            (Some(_) | None, None) | (None, Some(_)) => false,
        })
    }

    /// The name of its column: the kind and the parameters, such as `macd_12_26_9`.
    #[must_use]
    pub fn column(&self) -> String {
        let parameters = self.parameters();
        std::iter::once(self.kind().to_owned())
            .chain(parameters.iter().map(|parameter| parameter.value.to_string()))
            .collect::<Vec<_>>()
            .join("_")
    }

    /// Whether it reads the bars of other symbols too.
    #[must_use]
    pub const fn is_cross_section(&self) -> bool {
        matches!(
            self,
            Self::MarketReturn { .. }
                | Self::RelativeReturn { .. }
                | Self::ReturnRank { .. }
                | Self::ReturnZ { .. }
                | Self::Dispersion { .. }
                | Self::Breadth { .. }
                | Self::Beta { .. }
                | Self::MarketCorrelation { .. }
                | Self::ResidualVolatility { .. }
        )
    }
}
