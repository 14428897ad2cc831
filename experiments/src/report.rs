//! The report: one HTML file that needs nothing else, readable in light and dark.
//!
//! Draws what it is given and decides nothing: the verdict, the gates and the figures come from `verdict`.

mod calibration;
mod chart;
mod charts;
mod folds;
mod page;

use std::collections::BTreeMap;

use backtest::calibration::CalibrationFigures;
use explain::Explanation;
use market::Timestamp;
use spec::{Digest, Dimension, Direction, ExperimentId, FoldScore, Metric, Objective, Params, ProgressUnit};

use crate::sweep::Insight;

pub use page::render;

/// All that a report shows.
#[derive(Clone, Debug)]
pub struct Report<'a> {
    /// Which experiment.
    pub experiment: &'a ExperimentId,
    /// What it asks, as its file says; empty when the file does not.
    pub question: String,
    /// Symbols, interval and time range, for people.
    pub data: String,
    /// Content digest of the bars.
    pub data_digest: Digest,
    /// What trials are compared by.
    pub objective: Objective,
    /// Which end is better.
    pub direction: Direction,
    /// Swept dimensions by path.
    pub space: &'a BTreeMap<String, Dimension>,
    /// Further objectives.
    pub also: &'a [Objective],
    /// What the sweep found out about its space.
    pub insight: Insight,
    /// What a step of a learning curve is.
    pub unit: ProgressUnit,
    /// Every trial, in the order asked.
    pub trials: Vec<TrialLine>,
    /// Index of the best one.
    pub best: Option<u32>,
    /// The honest sentence.
    pub sentence: String,
    /// How it turned out.
    pub tone: Tone,
    /// The test split, seen once by the best trial.
    pub test: Option<TestRun>,
    /// Why it says what it says of the last bar of that split.
    pub explained: Explained,
    /// How well the best trial's calibrated forecasts lie on the test split.
    pub calibration: Option<CalibrationFigures>,
    /// Gates, in the order judged.
    pub gates: Vec<GateLine>,
    /// Where the best trial stands now, such as `quickstart v3 is challenger`.
    pub promotion: String,
    /// Environment and provenance: name and value.
    pub facts: Vec<(String, String)>,
    /// Command that makes this report again.
    pub command: String,
}

/// How an experiment turned out, for colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// The best trial beats its baselines and every gate.
    Passed,
    /// It does not.
    Refused,
    /// Nothing could be judged.
    Open,
}

/// Why a forecaster says what it says of one bar.
#[derive(Clone, Debug, PartialEq)]
pub enum Explained {
    /// There is no forecast: an agent, or nothing that was tested.
    Nothing,
    /// What drives it.
    Shown(Box<Explanation>),
    /// Why nothing can be said.
    Refused(String),
}

/// One trial, for tables and charts.
#[derive(Clone, Debug)]
pub struct TrialLine {
    /// Index in the sweep.
    pub index: u32,
    /// Index of the trial whose training it goes on from.
    pub parent: Option<u32>,
    /// Its seed.
    pub seed: u64,
    /// Its point.
    pub params: Params,
    /// Name of its state.
    pub state: &'static str,
    /// Attempts, first one and lost ones included.
    pub attempts: u32,
    /// Objective, when measured.
    pub objective: Option<f64>,
    /// What came of its folds, in the order dealt.
    pub folds: Vec<FoldScore>,
    /// Last value of each metric.
    pub metrics: BTreeMap<Metric, f64>,
    /// Learning curve.
    pub curve: Vec<(u64, BTreeMap<Metric, f64>)>,
    /// Its bundle, or why it has none.
    pub note: String,
}

/// The best trial and its baselines on the test split.
#[derive(Clone, Debug, PartialEq)]
pub struct TestRun {
    /// Bar each value ends at.
    pub times: Vec<Timestamp>,
    /// Equity of the model, quote currency.
    pub model: Vec<f64>,
    /// Equity of buy-and-hold.
    pub benchmark: Vec<f64>,
    /// Position of the model in lots per bar; empty when unknown.
    pub exposure: Vec<f64>,
    /// Model first, then its baselines.
    pub figures: Vec<Figures>,
}

/// One strategy on the test split, in figures.
#[derive(Clone, Debug, PartialEq)]
pub struct Figures {
    /// Name for people.
    pub name: &'static str,
    /// Total return after costs, a fraction.
    pub total_return: f64,
    /// Annualised Sharpe ratio.
    pub sharpe: f64,
    /// Deepest fall from a peak, a negative fraction.
    pub drawdown: f64,
    /// Fills.
    pub fills: u64,
    /// Commissions and borrow costs paid, quote currency.
    pub costs: f64,
}

/// One gate.
#[derive(Clone, Debug, PartialEq)]
pub struct GateLine {
    /// Its name.
    pub name: String,
    /// The figure.
    pub value: f64,
    /// What it is held against.
    pub threshold: f64,
    /// Whether it passed.
    pub passed: bool,
}

impl Report<'_> {
    /// The best trial.
    fn best_trial(&self) -> Option<&TrialLine> {
        self.trials.iter().find(|trial| Some(trial.index) == self.best)
    }

    /// What the x axis of a learning curve counts.
    const fn unit_label(&self) -> &'static str {
        match self.unit {
            ProgressUnit::Epoch => "Epoch",
            ProgressUnit::EnvStep => "Environment steps",
        }
    }
}

#[cfg(test)]
mod tests;
