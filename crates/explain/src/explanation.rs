//! An explanation: what was asked of which bundle and bar, what each player adds, and what all together miss.

use std::num::NonZeroU32;

use artifacts::{Bundle, BundleKind};
use features::FeatureState;
use market::{Bar, Timestamp};
use models::{Predictor, Target, row_digest};
use serde::{Deserialize, Serialize};
use spec::{BundleId, Digest};

use crate::{
    Attribution, ExplainError, Forecast, Grain, History, Players, Scored, importance, integrated_gradients, shapley,
};

/// Shuffles of each feature that say what the model relies on, and their seed: one, over as many rows, tells features apart,
/// and an explanation is a function of bundle, bars and question.
const SHUFFLES: (u32, u64) = (1, 0);

/// Steps that leave real forecasters well within the default tolerance: docs/results/explanations.md.
pub const STEPS: NonZeroU32 = NonZeroU32::new(64).expect("it is not 0");

/// Largest residual by default, as a share of the range.
pub const TOLERANCE: f64 = 0.01;

/// How a score is shared out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Method {
    /// [`integrated_gradients`].
    IntegratedGradients {
        /// Points on the way from the baseline to the row.
        steps: NonZeroU32,
    },
    /// [`shapley::sampled`].
    Shapley {
        /// Orders drawn.
        permutations: u32,
        /// Of the draws.
        seed: u64,
    },
    /// [`shapley::exact`].
    ExactShapley {},
}

impl Method {
    /// As people read it.
    #[must_use]
    pub fn sentence(self) -> String {
        match self {
            Self::IntegratedGradients { steps } => format!("integrated gradients, {steps} steps"),
            Self::Shapley { permutations, seed } => {
                format!("Shapley values by {permutations} permutations, seed {seed}")
            }
            Self::ExactShapley {} => "Shapley values over all coalitions".to_owned(),
        }
    }

    /// What helps when attributions do not add up.
    pub(crate) fn way_out(self) -> String {
        match self {
            Self::IntegratedGradients { steps } => format!("use more than {steps} steps"),
            Self::Shapley { .. } | Self::ExactShapley {} => {
                "the model does not answer the same row alike, which is a defect".to_owned()
            }
        }
    }
}

/// What is asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// Which number.
    pub target: Target,
    /// How it is shared out.
    pub method: Method,
    /// Among whom.
    pub grain: Grain,
    /// Features that are explained, the others staying as they are; all where none is named.
    pub features: Vec<String>,
    /// Largest residual, as a share of the range of the number over the windows up to the bar.
    pub tolerance: f64,
}

impl Default for Question {
    /// The expected return, by integrated gradients over all cells.
    fn default() -> Self {
        Self {
            target: Target::ExpectedReturn,
            method: Method::IntegratedGradients { steps: STEPS },
            grain: Grain::Cell,
            features: Vec::new(),
            tolerance: TOLERANCE,
        }
    }
}

/// What a model relies on: how far its answers move when one feature's windows are exchanged among bars.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reliance {
    /// Name of the feature.
    pub feature: String,
    /// Root mean square of the move, in the target's unit.
    pub moved: f64,
}

/// Why a forecaster said a number of a bar. There is none whose residual is above its tolerance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Explanation {
    /// The artifact.
    pub bundle: BundleId,
    /// The bar whose forecast is explained.
    pub bar: Timestamp,
    /// Digest of its row, as in the prediction.
    pub row: Digest,
    /// Which number.
    pub target: Target,
    /// How it is shared out.
    pub method: Method,
    /// Among whom.
    pub grain: Grain,
    /// Names of the features that are explained.
    pub features: Vec<String>,
    /// Bars of the window, oldest first.
    pub bars: Vec<Timestamp>,
    /// What the network says of the row.
    pub score: f64,
    /// What it says of the row with its explained features at their training mean.
    pub baseline: f64,
    /// What each player adds, in the order of [`Players`].
    pub values: Vec<f64>,
    /// The standard error of each; of sampled ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors: Option<Vec<f64>>,
    /// Sum of the values less (score − baseline).
    pub residual: f64,
    /// Largest magnitude of it that is let through.
    pub tolerance: f64,
    /// Least and largest of the number over the windows up to the bar, and over the baseline.
    pub range: [f64; 2],
    /// Windows that the range and the reliance are taken over.
    pub windows: usize,
    /// Share of attention that each bar of the window gets; of a network that has attention.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attention: Option<Vec<f32>>,
    /// Of each explained feature, over the windows up to the bar.
    pub reliance: Vec<Reliance>,
}

