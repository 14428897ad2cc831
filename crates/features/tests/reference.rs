//! Features against TA-Lib, pandas and pandas-ta on real bars: each is computed from their columns and compared.

#![allow(clippy::unwrap_used, reason = "a test panics when it fails")]

use std::collections::HashMap;

use features::{compute, warm_up_bars};
use market::{Bar, Timestamp};
use spec::FeatureSpec as F;

/// Relative to the larger of 1 and the value; the columns have 12 digits.
const TOLERANCE: f64 = 1e-9;

struct Reference {
    columns: HashMap<String, usize>,
    rows: Vec<Vec<Option<f64>>>,
}

impl Reference {
    fn load() -> Self {
        let text = include_str!("data/reference_aapl_daily.csv");
        let mut lines = text.lines();
        let header = lines.next().unwrap();
        let columns = header.split(',').enumerate().map(|(index, name)| (name.to_owned(), index)).collect();
        let rows = lines.map(|line| line.split(',').map(|cell| cell.parse().ok()).collect()).collect();
        Self { columns, rows }
    }

    fn bars(&self) -> Vec<Bar> {
        let bar = |row: usize| {
            let value = |column| self.at(row, column).unwrap();
            let time = include_str!("data/reference_aapl_daily.csv").lines().nth(row + 1).unwrap();
            let time: Timestamp = time.split(',').next().unwrap().parse().unwrap();
            let [open, high, low, close] = ["open", "high", "low", "close"].map(value);
            Bar { time, open, high, low, close, volume: value("volume") }
        };
        (0..self.rows.len()).map(bar).collect()
    }

    fn at(&self, row: usize, column: &str) -> Option<f64> {
        self.rows[row][self.columns[column]]
    }

    /// Compares a feature with what `expected` makes of the columns, from its first row (or `from`) to the last.
    fn check(&self, spec: &F, from: usize, expected: impl Fn(&dyn Fn(&str) -> Option<f64>, usize) -> Option<f64>) {
        let matrix = compute(std::slice::from_ref(spec), &self.bars()).unwrap();
        let mut compared = 0;
        for row in 0..self.rows.len() {
            let ours = matrix.row(row).map(|values| values[0]);
            let Some(theirs) = expected(&|column| self.at(row, column), row) else { continue };
            if row < from {
                continue;
            }
            let ours = ours.unwrap_or_else(|| panic!("{} has no value at row {row}", spec.column()));
            let error = (ours - theirs).abs() / theirs.abs().max(1.0);
            assert!(error <= TOLERANCE, "{} at row {row}: {ours} against {theirs}", spec.column());
            compared += 1;
        }
        assert!(compared + from.max(warm_up_bars(spec)) + 8 >= self.rows.len(), "{}: {compared}", spec.column());
    }
}

type Columns<'a> = &'a dyn Fn(&str) -> Option<f64>;

/// close / column − 1.
fn over(column: &'static str) -> impl Fn(Columns<'_>, usize) -> Option<f64> {
    move |at, _| Some(at("close")? / at(column)? - 1.0)
}

/// column / scale.
fn scaled(column: &'static str, scale: f64) -> impl Fn(Columns<'_>, usize) -> Option<f64> {
    move |at, _| Some(at(column)? / scale)
}

#[test]
fn averages_equal_talib() {
    let reference = Reference::load();
    reference.check(&F::Sma { bars: 20 }, 0, over("sma_20"));
    reference.check(&F::Ema { bars: 20 }, 0, over("ema_20"));
    reference.check(&F::Wma { bars: 20 }, 0, over("wma_20"));
    reference.check(&F::Dema { bars: 20 }, 0, over("dema_20"));
    reference.check(&F::Tema { bars: 20 }, 0, over("tema_20"));
    reference.check(&F::Trima { bars: 20 }, 0, over("trima_20"));
    reference.check(&F::Kama { bars: 30 }, 0, over("kama_30"));
    reference.check(&F::Trix { bars: 15 }, 0, scaled("trix_15", 100.0));
}

#[test]
fn oscillators_equal_talib() {
    let reference = Reference::load();
    reference.check(&F::LogReturn { bars: 1 }, 0, scaled("log_return", 1.0));
    reference.check(&F::Rsi { bars: 14 }, 0, scaled("rsi_14", 100.0));
    reference.check(&F::Macd { fast: 12, slow: 26, signal: 9 }, 0, |at, _| Some(at("macd_hist")? / at("close")?));
    reference.check(&F::Ppo { fast: 12, slow: 26 }, 0, scaled("ppo_12_26_ema", 100.0));
    reference.check(&F::Stochastic { bars: 14 }, 0, scaled("stochf_k_14", 100.0));
    reference.check(&F::StochasticSlow { bars: 14, smooth: 3 }, 0, scaled("stoch_k_14_3", 100.0));
    reference.check(&F::StochasticRsi { bars: 14, window: 5 }, 0, scaled("stochrsi_k_14_5", 100.0));
    let ultimate = F::UltimateOscillator { short: 7, middle: 14, long: 28 };
    reference.check(&ultimate, 0, scaled("ultosc_7_14_28", 100.0));
    reference.check(&F::Body {}, 0, scaled("bop", 1.0));
}

