//! What is wrong with a series of bars, row by row, and how good it is as a whole.

mod checker;
mod level;
mod page;
mod spacing;
mod stale;

use std::collections::BTreeMap;
use std::fmt;

use market::{Bar, Calendar, Interval, Symbol, Timestamp};
use serde::{Deserialize, Serialize};

use crate::Dataset;

pub(crate) use checker::Checker;
pub(crate) use level::{Jump, JumpKind, Jumps};
pub use page::page;

/// Findings that are listed; further ones are counted by kind.
const LISTED_MAX: usize = 10_000;

/// The kind of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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
    /// Bars closer than their interval, beside its grid, or of another interval.
    Spacing,
    /// A hole within a session.
    Hole,
    /// Prices in another unit: ten, a hundred, a thousand times or parts of their neighbours.
    Unit,
    /// A fall or rise by the ratio of a split that the prices keep.
    SplitLike,
    /// A price far from its neighbours that comes back at once.
    Outlier,
    /// Bars that repeat: copies of the bar before, a close that stands still, or no trade.
    Stale,
    /// The close never moves.
    Constant,
    /// No bar has a volume.
    NoVolume,
    /// Too few bars to say anything.
    Short,
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
            | Self::Missing
            | Self::Spacing
            | Self::Unit
            | Self::Constant
            | Self::Short => Severity::Fatal,
            Self::NoSession | Self::Hole | Self::SplitLike | Self::Outlier | Self::Stale | Self::NoVolume => {
                Severity::Warning
            }
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
            Self::Spacing => "spacing",
            Self::Hole => "hole",
            Self::Unit => "unit",
            Self::SplitLike => "split-like",
            Self::Outlier => "outlier",
            Self::Stale => "stale",
            Self::Constant => "constant",
            Self::NoVolume => "no volume",
            Self::Short => "short",
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
    /// Bars that it touches: rows that are there, or sessions that are not.
    pub bars: u64,
    /// The values or dates, for people.
    pub detail: String,
}

impl Finding {
    fn to_json(&self) -> serde_json::Value {
        serde_json::json!({
            "row": self.row, "time": self.time, "symbol": self.symbol, "kind": self.kind, "bars": self.bars,
            "severity": self.kind.severity(), "detail": self.detail,
        })
    }
}

/// How often a kind was found, and how many bars it touches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Findings.
    pub findings: u64,
    /// Bars.
    pub bars: u64,
}

/// All that is wrong with some bars.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QualityReport {
    /// Bars looked at.
    pub rows: usize,
    /// By symbol, in order of row; the first ten thousand.
    pub findings: Vec<Finding>,
    /// All findings by kind, those that are not listed too.
    pub tally: BTreeMap<FindingKind, Tally>,
}

impl QualityReport {
    /// Whether a run may use the data.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.tally.keys().all(|kind| kind.severity() == Severity::Warning)
    }

    /// Findings that stop a run.
    #[must_use]
    pub fn fatal(&self) -> usize {
        let fatal = self.tally.iter().filter(|(kind, _)| kind.severity() == Severity::Fatal);
        fatal.map(|(_, tally)| usize::try_from(tally.findings).unwrap_or(usize::MAX)).sum()
    }

    /// Findings in all.
    #[must_use]
    pub fn found(&self) -> u64 {
        self.tally.values().map(|tally| tally.findings).sum()
    }

    /// 100 for clean bars. Each thousandth of the bars that a fatal finding touches takes a point, a warning a tenth of one; at
    /// least 0.
    #[must_use]
    pub fn score(&self) -> f64 {
        let weighted = |(kind, tally): (&FindingKind, &Tally)| {
            let weight = match kind.severity() {
                Severity::Fatal => 1.0,
                Severity::Warning => 0.1,
            };
            weight * tally.bars as f64
        };
        let cost: f64 = self.tally.iter().map(weighted).sum();
        (100.0 - 1_000.0 * cost / self.rows.max(1) as f64).max(0.0)
    }

    /// For machines: `rows`, `usable`, `fatal`, `score`, `tally` by kind and `findings`, each with its severity.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let findings: Vec<_> = self.findings.iter().map(Finding::to_json).collect();
        serde_json::json!({
            "rows": self.rows, "usable": self.is_usable(), "fatal": self.fatal(), "score": self.score(),
            "tally": self.tally, "findings": findings,
        })
    }

    /// Adds another symbol's report.
    pub fn extend(&mut self, other: Self) {
        self.rows += other.rows;
        for (kind, tally) in other.tally {
            let sum = self.tally.entry(kind).or_default();
            sum.findings += tally.findings;
            sum.bars += tally.bars;
        }
        let room = LISTED_MAX.saturating_sub(self.findings.len());
        self.findings.extend(other.findings.into_iter().take(room));
    }

    fn add(&mut self, finding: Finding) {
        let tally = self.tally.entry(finding.kind).or_default();
        tally.findings += 1;
        tally.bars += finding.bars;
        if self.findings.len() < LISTED_MAX {
            self.findings.push(finding);
        }
    }
}

/// Examines one symbol's bars against the sessions of US equities.
#[must_use]
pub fn check(bars: &[Bar], symbol: &Symbol, interval: Interval) -> QualityReport {
    check_on(Calendar::Xnys, bars, symbol, interval)
}

/// Examines one symbol's bars against the sessions of a calendar.
#[must_use]
pub fn check_on(calendar: Calendar, bars: &[Bar], symbol: &Symbol, interval: Interval) -> QualityReport {
    let mut checker = Checker::new(symbol.clone(), interval, calendar);
    bars.iter().for_each(|bar| checker.push(bar));
    checker.finish()
}

/// Examines a data set against its own calendar.
#[must_use]
pub fn check_set(set: &Dataset) -> QualityReport {
    check_on(set.calendar, &set.bars, &set.symbol, set.interval)
}
