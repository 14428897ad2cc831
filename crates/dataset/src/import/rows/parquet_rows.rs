//! Rows of a Parquet file, whatever usual type its columns have.

use std::fs::File;
use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray as _;
use arrow_array::types::{
    Date32Type, Float32Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType, UInt64Type,
};
use arrow_array::{Array as _, ArrayRef, RecordBatch};
use arrow_schema::{DataType, TimeUnit};
use market::{Bar, Symbol, Timestamp};
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use super::{Reading, Row, Rows, Symbols, adjust, adjusted_close};
use crate::DataError;
use crate::import::ImportOptions;
use crate::import::columns::{Columns, Field};
use crate::import::stamp::{StampError, Stamps};

/// Rows decoded at a time.
const BATCH: usize = 8_192;

pub(crate) struct ParquetRows {
    path: PathBuf,
    reader: ParquetRecordBatchReader,
    columns: Columns,
    wanted: Option<Symbol>,
    stamps: Stamps,
    batch: Option<RecordBatch>,
    /// The next row of the batch.
    at: usize,
    read: u64,
    rows: u64,
}

impl ParquetRows {
    pub(crate) fn open(path: &Path, options: &ImportOptions, reading: &Reading) -> Result<Self, DataError> {
        let format = |why: String| DataError::Format { path: path.to_owned(), why };
        let stamps = reading.stamps(options.interval)?;
        let file =
            File::open(path).map_err(|source| DataError::Io { path: path.to_owned(), action: "reading", source })?;
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| format(error.to_string()))?;
        let header: Vec<String> = builder.schema().fields().iter().map(|field| field.name().clone()).collect();
        let columns = Columns::find(path, &header, &reading.columns, adjusted_close(options))?;
        if columns.symbol.is_none() && options.symbol.is_none() {
            return Err(DataError::Column { path: path.to_owned(), column: "symbol".to_owned(), found: header });
        }
        let rows = u64::try_from(builder.metadata().file_metadata().num_rows()).unwrap_or(0);
        let reader = builder.with_batch_size(BATCH).build().map_err(|error| format(error.to_string()))?;
        let (path, wanted) = (path.to_owned(), options.symbol.clone());
        Ok(Self { path, reader, columns, wanted, stamps, batch: None, at: 0, read: 0, rows })
    }

    fn wrong(&self, field: Field, text: String, wanted: &'static str) -> DataError {
        DataError::Cell { path: self.path.clone(), line: self.read, column: field.name(), text, wanted }
    }

    fn bar(&mut self, batch: &RecordBatch, row: usize) -> Result<Bar, DataError> {
        let number = |column: usize, field: Field| {
            number(batch.column(column), row)
                .ok_or_else(|| self.wrong(field, batch.column(column).data_type().to_string(), "a number"))
        };
        let [open, high, low, close] = self.columns.prices;
        let mut prices = [
            number(open, Field::Open)?,
            number(high, Field::High)?,
            number(low, Field::Low)?,
            number(close, Field::Close)?,
        ];
        if let Some(column) = self.columns.adjusted_close {
            adjust(&mut prices, number(column, Field::AdjustedClose)?);
        }
        let volume = number(self.columns.volume, Field::Volume)?;
        let times = batch.column(self.columns.time);
        let time = time(times, row, &mut self.stamps).map_err(|why| DataError::Stamp {
            path: self.path.clone(),
            line: self.read,
            text: text(times, row).map_or_else(|| times.data_type().to_string(), str::to_owned),
            why: why.to_string(),
        })?;
        let [open, high, low, close] = prices;
        Ok(Bar { time, open, high, low, close, volume })
    }
}

