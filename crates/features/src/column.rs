//! The registry: each feature of a spec as a column with its state.

use serde::{Deserialize, Serialize};
use spec::{FeatureSpec, ParameterRange};

use crate::FeatureError;
use crate::indicators::*;
use crate::step::Step;

macro_rules! columns {
    ($($name:ident: $indicator:ty),* $(,)?) => {
        /// One column with its state.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub(crate) enum Column {
            $($name($indicator)),*
        }

        impl Column {
            /// The value at one bar.
            pub(crate) fn push(&mut self, step: &Step) -> Option<f64> {
                match self {
                    $(Self::$name(indicator) => indicator.push(step)),*
                }
            }

            /// The values at several bars, written every `width` places of `out`. Returns the bars without a value, which
            /// are the first ones.
            pub(crate) fn run(&mut self, steps: &[Step], out: &mut [f64], width: usize) -> usize {
                match self {
                    $(Self::$name(indicator) => run(indicator, steps, out, width)),*
                }
            }
        }
    };
}
columns! {
    LogReturn: LogReturn,
    RealisedVolatility: RealisedVolatility,
    Rsi: Rsi,
    Macd: Macd,
    Atr: Atr,
    Bollinger: Bollinger,
    VolumeZ: VolumeZ,
    Sma: CloseOver<Sma>,
    Ema: CloseOver<Ema>,
    Wma: CloseOver<Wma>,
    Dema: CloseOver<Dema>,
    Tema: CloseOver<Tema>,
    Trima: CloseOver<Trima>,
    Kama: CloseOver<Kama>,
    Ppo: Ppo,
    Trix: Trix,
    Adx: Adx,
    DirectionalSpread: DirectionalSpread,
    Aroon: Aroon,
    ParabolicSar: ParabolicSar,
    TrendSlope: TrendSlope,
    TrendResidual: TrendResidual,
    TrendFit: TrendFit,
    EfficiencyRatio: EfficiencyRatio,
    Stochastic: Stochastic,
    StochasticSlow: StochasticSlow,
    StochasticRsi: StochasticRsi,
    UltimateOscillator: UltimateOscillator,
    Ichimoku: Ichimoku,
    Vortex: Vortex,
    Choppiness: Choppiness,
    Drawdown: Drawdown,
    Rally: Rally,
    ChannelWidth: ChannelWidth,
    Keltner: Keltner,
    BandWidth: BandWidth,
    Parkinson: Parkinson,
    GarmanKlass: GarmanKlass,
    RogersSatchell: RogersSatchell,
    YangZhang: YangZhang,
    EwmaVolatility: EwmaVolatility,
    VolatilityRatio: VolatilityRatio,
    DownsideDeviation: DownsideDeviation,
    Skewness: Skewness,
    Kurtosis: Kurtosis,
    Autocorrelation: Autocorrelation,
    Gap: Gap,
    Body: Body,
    UpperShadow: UpperShadow,
    LowerShadow: LowerShadow,
    CloseLocation: CloseLocation,
    VolumeRatio: VolumeRatio,
    SignedVolume: SignedVolume,
    ChaikinMoneyFlow: ChaikinMoneyFlow,
    ChaikinOscillator: ChaikinOscillator,
    MoneyFlow: MoneyFlow,
    VwapDistance: VwapDistance,
    ForceIndex: ForceIndex,
    VolumeReturnCorrelation: VolumeReturnCorrelation,
}

/// One indicator over several bars: the same pushes as one by one, without a choice of indicator between them.
fn run(indicator: &mut impl Indicator, steps: &[Step], out: &mut [f64], width: usize) -> usize {
    let mut undefined = 0;
    for (index, step) in steps.iter().enumerate() {
        match indicator.push(step) {
            Some(value) => out[index * width] = value,
            None => undefined = index + 1,
        }
    }
    undefined
}

