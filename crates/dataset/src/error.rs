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
    #[error(
        "data source `{source_name}` leads out of {folder}: import it with `tradewind data import` and write its name"
    )]
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
    /// A stamp names no moment.
    #[error("{path}:{line}: column timestamp: `{text}` {why}")]
    Stamp {
        /// Which file.
        path: PathBuf,
        /// Line, from 1, the header included; row of a Parquet file.
        line: u64,
        /// What stands there.
        text: String,
        /// What is wrong, and the way out.
        why: String,
    },
    /// No such time zone.
    #[error("`{name}` is no time zone: use a name such as America/New_York or UTC")]
    Zone {
        /// What was named.
        name: String,
    },
    /// A column is missing.
    #[error(
        "{path}: no column `{column}`: the header must name timestamp, open, high, low, close, volume; it names {}",
        .found.join(", ")
    )]
    Column {
        /// Which file.
        path: PathBuf,
        /// Which column.
        column: String,
        /// Columns that are there.
        found: Vec<String>,
    },
    /// Prices are to be adjusted by a column that is not there.
    #[error(
        "{path} has no column `adj_close` to adjust prices by: name the one that holds it, adjust by splits and dividends, or \
         import prices as they are (`--adjust none`)"
    )]
    Unadjustable {
        /// Which file.
        path: PathBuf,
    },
    /// A dividend is not below the close before it.
    #[error("the dividend {value} of {symbol} on {date} is not below the close before it: is it in another currency?")]
    Dividend {
        /// Whose.
        symbol: Symbol,
        /// First session without it.
        date: Timestamp,
        /// Cash a share.
        value: f64,
    },
    /// A repair needs what the import did not record.
    #[error("{symbol} has no recorded dividend: import it with --actions, or leave out the repair `dividend`")]
    NoActions {
        /// Whose.
        symbol: Symbol,
    },
    /// Files of one import that must be joined are not in order of time.
    #[error("{symbol}: {time} comes after {after} in one of several files: sort it, or import it alone")]
    MergeOrder {
        /// Whose row.
        symbol: Symbol,
        /// Its time.
        time: Timestamp,
        /// The time above it.
        after: Timestamp,
    },
    /// Two files have the same times at other prices, by a factor.
    #[error(
        "{symbol} is adjusted in two ways: on {time} one file's prices are {factor:.6} of the other's: import the whole \
         history again from one source"
    )]
    OverlapAdjusted {
        /// Whose.
        symbol: Symbol,
        /// First time that differs.
        time: Timestamp,
        /// Later over earlier file.
        factor: f64,
    },
    /// Two files have the same times with other values.
    #[error("{symbol} differs between two files: on {time} one closes at {first}, one at {other}: import one of them")]
    OverlapDiffers {
        /// Whose.
        symbol: Symbol,
        /// First time that differs.
        time: Timestamp,
        /// Close in the earlier file.
        first: f64,
        /// Close in the later one.
        other: f64,
    },
    /// What is there was imported in another way than what is added.
    #[error("{path} was imported with {what} {held}, not {asked}: import everything anew, or ask for the same")]
    Appended {
        /// Which file.
        path: PathBuf,
        /// Interval, adjustment or calendar.
        what: &'static str,
        /// What it has.
        held: String,
        /// What was asked for.
        asked: String,
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
