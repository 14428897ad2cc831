//! A whole import: files read once, set aside by symbol, joined, adjusted, checked and written, or nothing at all.

use std::path::{Path, PathBuf};

use market::{Calendar, Symbol, Timestamp};
use spec::Digest;

use super::actions::{Action, ActionKind, Actions, Factors};
use super::merge::Merged;
use super::rows::{self, Reading, Symbols};
use super::spool::Spool;
use super::{Adjustment, ImportOptions};
use crate::quality::Checker;
use crate::table::{self, Content, Provenance, Writer};
use crate::{DataError, QualityReport};

/// Rows between two reports of progress.
const REPORT_EVERY: u64 = 65_536;

/// What to do with a data set that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// It is replaced.
    Replace,
    /// Its bars are kept and the new ones added; where they overlap they must agree.
    Extend,
}

/// An import.
#[derive(Clone, Debug)]
pub struct ImportJob {
    /// Files, CSV or Parquet by their extension. Where they overlap they must agree.
    pub files: Vec<PathBuf>,
    /// The Parquet file to write.
    pub target: PathBuf,
    /// What to do with what is there.
    pub existing: Existing,
    /// What is imported.
    pub options: ImportOptions,
    /// How the files are read.
    pub reading: Reading,
    /// When bars are owed.
    pub calendar: Calendar,
    /// Splits and dividends: applied where the adjustment says so, recorded otherwise.
    pub actions: Actions,
}

/// Where an import stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What it does.
    pub stage: Stage,
    /// How much of it is done.
    pub done: u64,
    /// How much there is; 0 when that is not known.
    pub total: u64,
    /// Rows taken in so far.
    pub rows: u64,
}

/// What an import does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Reads files: bytes of a CSV, rows of a Parquet file.
    Reading,
    /// Checks and writes: rows.
    Writing,
}

/// One symbol that was imported.
#[derive(Clone, Debug, PartialEq)]
pub struct ImportedSet {
    /// Whose bars.
    pub symbol: Symbol,
    /// How many.
    pub bars: u64,
    /// Time of the first.
    pub from: Timestamp,
    /// Time of the last.
    pub to: Timestamp,
    /// Digest of the content.
    pub digest: Digest,
}

/// What an import wrote.
#[derive(Clone, Debug)]
pub struct Imported {
    /// In order of symbol.
    pub sets: Vec<ImportedSet>,
    /// What is wrong in them.
    pub quality: QualityReport,
    /// Rows that several files had alike.
    pub overlapping: u64,
}

/// Imports files into a data set. Faults of the bars do not stop it, they are in the report.
///
/// # Errors
/// [`DataError`]; nothing is written then, and what was there stays.
pub fn import(job: &ImportJob, report: &mut dyn FnMut(Progress)) -> Result<Imported, DataError> {
    let folder = job.target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(|source| DataError::Io {
        path: folder.to_owned(),
        action: "making it",
        source,
    })?;
    let mut spool = Spool::new(folder)?;
    let mut symbols = Symbols::default();
    let mut rows = 0;
    let mut files = 0;
    if job.existing == Existing::Extend {
        let raw = ImportOptions { symbol: None, adjustment: Adjustment::None, ..job.options.clone() };
        agree(job)?;
        let mut reader = rows::open(&job.target, &raw, &Reading::default())?;
        rows += take_in(reader.as_mut(), (&mut symbols, &mut spool), files, report)?;
        files += 1;
    }
    for path in &job.files {
        let mut reader = rows::open(path, &job.options, &job.reading)?;
        rows += take_in(reader.as_mut(), (&mut symbols, &mut spool), files, report)?;
        files += 1;
    }
    spool.finish()?;
    let Some(first) = job.files.first().filter(|_| rows == 0) else {
        return write(job, (&symbols, &spool), (files, rows), report);
    };
    Err(DataError::Empty { path: first.clone(), symbol: job.options.symbol.clone() })
}

/// Refuses to extend a set that was imported in another way.
fn agree(job: &ImportJob) -> Result<(), DataError> {
    let about = table::about(&job.target)?;
    let asked = job.options.adjustment.name();
    let differs =
        |what, held: String, asked: String| DataError::Appended { path: job.target.clone(), what, held, asked };
    if about.interval != job.options.interval {
        return Err(differs("interval", about.interval.to_string(), job.options.interval.to_string()));
    }
    if about.calendar != job.calendar {
        return Err(differs("calendar", about.calendar.to_string(), job.calendar.to_string()));
    }
    match about.adjustment {
        Some(held) if held != asked => Err(differs("adjustment", held, asked.to_owned())),
        // Prices before an action would have to be adjusted anew, and what they were is not kept.
        Some(_) if job.options.adjustment == Adjustment::Actions => {
            Err(differs("adjustment", asked.to_owned(), "further actions".to_owned()))
        }
        Some(_) | None => Ok(()),
    }
}

