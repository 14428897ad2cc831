//! Bars at rest: Parquet with the digest of each symbol's content.

mod series;
mod staged;
mod write;

use std::collections::HashMap;
use std::fs::File;
use std::path::{Component, Path, PathBuf};

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Float64Type, TimestampMicrosecondType};
use arrow_array::{PrimitiveArray, RecordBatch, StringArray};
use market::{Bar, Calendar, Interval, Symbol, Timestamp};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::metadata::KeyValue;
use sha2::Digest as _;
use spec::{Digest, Repair};

use crate::import::{Action, encode};
use crate::repair::repair;
use crate::{DataError, Repaired};

pub use series::{Part, Series, SeriesReader, series};
pub(crate) use write::{Provenance, Writer};
pub use write::{write_parquet, write_series};

/// Prefix of the metadata keys that hold each symbol's digest.
const DIGEST_KEY: &str = "tradewind.digest.";

/// Prefix of the metadata keys that hold each symbol's corporate actions, as JSON.
const ACTIONS_KEY: &str = "tradewind.actions.";

/// Metadata key of the interval.
const INTERVAL_KEY: &str = "tradewind.interval";

/// Metadata key of the calendar; absent: US equities.
const CALENDAR_KEY: &str = "tradewind.calendar";

/// Metadata key of the adjustment.
const ADJUSTMENT_KEY: &str = "tradewind.adjustment";

/// What is wrong with a file that somebody else made to look like ours.
const FOREIGN: &str = "a column has another type than an import writes";

const NUMBERS: [&str; 5] = ["open", "high", "low", "close", "volume"];

/// One symbol's bars.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    /// Whose.
    pub symbol: Symbol,
    /// How spaced.
    pub interval: Interval,
    /// When they are owed. No part of the digest.
    pub calendar: Calendar,
    /// In order of time, once checked.
    pub bars: Vec<Bar>,
    /// SHA-256 of symbol, interval and every value's bits.
    pub digest: Digest,
}

impl Dataset {
    /// Computes the digest of the content. The calendar is that of US equities.
    #[must_use]
    pub fn new(symbol: Symbol, interval: Interval, bars: Vec<Bar>) -> Self {
        let mut content = Content::new(&symbol, interval, bars.len() as u64);
        bars.iter().for_each(|bar| content.push(bar));
        Self { symbol, interval, calendar: Calendar::Xnys, bars, digest: content.digest() }
    }

    /// The same bars on another calendar.
    #[must_use]
    pub fn on(self, calendar: Calendar) -> Self {
        Self { calendar, ..self }
    }
}

/// A symbol's content on its way to a digest.
pub(crate) struct Content(sha2::Sha256);

impl Content {
    pub(crate) fn new(symbol: &Symbol, interval: Interval, bars: u64) -> Self {
        Self(sha2::Sha256::new_with_prefix(format!("{symbol}\n{interval}\n{bars}\n")))
    }

    pub(crate) fn push(&mut self, bar: &Bar) {
        self.0.update(encode(bar));
    }

    pub(crate) fn digest(self) -> Digest {
        Digest::from_bytes(self.0.finalize().into())
    }
}

/// Where a data source lies: a bare name below `home/data`, anything else as it is.
#[must_use]
pub fn resolve(home: &Path, source: &str) -> PathBuf {
    let is_name = !source.contains(['/', '.', ':']);
    if is_name { home.join("data").join(format!("{source}.parquet")) } else { PathBuf::from(source) }
}

