//! Bars at rest that are read in parts: a thread decodes the next ones while the present ones are worked on.
//!
//! All of them are held against the digest that was written at the import, as where they are read at once. Groups of rows
//! that hold no bar of a symbol are passed over. Only what is repaired is whole in memory, one symbol at a time, because
//! repairs look at a series from both ends.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use arrow_array::cast::AsArray as _;
use market::{Bar, Calendar, Interval, Symbol};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use spec::{Digest, Repair};

use super::{About, Content, FOREIGN, Places, decode, load, metadata, open, promised};
use crate::DataError;

/// Bars of a part.
const PART: usize = 16_384;

/// Parts that are decoded ahead of whoever works on them: together the rows of a group.
const AHEAD: usize = 8;

/// One symbol's bars at rest: counted, and not read.
#[derive(Clone, Debug)]
pub struct Series {
    path: PathBuf,
    symbol: Symbol,
    interval: Interval,
    calendar: Calendar,
    bars: u64,
    /// Groups of rows that may hold bars of it.
    groups: Vec<usize>,
    /// Digest that was written at the import.
    promised: String,
    repairs: Vec<Repair>,
}

/// What is read at a time.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// The next bars, in the order of the file.
    Bars(Vec<Bar>),
    /// There are no more, and all of them are those of this digest.
    End(Digest),
}

/// Reads a series. The thread behind it ends with it.
#[derive(Debug)]
pub struct SeriesReader {
    path: PathBuf,
    parts: Receiver<Result<Part, DataError>>,
}

/// The series of several symbols, each named once, in their order. Reads no more of the file than it takes to count bars.
///
/// # Errors
/// [`DataError::Missing`], [`DataError::Symbol`], [`DataError::Io`], [`DataError::Format`].
pub fn series(path: &Path, symbols: &[Symbol], repairs: &[Repair]) -> Result<Vec<Series>, DataError> {
    let builder = open(path)?;
    let metadata = metadata(&builder);
    let about = About::of(path, &metadata)?;
    let mut all = Vec::with_capacity(symbols.len());
    for symbol in symbols {
        all.push(Series {
            path: path.to_owned(),
            symbol: symbol.clone(),
            interval: about.interval,
            calendar: about.calendar,
            bars: 0,
            groups: groups(builder.metadata(), std::slice::from_ref(symbol)),
            promised: promised(path, (&about, &metadata), symbol)?,
            repairs: repairs.to_vec(),
        });
    }
    let counts = count(builder, symbols).map_err(|why| DataError::Format { path: path.to_owned(), why })?;
    all.iter_mut().zip(counts).for_each(|(series, bars)| series.bars = bars);
    Ok(all)
}

/// Groups of rows that may hold bars of these symbols.
pub(super) fn groups(metadata: &ParquetMetaData, symbols: &[Symbol]) -> Vec<usize> {
    let holds = |group: &usize| match bounds(metadata.row_group(*group)) {
        Some((least, most)) => symbols.iter().any(|symbol| (least..=most).contains(&symbol.as_str().as_bytes())),
        // A file from before groups were told apart.
        None => true,
    };
    (0..metadata.num_row_groups()).filter(holds).collect()
}

/// The smallest and the largest symbol of a group.
fn bounds(group: &RowGroupMetaData) -> Option<(&[u8], &[u8])> {
    let column = group.columns().iter().find(|column| column.column_path().string() == "symbol")?;
    let statistics = column.statistics()?;
    Some((statistics.min_bytes_opt()?, statistics.max_bytes_opt()?))
}

/// The bars of each symbol. Groups of one symbol alone are not looked into.
fn count(builder: ParquetRecordBatchReaderBuilder<File>, symbols: &[Symbol]) -> Result<Vec<u64>, String> {
    let mut counts = vec![0_u64; symbols.len()];
    let mut mixed = Vec::new();
    for group in groups(builder.metadata(), symbols) {
        let rows = builder.metadata().row_group(group);
        let sole = bounds(rows).filter(|(least, most)| least == most).map(|(sole, _)| sole);
        match symbols.iter().position(|symbol| sole == Some(symbol.as_str().as_bytes())) {
            Some(place) => counts[place] += rows.num_rows() as u64,
            None => mixed.push(group),
        }
    }
    if mixed.is_empty() {
        return Ok(counts);
    }
    let names = ProjectionMask::columns(builder.parquet_schema(), ["symbol"]);
    let builder = builder.with_row_groups(mixed).with_projection(names).with_batch_size(PART);
    let mut places = Places::of(symbols);
    for batch in builder.build().map_err(|error| error.to_string())? {
        let batch = batch.map_err(|error| error.to_string())?;
        let names = batch.column_by_name("symbol").and_then(|names| names.as_string_opt::<i32>());
        for name in names.ok_or_else(|| FOREIGN.to_owned())?.iter().flatten() {
            if let Some(place) = places.find(name) {
                counts[place] += 1;
            }
        }
    }
    Ok(counts)
}

