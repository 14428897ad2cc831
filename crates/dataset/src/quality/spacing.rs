//! Whether bars stand as far apart as they should.

use std::collections::BTreeMap;

use market::{Calendar, Interval, Timestamp};

use super::FindingKind;
use super::checker::Fault;

/// Microseconds in a minute.
const MINUTE: i64 = 60_000_000;

/// Faults that are listed before a series is said to be of another interval altogether.
const LISTED_MAX: usize = 200;

/// Different steps that are counted.
const STEPS_MAX: usize = 64;

/// Open moments of a hole that are counted one by one.
const COUNTED_MAX: i64 = 20_000;

pub(super) struct Spacing {
    interval: Interval,
    calendar: Calendar,
    /// Where in its hour, or shorter interval, the first bar stands.
    phase: Option<i64>,
    first: Option<(usize, Timestamp)>,
    faults: Vec<Fault>,
    /// Faults in all.
    count: usize,
    /// How often each step came, microseconds.
    steps: BTreeMap<i64, u64>,
}

impl Spacing {
    pub(super) fn new(interval: Interval, calendar: Calendar) -> Self {
        Self { interval, calendar, phase: None, first: None, faults: Vec::new(), count: 0, steps: BTreeMap::new() }
    }

    /// Takes in a bar that comes after all before it; gives the hole before it, if there is one.
    pub(super) fn push(&mut self, row: usize, newest: Option<Timestamp>, time: Timestamp) -> Option<Fault> {
        self.first.get_or_insert((row, time));
        let step = newest.map(|newest| time.micros() - newest.micros());
        if let Some(step) = step
            && (self.steps.len() < STEPS_MAX || self.steps.contains_key(&step))
        {
            *self.steps.entry(step).or_default() += 1;
        }
        let detail = self.fault(step, time);
        if let Some(detail) = detail {
            self.count += 1;
            if self.faults.len() < LISTED_MAX {
                self.faults.push(Fault { row, time, kind: FindingKind::Spacing, bars: 1, detail });
            }
        }
        self.hole(row, newest?, time)
    }

    fn fault(&mut self, step: Option<i64>, time: Timestamp) -> Option<String> {
        let interval = self.interval.minutes() * MINUTE;
        if self.interval == Interval::Day {
            let is_same_day = step.is_some_and(|step| step <= time.micros().rem_euclid(interval));
            return is_same_day.then(|| format!("a second bar of {}", time.date()));
        }
        // Bars of four hours follow the clock of an exchange, which is set forward by one.
        let shortest = if self.interval == Interval::FourHours { interval - 60 * MINUTE } else { interval };
        if let Some(step) = step.filter(|step| *step < shortest) {
            return Some(format!("{} after the bar before, not {}", span(step), self.interval));
        }
        let grid = interval.min(60 * MINUTE);
        let phase = time.micros().rem_euclid(grid);
        (*self.phase.get_or_insert(phase) != phase).then(|| format!("stands beside the grid of {}", self.interval))
    }

    fn hole(&self, row: usize, newest: Timestamp, time: Timestamp) -> Option<Fault> {
        let interval = self.interval.minutes() * MINUTE;
        // Minutes without a trade have no bar; half an hour without one is a hole.
        let longest = match self.interval {
            Interval::Day => return None,
            Interval::FourHours | Interval::Hour => interval,
            Interval::HalfHour | Interval::QuarterHour | Interval::FiveMinutes | Interval::Minute => {
                (30 * MINUTE).max(interval)
            }
        };
        let step = time.micros() - newest.micros();
        if step <= longest || self.calendar.sessions_between(newest, time).next().is_some() {
            return None;
        }
        let absent = step / interval - 1;
        let moments = (1..=absent.min(COUNTED_MAX)).map(|n| Timestamp::from_micros(newest.micros() + n * interval));
        let mut open = moments.filter(|moment| self.calendar.is_open(*moment));
        let first = open.next()?;
        let count = 1 + open.count() as i64;
        if count * interval < longest {
            return None;
        }
        let detail = format!("no bar for {count} × {} of trading, to {time}", self.interval);
        Some(Fault { row, time: first, kind: FindingKind::Hole, bars: u64::try_from(count).unwrap_or(0), detail })
    }

    /// What was found, as one finding where the series has another interval altogether.
    pub(super) fn finish(&mut self, rows: usize) -> Vec<Fault> {
        let faults = std::mem::take(&mut self.faults);
        let Some((row, time)) = self.first else { return faults };
        let usual = self.steps.iter().max_by_key(|(_, count)| **count).map(|(step, _)| *step);
        let interval = self.interval.minutes() * MINUTE;
        let is_other = usual.is_some_and(|usual| usual != interval) && rows > 10;
        let is_as_asked = self.steps.get(&interval).copied().unwrap_or(0) * 10 >= rows as u64;
        if self.count * 4 > rows || is_other && !is_as_asked {
            let usual = span(usual.unwrap_or(0));
            let detail =
                format!("the usual step between bars is {usual}, not {}: say so with --interval", self.interval);
            return vec![Fault { row, time, kind: FindingKind::Spacing, bars: rows as u64, detail }];
        }
        faults
    }
}

fn span(micros: i64) -> String {
    let minutes = micros / MINUTE;
    match minutes {
        0 => format!("{} s", micros as f64 / 1e6),
        1..60 => format!("{minutes}m"),
        60..1_440 => format!("{}h", minutes as f64 / 60.0),
        _ => format!("{}d", minutes as f64 / 1_440.0),
    }
}