impl Column {
    /// An empty column.
    ///
    /// # Errors
    /// [`FeatureError::CrossSection`] for a feature that needs several symbols; [`FeatureError::Parameter`].
    #[allow(clippy::too_many_lines, reason = "one line a feature")]
    pub(crate) fn new(spec: &FeatureSpec) -> Result<Self, FeatureError> {
        use FeatureSpec as F;
        let n = |bars: u32| bars as usize;
        check(spec)?;
        Ok(match *spec {
            F::LogReturn { bars } => Self::LogReturn(LogReturn::new(n(bars))),
            F::RealisedVolatility { bars } => Self::RealisedVolatility(RealisedVolatility::new(n(bars))),
            F::Rsi { bars } => Self::Rsi(Rsi::new(n(bars))),
            F::Macd { fast, slow, signal } => Self::Macd(Macd::new(n(fast), n(slow), n(signal))),
            F::Atr { bars } => Self::Atr(Atr::new(n(bars))),
            F::Bollinger { bars, width } => Self::Bollinger(Bollinger::new(n(bars), width)),
            F::VolumeZ { bars } => Self::VolumeZ(VolumeZ::new(n(bars))),
            F::Sma { bars } => Self::Sma(CloseOver(Sma::new(n(bars)))),
            F::Ema { bars } => Self::Ema(CloseOver(Ema::new(n(bars)))),
            F::Wma { bars } => Self::Wma(CloseOver(Wma::new(n(bars)))),
            F::Dema { bars } => Self::Dema(CloseOver(Dema::new(n(bars)))),
            F::Tema { bars } => Self::Tema(CloseOver(Tema::new(n(bars)))),
            F::Trima { bars } => Self::Trima(CloseOver(Trima::new(n(bars)))),
            F::Kama { bars } => Self::Kama(CloseOver(Kama::new(n(bars)))),
            F::Ppo { fast, slow } => Self::Ppo(Ppo::new(n(fast), n(slow))),
            F::Trix { bars } => Self::Trix(Trix::new(n(bars))),
            F::Adx { bars } => Self::Adx(Adx::new(n(bars))),
            F::DirectionalSpread { bars } => Self::DirectionalSpread(DirectionalSpread::new(n(bars))),
            F::Aroon { bars } => Self::Aroon(Aroon::new(n(bars))),
            F::ParabolicSar { step, limit } => Self::ParabolicSar(ParabolicSar::new(step, limit)),
            F::TrendSlope { bars } => Self::TrendSlope(TrendSlope::new(n(bars))),
            F::TrendResidual { bars } => Self::TrendResidual(TrendResidual::new(n(bars))),
            F::TrendFit { bars } => Self::TrendFit(TrendFit::new(n(bars))),
            F::EfficiencyRatio { bars } => Self::EfficiencyRatio(EfficiencyRatio::new(n(bars))),
            F::Stochastic { bars } => Self::Stochastic(Stochastic::new(n(bars))),
            F::StochasticSlow { bars, smooth } => Self::StochasticSlow(StochasticSlow::new(n(bars), n(smooth))),
            F::StochasticRsi { bars, window } => Self::StochasticRsi(StochasticRsi::new(n(bars), n(window))),
            F::UltimateOscillator { short, middle, long } => {
                Self::UltimateOscillator(UltimateOscillator::new(n(short), n(middle), n(long)))
            }
            F::Ichimoku { fast, slow } => Self::Ichimoku(Ichimoku::new(n(fast), n(slow))),
            F::Vortex { bars } => Self::Vortex(Vortex::new(n(bars))),
            F::Choppiness { bars } => Self::Choppiness(Choppiness::new(n(bars))),
            F::Drawdown { bars } => Self::Drawdown(Drawdown::new(n(bars))),
            F::Rally { bars } => Self::Rally(Rally::new(n(bars))),
            F::ChannelWidth { bars } => Self::ChannelWidth(ChannelWidth::new(n(bars))),
            F::Keltner { bars, width } => Self::Keltner(Keltner::new(n(bars), width)),
            F::BandWidth { bars } => Self::BandWidth(BandWidth::new(n(bars))),
            F::Parkinson { bars } => Self::Parkinson(Parkinson::new(n(bars))),
            F::GarmanKlass { bars } => Self::GarmanKlass(GarmanKlass::new(n(bars))),
            F::RogersSatchell { bars } => Self::RogersSatchell(RogersSatchell::new(n(bars))),
            F::YangZhang { bars } => Self::YangZhang(YangZhang::new(n(bars))),
            F::EwmaVolatility { bars } => Self::EwmaVolatility(EwmaVolatility::new(n(bars))),
            F::VolatilityRatio { fast, slow } => Self::VolatilityRatio(VolatilityRatio::new(n(fast), n(slow))),
            F::DownsideDeviation { bars } => Self::DownsideDeviation(DownsideDeviation::new(n(bars))),
            F::Skewness { bars } => Self::Skewness(Skewness::new(n(bars))),
            F::Kurtosis { bars } => Self::Kurtosis(Kurtosis::new(n(bars))),
            F::Autocorrelation { bars } => Self::Autocorrelation(Autocorrelation::new(n(bars))),
            F::Gap {} => Self::Gap(Gap),
            F::Body {} => Self::Body(Body),
            F::UpperShadow {} => Self::UpperShadow(UpperShadow),
            F::LowerShadow {} => Self::LowerShadow(LowerShadow),
            F::CloseLocation {} => Self::CloseLocation(CloseLocation),
            F::VolumeRatio { bars } => Self::VolumeRatio(VolumeRatio::new(n(bars))),
            F::SignedVolume { bars } => Self::SignedVolume(SignedVolume::new(n(bars))),
            F::ChaikinMoneyFlow { bars } => Self::ChaikinMoneyFlow(ChaikinMoneyFlow::new(n(bars))),
            F::ChaikinOscillator { fast, slow } => Self::ChaikinOscillator(ChaikinOscillator::new(n(fast), n(slow))),
            F::MoneyFlow { bars } => Self::MoneyFlow(MoneyFlow::new(n(bars))),
            F::VwapDistance { bars } => Self::VwapDistance(VwapDistance::new(n(bars))),
            F::ForceIndex { bars } => Self::ForceIndex(ForceIndex::new(n(bars))),
            F::VolumeReturnCorrelation { bars } => Self::VolumeReturnCorrelation(VolumeReturnCorrelation::new(n(bars))),
            F::MarketReturn { .. }
            | F::RelativeReturn { .. }
            | F::ReturnRank { .. }
            | F::ReturnZ { .. }
            | F::Dispersion { .. }
            | F::Breadth { .. }
            | F::Beta { .. }
            | F::MarketCorrelation { .. }
            | F::ResidualVolatility { .. } => return Err(FeatureError::CrossSection { name: spec.column() }),
        })
    }
}

