//! What goes over the wire, as types. Unknown keys are refused.

use artifacts::BundleKind;
use market::{Bar, Interval, Symbol, Timestamp};
use serde::{Deserialize, Serialize};
use spec::{BundleId, Confidence, Digest, Repair, Spread, TrialId};

/// Rows or windows predicted in one request at most: 256 tiles of the predictor, so that nobody waits long behind one.
pub(crate) const PREDICTIONS_MAX: usize = 1_024;

/// Forward passes that confidence may take in one request: as much work as the most rows without it.
pub(crate) const PASSES_MAX: usize = PREDICTIONS_MAX;

/// The body of `POST /v1/predict`: either `bars` or `rows`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PredictRequest {
    /// Raw bars, oldest first: from the training anchor, or right after the bar that the bundle's features stand at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bars: Option<Vec<Bar>>,
    /// Normalised feature rows, each a full window: `[window × width]`, row-major, oldest bar first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<Vec<Vec<f32>>>,
    /// With `bars`: predict for this many of the newest ones. Default: 1. Range: 1 to 1024.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<usize>,
    /// What a policy holds while it decides. Default: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
    /// How much is said of a calibrated forecast. Default: `confidence`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<Detail>,
}

/// How much is said of a calibrated forecast.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Detail {
    /// How far to trust it, too: each row is asked many times, so few rows fit a request.
    #[default]
    Confidence,
    /// The calibrated numbers alone.
    Forecast,
}

/// A trader's state as a policy sees it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// Position value over equity, negative when short.
    pub exposure: f32,
    /// ln(mark / entry) times the side; 0 when flat.
    pub unrealised: f32,
}

/// The answer to `POST /v1/predict`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// One for each row, or for each of the newest bars that end a full window; oldest first.
    pub predictions: Vec<Served>,
    /// Digest of the bundle that made them.
    pub artifact: BundleId,
    /// The reference it was loaded by.
    pub model: String,
}

/// One prediction. `bar` is the last bar of the window, null for a feature row, which carries no time; `row` is the
/// SHA-256 of the network's input as little-endian f32.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Served {
    /// A forecaster's view.
    Forecast {
        /// Last bar of the window.
        bar: Option<Timestamp>,
        /// Of the next bars' direction.
        probabilities: Probabilities,
        /// Expected log return over the horizon.
        expected_return: f32,
        /// How far it may lie from that; of a network or a calibration that says so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        spread: Option<Spread>,
        /// Deviation of one-bar log returns over the horizon; of a network that says so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        volatility: Option<f32>,
        /// How far to trust it; of a calibrated bundle. The interval is that of the calibration alone: what is asked here has no
        /// past to adapt to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        confidence: Option<Confidence>,
        /// Digest of the input.
        row: Digest,
    },
    /// A policy's choice.
    Policy {
        /// Last bar of the window.
        bar: Option<Timestamp>,
        /// Index of the most probable action.
        action: u32,
        /// Probability of each action.
        probabilities: Vec<f32>,
        /// Digest of the input.
        row: Digest,
    },
    /// A policy's choice by value.
    Values {
        /// Last bar of the window.
        bar: Option<Timestamp>,
        /// Index of the most valuable action.
        action: u32,
        /// Expected discounted return of each action.
        values: Vec<f32>,
        /// Digest of the input.
        row: Digest,
    },
    /// A policy's continuous action.
    Control {
        /// Last bar of the window.
        bar: Option<Timestamp>,
        /// Each component in halves of its range, −1 to 1.
        action: Vec<f32>,
        /// Digest of the input.
        row: Digest,
    },
}

/// Probabilities of the direction classes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probabilities {
    /// Below the flat band.
    pub down: f32,
    /// Within it.
    pub flat: f32,
    /// Above it.
    pub up: f32,
}

/// The body of `POST /v1/act`: what a policy sees, as `bars` or as one `row`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActRequest {
    /// As in [`PredictRequest`]; the action is for the last of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bars: Option<Vec<Bar>>,
    /// One of [`PredictRequest::rows`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<Vec<f32>>,
    /// What is held now. There is no default: an agent acts on what it holds.
    pub position: Position,
}

/// The answer to `POST /v1/act`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Act {
    /// What to do.
    pub action: Action,
    /// Last bar of the window, null for a row.
    pub bar: Option<Timestamp>,
    /// SHA-256 of the network's input as little-endian f32.
    pub row: Digest,
    /// Digest of the bundle that acts.
    pub artifact: BundleId,
    /// The reference it was loaded by.
    pub model: String,
}

/// An action.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Its index: exposures from the least to the largest.
    Discrete(u32),
    /// Each component in halves of its range, −1 to 1.
    Continuous(Vec<f32>),
}

/// The answer to `GET /v1/model`: what is served and what it wants.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// The reference it was loaded by.
    pub model: String,
    /// Digest of the bundle.
    pub artifact: BundleId,
    /// What it puts out.
    pub kind: BundleKind,
    /// The trial that made it.
    pub trial: TrialId,
    /// What it forecasts or trades.
    pub symbols: Vec<Symbol>,
    /// Spacing of the bars.
    pub interval: Interval,
    /// What its bars were repaired of: `bars` have to be, too. Absent where they stand as they came.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repairs: Vec<Repair>,
    /// Bars of a window.
    pub window: usize,
    /// Columns of a feature row, learned ones last.
    pub features: Vec<String>,
    /// The bundle that the encoder of learned features is from; absent without any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoder: Option<BundleId>,
    /// Values of one of `rows`: window × features.
    pub row_values: usize,
    /// First bar of training: `bars` may start here.
    pub anchor: Timestamp,
    /// `bars` may start right after this one, too.
    pub at: Option<Timestamp>,
    /// Share of outcomes that the interval of a calibrated forecast is to hold; absent without a calibration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coverage: Option<f64>,
}