/// Where the data source of a spec lies: below `home/data`, whoever wrote the spec. What a user names on a command line is
/// [`resolve`]'s.
///
/// # Errors
/// [`DataError::Outside`] where it would lead elsewhere, by its path, by a link, or to what is no file;
/// [`DataError::Missing`] where nothing is.
pub fn resolve_below(home: &Path, source: &str) -> Result<PathBuf, DataError> {
    let folder = home.join("data");
    let outside = || DataError::Outside { source_name: source.chars().take(256).collect(), folder: folder.clone() };
    let downwards = |component| matches!(component, Component::Normal(_));
    if !Path::new(source).components().all(downwards) {
        return Err(outside());
    }
    let is_name = !source.contains(['/', '.', ':']);
    let path = if is_name { resolve(home, source) } else { folder.join(source) };
    let missing = |_| DataError::Missing { path: path.clone() };
    let (real, real_folder) = (path.canonicalize().map_err(missing)?, folder.canonicalize().map_err(missing)?);
    // A device or a pipe would be read for ever.
    if !real.starts_with(real_folder) || !real.is_file() {
        return Err(outside());
    }
    Ok(path)
}

/// What a file says of itself.
#[derive(Clone, Debug, PartialEq)]
pub struct About {
    /// How its bars are spaced.
    pub interval: Interval,
    /// When they are owed.
    pub calendar: Calendar,
    /// How they were adjusted; `None` where an earlier version wrote the file.
    pub adjustment: Option<String>,
    /// Whose bars it holds.
    pub symbols: Vec<Symbol>,
}

/// What a file written by an import says of itself.
///
/// # Errors
/// [`DataError::Missing`], [`DataError::Io`], [`DataError::Format`].
pub fn about(path: &Path) -> Result<About, DataError> {
    About::of(path, &metadata(&open(path)?))
}

impl About {
    fn of(path: &Path, metadata: &[KeyValue]) -> Result<Self, DataError> {
        let foreign = || DataError::Format {
            path: path.to_owned(),
            why: "it was not written by `tradewind data import`".to_owned(),
        };
        let interval = value(metadata, INTERVAL_KEY).and_then(|text| text.parse().ok()).ok_or_else(foreign)?;
        let calendar = match value(metadata, CALENDAR_KEY) {
            Some(text) => text.parse().map_err(|_| foreign())?,
            None => Calendar::Xnys,
        };
        let names = metadata.iter().filter_map(|pair| pair.key.strip_prefix(DIGEST_KEY).map(str::to_owned));
        let symbols = names.filter_map(|name| Symbol::try_from(name).ok()).collect();
        Ok(Self { interval, calendar, adjustment: value(metadata, ADJUSTMENT_KEY), symbols })
    }
}

/// Reads one symbol's bars and holds them against the digest written at import.
///
/// # Errors
/// [`DataError::Missing`], [`DataError::Symbol`], [`DataError::Format`] and [`DataError::Changed`].
pub fn read_parquet(path: &Path, symbol: &Symbol) -> Result<Dataset, DataError> {
    Ok(read(path, symbol)?.0)
}

/// Reads one symbol's bars and repairs them. The digest is that of the repaired bars.
///
/// # Errors
/// As [`read_parquet`]; [`DataError::NoActions`], [`DataError::Dividend`].
pub fn load(path: &Path, symbol: &Symbol, repairs: &[Repair]) -> Result<(Dataset, Vec<Repaired>), DataError> {
    repaired(read(path, symbol)?, repairs)
}

/// The same of several symbols, each named once, in their order, in one pass over the file.
///
/// # Errors
/// As [`load`]; [`DataError::Changed`] for one that is named twice.
pub fn load_all(path: &Path, symbols: &[Symbol], repairs: &[Repair]) -> Result<Vec<Dataset>, DataError> {
    let sets = read_all(path, symbols)?.into_iter();
    sets.map(|read| Ok(repaired(read, repairs)?.0)).collect()
}

fn repaired((set, actions): (Dataset, Vec<Action>), repairs: &[Repair]) -> Result<(Dataset, Vec<Repaired>), DataError> {
    if repairs.is_empty() { Ok((set, Vec::new())) } else { repair(set, repairs, &actions) }
}

fn read(path: &Path, symbol: &Symbol) -> Result<(Dataset, Vec<Action>), DataError> {
    Ok(read_all(path, std::slice::from_ref(symbol))?.remove(0))
}

