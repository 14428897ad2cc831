//! What is wrong with a series of bars, row by row.

use std::fmt;

use market::{Bar, BarDefect, Interval, Symbol, Timestamp, calendar};
use serde::{Deserialize, Serialize};

/// Missing sessions are listed one by one up to this many in a row; a longer hole is one finding.
const HOLE_LISTED_MAX: usize = 10;

/// The kind of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// A value is NaN, infinite or absent.
    NotFinite,
    /// A price is zero or negative.
    NonPositivePrice,
    /// The volume is negative.
    NegativeVolume,
    /// Open or close outside low to high.
    Range,
    /// Two bars with one time.
    Duplicate,
    /// A bar before the one above it.
    Unsorted,
    /// Exchange sessions without a bar.
    Missing,
    /// A bar on a day without a session.
    NoSession,
}

/// Whether training may use the data nonetheless.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// A run refuses the data.
    Fatal,
    /// A run takes the data.
    Warning,
}

impl FindingKind {
    /// Whether a run refuses data that has it.
    #[must_use]
    pub const fn severity(self) -> Severity {
        match self {
            Self::NotFinite
            | Self::NonPositivePrice
            | Self::NegativeVolume
            | Self::Range
            | Self::Duplicate
            | Self::Unsorted
            | Self::Missing => Severity::Fatal,
            Self::NoSession => Severity::Warning,
        }
    }
}

impl fmt::Display for FindingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::NotFinite => "not finite",
            Self::NonPositivePrice => "non-positive price",
            Self::NegativeVolume => "negative volume",
            Self::Range => "price range",
            Self::Duplicate => "duplicate",
            Self::Unsorted => "unsorted",
            Self::Missing => "missing",
            Self::NoSession => "no session",
        })
    }
}

/// One thing wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Index of the bar among its symbol's, from 0; for a missing one, of the bar after the hole.
    pub row: usize,
    /// Time of that bar, or of the first missing one.
    pub time: Timestamp,
    /// Whose bar.
    pub symbol: Symbol,
    /// What kind.
    pub kind: FindingKind,
    /// The values or dates, for people.
    pub detail: String,
}

impl Finding {
    fn to_json(&self) -> serde_json::Value {
        serde_json::json!({
            "row": self.row, "time": self.time, "symbol": self.symbol, "kind": self.kind,
            "severity": self.kind.severity(), "detail": self.detail,
        })
    }
}

/// All that is wrong with some bars.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QualityReport {
    /// Bars looked at.
    pub rows: usize,
    /// In order of row.
    pub findings: Vec<Finding>,
}

impl QualityReport {
    /// Whether a run may use the data.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.findings.iter().all(|finding| finding.kind.severity() == Severity::Warning)
    }

    /// Findings that stop a run.
    #[must_use]
    pub fn fatal(&self) -> usize {
        self.findings.iter().filter(|finding| finding.kind.severity() == Severity::Fatal).count()
    }

    /// For machines: `rows`, `usable`, `fatal` and `findings`, each with its severity.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let findings: Vec<_> = self.findings.iter().map(Finding::to_json).collect();
        serde_json::json!({
            "rows": self.rows, "usable": self.is_usable(), "fatal": self.fatal(), "findings": findings,
        })
    }

    /// Adds another symbol's report.
    pub fn extend(&mut self, other: Self) {
        self.rows += other.rows;
        self.findings.extend(other.findings);
    }
}

/// Examines one symbol's bars. Daily bars are held against the sessions of US equities.
#[must_use]
pub fn check(bars: &[Bar], symbol: &Symbol, interval: Interval) -> QualityReport {
    let mut report = QualityReport { rows: bars.len(), findings: Vec::new() };
    let mut newest: Option<Timestamp> = None;
    for (row, bar) in bars.iter().enumerate() {
        let mut found = |time: Timestamp, kind: FindingKind, detail: String| {
            report.findings.push(Finding { row, time, symbol: symbol.clone(), kind, detail });
        };
        if let Some(defect) = bar.defect() {
            found(bar.time, kind_of(defect), values(bar));
        }
        if let Some(last) = newest {
            if bar.time == last {
                found(bar.time, FindingKind::Duplicate, "same time as an earlier bar".to_owned());
            } else if bar.time < last {
                found(bar.time, FindingKind::Unsorted, format!("comes after {last}"));
            } else if interval == Interval::Day {
                let holes: Vec<Timestamp> = calendar::us_equity_sessions_between(last, bar.time).collect();
                describe_hole(&holes, |time, detail| found(time, FindingKind::Missing, detail));
            }
        }
        if interval == Interval::Day && !calendar::is_us_equity_session(bar.time) {
            found(bar.time, FindingKind::NoSession, "the exchange was closed".to_owned());
        }
        newest = newest.max(Some(bar.time));
    }
    report
}

fn describe_hole(sessions: &[Timestamp], mut found: impl FnMut(Timestamp, String)) {
    match sessions {
        [first, .., last] if sessions.len() > HOLE_LISTED_MAX => {
            found(*first, format!("no bar of {} sessions to {}", sessions.len(), last.date()));
        }
        listed => listed.iter().for_each(|time| found(*time, "the session has no bar".to_owned())),
    }
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
