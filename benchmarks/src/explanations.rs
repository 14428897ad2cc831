//! How far explanations can be trusted: what integrated gradients miss on a real model and how sampled Shapley values stand to
//! exact ones ([`real`]), and whether a driver that is planted comes first ([`driver`]).

pub mod driver;
pub mod real;

use std::path::Path;

use dataset::{Adjustment, DataError, Dataset, ImportOptions};
use explain::ExplainError;
use market::{Interval, Symbol};
use models::{ModelError, Predictor};
use serde_json::json;
use spec::{BundleId, Digest, FeatureSpec, ModelSpec, SplitSpec, SupervisedSpec, TaskSpec, TrialSpec};
use trainer::{Ended, Start, TrainError, TrainingData};

use crate::forecast::learnable::Quiet;

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub enum ExplanationsError {
    /// The bars cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The model cannot be trained.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// A row cannot be explained.
    #[error(transparent)]
    Explain(#[from] ExplainError),
    /// The model fails.
    #[error(transparent)]
    Model(#[from] ModelError),
}

impl ExplanationsError {
    /// Whether other bars would do.
    #[must_use]
    pub const fn is_bad_input(&self) -> bool {
        matches!(self, Self::Data(_))
    }
}

/// What is trained before it is explained.
pub(crate) struct Recipe {
    pub(crate) features: Vec<FeatureSpec>,
    task: SupervisedSpec,
    pub(crate) model: ModelSpec,
    split: SplitSpec,
    seed: u64,
}

impl Recipe {
    /// From `features`, `task`, `model` and `split`.
    pub(crate) fn of(json: serde_json::Value, seed: u64) -> Self {
        const WRITTEN: &str = "recipes are written beside their use";
        let part = |name: &str| json[name].clone();
        Self {
            features: serde_json::from_value(part("features")).expect(WRITTEN),
            task: serde_json::from_value(part("task")).expect(WRITTEN),
            model: serde_json::from_value(part("model")).expect(WRITTEN),
            split: serde_json::from_value(part("split")).expect(WRITTEN),
            seed,
        }
    }
}

/// The features of `experiments/quickstart.yaml`.
pub(crate) fn quickstart_features() -> serde_json::Value {
    json!([
        { "log_return": { "bars": 1 } }, { "log_return": { "bars": 5 } }, { "log_return": { "bars": 20 } },
        { "realised_volatility": { "bars": 20 } }, { "rsi": { "bars": 14 } },
        { "macd": { "fast": 12, "slow": 26, "signal": 9 } }, { "atr": { "bars": 14 } },
        { "bollinger": { "bars": 20, "width": 2.0 } }, { "volume_z": { "bars": 20 } }
    ])
}

/// The daily bars of AAPL that the repository ships.
pub(crate) fn aapl(csv: &Path) -> Result<Dataset, DataError> {
    let symbol = Symbol::try_from("AAPL".to_owned()).expect("letters make a symbol");
    let (interval, adjustment) = (Interval::Day, Adjustment::AdjustedClose);
    Ok(dataset::read_csv(csv, &ImportOptions { symbol: Some(symbol), interval, adjustment })?.remove(0))
}

/// What a recipe learns from these bars.
fn prepared(bars: &Dataset, recipe: &Recipe) -> Result<(TrialSpec, TrainingData), TrainError> {
    let trial = json!({
        "trial": "explained-1.0", "params": {}, "seed": recipe.seed,
        "data": { "source": "explained", "symbols": [bars.symbol], "interval": bars.interval, "split": recipe.split },
        "data_digest": bars.digest, "features": recipe.features, "task": TaskSpec::Supervised(recipe.task.clone()),
        "model": recipe.model, "env": {}, "strategy": {}, "device": "cpu", "threads": 1
    });
    let trial: TrialSpec = serde_json::from_value(trial).expect("the spec is written here");
    let data = trainer::prepare(&trial, bars)?;
    Ok((trial, data))
}

/// A forecaster trained on these bars by a recipe.
pub(crate) fn trained(bars: &Dataset, recipe: &Recipe) -> Result<(Predictor, TrainingData), TrainError> {
    let (trial, data) = prepared(bars, recipe)?;
    let trained = match trainer::train(&trial, &data, Start::Anew, &mut Quiet)? {
        Ended::Finished(trained) => trained,
        Ended::Stopped => unreachable!("nobody asks it to stop"),
    };
    let bundle = BundleId(Digest::of(&trained.weights));
    Ok((Predictor::from_parts(&trained.network, &trained.weights, bundle)?, data))
}

/// The value below which this share of some values lies.
fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = (share * values.len() as f64).ceil() as usize;
    values.get(at.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}
