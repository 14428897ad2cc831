//! Bars into Parquet, batch by batch.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use market::{Bar, Calendar, Interval, Symbol};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use spec::Digest;

use super::staged::Staged;
use super::{ACTIONS_KEY, ADJUSTMENT_KEY, CALENDAR_KEY, Content, DIGEST_KEY, Dataset, INTERVAL_KEY, NUMBERS};
use crate::DataError;
use crate::import::Action;

/// Rows handed on at a time.
const BATCH: usize = 16_384;

/// Rows of a group: what a reader that loads in parts holds at once, and the writer too.
const GROUP: usize = 1 << 17;

/// What a file says of how it came about.
#[derive(Clone, Debug)]
pub(crate) struct Provenance {
    pub(crate) interval: Interval,
    pub(crate) calendar: Calendar,
    /// As the metadata names it; nothing where it is not known.
    pub(crate) adjustment: Option<&'static str>,
}

/// Writes data sets of one interval and calendar into a file: whole or not at all.
///
/// # Errors
/// [`DataError::Empty`], [`DataError::Mixed`], [`DataError::Io`], [`DataError::Format`].
pub fn write_parquet(path: &Path, sets: &[Dataset]) -> Result<(), DataError> {
    let Some(first) = sets.first() else {
        return Err(DataError::Empty { path: path.to_owned(), symbol: None });
    };
    let fits = |(at, set): (usize, &Dataset)| {
        (set.interval, set.calendar) == (first.interval, first.calendar)
            && sets[..at].iter().all(|earlier| earlier.symbol != set.symbol)
    };
    if let Some(at) = sets.iter().enumerate().position(|set| !fits(set)) {
        return Err(DataError::Mixed { path: path.to_owned(), symbol: sets[at].symbol.clone() });
    }
    let provenance = Provenance { interval: first.interval, calendar: first.calendar, adjustment: None };
    let mut writer = Writer::new(path, provenance)?;
    for set in sets {
        for bar in &set.bars {
            writer.push(&set.symbol, bar)?;
        }
        writer.end(&set.symbol, set.digest, &[])?;
    }
    writer.publish()
}

/// Writes symbols one after the other as their bars come, in memory that does not grow with them. Each is given with the
/// number of bars that will come, for its digest begins with it. Returns the digests.
///
/// # Errors
/// [`DataError::Io`]; [`DataError::Format`], too, where another number of bars comes.
pub fn write_series<B: IntoIterator<Item = Bar>>(
    path: &Path,
    (interval, calendar): (Interval, Calendar),
    series: impl IntoIterator<Item = (Symbol, u64, B)>,
) -> Result<Vec<Digest>, DataError> {
    let mut writer = Writer::new(path, Provenance { interval, calendar, adjustment: None })?;
    let mut digests = Vec::new();
    for (symbol, announced, bars) in series {
        let (mut content, mut came) = (Content::new(&symbol, interval, announced), 0);
        for bar in bars {
            content.push(&bar);
            writer.push(&symbol, &bar)?;
            came += 1;
        }
        if came != announced {
            return Err(writer.unwritten(format!("{announced} bars of {symbol} were announced, {came} came")));
        }
        let digest = content.digest();
        writer.end(&symbol, digest, &[])?;
        digests.push(digest);
    }
    writer.publish()?;
    Ok(digests)
}

/// A file of bars on its way.
pub(crate) struct Writer {
    path: PathBuf,
    staged: Staged,
    arrow: ArrowWriter<File>,
    schema: Arc<Schema>,
    provenance: Provenance,
    digests: BTreeMap<Symbol, Digest>,
    actions: BTreeMap<Symbol, String>,
    times: Vec<i64>,
    values: [Vec<f64>; 5],
}