fn take_in(
    reader: &mut dyn rows::Rows,
    (symbols, spool): (&mut Symbols, &mut Spool),
    file: u16,
    report: &mut dyn FnMut(Progress),
) -> Result<u64, DataError> {
    let mut rows = 0;
    while let Some(row) = reader.next(symbols)? {
        spool.push(row.symbol, file, &row.bar)?;
        rows += 1;
        if rows % REPORT_EVERY == 0 {
            report(Progress { stage: Stage::Reading, done: reader.position(), total: reader.length(), rows });
        }
    }
    Ok(rows)
}

fn write(
    job: &ImportJob,
    (symbols, spool): (&Symbols, &Spool),
    (files, rows): (u16, u64),
    report: &mut dyn FnMut(Progress),
) -> Result<Imported, DataError> {
    let ImportOptions { interval, adjustment, .. } = job.options;
    let provenance = Provenance { interval, calendar: job.calendar, adjustment: Some(adjustment.name()) };
    let mut writer = Writer::new(&job.target, provenance)?;
    let mut imported = Imported { sets: Vec::new(), quality: QualityReport::default(), overlapping: 0 };
    let mut done = 0;
    let mut order: Vec<(usize, &Symbol)> = symbols.names().iter().enumerate().collect();
    order.sort_by_key(|(_, symbol)| *symbol);
    for (number, symbol) in order {
        let series = || Merged::new(spool, (number, symbol), files);
        let actions = job.actions.get(symbol).map(Vec::as_slice).unwrap_or_default();
        // What overlaps in several files is known when they were joined once.
        let (count, overlapping) = if files == 1 { (spool.count(number), 0) } else { count(series()?)? };
        let mut factors = factors(symbol, adjustment, actions, series()?)?;
        let mut content = Content::new(symbol, interval, count);
        let mut checker = Checker::new(symbol.clone(), interval, job.calendar);
        let (mut bars, mut span) = (series()?, None);
        while let Some(mut bar) = bars.next()? {
            factors.apply(&mut bar);
            checker.push(&bar);
            content.push(&bar);
            writer.push(symbol, &bar)?;
            span = Some(span.map_or((bar.time, bar.time), |(from, _)| (from, bar.time)));
            done += 1;
            if done % REPORT_EVERY == 0 {
                report(Progress { stage: Stage::Writing, done, total: rows, rows });
            }
        }
        let recorded = if adjustment == Adjustment::Actions { &[] } else { actions };
        let digest = content.digest();
        writer.end(symbol, digest, recorded)?;
        imported.quality.extend(checker.finish());
        imported.overlapping += overlapping;
        if let Some((from, to)) = span {
            imported.sets.push(ImportedSet { symbol: symbol.clone(), bars: count, from, to, digest });
        }
    }
    writer.publish()?;
    Ok(imported)
}

/// Bars of a series, and how many of them several files had alike.
fn count(mut bars: Merged<'_>) -> Result<(u64, u64), DataError> {
    let mut count = 0;
    while bars.next()?.is_some() {
        count += 1;
    }
    Ok((count, bars.verdict()?))
}

/// What the adjustment does to a series.
fn factors(
    symbol: &Symbol,
    adjustment: Adjustment,
    actions: &[Action],
    mut bars: Merged<'_>,
) -> Result<Factors, DataError> {
    match adjustment {
        Adjustment::AdjustedClose | Adjustment::None => Ok(Factors::default()),
        Adjustment::Actions => Factors::plan(actions, || bars.next())?.map_err(|action| refused(symbol, action)),
    }
}

/// A dividend that cannot be.
pub(crate) fn refused(symbol: &Symbol, action: Action) -> DataError {
    let (ActionKind::Dividend(value) | ActionKind::Split(value)) = action.kind;
    DataError::Dividend { symbol: symbol.clone(), date: action.date, value }
}

/// Checks a CSV or Parquet file symbol by symbol, in memory that does not grow with it.
///
/// # Errors
/// [`DataError`] naming file, line and column.
pub fn check_file(
    path: &Path,
    options: &ImportOptions,
    reading: &Reading,
    calendar: Calendar,
    report: &mut dyn FnMut(Progress),
) -> Result<QualityReport, DataError> {
    let mut reader = rows::open(path, options, reading)?;
    let mut symbols = Symbols::default();
    let mut checkers: Vec<Checker> = Vec::new();
    let mut rows = 0;
    while let Some(row) = reader.next(&mut symbols)? {
        if row.symbol == checkers.len() {
            checkers.push(Checker::new(symbols.names()[row.symbol].clone(), options.interval, calendar));
        }
        checkers[row.symbol].push(&row.bar);
        rows += 1;
        if rows % REPORT_EVERY == 0 {
            report(Progress { stage: Stage::Reading, done: reader.position(), total: reader.length(), rows });
        }
    }
    if checkers.is_empty() {
        return Err(DataError::Empty { path: path.to_owned(), symbol: options.symbol.clone() });
    }
    checkers.sort_by(|a, b| a.symbol().cmp(b.symbol()));
    let mut quality = QualityReport::default();
    checkers.into_iter().for_each(|checker| quality.extend(checker.finish()));
    Ok(quality)
}