impl Series {
    /// Whose bars.
    #[must_use]
    pub const fn symbol(&self) -> &Symbol {
        &self.symbol
    }

    /// How spaced.
    #[must_use]
    pub const fn interval(&self) -> Interval {
        self.interval
    }

    /// When they are owed.
    #[must_use]
    pub const fn calendar(&self) -> Calendar {
        self.calendar
    }

    /// How many there are, before any repair.
    #[must_use]
    pub const fn bars(&self) -> u64 {
        self.bars
    }

    /// Begins to read in the background.
    ///
    /// # Errors
    /// [`DataError::Io`] when the system starts no thread.
    pub fn read(&self) -> Result<SeriesReader, DataError> {
        let (to, parts) = sync_channel(AHEAD);
        let series = self.clone();
        let thread = std::thread::Builder::new().name("bars".to_owned()).spawn(move || series.hand_on(&to));
        thread.map_err(|source| DataError::Io {
            path: self.path.clone(),
            action: "starting a thread that reads it",
            source,
        })?;
        Ok(SeriesReader { path: self.path.clone(), parts })
    }

    fn hand_on(&self, to: &SyncSender<Result<Part, DataError>>) {
        let last = match self.each_part(&mut |bars| to.send(Ok(Part::Bars(bars))).is_ok()) {
            Ok(Some(digest)) => Ok(Part::End(digest)),
            // Nobody reads on.
            Ok(None) => return,
            Err(error) => Err(error),
        };
        let _ = to.send(last);
    }

    /// Calls `act` with each part until it says false. The digest of all of them, where it never did.
    fn each_part(&self, act: &mut dyn FnMut(Vec<Bar>) -> bool) -> Result<Option<Digest>, DataError> {
        if !self.repairs.is_empty() {
            let (set, _) = load(&self.path, &self.symbol, &self.repairs)?;
            let all = set.bars.chunks(PART).all(|bars| act(bars.to_vec()));
            return Ok(all.then_some(set.digest));
        }
        let format = |why: String| DataError::Format { path: self.path.clone(), why };
        let changed = || DataError::Changed { path: self.path.clone(), symbol: self.symbol.clone() };
        let builder = open(&self.path)?;
        if self.groups.iter().any(|group| *group >= builder.metadata().num_row_groups()) {
            return Err(changed());
        }
        let builder = builder.with_row_groups(self.groups.clone()).with_batch_size(PART);
        let mut content = Content::new(&self.symbol, self.interval, self.bars);
        for batch in builder.build().map_err(|error| format(error.to_string()))? {
            let batch = batch.map_err(|error| format(error.to_string()))?;
            let mut bars = [Vec::with_capacity(batch.num_rows())];
            decode(&batch, std::slice::from_ref(&self.symbol), &mut bars).ok_or_else(|| format(FOREIGN.to_owned()))?;
            let [bars] = bars;
            bars.iter().for_each(|bar| content.push(bar));
            if !bars.is_empty() && !act(bars) {
                return Ok(None);
            }
        }
        let digest = content.digest();
        if digest.to_string() == self.promised { Ok(Some(digest)) } else { Err(changed()) }
    }
}

impl SeriesReader {
    /// The next part; waits for it. Nothing is asked after [`Part::End`] or an error.
    ///
    /// # Errors
    /// [`DataError::Io`], [`DataError::Format`]; [`DataError::Changed`] in place of the end; for repairs as [`load`].
    pub fn part(&mut self) -> Result<Part, DataError> {
        let ended = |_| DataError::Format { path: self.path.clone(), why: "whoever reads it ended early".to_owned() };
        self.parts.recv().map_err(ended)?
    }
}
