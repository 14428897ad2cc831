//! Features without an independent library's column, against their definitions written out over each window afresh.

#![allow(clippy::unwrap_used, reason = "a test panics when it fails")]

use features::{Panel, compute, compute_panel, warm_up_bars};
use market::{Bar, Timestamp};
use spec::FeatureSpec as F;

const DAY: i64 = 86_400_000_000;

/// A random walk with all kinds of bars, from a fixed linear congruential generator.
fn walk(seed: u64, length: i64) -> Vec<Bar> {
    let mut state = seed;
    let mut draw = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1u64 << 53) as f64 - 0.5
    };
    let mut close: f64 = 50.0;
    let bar = |day| {
        let open = close * (0.02 * draw()).exp();
        close = open * (0.06 * draw()).exp();
        let (top, bottom) = (open.max(close), open.min(close));
        let (high, low) = (top * (1.0 + 0.02 * draw().abs()), bottom * (1.0 - 0.02 * draw().abs()));
        let volume = if draw() > 0.45 { 0.0 } else { (1e6 * (draw() + 0.6)).round() };
        Bar { time: Timestamp::from_micros(day * DAY), open, high, low, close, volume }
    };
    (0..length).map(bar).collect()
}

/// Holds every row of a feature against `expected` of all bars up to it.
fn check(spec: &F, expected: impl Fn(&[Bar]) -> f64) {
    let bars = walk(7, 300);
    let matrix = compute(std::slice::from_ref(spec), &bars).unwrap();
    assert_eq!(matrix.first, warm_up_bars(spec), "{}", spec.column());
    for row in matrix.first..bars.len() {
        let (ours, theirs) = (matrix.row(row).unwrap()[0], expected(&bars[..=row]));
        let error = (ours - theirs).abs() / theirs.abs().max(1.0);
        assert!(error < 1e-9, "{} at row {row}: {ours} against {theirs}", spec.column());
    }
}

fn last<T>(values: &[T], count: usize) -> &[T] {
    &values[values.len() - count..]
}

