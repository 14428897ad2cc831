//! Bars at rest: Parquet with the digest of each symbol's content.

use std::fs::File;
use std::io::Write as _;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Float64Type, TimestampMicrosecondType};
use arrow_array::{ArrayRef, Float64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow_schema::{ArrowError, DataType, Field, Schema, TimeUnit};
use market::{Bar, Interval, Symbol, Timestamp};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use spec::Digest;

use crate::DataError;

/// Prefix of the metadata keys that hold each symbol's digest.
const DIGEST_KEY: &str = "tradewind.digest.";

/// Metadata key of the interval.
const INTERVAL_KEY: &str = "tradewind.interval";

const NUMBERS: [&str; 5] = ["open", "high", "low", "close", "volume"];

/// One symbol's bars.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    /// Whose.
    pub symbol: Symbol,
    /// How spaced.
    pub interval: Interval,
    /// In order of time, once checked.
    pub bars: Vec<Bar>,
    /// SHA-256 of symbol, interval and every value's bits.
    pub digest: Digest,
}

impl Dataset {
    /// Computes the digest of the content.
    #[must_use]
    pub fn new(symbol: Symbol, interval: Interval, bars: Vec<Bar>) -> Self {
        let mut bytes = Vec::with_capacity(bars.len() * 48 + 64);
        bytes.extend_from_slice(format!("{symbol}\n{interval}\n{}\n", bars.len()).as_bytes());
        for bar in &bars {
            bytes.extend_from_slice(&bar.time.micros().to_le_bytes());
            for value in [bar.open, bar.high, bar.low, bar.close, bar.volume] {
                bytes.extend_from_slice(&value.to_bits().to_le_bytes());
            }
        }
        Self { symbol, interval, bars, digest: Digest::of(&bytes) }
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

/// Writes data sets of one interval into a file: whole or not at all.
///
/// # Errors
/// [`DataError::Empty`], [`DataError::Mixed`], [`DataError::Io`], [`DataError::Format`].
pub fn write_parquet(path: &Path, sets: &[Dataset]) -> Result<(), DataError> {
    let Some(first) = sets.first() else {
        return Err(DataError::Empty { path: path.to_owned(), symbol: None });
    };
    let fits = |(at, set): (usize, &Dataset)| {
        set.interval == first.interval && sets[..at].iter().all(|earlier| earlier.symbol != set.symbol)
    };
    if let Some(at) = sets.iter().enumerate().position(|set| !fits(set)) {
        return Err(DataError::Mixed { path: path.to_owned(), symbol: sets[at].symbol.clone() });
    }
    let io = |action| move |source| DataError::Io { path: path.to_owned(), action, source };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(io("making its folder"))?;
    let temporary = path.with_extension(format!("partial-{}", std::process::id()));
    let bytes = encode(sets).map_err(|error| DataError::Format { path: path.to_owned(), why: error.to_string() })?;
    let written = File::create(&temporary).and_then(|mut file| {
        file.write_all(&bytes)?;
        file.sync_all()
    });
    let moved = written.and_then(|()| std::fs::rename(&temporary, path));
    if let Err(source) = moved {
        let _ = std::fs::remove_file(&temporary);
        return Err(io("writing")(source));
    }
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(io("syncing its folder"))
}

fn encode(sets: &[Dataset]) -> Result<Vec<u8>, ParquetError> {
    let mut metadata: Vec<KeyValue> =
        sets.iter().map(|set| KeyValue::new(format!("{DIGEST_KEY}{}", set.symbol), set.digest.to_string())).collect();
    if let Some(set) = sets.first() {
        metadata.push(KeyValue::new(INTERVAL_KEY.to_owned(), set.interval.to_string()));
    }
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_key_value_metadata(Some(metadata))
        .set_created_by("tradewind".to_owned())
        .build();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, Arc::new(schema()), Some(properties))?;
    for set in sets {
        writer.write(&batch(set)?)?;
    }
    writer.close()?;
    Ok(bytes)
}

fn schema() -> Schema {
    let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let mut fields = vec![Field::new("timestamp", time, false), Field::new("symbol", DataType::Utf8, false)];
    fields.extend(NUMBERS.map(|name| Field::new(name, DataType::Float64, false)));
    Schema::new(fields)
}

fn batch(set: &Dataset) -> Result<RecordBatch, ArrowError> {
    let times = set.bars.iter().map(|bar| bar.time.micros());
    let symbols = std::iter::repeat_n(set.symbol.as_str(), set.bars.len());
    let mut columns: Vec<ArrayRef> = vec![
        Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC")),
        Arc::new(StringArray::from_iter_values(symbols)),
    ];
    let values: [fn(&Bar) -> f64; 5] =
        [|bar| bar.open, |bar| bar.high, |bar| bar.low, |bar| bar.close, |bar| bar.volume];
    columns.extend(
        values.map(|value| -> ArrayRef { Arc::new(Float64Array::from_iter_values(set.bars.iter().map(value))) }),
    );
    RecordBatch::try_new(Arc::new(schema()), columns)
}

/// Reads one symbol's bars and holds them against the digest written at import.
///
/// # Errors
/// [`DataError::Missing`], [`DataError::Symbol`], [`DataError::Format`] and [`DataError::Changed`].
pub fn read_parquet(path: &Path, symbol: &Symbol) -> Result<Dataset, DataError> {
    let format = |why: String| DataError::Format { path: path.to_owned(), why };
    let builder = open(path)?;
    let metadata = metadata(&builder);
    let value = |key: &str| metadata.iter().find(|pair| pair.key == key).and_then(|pair| pair.value.clone());
    let interval = match value(INTERVAL_KEY).as_deref() {
        Some("1d") => Interval::Day,
        Some("1h") => Interval::Hour,
        Some("1m") => Interval::Minute,
        _ => return Err(format("it was not written by `tradewind data import`".to_owned())),
    };
    let Some(wanted) = value(&format!("{DIGEST_KEY}{symbol}")) else {
        let held = metadata.iter().filter_map(|pair| pair.key.strip_prefix(DIGEST_KEY));
        let held = held.filter_map(|name| Symbol::try_from(name.to_owned()).ok()).collect();
        return Err(DataError::Symbol { path: path.to_owned(), symbol: symbol.clone(), held });
    };
    let reader = builder.build().map_err(|error| format(error.to_string()))?;
    let mut bars = Vec::new();
    for batch in reader {
        decode(&batch.map_err(|error| format(error.to_string()))?, symbol, &mut bars)
            .ok_or_else(|| format("a column has another type than an import writes".to_owned()))?;
    }
    let set = Dataset::new(symbol.clone(), interval, bars);
    if set.digest.to_string() != wanted {
        return Err(DataError::Changed { path: path.to_owned(), symbol: symbol.clone() });
    }
    Ok(set)
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

fn decode(batch: &RecordBatch, symbol: &Symbol, bars: &mut Vec<Bar>) -> Option<()> {
    let times = batch.column_by_name("timestamp")?.as_primitive_opt::<TimestampMicrosecondType>()?;
    let symbols = batch.column_by_name("symbol")?.as_string_opt::<i32>()?;
    let number = |name: &str| batch.column_by_name(name)?.as_primitive_opt::<Float64Type>();
    let [open, high, low, close, volume] =
        [number("open")?, number("high")?, number("low")?, number("close")?, number("volume")?];
    for row in (0..batch.num_rows()).filter(|row| symbols.value(*row) == symbol.as_str()) {
        bars.push(Bar {
            time: Timestamp::from_micros(times.value(row)),
            open: open.value(row),
            high: high.value(row),
            low: low.value(row),
            close: close.value(row),
            volume: volume.value(row),
        });
    }
    Some(())
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
