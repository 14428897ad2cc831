//! Rows of a file one by one, CSV or Parquet, in memory that does not grow with it.

mod csv_rows;
mod parquet_rows;

use std::collections::HashMap;
use std::path::Path;

use jiff::tz::TimeZone;
use market::{Bar, Interval, Symbol};

use super::columns::{AdjustedClose, ColumnNames};
use super::stamp::{Fold, Midnight, StampFormat, Stamps};
use super::{Adjustment, ImportOptions};
use crate::DataError;

pub(crate) use csv_rows::CsvRows;
pub(crate) use parquet_rows::ParquetRows;

/// How files are read, beyond what every import says.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// Names of columns, where they are not the usual ones.
    pub columns: ColumnNames,
    /// Zone of stamps that name none, such as `America/New_York`.
    pub zone: Option<String>,
    /// What a stamp means that a clock shows twice.
    pub fold: Fold,
    /// How stamps are written.
    pub stamps: StampFormat,
}

impl Reading {
    pub(crate) fn stamps(&self, interval: Interval) -> Result<Stamps, DataError> {
        let zone = match &self.zone {
            Some(name) => Some(TimeZone::get(name).map_err(|_| DataError::Zone { name: name.clone() })?),
            None => None,
        };
        let midnight = if interval == Interval::Day { Midnight::Date } else { Midnight::Moment };
        Ok(Stamps::new(self.stamps.clone(), zone, self.fold).with(midnight))
    }
}

/// A bar, with the number of its symbol among [`Symbols`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) symbol: usize,
    pub(crate) bar: Bar,
}

/// A file of bars.
pub(crate) trait Rows {
    /// The next row that is asked for; `None` at the end.
    fn next(&mut self, symbols: &mut Symbols) -> Result<Option<Row>, DataError>;

    /// How far the reader is, in the file's own units.
    fn position(&self) -> u64;

    /// Where it ends, in the same units; 0 when that is not known.
    fn length(&self) -> u64;
}

/// Opens a file by its extension.
pub(crate) fn open(path: &Path, options: &ImportOptions, reading: &Reading) -> Result<Box<dyn Rows>, DataError> {
    let is_parquet = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("parquet"));
    Ok(if is_parquet {
        Box::new(ParquetRows::open(path, options, reading)?)
    } else {
        Box::new(CsvRows::open(path, options, reading)?)
    })
}

pub(crate) fn adjusted_close(options: &ImportOptions) -> AdjustedClose {
    match options.adjustment {
        Adjustment::AdjustedClose => AdjustedClose::Needed,
        Adjustment::Actions | Adjustment::None => AdjustedClose::Unused,
    }
}

/// Symbols by number, in order of appearance.
#[derive(Clone, Debug, Default)]
pub(crate) struct Symbols {
    names: Vec<Symbol>,
    numbers: HashMap<Vec<u8>, usize>,
    /// The last one asked for: most files hold one symbol after the other.
    last: (Vec<u8>, usize),
}

impl Symbols {
    pub(crate) fn names(&self) -> &[Symbol] {
        &self.names
    }

    /// The number of a ticker; `None` when it is no ticker.
    pub(crate) fn number(&mut self, text: &[u8]) -> Option<usize> {
        if !self.names.is_empty() && self.last.0 == text {
            return Some(self.last.1);
        }
        let number = match self.numbers.get(text) {
            Some(number) => *number,
            None => {
                let name = String::from_utf8(text.to_vec()).ok()?;
                self.names.push(Symbol::try_from(name).ok()?);
                self.numbers.insert(text.to_vec(), self.names.len() - 1);
                self.names.len() - 1
            }
        };
        self.last.0.clear();
        self.last.0.extend_from_slice(text);
        self.last.1 = number;
        Some(number)
    }
}

/// One factor on all prices: what turns the close into the adjusted one.
pub(crate) fn adjust(prices: &mut [f64; 4], adjusted_close: f64) {
    let factor = adjusted_close / prices[3];
    prices.iter_mut().for_each(|price| *price *= factor);
}