/// A set for each symbol, in their order.
fn read_all(path: &Path, symbols: &[Symbol]) -> Result<Vec<(Dataset, Vec<Action>)>, DataError> {
    let format = |why: String| DataError::Format { path: path.to_owned(), why };
    let builder = open(path)?;
    let metadata = metadata(&builder);
    let about = About::of(path, &metadata)?;
    let mut kept = Vec::with_capacity(symbols.len());
    for symbol in symbols {
        let digest = promised(path, (&about, &metadata), symbol)?;
        let actions = match value(&metadata, &format!("{ACTIONS_KEY}{symbol}")) {
            Some(text) => serde_json::from_str(&text).map_err(|error| format(error.to_string()))?,
            None => Vec::new(),
        };
        kept.push((digest, actions));
    }
    let groups = series::groups(builder.metadata(), symbols);
    let reader = builder.with_row_groups(groups).build().map_err(|error| format(error.to_string()))?;
    let mut bars = vec![Vec::new(); symbols.len()];
    for batch in reader {
        decode(&batch.map_err(|error| format(error.to_string()))?, symbols, &mut bars)
            .ok_or_else(|| format(FOREIGN.to_owned()))?;
    }
    let mut sets = Vec::with_capacity(symbols.len());
    for ((symbol, bars), (digest, actions)) in symbols.iter().zip(bars).zip(kept) {
        let set = Dataset::new(symbol.clone(), about.interval, bars).on(about.calendar);
        if set.digest.to_string() != digest {
            return Err(DataError::Changed { path: path.to_owned(), symbol: symbol.clone() });
        }
        sets.push((set, actions));
    }
    Ok(sets)
}

/// The digest of a symbol's bars that was written at the import.
fn promised(path: &Path, (about, metadata): (&About, &[KeyValue]), symbol: &Symbol) -> Result<String, DataError> {
    let unknown = || {
        let (symbol, held) = (symbol.clone(), about.symbols.clone());
        DataError::Symbol { path: path.to_owned(), symbol, held }
    };
    value(metadata, &format!("{DIGEST_KEY}{symbol}")).ok_or_else(unknown)
}

fn open(path: &Path) -> Result<ParquetRecordBatchReaderBuilder<File>, DataError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(DataError::Missing { path: path.to_owned() });
        }
        Err(source) => return Err(DataError::Io { path: path.to_owned(), action: "reading", source }),
    };
    ParquetRecordBatchReaderBuilder::try_new(file)
        .map_err(|error| DataError::Format { path: path.to_owned(), why: error.to_string() })
}

fn metadata(builder: &ParquetRecordBatchReaderBuilder<File>) -> Vec<KeyValue> {
    builder.metadata().file_metadata().key_value_metadata().cloned().unwrap_or_default()
}

fn value(metadata: &[KeyValue], key: &str) -> Option<String> {
    metadata.iter().find(|pair| pair.key == key).and_then(|pair| pair.value.clone())
}

/// The columns of a batch.
struct Decoded<'a> {
    times: &'a PrimitiveArray<TimestampMicrosecondType>,
    symbols: &'a StringArray,
    numbers: [&'a PrimitiveArray<Float64Type>; 5],
}

impl<'a> Decoded<'a> {
    fn of(batch: &'a RecordBatch) -> Option<Self> {
        let number = |name: &str| batch.column_by_name(name)?.as_primitive_opt::<Float64Type>();
        Some(Self {
            times: batch.column_by_name("timestamp")?.as_primitive_opt()?,
            symbols: batch.column_by_name("symbol")?.as_string_opt::<i32>()?,
            numbers: [number("open")?, number("high")?, number("low")?, number("close")?, number("volume")?],
        })
    }

    fn bar(&self, row: usize) -> Bar {
        let [open, high, low, close, volume] = self.numbers.map(|column| column.value(row));
        Bar { time: Timestamp::from_micros(self.times.value(row)), open, high, low, close, volume }
    }
}

