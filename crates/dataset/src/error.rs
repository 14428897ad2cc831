//! What can be wrong with data, and the way out.

use std::path::PathBuf;

use market::{Symbol, Timestamp};

/// Why data cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The file system refuses.
    #[error("{path}: {action} failed")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// There is no such data set.
    #[error("data set {path} is missing: import it first with `tradewind data import`")]
    Missing {
        /// Which file.
        path: PathBuf,
    },
    /// What a spec names lies elsewhere.
    #[error("data source `{source_name}` leads out of {folder}: import it with `tradewind data import` and write its name")]
    Outside {
        /// As the spec says it.
        source_name: String,
        /// Where data sets lie.
        folder: PathBuf,
    },
    /// A row is not what its column says.
    #[error("{path}:{line}: column {column}: `{text}` is not {wanted}")]
    Cell {
        /// Which file.
        path: PathBuf,
        /// Line, from 1, the header included.
        line: u64,
        /// Which column.
        column: &'static str,
        /// What stands there.
        text: String,
        /// What should.
        wanted: &'static str,
    },
    /// A column is missing.
    #[error("{path}: no column `{column}`: the header must name timestamp, open, high, low, close, volume")]
    Column {
        /// Which file.
        path: PathBuf,
        /// Which column.
        column: &'static str,
    },
    /// The file is not a table of bars.
    #[error("{path} is not a readable table of bars: {why}")]
    Format {
        /// Which file.
        path: PathBuf,
        /// What the reader said.
        why: String,
    },
    /// The content is not what the digest in the file says.
    #[error("{path}: the bars of {symbol} were changed since the import: import the source again")]
    Changed {
        /// Which file.
        path: PathBuf,
        /// Whose bars.
        symbol: Symbol,
    },
    /// The symbol is not in the file.
    #[error("{path} holds no {symbol}; it holds {}", list(.held))]
    Symbol {
        /// Which file.
        path: PathBuf,
        /// The symbol asked for.
        symbol: Symbol,
        /// Symbols that are there.
        held: Vec<Symbol>,
    },
    /// A file has one interval and each symbol once.
    #[error("{path}: {symbol} comes twice or with another interval than the rest: write it to a file of its own")]
    Mixed {
        /// Which file.
        path: PathBuf,
        /// The symbol that does not fit.
        symbol: Symbol,
    },
    /// Nothing was imported.
    #[error("{path} holds no bar{}", .symbol.as_ref().map(|symbol| format!(" of {symbol}")).unwrap_or_default())]
    Empty {
        /// Which file.
        path: PathBuf,
        /// The symbol asked for, if one was.
        symbol: Option<Symbol>,
    },
    /// A split holds no usable bar.
    #[error("split {split} ({from} to {to}) keeps no bar after purge and embargo: widen it or choose other dates")]
    EmptySplit {
        /// Which split.
        split: &'static str,
        /// Its first moment.
        from: Timestamp,
        /// Its last moment.
        to: Timestamp,
    },
    /// Splits overlap or are out of order.
    #[error("split {later} starts at {start}, not after {earlier} ends at {end}")]
    SplitOrder {
        /// The split that must end first.
        earlier: &'static str,
        /// Where it ends.
        end: Timestamp,
        /// The split that must start later.
        later: &'static str,
        /// Where it starts.
        start: Timestamp,
    },
}

fn list(symbols: &[Symbol]) -> String {
    symbols.iter().map(Symbol::as_str).collect::<Vec<_>>().join(", ")
}
