//! The outcome of an experiment as one JSON object: what `run --json` prints and a cache hit reads back.

use std::path::PathBuf;

use artifacts::{Alias, GateResult};
use backtest::calibration::CalibrationFigures;
use protocol::{ExperimentState, TrialState, TrialView};
use serde::{Deserialize, Serialize};
use spec::{BundleId, ExperimentId, ModelName, TrialId};

use crate::encoder::EncoderFigures;

/// How an experiment ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Summary {
    /// Which experiment.
    pub experiment: ExperimentId,
    /// Where it ended.
    pub state: ExperimentState,
    /// How its trials ended.
    pub trials: Ended,
    /// The best trial, if any succeeded.
    pub best: Option<Best>,
    /// The honest sentence.
    pub verdict: String,
    /// Where the report lies.
    pub report: Option<PathBuf>,
    /// What became of the best trial's bundle; absent when the spec promotes nowhere.
    pub promotion: Option<Promotion>,
    /// How well its calibrated forecasts lie on the test split; absent without a calibration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<CalibrationFigures>,
    /// How often learned features were remembered; absent without an encoder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoder: Option<EncoderFigures>,
    /// What was done otherwise than the file asks first, and why; absent where nothing was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<String>,
}

/// Trials by their final state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ended {
    /// With a result.
    pub succeeded: u32,
    /// Stopped early, by decision.
    pub pruned: u32,
    /// Budget spent.
    pub failed: u32,
    /// Asked to stop.
    pub cancelled: u32,
}

/// The best trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Best {
    /// Which trial.
    pub trial: TrialId,
    /// Its objective.
    pub objective: f64,
    /// How far the objective varies from fold to fold; absent where it is no mean over folds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deviation: Option<f64>,
    /// Its artifact.
    pub bundle: BundleId,
}

/// What became of a bundle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Promotion {
    /// The model it belongs to.
    pub model: ModelName,
    /// Its version there.
    pub version: u32,
    /// The alias it stands under now.
    pub alias: Alias,
    /// Whether `champion` moved.
    pub moved: bool,
    /// Every gate with its figure.
    pub gates: Vec<GateFigure>,
}

/// A gate's figure. What is not a finite number is `null` in JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GateFigure {
    /// Its name.
    pub name: String,
    /// The figure.
    pub value: Option<f64>,
    /// What it is held against.
    pub threshold: Option<f64>,
    /// Whether it passed.
    pub passed: bool,
}

impl GateFigure {
    /// A gate's result, fit for JSON.
    #[must_use]
    pub fn of(gate: &GateResult) -> Self {
        let finite = |value: f64| Some(value).filter(|value| value.is_finite());
        Self {
            name: gate.name.clone(),
            value: finite(gate.value),
            threshold: finite(gate.threshold),
            passed: gate.passed,
        }
    }
}

impl Ended {
    /// Counts the final states among `trials`.
    #[must_use]
    pub fn of(trials: &[TrialView]) -> Self {
        let mut ended = Self::default();
        for trial in trials {
            match trial.status {
                TrialState::Succeeded { .. } => ended.succeeded += 1,
                TrialState::Pruned => ended.pruned += 1,
                TrialState::Failed { .. } => ended.failed += 1,
                TrialState::Cancelled => ended.cancelled += 1,
                TrialState::Waiting { .. }
                | TrialState::Queued { .. }
                | TrialState::Leased { .. }
                | TrialState::Running { .. }
                | TrialState::Paused { .. } => {}
            }
        }
        ended
    }
}