fn returns(bars: &[Bar], count: usize) -> Vec<f64> {
    last(bars, count + 1).windows(2).map(|pair| (pair[1].close / pair[0].close).ln()).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn power(values: &[f64], k: i32) -> f64 {
    let mean = mean(values);
    values.iter().map(|x| (x - mean).powi(k)).sum::<f64>()
}

fn sample(values: &[f64]) -> f64 {
    (power(values, 2) / (values.len() as f64 - 1.0)).sqrt()
}

fn correlation(x: &[f64], y: &[f64]) -> f64 {
    let (mx, my) = (mean(x), mean(y));
    let product: f64 = x.iter().zip(y).map(|(x, y)| (x - mx) * (y - my)).sum();
    product / (power(x, 2) * power(y, 2)).sqrt()
}

fn closes(bars: &[Bar], count: usize) -> Vec<f64> {
    last(bars, count).iter().map(|bar| bar.close).collect()
}

#[test]
fn returns_of_several_bars_and_paths() {
    check(&F::LogReturn { bars: 5 }, |bars| returns(bars, 5).iter().sum());
    check(&F::EfficiencyRatio { bars: 10 }, |bars| {
        let closes = closes(bars, 11);
        let path: f64 = closes.windows(2).map(|pair| (pair[1] - pair[0]).abs()).sum();
        (closes[10] - closes[0]) / path
    });
    check(&F::Drawdown { bars: 60 }, |bars| {
        let closes = closes(bars, 60);
        closes[59] / closes.iter().copied().fold(0.0, f64::max) - 1.0
    });
    check(&F::Rally { bars: 60 }, |bars| {
        let closes = closes(bars, 60);
        closes[59] / closes.iter().copied().fold(f64::MAX, f64::min) - 1.0
    });
    check(&F::TrendFit { bars: 20 }, |bars| {
        let places: Vec<f64> = (0..20).map(f64::from).collect();
        let r = correlation(&places, &closes(bars, 20));
        r * r.abs()
    });
}

#[test]
fn volatilities_and_shapes_of_returns() {
    let year = 252f64.sqrt();
    check(&F::VolatilityRatio { fast: 5, slow: 60 }, |bars| {
        (sample(&returns(bars, 5)) / sample(&returns(bars, 60))).ln()
    });
    check(&F::DownsideDeviation { bars: 20 }, |bars| {
        let falls: f64 = returns(bars, 20).iter().map(|r| r.min(0.0).powi(2)).sum();
        (falls / 20.0).sqrt() * year
    });
    check(&F::Skewness { bars: 60 }, |bars| {
        let r = returns(bars, 60);
        power(&r, 3) / 60.0 / (power(&r, 2) / 60.0).powf(1.5)
    });
    check(&F::Kurtosis { bars: 60 }, |bars| {
        let r = returns(bars, 60);
        power(&r, 4) / 60.0 / (power(&r, 2) / 60.0).powi(2) - 3.0
    });
    check(&F::Autocorrelation { bars: 20 }, |bars| {
        let r = returns(bars, 21);
        correlation(&r[..20], &r[1..])
    });
    check(&F::EwmaVolatility { bars: 16 }, |bars| {
        let r = returns(bars, bars.len() - 1);
        let decay = (-1.0 / 16.0f64).exp();
        let start = r[..16].iter().map(|r| r * r).sum::<f64>() / 16.0;
        let variance = r[16..].iter().fold(start, |variance, r| decay * variance + (1.0 - decay) * r * r);
        variance.sqrt() * year
    });
}

fn rogers_satchell(bar: &Bar) -> f64 {
    let ln = |a: f64, b: f64| (a / b).ln();
    ln(bar.high, bar.close) * ln(bar.high, bar.open) + ln(bar.low, bar.close) * ln(bar.low, bar.open)
}

#[test]
fn volatilities_of_ranges() {
    check(&F::RogersSatchell { bars: 20 }, |bars| {
        (mean(&last(bars, 20).iter().map(rogers_satchell).collect::<Vec<_>>()) * 252.0).sqrt()
    });
    check(&F::YangZhang { bars: 20 }, |bars| {
        let pairs = last(bars, 21).windows(2);
        let overnight: Vec<f64> = pairs.map(|pair| (pair[1].open / pair[0].close).ln()).collect();
        let session: Vec<f64> = last(bars, 20).iter().map(|bar| (bar.close / bar.open).ln()).collect();
        let within = mean(&last(bars, 20).iter().map(rogers_satchell).collect::<Vec<_>>());
        let k = 0.34 / (1.34 + 21.0 / 19.0);
        ((sample(&overnight).powi(2) + k * sample(&session).powi(2) + (1.0 - k) * within) * 252.0).sqrt()
    });
    check(&F::Keltner { bars: 20, width: 2.0 }, |bars| {
        let range = |at: usize| {
            let (bar, before) = (&bars[at], bars[at - 1].close);
            (bar.high - bar.low).max((bar.high - before).abs()).max((bar.low - before).abs())
        };
        let mut ema = mean(&closes(&bars[..20], 20));
        let mut atr = (1..=20).map(range).sum::<f64>() / 20.0;
        for (at, bar) in bars.iter().enumerate().skip(20) {
            ema += 2.0 / 21.0 * (bar.close - ema);
            if at > 20 {
                atr = (atr * 19.0 + range(at)) / 20.0;
            }
        }
        (bars[bars.len() - 1].close - ema) / (2.0 * atr)
    });
}

#[test]
fn shapes_of_one_bar() {
    let now = |bars: &[Bar]| bars[bars.len() - 1];
    check(&F::Gap {}, |bars| (now(bars).open / bars[bars.len() - 2].close).ln());
    check(&F::UpperShadow {}, |bars| {
        let bar = now(bars);
        (bar.high - bar.open.max(bar.close)) / (bar.high - bar.low)
    });
    check(&F::LowerShadow {}, |bars| {
        let bar = now(bars);
        (bar.open.min(bar.close) - bar.low) / (bar.high - bar.low)
    });
    check(&F::CloseLocation {}, |bars| {
        let bar = now(bars);
        2.0 * (bar.close - bar.low) / (bar.high - bar.low) - 1.0
    });
}

#[test]
fn volumes() {
    let logs = |bars: &[Bar], count| last(bars, count).iter().map(|bar| bar.volume.ln_1p()).collect::<Vec<f64>>();
    check(&F::VolumeZ { bars: 20 }, |bars| {
        let logs = logs(bars, 20);
        (logs[19] - mean(&logs)) / sample(&logs)
    });
    check(&F::VolumeRatio { bars: 20 }, |bars| {
        let volumes: Vec<f64> = last(bars, 20).iter().map(|bar| bar.volume).collect();
        ((1.0 + volumes[19]) / (1.0 + mean(&volumes))).ln()
    });
    check(&F::VwapDistance { bars: 20 }, |bars| {
        let bars = last(bars, 20);
        let money: f64 = bars.iter().map(|bar| (bar.high + bar.low + bar.close) / 3.0 * bar.volume).sum();
        bars[19].close / (money / bars.iter().map(|bar| bar.volume).sum::<f64>()) - 1.0
    });
    check(&F::VolumeReturnCorrelation { bars: 20 }, |bars| correlation(&returns(bars, 20), &logs(bars, 20)));
}

#[test]
fn comparisons_of_symbols() {
    const SYMBOLS: usize = 5;
    let series: Vec<Vec<Bar>> = (0..SYMBOLS as u64).map(|seed| walk(seed + 1, 120)).collect();
    let slices: Vec<&[Bar]> = series.iter().map(Vec::as_slice).collect();
    let check = |spec: F, expected: &dyn Fn(usize, usize) -> f64| {
        let matrices = compute_panel(std::slice::from_ref(&spec), &slices).unwrap();
        for (symbol, matrix) in matrices.iter().enumerate() {
            assert_eq!(matrix.first, warm_up_bars(&spec), "{}", spec.column());
            for row in matrix.first..120 {
                let (ours, theirs) = (matrix.row(row).unwrap()[0], expected(symbol, row));
                assert!((ours - theirs).abs() < 1e-9, "{} of {symbol} at {row}: {ours}, {theirs}", spec.column());
            }
        }
    };
    let at = |symbol: usize, row: usize, bars: usize| returns(&series[symbol][..=row], bars).iter().sum::<f64>();
    let all = |row, bars| (0..SYMBOLS).map(|symbol| at(symbol, row, bars)).collect::<Vec<f64>>();
    let deviation = |values: &[f64]| (power(values, 2) / values.len() as f64).sqrt();
    check(F::MarketReturn { bars: 5 }, &|_, row| mean(&all(row, 5)));
    check(F::RelativeReturn { bars: 5 }, &|symbol, row| at(symbol, row, 5) - mean(&all(row, 5)));
    check(F::ReturnZ { bars: 20 }, &|symbol, row| {
        (at(symbol, row, 20) - mean(&all(row, 20))) / deviation(&all(row, 20))
    });
    check(F::Dispersion { bars: 5 }, &|_, row| deviation(&all(row, 5)));
    check(F::ReturnRank { bars: 20 }, &|symbol, row| {
        all(row, 20).iter().filter(|other| **other < at(symbol, row, 20)).count() as f64 / 4.0
    });
    check(F::Breadth { bars: 20 }, &|_, row| mean(&all(row, 20).iter().map(|r| r.signum()).collect::<Vec<_>>()));
    let market = |row: usize, count: usize| (row + 1 - count..=row).map(|row| mean(&all(row, 1))).collect::<Vec<f64>>();
    let slope = |symbol: usize, row: usize| {
        let (x, y) = (market(row, 60), returns(&series[symbol][..=row], 60));
        correlation(&x, &y) * (power(&y, 2) / power(&x, 2)).sqrt()
    };
    check(F::Beta { bars: 60 }, &slope);
    check(F::MarketCorrelation { bars: 60 }, &|symbol, row| {
        correlation(&market(row, 60), &returns(&series[symbol][..=row], 60))
    });
    check(F::ResidualVolatility { bars: 60 }, &|symbol, row| {
        let (x, y) = (market(row, 60), returns(&series[symbol][..=row], 60));
        let (mx, my) = (mean(&x), mean(&y));
        let left: f64 = x.iter().zip(&y).map(|(x, y)| (y - my - slope(symbol, row) * (x - mx)).powi(2)).sum();
        (left / 58.0 * 252.0).sqrt()
    });
}

#[test]
fn series_that_do_not_move_or_trade_have_defined_rows() {
    let still = |volume: f64| {
        let bar =
            |day| Bar { time: Timestamp::from_micros(day * DAY), open: 5.0, high: 5.0, low: 5.0, close: 5.0, volume };
        (0..200).map(bar).collect::<Vec<_>>()
    };
    let mut silent = walk(3, 200);
    silent.iter_mut().for_each(|bar| bar.volume = 0.0);
    for bars in [still(0.0), still(1e9), silent] {
        let matrices = compute_panel(&F::all(), &[&bars, &bars]).unwrap();
        let rows = matrices[0].rows();
        assert_eq!(rows + Panel::new(&F::all(), 2).unwrap().warm_up_bars(), 200);
        for (at, value) in matrices[0].values.iter().enumerate() {
            let spec = &F::all()[at % matrices[0].width];
            assert!(value.is_finite() && value.abs() < 1e3, "{}: {value}", spec.column());
        }
    }
    let row = |spec: F| compute(&[spec], &still(0.0)).unwrap().values[0];
    for spec in [F::Rsi { bars: 14 }, F::Stochastic { bars: 14 }, F::MoneyFlow { bars: 14 }] {
        assert_eq!(row(spec), 0.5);
    }
    for spec in [F::RealisedVolatility { bars: 20 }, F::Kurtosis { bars: 60 }, F::Bollinger { bars: 20, width: 2.0 }] {
        assert_eq!(row(spec), 0.0);
    }
}