/// Finds symbols by their names. Rows of a symbol mostly stand together, so the one found last is tried first.
struct Places<'a> {
    symbols: &'a [Symbol],
    last: usize,
}

impl<'a> Places<'a> {
    const fn of(symbols: &'a [Symbol]) -> Self {
        Self { symbols, last: 0 }
    }

    fn find(&mut self, name: &str) -> Option<usize> {
        if self.symbols.get(self.last)?.as_str() != name {
            self.last = self.symbols.iter().position(|symbol| symbol.as_str() == name)?;
        }
        Some(self.last)
    }
}

/// Appends the bars of each symbol to its own.
fn decode(batch: &RecordBatch, symbols: &[Symbol], bars: &mut [Vec<Bar>]) -> Option<()> {
    let (decoded, mut places) = (Decoded::of(batch)?, Places::of(symbols));
    for row in 0..batch.num_rows() {
        if let Some(place) = places.find(decoded.symbols.value(row)) {
            bars[place].push(decoded.bar(row));
        }
    }
    Some(())
}

/// Holds all bars of a file against the digests written at import, in memory that does not grow with it.
///
/// # Errors
/// [`DataError::Missing`], [`DataError::Format`] and [`DataError::Changed`].
pub fn verify(path: &Path) -> Result<(), DataError> {
    let about = about(path)?;
    let mut counts: HashMap<Symbol, u64> = HashMap::new();
    each_bar(path, |symbol, _| *counts.entry(symbol.clone()).or_default() += 1)?;
    let content = |symbol: &Symbol| {
        let bars = counts.get(symbol).copied().unwrap_or(0);
        (symbol.clone(), Content::new(symbol, about.interval, bars))
    };
    let mut contents: HashMap<Symbol, Content> = about.symbols.iter().map(content).collect();
    let mut strangers = Vec::new();
    each_bar(path, |symbol, bar| match contents.get_mut(symbol) {
        Some(content) => content.push(bar),
        None => strangers = vec![symbol.clone()],
    })?;
    let metadata = metadata(&open(path)?);
    let changed = |symbol: Symbol| Err(DataError::Changed { path: path.to_owned(), symbol });
    for (symbol, content) in contents {
        if value(&metadata, &format!("{DIGEST_KEY}{symbol}")) != Some(content.digest().to_string()) {
            return changed(symbol);
        }
    }
    strangers.pop().map_or(Ok(()), changed)
}

/// Calls `act` with every bar of a file, in its order.
fn each_bar(path: &Path, mut act: impl FnMut(&Symbol, &Bar)) -> Result<(), DataError> {
    let format = |why: String| DataError::Format { path: path.to_owned(), why };
    let reader = open(path)?.build().map_err(|error| format(error.to_string()))?;
    let mut symbol: Option<Symbol> = None;
    for batch in reader {
        let batch = batch.map_err(|error| format(error.to_string()))?;
        let decoded = Decoded::of(&batch).ok_or_else(|| format(FOREIGN.to_owned()))?;
        for row in 0..batch.num_rows() {
            let name = decoded.symbols.value(row);
            if symbol.as_ref().is_none_or(|symbol| symbol.as_str() != name) {
                symbol = Some(Symbol::try_from(name.to_owned()).map_err(|error| format(error.to_string()))?);
            }
            if let Some(symbol) = &symbol {
                act(symbol, &decoded.bar(row));
            }
        }
    }
    Ok(())
}

/// Symbols of a file written by an import, by name.
///
/// # Errors
/// [`DataError::Missing`], [`DataError::Io`], [`DataError::Format`].
pub fn symbols(path: &Path) -> Result<Vec<Symbol>, DataError> {
    let names = metadata(&open(path)?);
    let names = names.iter().filter_map(|pair| pair.key.strip_prefix(DIGEST_KEY).map(str::to_owned));
    Ok(names.filter_map(|name| Symbol::try_from(name).ok()).collect())
}
