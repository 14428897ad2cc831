//! Repairs that a spec may ask for by name. Each takes away one kind of fault and touches no other row.

use std::collections::HashMap;

use market::{Bar, Interval, Timestamp};
use serde::{Deserialize, Serialize};
use spec::Repair;

use crate::import::{Action, ActionKind, Factors, refused};
use crate::quality::{Jump, JumpKind, Jumps};
use crate::{DataError, Dataset};

/// Microseconds in a minute.
const MINUTE: i64 = 60_000_000;

/// What a repair changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Repaired {
    /// By which repair.
    pub repair: Repair,
    /// Time of the first bar it changed, took away or added.
    pub time: Timestamp,
    /// How many bars.
    pub bars: u64,
    /// In words.
    pub detail: String,
}

/// Repairs a data set, in the order asked; splits and dividends together, where the first of them stands, because cash a share
/// is in the shares of its day. The digest becomes that of the repaired bars.
///
/// # Errors
/// [`DataError::NoActions`], [`DataError::Dividend`].
pub(crate) fn repair(
    set: Dataset,
    repairs: &[Repair],
    actions: &[Action],
) -> Result<(Dataset, Vec<Repaired>), DataError> {
    let mut bars = set.bars.clone();
    let mut report = Vec::new();
    let mut adjusted = false;
    for repair in repairs {
        match repair {
            Repair::Duplicate => duplicates(&mut bars, &mut report),
            Repair::UnitError => units(&mut bars, set.interval, &mut report),
            Repair::Gap => gaps(&mut bars, &set, &mut report),
            Repair::Split | Repair::Dividend if adjusted => {}
            Repair::Split | Repair::Dividend => {
                let due = due(&set, &bars, repairs, actions)?;
                adjust(&mut bars, &set, &due, &mut report)?;
                adjusted = true;
            }
        }
    }
    let repaired = Dataset::new(set.symbol, set.interval, bars).on(set.calendar);
    Ok((repaired, report))
}

/// Keeps the first of several bars with the same time and values. Bars of one time that differ stay: none is known to be right.
fn duplicates(bars: &mut Vec<Bar>, report: &mut Vec<Repaired>) {
    let mut held: HashMap<Timestamp, Vec<Bar>> = HashMap::new();
    bars.retain(|bar| {
        let same_time = held.entry(bar.time).or_default();
        if same_time.iter().any(|earlier| is_same(earlier, bar)) {
            let detail = "a copy of an earlier bar was left out".to_owned();
            report.push(Repaired { repair: Repair::Duplicate, time: bar.time, bars: 1, detail });
            return false;
        }
        same_time.push(*bar);
        true
    });
}

fn is_same(a: &Bar, b: &Bar) -> bool {
    let values = |bar: &Bar| [bar.open, bar.high, bar.low, bar.close, bar.volume].map(f64::to_bits);
    values(a) == values(b)
}

/// What the detectors say of bars as they stand.
fn jumps(bars: &[Bar], interval: Interval) -> Vec<Jump> {
    let mut jumps = Jumps::new(interval);
    let mut newest = None;
    let mut found = Vec::new();
    for (row, bar) in bars.iter().enumerate() {
        if bar.defect().is_none() && newest < Some(bar.time) {
            found.extend(jumps.push(row, bar));
            newest = Some(bar.time);
        }
    }
    found.extend(jumps.finish());
    found
}

/// Brings rows in another unit back. Where prices never come back, the shorter part of the series gives way.
fn units(bars: &mut [Bar], interval: Interval, report: &mut Vec<Repaired>) {
    for jump in jumps(bars, interval) {
        let JumpKind::Unit { power, rows } = jump.kind else { continue };
        let (range, power) = match rows {
            Some(rows) => (jump.row..jump.row + rows, power),
            None if jump.row * 2 < bars.len() => (0..jump.row, -power),
            None => (jump.row..bars.len(), power),
        };
        let count = range.len() as u64;
        let time = bars[range.start].time;
        for bar in &mut bars[range] {
            for price in [&mut bar.open, &mut bar.high, &mut bar.low, &mut bar.close] {
                *price = if power > 0 { *price / 10f64.powi(power) } else { *price * 10f64.powi(-power) };
            }
        }
        let detail = format!("prices were 10^{power} times their neighbours");
        report.push(Repaired { repair: Repair::UnitError, time, bars: count, detail });
    }
}

