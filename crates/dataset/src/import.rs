//! Files of bars in: columns by name, each cell checked, prices adjusted together, memory that does not grow with the input.

mod actions;
mod columns;
mod job;
mod merge;
mod number;
mod rows;
mod spool;
mod stamp;

use std::collections::BTreeMap;
use std::path::Path;

use market::{Bar, Interval, Symbol};
use serde::{Deserialize, Serialize};

use crate::{DataError, Dataset, QualityReport, check};

pub use actions::{Action, ActionKind, Actions, read_actions};
pub use columns::{ColumnNames, Field, FieldError};
pub use job::{Existing, ImportJob, Imported, ImportedSet, Progress, Stage, check_file, import};
pub use rows::Reading;
pub use stamp::{Fold, StampFormat};

pub(crate) use actions::Factors;
pub(crate) use job::refused;
pub(crate) use spool::encode;

/// How raw prices become comparable over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Adjustment {
    /// `adj_close / close` of the row on open, high, low and close alike; volume stays. Rows need `adj_close`.
    AdjustedClose,
    /// Splits and dividends of a list, on everything before them: prices and, for splits, volume.
    Actions,
    /// As they are.
    None,
}

impl Adjustment {
    /// As files and commands name it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AdjustedClose => "adjusted-close",
            Self::Actions => "actions",
            Self::None => "none",
        }
    }
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

/// Reads and adjusts a CSV of bars into memory, without judging them.
///
/// # Errors
/// As [`import_csv`].
pub fn read_csv(path: &Path, options: &ImportOptions) -> Result<Vec<Dataset>, DataError> {
    let mut file = rows::open(path, options, &Reading::default())?;
    let mut symbols = rows::Symbols::default();
    let mut bars: Vec<Vec<Bar>> = Vec::new();
    while let Some(row) = file.next(&mut symbols)? {
        if row.symbol == bars.len() {
            bars.push(Vec::new());
        }
        bars[row.symbol].push(row.bar);
    }
    if bars.is_empty() {
        return Err(DataError::Empty { path: path.to_owned(), symbol: options.symbol.clone() });
    }
    let sorted: BTreeMap<Symbol, Vec<Bar>> = symbols.names().iter().cloned().zip(bars).collect();
    Ok(sorted.into_iter().map(|(symbol, bars)| Dataset::new(symbol, options.interval, bars)).collect())
}