#[test]
fn directions_equal_talib() {
    let reference = Reference::load();
    reference.check(&F::Adx { bars: 14 }, 0, scaled("adx_14", 100.0));
    let spread = |at: Columns<'_>, _| Some((at("plus_di_14")? - at("minus_di_14")?) / 100.0);
    reference.check(&F::DirectionalSpread { bars: 14 }, 0, spread);
    let aroon = |at: Columns<'_>, _| Some((at("aroon_up_25")? - at("aroon_down_25")?) / 100.0);
    reference.check(&F::Aroon { bars: 25 }, 0, aroon);
    let sar = |at: Columns<'_>, _| Some((at("close")? - at("sar_002_02")?) / at("close")?);
    reference.check(&F::ParabolicSar { step: 0.02, limit: 0.2 }, 0, sar);
    reference.check(&F::TrendSlope { bars: 14 }, 0, |at, _| Some(at("linreg_slope_14")? / at("close")?));
    let residual = |at: Columns<'_>, _| Some((at("close")? - at("linreg_14")?) / at("close")?);
    reference.check(&F::TrendResidual { bars: 14 }, 0, residual);
}

#[test]
fn ranges_and_volatilities_equal_talib_and_pandas() {
    let reference = Reference::load();
    reference.check(&F::Atr { bars: 14 }, 0, |at, _| Some(at("atr_14")? / at("close")?));
    let band =
        |at: Columns<'_>, _| Some((at("close")? - at("bb_middle_20")?) / (at("bb_upper_20_2")? - at("bb_middle_20")?));
    reference.check(&F::Bollinger { bars: 20, width: 2.0 }, 0, band);
    let width = |at: Columns<'_>, _| Some((at("bb_upper_20_2")? - at("bb_lower_20_2")?) / at("bb_middle_20")?);
    reference.check(&F::BandWidth { bars: 20 }, 0, width);
    let channel = |at: Columns<'_>, _| Some((at("donchian_high_20")? - at("donchian_low_20")?) / at("close")?);
    reference.check(&F::ChannelWidth { bars: 20 }, 0, channel);
    reference.check(&F::RealisedVolatility { bars: 20 }, 0, scaled("realised_vol_20_ann252", 1.0));
    reference.check(&F::Parkinson { bars: 20 }, 0, scaled("parkinson_vol_20_ann252", 1.0));
    reference.check(&F::GarmanKlass { bars: 20 }, 0, scaled("garman_klass_vol_20_ann252", 1.0));
}

#[test]
fn ichimoku_vortex_and_choppiness_equal_pandas_ta() {
    let reference = Reference::load();
    let ichimoku = |at: Columns<'_>, _| Some((at("its_9")? - at("iks_26")?) / at("close")?);
    reference.check(&F::Ichimoku { fast: 9, slow: 26 }, 0, ichimoku);
    // pandas-ta counts the first bar's range, which has no close before it.
    reference.check(&F::Vortex { bars: 14 }, 20, |at, _| Some(at("vtxp_14")? - at("vtxm_14")?));
    reference.check(&F::Choppiness { bars: 14 }, 20, scaled("chop_14_1_100", 100.0));
}

#[test]
fn volume_features_equal_talib_pandas_and_pandas_ta() {
    let reference = Reference::load();
    let bars = reference.bars();
    reference.check(&F::MoneyFlow { bars: 14 }, 0, scaled("mfi_14", 100.0));
    reference.check(&F::ChaikinMoneyFlow { bars: 20 }, 0, scaled("cmf_20", 1.0));
    let signed = |at: Columns<'_>, row: usize| {
        let ago = row.checked_sub(20)?;
        let all: f64 = bars[ago + 1..=row].iter().map(|bar| bar.volume).sum();
        Some((at("obv")? - reference.at(ago, "obv")?) / all)
    };
    reference.check(&F::SignedVolume { bars: 20 }, 0, signed);
    let volumes = ema(&bars.iter().map(|bar| bar.volume).collect::<Vec<_>>(), 10);
    let chaikin = |at: Columns<'_>, row: usize| Some(at("adosc_3_10")? / volumes[row]?);
    reference.check(&F::ChaikinOscillator { fast: 3, slow: 10 }, 0, chaikin);
    let money = ema(&bars[1..].iter().map(|bar| bar.volume * bar.close).collect::<Vec<_>>(), 13);
    let force = |at: Columns<'_>, row: usize| Some(at("efi_13")? / money[row.checked_sub(1)?]?);
    // pandas-ta starts its average at the first value: the difference has died out by then.
    reference.check(&F::ForceIndex { bars: 13 }, 300, force);
}

/// By its definition, apart from the code under test.
fn ema(values: &[f64], length: usize) -> Vec<Option<f64>> {
    let mut last = None;
    let step = |(index, value): (usize, &f64)| {
        last = match last {
            None if index + 1 < length => None,
            None => Some(values[..length].iter().sum::<f64>() / length as f64),
            Some(before) => Some(before + 2.0 / (length as f64 + 1.0) * (value - before)),
        };
        last
    };
    values.iter().enumerate().map(step).collect()
}