impl Rows for ParquetRows {
    fn next(&mut self, symbols: &mut Symbols) -> Result<Option<Row>, DataError> {
        loop {
            let Some(batch) = self.batch.take().filter(|batch| self.at < batch.num_rows()) else {
                let Some(batch) = self.reader.next() else { return Ok(None) };
                self.batch =
                    Some(batch.map_err(|error| DataError::Format { path: self.path.clone(), why: error.to_string() })?);
                self.at = 0;
                continue;
            };
            let row = self.at;
            self.at += 1;
            self.read += 1;
            let found = match (self.columns.symbol, &self.wanted) {
                (None, Some(wanted)) => symbols.number(wanted.as_str().as_bytes()),
                (None, None) => unreachable!("a file without symbols is opened for one alone"),
                (Some(column), wanted) => {
                    let name = text(batch.column(column), row).unwrap_or_default();
                    if wanted.as_ref().is_some_and(|wanted| wanted.as_str() != name) {
                        self.batch = Some(batch);
                        continue;
                    }
                    match symbols.number(name.as_bytes()) {
                        Some(number) => Some(number),
                        None => return Err(self.wrong(Field::Symbol, name.to_owned(), "a ticker")),
                    }
                }
            };
            let bar = self.bar(&batch, row)?;
            self.batch = Some(batch);
            if let Some(symbol) = found {
                return Ok(Some(Row { symbol, bar }));
            }
        }
    }

    fn position(&self) -> u64 {
        self.read
    }

    fn length(&self) -> u64 {
        self.rows
    }
}

/// A missing number is NaN; `None` for a column that holds no numbers.
#[allow(clippy::wildcard_enum_match_arm, reason = "Arrow's types, of which bars use a few")]
fn number(column: &ArrayRef, row: usize) -> Option<f64> {
    if column.is_null(row) {
        return Some(f64::NAN);
    }
    Some(match column.data_type() {
        DataType::Float64 => column.as_primitive::<Float64Type>().value(row),
        DataType::Float32 => f64::from(column.as_primitive::<Float32Type>().value(row)),
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row) as f64,
        DataType::Int32 => f64::from(column.as_primitive::<Int32Type>().value(row)),
        DataType::UInt64 => column.as_primitive::<UInt64Type>().value(row) as f64,
        _ => return None,
    })
}

#[allow(clippy::wildcard_enum_match_arm, reason = "Arrow's types, of which bars use a few")]
fn text(column: &ArrayRef, row: usize) -> Option<&str> {
    if column.is_null(row) {
        return None;
    }
    match column.data_type() {
        DataType::Utf8 => Some(column.as_string::<i32>().value(row)),
        DataType::LargeUtf8 => Some(column.as_string::<i64>().value(row)),
        DataType::Utf8View => Some(column.as_string_view().value(row)),
        _ => None,
    }
}

#[allow(clippy::wildcard_enum_match_arm, reason = "Arrow's types, of which bars use a few")]
fn time(column: &ArrayRef, row: usize, stamps: &mut Stamps) -> Result<Timestamp, StampError> {
    /// Days to microseconds.
    const DAY: i64 = 86_400_000_000;
    if column.is_null(row) {
        return Err(StampError::Form);
    }
    let micros = match column.data_type() {
        DataType::Timestamp(unit, _) => match unit {
            TimeUnit::Second => column.as_primitive::<TimestampSecondType>().value(row).saturating_mul(1_000_000),
            TimeUnit::Millisecond => column.as_primitive::<TimestampMillisecondType>().value(row).saturating_mul(1_000),
            TimeUnit::Microsecond => column.as_primitive::<TimestampMicrosecondType>().value(row),
            TimeUnit::Nanosecond => column.as_primitive::<TimestampNanosecondType>().value(row).div_euclid(1_000),
        },
        DataType::Date32 => {
            return Ok(Timestamp::from_micros(i64::from(column.as_primitive::<Date32Type>().value(row)) * DAY));
        }
        DataType::Int64 => return stamps.parse(&column.as_primitive::<Int64Type>().value(row).to_string()),
        _ => return stamps.parse(text(column, row).ok_or(StampError::Form)?),
    };
    match column.data_type() {
        // A column without a zone holds a local clock.
        DataType::Timestamp(_, None) => stamps.wall(micros),
        _ => Ok(Timestamp::from_micros(micros)),
    }
}
