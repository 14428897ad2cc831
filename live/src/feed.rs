//! Where bars come from. One lane so far: a Parquet file played again from the first bar after the bundle's state.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use dataset::{DataError, Dataset};
use market::{Bar, Interval, Symbol, Timestamp};
use spec::Repair;

/// A source of bars. Text form: `replay:FILE.parquet`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A Parquet file of bars.
    Replay(PathBuf),
}

/// The text names no source.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no feed: write replay:FILE.parquet")]
pub struct SourceError(String);

impl FromStr for Source {
    type Err = SourceError;

    fn from_str(text: &str) -> Result<Self, SourceError> {
        match text.strip_prefix("replay:").filter(|file| !file.is_empty()) {
            Some(file) => Ok(Self::Replay(file.into())),
            None => Err(SourceError(text.to_owned())),
        }
    }
}

/// The bars a session will meet.
#[derive(Clone, Debug, PartialEq)]
pub struct Feed {
    /// What the bars are of.
    pub symbol: Symbol,
    /// Their spacing.
    pub interval: Interval,
    /// In order, all after the bundle's state.
    pub bars: Vec<Bar>,
    /// Bars of the source at or before it.
    pub skipped: usize,
}

/// Why there is nothing to trade on.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// The file is missing or unusable.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The bars are spaced otherwise than the bundle's.
    #[error("{path}: bars of {found}, but the bundle was trained on {wanted}; feed bars of {wanted}")]
    Interval {
        /// The file.
        path: PathBuf,
        /// The bundle's spacing.
        wanted: Interval,
        /// The file's.
        found: Interval,
    },
    /// All of it is older than the bundle.
    #[error("{path}: no bar of {symbol} comes after {after}, where the bundle's features stand; feed later bars")]
    NothingNew {
        /// The file.
        path: PathBuf,
        /// What was asked for.
        symbol: Symbol,
        /// The bundle's last bar.
        after: Timestamp,
    },
}

impl Feed {
    /// The bars of `data` after `after`.
    #[must_use]
    pub fn after(data: &Dataset, after: Option<Timestamp>) -> Self {
        let skipped = after.map_or(0, |after| data.bars.partition_point(|bar| bar.time <= after));
        Self { symbol: data.symbol.clone(), interval: data.interval, bars: data.bars[skipped..].to_vec(), skipped }
    }

    /// Reads a Parquet file, its bars repaired as those were that the bundle was trained on.
    ///
    /// # Errors
    /// [`FeedError::Data`] [`FeedError::Interval`], [`FeedError::NothingNew`]: the file holds no bars the bundle can
    /// trade.
    pub fn replay(
        path: &Path,
        symbol: &Symbol,
        (interval, repairs): (Interval, &[Repair]),
        after: Option<Timestamp>,
    ) -> Result<Self, FeedError> {
        let (data, _) = dataset::load(path, symbol, repairs)?;
        if data.interval != interval {
            let (path, wanted, found) = (path.to_owned(), interval, data.interval);
            return Err(FeedError::Interval { path, wanted, found });
        }
        let feed = Self::after(&data, after);
        match after {
            Some(after) if feed.bars.is_empty() => {
                Err(FeedError::NothingNew { path: path.to_owned(), symbol: symbol.clone(), after })
            }
            _ => Ok(feed),
        }
    }
}
