//! Indicators against TA-Lib and pandas on real bars.

#![allow(clippy::unwrap_used, reason = "a test panics when it fails")]

use std::collections::HashMap;

use features::{Atr, Bollinger, Ema, LogReturn, Macd, RealisedVolatility, Rsi};

/// Relative to the larger of 1 and the value.
const TOLERANCE: f64 = 1e-9;

struct Reference {
    columns: HashMap<String, usize>,
    rows: Vec<Vec<Option<f64>>>,
}

impl Reference {
    fn load() -> Self {
        let text = include_str!("data/talib_aapl_daily.csv");
        let mut lines = text.lines();
        let header = lines.next().unwrap();
        let columns = header.split(',').enumerate().map(|(index, name)| (name.to_owned(), index)).collect();
        let rows = lines.map(|line| line.split(',').map(|cell| cell.parse().ok()).collect()).collect();
        Self { columns, rows }
    }

    fn at(&self, row: usize, column: &str) -> Option<f64> {
        self.rows[row][self.columns[column]]
    }

    fn price(&self, row: usize, column: &str) -> f64 {
        self.at(row, column).unwrap()
    }

    /// Compares a computed series with a column, warm-up included.
    fn check(&self, column: &str, mut compute: impl FnMut(usize) -> Option<f64>) {
        let mut compared = 0;
        for row in 0..self.rows.len() {
            match (compute(row), self.at(row, column)) {
                (Some(ours), Some(theirs)) => {
                    compared += 1;
                    let error = (ours - theirs).abs() / theirs.abs().max(1.0);
                    assert!(error <= TOLERANCE, "{column} at row {row}: {ours} against {theirs}");
                }
                (None, None) => {}
                (ours, theirs) => panic!("{column} at row {row}: {ours:?} against {theirs:?}"),
            }
        }
        assert!(compared > 800, "{column}: only {compared} rows compared");
    }
}

#[test]
fn returns_and_volatility_equal_pandas() {
    let reference = Reference::load();
    let mut step = LogReturn::new(1);
    reference.check("log_return", |row| step.push(reference.price(row, "close")));
    let mut volatility = RealisedVolatility::new(20);
    reference.check("realised_vol_20_ann252", |row| volatility.push(reference.price(row, "close")));
}

#[test]
fn averages_and_oscillators_equal_talib() {
    let reference = Reference::load();
    let close = |row| reference.price(row, "close");
    let mut ema = Ema::new(20);
    reference.check("ema_20", |row| ema.push(close(row)));
    let mut rsi = Rsi::new(14);
    reference.check("rsi_14", |row| rsi.push(close(row)));
    for (column, part) in [("macd_12_26", 0), ("macd_signal_9", 1), ("macd_hist", 2)] {
        let mut macd = Macd::new(12, 26, 9);
        reference
            .check(column, |row| macd.push(close(row)).map(|value| [value.line, value.signal, value.histogram][part]));
    }
}

#[test]
fn ranges_and_bands_equal_talib() {
    let reference = Reference::load();
    let mut atr = Atr::new(14);
    reference.check("atr_14", |row| {
        let [high, low, close] = ["high", "low", "close"].map(|column| reference.price(row, column));
        atr.push(high, low, close)
    });
    let mut bands = Bollinger::new(20);
    reference.check("bb_middle_20", |row| bands.push(reference.price(row, "close")).map(|band| band.middle));
    let mut bands = Bollinger::new(20);
    reference.check("bb_upper_20_2", |row| {
        bands.push(reference.price(row, "close")).map(|band| band.middle + 2.0 * band.deviation)
    });
}
