//! Which column of a file holds what: by its usual names, or by the caller's.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use crate::DataError;

/// What a column may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// Time of the bar.
    Timestamp,
    /// Whose bar.
    Symbol,
    /// First price.
    Open,
    /// Highest price.
    High,
    /// Lowest price.
    Low,
    /// Last price.
    Close,
    /// Units traded.
    Volume,
    /// Close adjusted for splits and dividends.
    AdjustedClose,
}

impl Field {
    const ALL: [Self; 8] = [
        Self::Timestamp,
        Self::Symbol,
        Self::Open,
        Self::High,
        Self::Low,
        Self::Close,
        Self::Volume,
        Self::AdjustedClose,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Timestamp => "timestamp",
            Self::Symbol => "symbol",
            Self::Open => "open",
            Self::High => "high",
            Self::Low => "low",
            Self::Close => "close",
            Self::Volume => "volume",
            Self::AdjustedClose => "adj_close",
        }
    }

    /// Names that the column goes by, in lower case.
    const fn aliases(self) -> &'static [&'static str] {
        match self {
            Self::Timestamp => &["timestamp", "date", "time", "datetime"],
            Self::Symbol => &["symbol", "ticker"],
            Self::Open => &["open"],
            Self::High => &["high"],
            Self::Low => &["low"],
            Self::Close => &["close"],
            Self::Volume => &["volume"],
            Self::AdjustedClose => &["adj_close", "adj close", "adjusted_close"],
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// No field has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no field: use timestamp, symbol, open, high, low, close, volume or adj_close")]
pub struct FieldError(String);

impl FromStr for Field {
    type Err = FieldError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|field| field.name() == text).ok_or_else(|| FieldError(text.to_owned()))
    }
}

/// The caller's names of columns, where they are not the usual ones.
pub type ColumnNames = BTreeMap<Field, String>;

/// Where each column stands.
#[derive(Clone, Debug)]
pub(crate) struct Columns {
    pub(crate) time: usize,
    pub(crate) symbol: Option<usize>,
    /// Open, high, low, close.
    pub(crate) prices: [usize; 4],
    pub(crate) volume: usize,
    pub(crate) adjusted_close: Option<usize>,
}

/// Whether the adjusted close is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AdjustedClose {
    Needed,
    Unused,
}

impl Columns {
    /// Finds every column in a header.
    pub(crate) fn find(
        path: &Path,
        header: &[String],
        names: &ColumnNames,
        adjusted: AdjustedClose,
    ) -> Result<Self, DataError> {
        let find = |field: Field| match names.get(&field) {
            Some(name) => header.iter().position(|column| column == name),
            None => header.iter().position(|column| field.aliases().contains(&column.to_ascii_lowercase().as_str())),
        };
        let need = |field: Field| {
            find(field).ok_or_else(|| DataError::Column {
                path: path.to_owned(),
                column: names.get(&field).cloned().unwrap_or_else(|| field.to_string()),
                found: header.to_vec(),
            })
        };
        // A name that the caller gave must be there, even where the column could be done without.
        let symbol = if names.contains_key(&Field::Symbol) { Some(need(Field::Symbol)?) } else { find(Field::Symbol) };
        Ok(Self {
            time: need(Field::Timestamp)?,
            symbol,
            prices: [need(Field::Open)?, need(Field::High)?, need(Field::Low)?, need(Field::Close)?],
            volume: need(Field::Volume)?,
            adjusted_close: match adjusted {
                AdjustedClose::Needed if names.contains_key(&Field::AdjustedClose) => Some(need(Field::AdjustedClose)?),
                AdjustedClose::Needed => {
                    let unadjustable = || DataError::Unadjustable { path: path.to_owned() };
                    Some(find(Field::AdjustedClose).ok_or_else(unadjustable)?)
                }
                AdjustedClose::Unused => None,
            },
        })
    }
}