/// The splits and dividends that the repairs ask to take out: splits as recorded, or where none is, as the prices show them.
fn due(set: &Dataset, bars: &[Bar], repairs: &[Repair], actions: &[Action]) -> Result<Vec<Action>, DataError> {
    let is_split = |action: &&Action| matches!(action.kind, ActionKind::Split(_));
    let mut due: Vec<Action> = Vec::new();
    if repairs.contains(&Repair::Split) {
        due.extend(actions.iter().filter(is_split));
        if due.is_empty() {
            due.extend(jumps(bars, set.interval).iter().filter_map(split));
        }
    }
    if repairs.contains(&Repair::Dividend) {
        let recorded = due.len();
        due.extend(actions.iter().filter(|action| !is_split(action)));
        if due.len() == recorded {
            return Err(DataError::NoActions { symbol: set.symbol.clone() });
        }
    }
    due.sort_by_key(|action| action.date);
    Ok(due)
}

fn split(jump: &Jump) -> Option<Action> {
    match jump.kind {
        JumpKind::Split { new, old } => {
            Some(Action { date: jump.time, kind: ActionKind::Split(f64::from(new) / f64::from(old)) })
        }
        JumpKind::Unit { .. } | JumpKind::Outlier { .. } => None,
    }
}

fn adjust(bars: &mut [Bar], set: &Dataset, due: &[Action], report: &mut Vec<Repaired>) -> Result<(), DataError> {
    let mut raw = bars.iter().copied();
    let mut factors = Factors::plan(due, || Ok(raw.next()))?.map_err(|action| refused(&set.symbol, action))?;
    bars.iter_mut().for_each(|bar| factors.apply(bar));
    for action in due {
        let before = bars.iter().filter(|bar| bar.time < action.date).count() as u64;
        let (repair, detail) = match action.kind {
            ActionKind::Split(ratio) => (Repair::Split, format!("{ratio} new shares for one old")),
            ActionKind::Dividend(cash) => (Repair::Dividend, format!("a dividend of {cash} a share")),
        };
        report.push(Repaired { repair, time: action.date, bars: before, detail });
    }
    Ok(())
}

/// Puts a bar of no trade wherever one is owed.
fn gaps(bars: &mut Vec<Bar>, set: &Dataset, report: &mut Vec<Repaired>) {
    let mut filled = Vec::with_capacity(bars.len());
    for bar in bars.iter() {
        if let Some(before) = filled.last().copied() {
            let owed = owed(&before, bar, set);
            if let Some(first) = owed.first() {
                let detail = format!("no trade at {}", before.close);
                report.push(Repaired { repair: Repair::Gap, time: *first, bars: owed.len() as u64, detail });
            }
            filled.extend(owed.into_iter().map(|time| flat(time, before.close)));
        }
        filled.push(*bar);
    }
    *bars = filled;
}

fn flat(time: Timestamp, close: f64) -> Bar {
    Bar { time, open: close, high: close, low: close, close, volume: 0.0 }
}

/// Times strictly between two bars at which the calendar owes one.
fn owed(before: &Bar, bar: &Bar, set: &Dataset) -> Vec<Timestamp> {
    /// Bars that a single hole may have; more of them are no gap but another series.
    const HOLE_MAX: i64 = 100_000;
    if set.interval == Interval::Day {
        let clock = before.time.micros().rem_euclid(1_440 * MINUTE);
        let sessions = set.calendar.sessions_between(before.time, bar.time);
        return sessions.map(|session| Timestamp::from_micros(session.micros() + clock)).collect();
    }
    let interval = set.interval.minutes() * MINUTE;
    let absent = (bar.time.micros() - before.time.micros() - 1) / interval;
    let moments = (1..=absent.min(HOLE_MAX)).map(|n| Timestamp::from_micros(before.time.micros() + n * interval));
    moments.filter(|moment| set.calendar.is_open(*moment)).collect()
}
