//! Rows of a CSV: each cell checked, and named by line and column when it is not what it should be.

use std::fs::File;
use std::path::{Path, PathBuf};

use csv::ByteRecord;
use market::{Bar, Symbol};

use super::{Reading, Row, Rows, Symbols, adjust, adjusted_close};
use crate::DataError;
use crate::import::columns::{Columns, Field};
use crate::import::stamp::Stamps;
use crate::import::{ImportOptions, number};

/// Bytes read at a time.
const BUFFER: usize = 1 << 18;

pub(crate) struct CsvRows {
    path: PathBuf,
    reader: csv::Reader<File>,
    record: ByteRecord,
    columns: Columns,
    wanted: Option<Symbol>,
    stamps: Stamps,
    length: u64,
}

impl CsvRows {
    pub(crate) fn open(path: &Path, options: &ImportOptions, reading: &Reading) -> Result<Self, DataError> {
        let format = |error: csv::Error| DataError::Format { path: path.to_owned(), why: error.to_string() };
        let stamps = reading.stamps(options.interval)?;
        let file =
            File::open(path).map_err(|source| DataError::Io { path: path.to_owned(), action: "reading", source })?;
        let length = file.metadata().map(|metadata| metadata.len()).unwrap_or(0);
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::Headers).buffer_capacity(BUFFER).from_reader(file);
        let header: Vec<String> = reader.headers().map_err(format)?.iter().map(str::to_owned).collect();
        let columns = Columns::find(path, &header, &reading.columns, adjusted_close(options))?;
        if columns.symbol.is_none() && options.symbol.is_none() {
            return Err(DataError::Column { path: path.to_owned(), column: "symbol".to_owned(), found: header });
        }
        let (path, wanted) = (path.to_owned(), options.symbol.clone());
        Ok(Self { path, reader, record: ByteRecord::new(), columns, wanted, stamps, length })
    }

    fn cell(&self, column: usize) -> &[u8] {
        self.record.get(column).unwrap_or_default().trim_ascii()
    }

    /// An empty cell is a missing number: NaN, which the quality report names.
    fn number(&self, column: usize, field: Field) -> Result<f64, DataError> {
        let cell = self.cell(column);
        match number::parse(cell) {
            Some(value) => Ok(value),
            None if cell.is_empty() => Ok(f64::NAN),
            None => Err(self.wrong(column, field, "a number")),
        }
    }

    fn symbol(&self, symbols: &mut Symbols) -> Result<Option<usize>, DataError> {
        let Some(column) = self.columns.symbol else {
            let wanted = self.wanted.as_ref().expect("a file without symbols is opened for one alone");
            return Ok(symbols.number(wanted.as_str().as_bytes()));
        };
        let cell = self.cell(column);
        if self.wanted.as_ref().is_some_and(|wanted| wanted.as_str().as_bytes() != cell) {
            return match std::str::from_utf8(cell).map(|text| Symbol::try_from(text.to_owned())) {
                Ok(Ok(_)) => Ok(None),
                Ok(Err(_)) | Err(_) => Err(self.wrong(column, Field::Symbol, "a ticker")),
            };
        }
        match symbols.number(cell) {
            Some(number) => Ok(Some(number)),
            None => Err(self.wrong(column, Field::Symbol, "a ticker")),
        }
    }

    fn bar(&mut self) -> Result<Bar, DataError> {
        let cell = self.record.get(self.columns.time).unwrap_or_default().trim_ascii();
        let text = std::str::from_utf8(cell).unwrap_or_default();
        let time = match self.stamps.parse(text) {
            Ok(time) => time,
            Err(why) => {
                return Err(DataError::Stamp {
                    path: self.path.clone(),
                    line: self.line(),
                    text: self.text(self.columns.time),
                    why: why.to_string(),
                });
            }
        };
        let [open, high, low, close] = self.columns.prices;
        let mut prices = [
            self.number(open, Field::Open)?,
            self.number(high, Field::High)?,
            self.number(low, Field::Low)?,
            self.number(close, Field::Close)?,
        ];
        if let Some(column) = self.columns.adjusted_close {
            adjust(&mut prices, self.number(column, Field::AdjustedClose)?);
        }
        let [open, high, low, close] = prices;
        Ok(Bar { time, open, high, low, close, volume: self.number(self.columns.volume, Field::Volume)? })
    }

    fn line(&self) -> u64 {
        self.record.position().map_or(0, csv::Position::line)
    }

    fn text(&self, column: usize) -> String {
        String::from_utf8_lossy(self.cell(column)).chars().take(40).collect()
    }

    fn wrong(&self, column: usize, field: Field, wanted: &'static str) -> DataError {
        let (path, line, text) = (self.path.clone(), self.line(), self.text(column));
        DataError::Cell { path, line, column: field.name(), text, wanted }
    }
}

impl Rows for CsvRows {
    fn next(&mut self, symbols: &mut Symbols) -> Result<Option<Row>, DataError> {
        loop {
            let read = self.reader.read_byte_record(&mut self.record);
            let is_row = read.map_err(|error| DataError::Format { path: self.path.clone(), why: error.to_string() })?;
            if !is_row {
                return Ok(None);
            }
            if let Some(symbol) = self.symbol(symbols)? {
                return Ok(Some(Row { symbol, bar: self.bar()? }));
            }
        }
    }

    fn position(&self) -> u64 {
        self.reader.position().byte()
    }

    fn length(&self) -> u64 {
        self.length
    }
}