/// Explains a forecast that a bundle makes of the bar `at`, or of the last.
///
/// # Errors
/// [`ExplainError`]: the bundle is no forecaster, there is no such row, the question does not fit, or the attributions miss
/// more than is tolerated.
pub fn explain(
    bundle: &Bundle,
    bars: &[Bar],
    at: Option<Timestamp>,
    question: &Question,
) -> Result<Explanation, ExplainError> {
    match bundle.manifest().kind {
        BundleKind::Forecaster => {}
        kind @ (BundleKind::Policy | BundleKind::Ensemble) => {
            return Err(ExplainError::Kind { bundle: bundle.id(), kind });
        }
    }
    let unreadable = |source| ExplainError::State { bundle: bundle.id(), source };
    let state: FeatureState = serde_json::from_slice(bundle.features()).map_err(unreadable)?;
    let history = History::until(&state, bars, at)?;
    Explanation::of(&Predictor::load(bundle)?, &history, question)
}

impl Explanation {
    /// Explains what a forecaster says of the last window of a history.
    ///
    /// # Errors
    /// As [`explain()`].
    pub fn of(predictor: &Predictor, history: &History, question: &Question) -> Result<Self, ExplainError> {
        let places = history.places(&question.features)?;
        let (window, width) = (history.window(), history.features.len());
        let players = Players::of(question.grain, (window, width), &places);
        let columns = Players::of(Grain::Feature, (window, width), &places);
        let row = history.row();
        let mut forecast = Forecast::new(predictor, question.target)?;
        // Features are normalised by their training means and deviations, so that a mean is 0.
        let (mean, mut baseline) = (vec![0.0; row.len()], row.to_vec());
        (0..columns.count()).for_each(|feature| columns.join(feature, &mean, &mut baseline));
        let known = forecast.scores(&history.rows)?;
        let attribution = attribute(&mut forecast, (row, &baseline), &players, question.method)?;
        let range = extent(known.iter().copied().chain([attribution.baseline]));
        let tolerance = question.tolerance * (range[1] - range[0]);
        let attribution = attribution.admitted(tolerance, question.method)?;
        let features: Vec<String> = places.iter().map(|place| history.features[*place].clone()).collect();
        let moved = importance(&mut forecast, &history.rows, &columns, |said| mean_square(said, &known), SHUFFLES)?;
        let reliance = features
            .iter()
            .zip(moved.increases)
            .map(|(feature, square)| Reliance { feature: feature.clone(), moved: square.sqrt() });
        Ok(Self {
            bundle: predictor.bundle(),
            bar: history.bars[window - 1],
            row: row_digest(row),
            target: question.target,
            method: question.method,
            grain: question.grain,
            bars: history.bars.clone(),
            score: attribution.score,
            baseline: attribution.baseline,
            residual: attribution.residual(),
            values: attribution.values,
            errors: attribution.errors,
            tolerance,
            range,
            windows: known.len(),
            attention: forecast.attention(row)?,
            reliance: reliance.collect(),
            features,
        })
    }

    /// Columns and rows of its map: bars and features, one where the players are not told apart.
    #[must_use]
    pub fn shape(&self) -> (usize, usize) {
        match self.grain {
            Grain::Cell => (self.bars.len(), self.features.len()),
            Grain::Feature => (1, self.features.len()),
            Grain::Bar => (self.bars.len(), 1),
        }
    }

    /// What the player at a column and a row of the map adds.
    #[must_use]
    pub fn at(&self, column: usize, row: usize) -> f64 {
        self.values[column * self.shape().1 + row]
    }
}

/// Shares out a score by a method.
///
/// # Errors
/// As the method.
pub(crate) fn attribute(
    model: &mut impl Scored,
    pair: (&[f32], &[f32]),
    players: &Players,
    method: Method,
) -> Result<Attribution, ExplainError> {
    match method {
        Method::IntegratedGradients { steps } => Ok(integrated_gradients(model, pair, players, steps)?),
        Method::Shapley { permutations, seed } => shapley::sampled(model, pair, players, (permutations, seed)),
        Method::ExactShapley {} => shapley::exact(model, pair, players),
    }
}

fn mean_square(said: &[f64], known: &[f64]) -> f64 {
    said.iter().zip(known).map(|(a, b)| (a - b).powi(2)).sum::<f64>() / known.len() as f64
}

fn extent(values: impl Iterator<Item = f64>) -> [f64; 2] {
    values.fold([f64::INFINITY, f64::NEG_INFINITY], |[low, high], value| [low.min(value), high.max(value)])
}

#[cfg(test)]
mod tests;