impl Writer {
    pub(crate) fn new(path: &Path, provenance: Provenance) -> Result<Self, DataError> {
        let staged = Staged::new(path)?;
        let schema = Arc::new(schema());
        let mut properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_created_by("tradewind".to_owned())
            .set_max_row_group_row_count(Some(GROUP))
            .set_dictionary_enabled(false)
            .set_statistics_enabled(EnabledStatistics::None);
        // By these two a reader finds the groups it needs.
        for name in ["timestamp", "symbol"] {
            properties = properties.set_column_statistics_enabled(ColumnPath::from(name), EnabledStatistics::Chunk);
        }
        let properties = properties.set_column_dictionary_enabled(ColumnPath::from("symbol"), true).build();
        let io = |source| DataError::Io { path: path.to_owned(), action: "writing", source };
        let file = staged.file().try_clone().map_err(io)?;
        let arrow = ArrowWriter::try_new(file, Arc::clone(&schema), Some(properties))
            .map_err(|error| DataError::Format { path: path.to_owned(), why: error.to_string() })?;
        let room = || Vec::with_capacity(BATCH);
        Ok(Self {
            path: path.to_owned(),
            staged,
            arrow,
            schema,
            provenance,
            digests: BTreeMap::new(),
            actions: BTreeMap::new(),
            times: Vec::with_capacity(BATCH),
            values: [room(), room(), room(), room(), room()],
        })
    }

    /// Adds a bar of the symbol that is being written.
    pub(crate) fn push(&mut self, symbol: &Symbol, bar: &Bar) -> Result<(), DataError> {
        self.times.push(bar.time.micros());
        let values = [bar.open, bar.high, bar.low, bar.close, bar.volume];
        for (column, value) in self.values.iter_mut().zip(values) {
            column.push(value);
        }
        if self.times.len() == BATCH { self.hand_on(symbol) } else { Ok(()) }
    }

    /// Ends a symbol, with the digest of its bars and what is known of its company's actions.
    pub(crate) fn end(&mut self, symbol: &Symbol, digest: Digest, actions: &[Action]) -> Result<(), DataError> {
        self.hand_on(symbol)?;
        self.digests.insert(symbol.clone(), digest);
        if !actions.is_empty() {
            let text = serde_json::to_string(actions).map_err(|error| self.unwritten(error.to_string()))?;
            self.actions.insert(symbol.clone(), text);
        }
        Ok(())
    }

    /// Ends the file and gives it its name.
    pub(crate) fn publish(mut self) -> Result<(), DataError> {
        let Provenance { interval, calendar, adjustment } = self.provenance;
        let mut metadata: Vec<KeyValue> = Vec::new();
        let mut note = |key: String, value: String| metadata.push(KeyValue::new(key, value));
        self.digests.iter().for_each(|(symbol, digest)| note(format!("{DIGEST_KEY}{symbol}"), digest.to_string()));
        self.actions.iter().for_each(|(symbol, text)| note(format!("{ACTIONS_KEY}{symbol}"), text.clone()));
        note(INTERVAL_KEY.to_owned(), interval.to_string());
        note(CALENDAR_KEY.to_owned(), calendar.to_string());
        if let Some(adjustment) = adjustment {
            note(ADJUSTMENT_KEY.to_owned(), adjustment.to_owned());
        }
        metadata.into_iter().for_each(|pair| self.arrow.append_key_value_metadata(pair));
        let Self { arrow, staged, path, .. } = self;
        arrow.close().map_err(|error| DataError::Format { path, why: error.to_string() })?;
        staged.publish()
    }

    fn hand_on(&mut self, symbol: &Symbol) -> Result<(), DataError> {
        if self.times.is_empty() {
            return Ok(());
        }
        let rows = self.times.len();
        let times = std::mem::replace(&mut self.times, Vec::with_capacity(BATCH));
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC")),
            Arc::new(StringArray::from_iter_values(std::iter::repeat_n(symbol.as_str(), rows))),
        ];
        for column in &mut self.values {
            let values = std::mem::replace(column, Vec::with_capacity(BATCH));
            columns.push(Arc::new(Float64Array::from(values)));
        }
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns);
        let batch = batch.map_err(|error| self.unwritten(error.to_string()))?;
        self.arrow.write(&batch).map_err(|error| self.unwritten(error.to_string()))
    }

    fn unwritten(&self, why: String) -> DataError {
        DataError::Format { path: self.path.clone(), why }
    }
}

fn schema() -> Schema {
    let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let mut fields = vec![Field::new("timestamp", time, false), Field::new("symbol", DataType::Utf8, false)];
    fields.extend(NUMBERS.map(|name| Field::new(name, DataType::Float64, false)));
    Schema::new(fields)
}