/// Refuses parameters outside their ranges.
pub(crate) fn check(spec: &FeatureSpec) -> Result<(), FeatureError> {
    let refuse = |why: String| Err(FeatureError::Parameter { name: spec.column(), why });
    if let Some(parameter) = spec.parameters().iter().find(|parameter| !parameter.is_valid()) {
        let field = parameter.field;
        return match parameter.range {
            ParameterRange::Bars { least, most } if field == "bars" => refuse(format!("use {least} to {most} bars")),
            ParameterRange::Bars { least, most } => refuse(format!("use {least} to {most} bars for `{field}`")),
            ParameterRange::Above { most } if most.is_finite() => {
                refuse(format!("use a `{field}` above 0, at most {most}"))
            }
            ParameterRange::Above { .. } => refuse(format!("use a {field} above 0")),
        };
    }
    match spec.misordered() {
        Some((low, high)) => refuse(format!("use a `{low}` below `{high}`")),
        None => Ok(()),
    }
}

/// Bars before a feature's first value.
#[must_use]
pub fn warm_up_bars(spec: &FeatureSpec) -> usize {
    use FeatureSpec as F;
    let bars = match *spec {
        F::Body {} | F::UpperShadow {} | F::LowerShadow {} | F::CloseLocation {} => 0,
        F::Gap {} | F::ParabolicSar { .. } => 1,
        F::Bollinger { bars, .. }
        | F::VolumeZ { bars }
        | F::Sma { bars }
        | F::Ema { bars }
        | F::Wma { bars }
        | F::Trima { bars }
        | F::TrendSlope { bars }
        | F::TrendResidual { bars }
        | F::TrendFit { bars }
        | F::Stochastic { bars }
        | F::Drawdown { bars }
        | F::Rally { bars }
        | F::ChannelWidth { bars }
        | F::BandWidth { bars }
        | F::Parkinson { bars }
        | F::GarmanKlass { bars }
        | F::RogersSatchell { bars }
        | F::VolumeRatio { bars }
        | F::ChaikinMoneyFlow { bars }
        | F::VwapDistance { bars } => bars - 1,
        F::LogReturn { bars }
        | F::RealisedVolatility { bars }
        | F::Rsi { bars }
        | F::Atr { bars }
        | F::Kama { bars }
        | F::DirectionalSpread { bars }
        | F::Aroon { bars }
        | F::EfficiencyRatio { bars }
        | F::Vortex { bars }
        | F::Choppiness { bars }
        | F::Keltner { bars, .. }
        | F::YangZhang { bars }
        | F::EwmaVolatility { bars }
        | F::DownsideDeviation { bars }
        | F::Skewness { bars }
        | F::Kurtosis { bars }
        | F::SignedVolume { bars }
        | F::MoneyFlow { bars }
        | F::ForceIndex { bars }
        | F::VolumeReturnCorrelation { bars }
        | F::MarketReturn { bars }
        | F::RelativeReturn { bars }
        | F::ReturnRank { bars }
        | F::ReturnZ { bars }
        | F::Dispersion { bars }
        | F::Breadth { bars }
        | F::Beta { bars }
        | F::MarketCorrelation { bars }
        | F::ResidualVolatility { bars } => bars,
        F::Autocorrelation { bars } => bars + 1,
        F::Dema { bars } => 2 * (bars - 1),
        F::Tema { bars } => 3 * (bars - 1),
        F::Trix { bars } => 3 * (bars - 1) + 1,
        F::Adx { bars } => 2 * bars - 1,
        F::Macd { slow, signal, .. } => slow + signal - 2,
        F::Ppo { slow, .. } | F::Ichimoku { slow, .. } | F::ChaikinOscillator { slow, .. } => slow - 1,
        F::VolatilityRatio { slow, .. } => slow,
        F::StochasticSlow { bars, smooth } => bars + smooth - 2,
        F::StochasticRsi { bars, window } => bars + window - 1,
        F::UltimateOscillator { long, .. } => long,
    };
    bars as usize
}
