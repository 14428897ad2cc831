//! How far explanations can be trusted: what integrated gradients miss on a real model and how sampled Shapley values stand to
//! exact ones ([`real`]), and whether a driver that is planted comes first ([`driver`]).

pub mod driver;
pub mod real;

use dataset::{DataError, Dataset};
use explain::ExplainError;
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
struct Recipe {
    features: Vec<FeatureSpec>,
    task: SupervisedSpec,
    model: ModelSpec,
    split: SplitSpec,
    seed: u64,
}

/// A forecaster trained on these bars by a recipe.
fn trained(bars: &Dataset, recipe: &Recipe) -> Result<(Predictor, TrainingData), TrainError> {
    let trial = json!({
        "trial": "explained-1.0", "params": {}, "seed": recipe.seed,
        "data": { "source": "explained", "symbols": [bars.symbol], "interval": bars.interval, "split": recipe.split },
        "data_digest": bars.digest, "features": recipe.features, "task": TaskSpec::Supervised(recipe.task.clone()),
        "model": recipe.model, "env": {}, "strategy": {}, "device": "cpu", "threads": 1
    });
    let trial: TrialSpec = serde_json::from_value(trial).expect("the spec is written here");
    let data = trainer::prepare(&trial, bars)?;
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
