//! One symbol's bars in the order of their file, each looked at once, with what the detectors remember of those before.

use market::{Bar, BarDefect, Calendar, Interval, Symbol, Timestamp};

use super::level::{Jump, JumpKind, Jumps};
use super::spacing::Spacing;
use super::stale::Stale;
use super::{Finding, FindingKind, QualityReport};

/// Missing sessions are listed one by one up to this many in a row; a longer hole is one finding.
const HOLE_LISTED_MAX: usize = 10;

/// Fewest bars of which a close that never moves is said to be constant.
const CONSTANT_LEAST: usize = 3;

/// Microseconds in a day.
const DAY: i64 = 86_400_000_000;

/// Examines bars as they come.
pub(crate) struct Checker {
    symbol: Symbol,
    calendar: Calendar,
    report: QualityReport,
    newest: Option<Timestamp>,
    /// The last UTC day that was looked up in the calendar.
    day: Option<i64>,
    spacing: Spacing,
    jumps: Jumps,
    stale: Stale,
    /// The first bar, and whether any later one closed elsewhere or had volume.
    first: Option<Bar>,
    moved: Seen,
    traded: Seen,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    Never,
    Once,
}

impl Checker {
    pub(crate) fn new(symbol: Symbol, interval: Interval, calendar: Calendar) -> Self {
        Self {
            symbol,
            calendar,
            report: QualityReport::default(),
            newest: None,
            day: None,
            spacing: Spacing::new(interval, calendar),
            jumps: Jumps::new(interval),
            stale: Stale::new(interval),
            first: None,
            moved: Seen::Never,
            traded: Seen::Never,
        }
    }

    pub(crate) fn symbol(&self) -> &Symbol {
        &self.symbol
    }

    /// Looks at the next bar.
    pub(crate) fn push(&mut self, bar: &Bar) {
        let row = self.report.rows;
        self.report.rows += 1;
        let defect = bar.defect();
        if let Some(defect) = defect {
            self.found(row, bar.time, kind_of(defect), values(bar));
        }
        let is_next = self.order(row, bar);
        if is_next && let Some(fault) = self.spacing.push(row, self.newest, bar.time) {
            self.note(fault);
        }
        self.session(row, bar.time);
        if defect.is_none() && is_next {
            if let Some(jump) = self.jumps.push(row, bar) {
                self.jump(jump);
            }
            if let Some(fault) = self.stale.push(row, bar) {
                self.note(fault);
            }
        }
        if self.first.is_some_and(|first| first.close != bar.close) {
            self.moved = Seen::Once;
        }
        if bar.volume != 0.0 {
            self.traded = Seen::Once;
        }
        self.first.get_or_insert(*bar);
        self.newest = self.newest.max(Some(bar.time));
    }

    /// The report, in order of row.
    pub(crate) fn finish(mut self) -> QualityReport {
        for jump in self.jumps.finish() {
            self.jump(jump);
        }
        if let Some(fault) = self.stale.finish() {
            self.note(fault);
        }
        for fault in self.spacing.finish(self.report.rows) {
            self.note(fault);
        }
        if let Some(first) = self.first {
            self.whole(&first);
        }
        self.report.findings.sort_by_key(|finding| finding.row);
        self.report
    }

    /// What is said of the series as a whole.
    fn whole(&mut self, first: &Bar) {
        let rows = self.report.rows;
        if rows < 2 {
            self.found(0, first.time, FindingKind::Short, "one bar has no return: import more of them".to_owned());
        } else if rows >= CONSTANT_LEAST && self.moved == Seen::Never {
            self.found(0, first.time, FindingKind::Constant, format!("all {rows} bars close at {}", first.close));
        }
        if rows >= CONSTANT_LEAST && self.traded == Seen::Never {
            self.found(0, first.time, FindingKind::NoVolume, format!("all {rows} bars have volume 0"));
        }
    }

    /// Whether the bar comes after all above it.
    fn order(&mut self, row: usize, bar: &Bar) -> bool {
        match self.newest {
            Some(last) if bar.time == last => {
                self.found(row, bar.time, FindingKind::Duplicate, "same time as an earlier bar".to_owned());
                false
            }
            Some(last) if bar.time < last => {
                self.found(row, bar.time, FindingKind::Unsorted, format!("comes after {last}"));
                false
            }
            Some(last) => {
                let holes: Vec<Timestamp> = self.calendar.sessions_between(last, bar.time).collect();
                self.missing(row, &holes);
                true
            }
            None => true,
        }
    }

    fn missing(&mut self, row: usize, sessions: &[Timestamp]) {
        match sessions {
            [first, .., last] if sessions.len() > HOLE_LISTED_MAX => {
                let detail = format!("no bar of {} sessions to {}", sessions.len(), last.date());
                let bars = sessions.len() as u64;
                self.note(Fault { row, time: *first, kind: FindingKind::Missing, bars, detail });
            }
            listed => {
                for time in listed {
                    self.found(row, *time, FindingKind::Missing, "the session has no bar".to_owned());
                }
            }
        }
    }

    fn session(&mut self, row: usize, time: Timestamp) {
        let day = time.micros().div_euclid(DAY);
        if self.day.replace(day) != Some(day) && !self.calendar.is_session(time) {
            self.found(row, time, FindingKind::NoSession, "the exchange was closed".to_owned());
        }
    }

    fn jump(&mut self, jump: Jump) {
        let kind = match jump.kind {
            JumpKind::Unit { .. } => FindingKind::Unit,
            JumpKind::Split { .. } => FindingKind::SplitLike,
            JumpKind::Outlier { .. } => FindingKind::Outlier,
        };
        let detail = jump.to_string();
        self.note(Fault { row: jump.row, time: jump.time, kind, bars: jump.bars(), detail });
    }

    fn found(&mut self, row: usize, time: Timestamp, kind: FindingKind, detail: String) {
        self.note(Fault { row, time, kind, bars: 1, detail });
    }

    fn note(&mut self, fault: Fault) {
        let Fault { row, time, kind, bars, detail } = fault;
        self.report.add(Finding { row, time, symbol: self.symbol.clone(), kind, bars, detail });
    }
}

/// A finding before it has its symbol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) row: usize,
    pub(super) time: Timestamp,
    pub(super) kind: FindingKind,
    pub(super) bars: u64,
    pub(super) detail: String,
}

const fn kind_of(defect: BarDefect) -> FindingKind {
    match defect {
        BarDefect::NotFinite => FindingKind::NotFinite,
        BarDefect::NonPositivePrice => FindingKind::NonPositivePrice,
        BarDefect::NegativeVolume => FindingKind::NegativeVolume,
        BarDefect::Range => FindingKind::Range,
    }
}

fn values(bar: &Bar) -> String {
    format!("open {} high {} low {} close {} volume {}", bar.open, bar.high, bar.low, bar.close, bar.volume)
}
