//! CSV in: columns by name, each cell checked, prices adjusted together.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use market::{Bar, Interval, Symbol, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{DataError, Dataset, QualityReport, check};

/// How raw prices become comparable over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Adjustment {
    /// `adj_close / close` of the row on open, high, low and close alike; volume stays. Rows need `adj_close`.
    AdjustedClose,
    /// As they are.
    None,
}

/// What to import.
#[derive(Clone, Debug)]
pub struct ImportOptions {
    /// Only this symbol; needed where the file has no symbol column.
    pub symbol: Option<Symbol>,
    /// Spacing of the bars.
    pub interval: Interval,
    /// Adjustment of prices.
    pub adjustment: Adjustment,
}

/// What came in.
#[derive(Clone, Debug)]
pub struct Import {
    /// One set a symbol, in order of symbol; bars in order of file.
    pub sets: Vec<Dataset>,
    /// What is wrong in them.
    pub quality: QualityReport,
}

/// Reads and adjusts a CSV of bars. The quality findings come with it; only cells that are no numbers or times stop it.
///
/// # Errors
/// [`DataError`] naming file, line and column.
pub fn import_csv(path: &Path, options: &ImportOptions) -> Result<Import, DataError> {
    let sets = read_csv(path, options)?;
    let mut quality = QualityReport::default();
    for set in &sets {
        quality.extend(check(&set.bars, &set.symbol, set.interval));
    }
    Ok(Import { sets, quality })
}

/// Reads and adjusts a CSV of bars, without judging them.
///
/// # Errors
/// As [`import_csv`].
pub fn read_csv(path: &Path, options: &ImportOptions) -> Result<Vec<Dataset>, DataError> {
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_path(path)
        .map_err(|error| DataError::Format { path: path.to_owned(), why: error.to_string() })?;
    let header = reader.headers().map_err(|error| format_error(path, &error))?.clone();
    let columns = Columns::find(path, &header, options)?;
    let mut rows: BTreeMap<Symbol, Vec<Bar>> = BTreeMap::new();
    for record in reader.records() {
        let record = record.map_err(|error| format_error(path, &error))?;
        let row = Row { path, record: &record };
        let symbol = match (columns.symbol, &options.symbol) {
            (Some(column), wanted) => {
                let symbol = row.symbol(column)?;
                if wanted.as_ref().is_some_and(|wanted| *wanted != symbol) {
                    continue;
                }
                symbol
            }
            (None, Some(symbol)) => symbol.clone(),
            (None, None) => return Err(DataError::Column { path: path.to_owned(), column: "symbol" }),
        };
        rows.entry(symbol).or_default().push(columns.bar(&row)?);
    }
    if rows.is_empty() {
        return Err(DataError::Empty { path: path.to_owned(), symbol: options.symbol.clone() });
    }
    Ok(rows.into_iter().map(|(symbol, bars)| Dataset::new(symbol, options.interval, bars)).collect())
}

fn format_error(path: &Path, error: &csv::Error) -> DataError {
    DataError::Format { path: path.to_owned(), why: error.to_string() }
}

/// Where each column stands.
struct Columns {
    time: usize,
    symbol: Option<usize>,
    prices: [(usize, &'static str); 4],
    volume: usize,
    adjusted_close: Option<usize>,
}

impl Columns {
    fn find(path: &Path, header: &csv::StringRecord, options: &ImportOptions) -> Result<Self, DataError> {
        let find = |names: &[&str]| header.iter().position(|name| names.contains(&name.to_ascii_lowercase().as_str()));
        let need = |column: &'static str, names: &[&str]| {
            find(names).ok_or_else(|| DataError::Column { path: path.to_owned(), column })
        };
        let adjusted_close = match options.adjustment {
            Adjustment::AdjustedClose => Some(need("adj_close", &["adj_close", "adj close", "adjusted_close"])?),
            Adjustment::None => None,
        };
        Ok(Self {
            time: need("timestamp", &["timestamp", "date", "time", "datetime"])?,
            symbol: find(&["symbol", "ticker"]),
            prices: [
                (need("open", &["open"])?, "open"),
                (need("high", &["high"])?, "high"),
                (need("low", &["low"])?, "low"),
                (need("close", &["close"])?, "close"),
            ],
            volume: need("volume", &["volume"])?,
            adjusted_close,
        })
    }

    fn bar(&self, row: &Row<'_>) -> Result<Bar, DataError> {
        let text = row.cell(self.time);
        let time: Timestamp =
            text.parse().map_err(|_| row.wrong(self.time, "timestamp", "a UTC time such as 2021-03-04"))?;
        let mut prices = [0.0; 4];
        for (price, (column, name)) in prices.iter_mut().zip(self.prices) {
            *price = row.number(column, name)?;
        }
        if let Some(column) = self.adjusted_close {
            let factor = row.number(column, "adj_close")? / prices[3];
            prices.iter_mut().for_each(|price| *price *= factor);
        }
        let [open, high, low, close] = prices;
        Ok(Bar { time, open, high, low, close, volume: row.number(self.volume, "volume")? })
    }
}

/// One line of the file.
struct Row<'a> {
    path: &'a Path,
    record: &'a csv::StringRecord,
}

impl Row<'_> {
    fn cell(&self, column: usize) -> &str {
        self.record.get(column).unwrap_or_default()
    }

    /// An empty cell is a missing number: NaN, which the quality report names.
    fn number(&self, column: usize, name: &'static str) -> Result<f64, DataError> {
        match self.cell(column) {
            "" => Ok(f64::NAN),
            text => text.parse().map_err(|_| self.wrong(column, name, "a number")),
        }
    }

    fn symbol(&self, column: usize) -> Result<Symbol, DataError> {
        Symbol::try_from(self.cell(column).to_owned()).map_err(|_| self.wrong(column, "symbol", "a ticker"))
    }

    fn wrong(&self, column: usize, name: &'static str, wanted: &'static str) -> DataError {
        DataError::Cell {
            path: PathBuf::from(self.path),
            line: self.record.position().map_or(0, csv::Position::line),
            column: name,
            text: self.cell(column).chars().take(40).collect(),
            wanted,
        }
    }
}
