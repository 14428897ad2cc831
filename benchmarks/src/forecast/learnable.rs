//! Learns what can be learnt: the share of the best forecast's R² that a trained return head reaches, and on noise whether
//! its directional accuracy differs from a coin's.

use models::Predictor;
use rand::Rng as _;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;
use serde::Serialize;
use spec::{BundleId, Digest, FeatureSpec, ModelSpec, Output, Precision, SupervisedSpec};
use statistics::bootstrap::{Blocks, interval};
use trainer::{Ended, Kept, Sink, SinkError, Start, TrainError, TrainingData};

use super::{Planted, UNIT, trial};
use crate::clock::Moment;

/// Mean length of a block, and how many series are resampled.
const BLOCK: f64 = 20.0;
const RESAMPLED: usize = 1_000;

/// One training.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Learned {
    /// Of series and training.
    pub seed: u64,
    /// R² of the return head on the test split, against a forecast of the training mean.
    pub r2: f64,
    /// That of the best forecast on the same rows.
    pub bayes_r2: f64,
    /// Their ratio; none where nothing can be known.
    pub share: Option<f64>,
    /// Share of test rows whose sign is right.
    pub accuracy: f64,
    /// 95 % stationary bootstrap interval of it.
    pub accuracy_interval: [f64; 2],
    /// Whether a coin's accuracy lies inside.
    pub coin_inside: bool,
    /// Rows of the test split.
    pub rows: usize,
    /// Epochs trained.
    pub epochs: usize,
    /// CPU seconds of training.
    pub cpu_s: f64,
}

/// Keeps nothing, never stops.
pub(crate) struct Quiet;

impl Sink for Quiet {
    fn progress(&mut self, _progress: spec::Progress) {}

    fn checkpoint(&mut self, _step: u64, _bytes: Vec<u8>) -> Result<Kept, SinkError> {
        Ok(Kept::Not)
    }

    fn should_stop(&self) -> bool {
        false
    }

    fn keeps_checkpoints(&self) -> bool {
        false
    }
}

fn task(planted: Planted, epochs: u32, precision: Precision) -> SupervisedSpec {
    serde_json::from_value(serde_json::json!({
        "window": planted.window(), "horizon": 1, "epochs": epochs, "batch": 128, "learning_rate": 0.003, "weight_decay": 0.0001,
        "return_weight": 1.0, "patience": 4, "schedule": { "warm_up_cosine": { "warm_up": 0.05, "floor": 0.01 } },
        "precision": precision
    }))
    .expect("the task is written here")
}

fn model() -> ModelSpec {
    serde_json::from_value(serde_json::json!({
        "cnn_lstm": { "channels": 16, "kernel": 3, "hidden": 32, "layers": 1, "dropout": 0.0 }
    }))
    .expect("the model is written here")
}

/// Trains on a series of `rows` values and judges on its last quarter.
///
/// # Errors
/// As [`trainer::train`].
pub fn run(
    planted: Planted,
    (rows, epochs): (usize, u32),
    (precision, seed): (Precision, u64),
) -> Result<Learned, TrainError> {
    let (values, expected) = planted.draw(rows, seed);
    let (task, features) = (task(planted, epochs, precision), [FeatureSpec::LogReturn { bars: 1 }]);
    let (spec, data) = trial(&values, &features, (&task, &model()), seed)?;
    let began = Moment::now();
    let trained = match trainer::train(&spec, &data, Start::Anew, &mut Quiet)? {
        Ended::Finished(trained) => trained,
        Ended::Stopped => unreachable!("nobody asks it to stop"),
    };
    let cpu_s = began.elapsed().cpu_s;
    let predictor = Predictor::from_parts(&trained.network, &trained.weights, BundleId(Digest::of(&trained.weights)))?;
    let judged = data.labelled(&data.split.test, 1);
    let said = forecasts(&predictor, &data, judged.clone())?;
    // Value `bar` of the series is the return of bar `bar + 1`.
    let known = &values[..data.split.train.end];
    let mean = known.iter().sum::<f64>() / known.len() as f64;
    let (actual, best) = (&values[judged.clone()], &expected[judged]);
    let r2 = explained(actual, &said, mean);
    let bayes_r2 = explained(actual, best, mean);
    let hits: Vec<f64> = actual.iter().zip(&said).map(|(a, s)| f64::from(u8::from((*a > 0.0) == (*s > 0.0)))).collect();
    let accuracy = statistics::mean(&hits);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut uniform = || (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
    let within = interval(&hits, Blocks::Stationary(BLOCK), (RESAMPLED, 0.95), statistics::mean, &mut uniform);
    Ok(Learned {
        seed,
        r2,
        bayes_r2,
        share: (planted != Planted::Noise).then_some(r2 / bayes_r2),
        accuracy,
        accuracy_interval: [within.low, within.high],
        coin_inside: (within.low..=within.high).contains(&0.5),
        rows: hits.len(),
        epochs: trained.curve.len(),
        cpu_s,
    })
}

/// Expected returns in units of the series.
fn forecasts(
    predictor: &Predictor,
    data: &TrainingData,
    bars: std::ops::Range<usize>,
) -> Result<Vec<f64>, models::ModelError> {
    let rows: Vec<&[f32]> = bars.filter_map(|bar| data.window(bar)).collect();
    let outputs = predictor.predict(&rows)?;
    Ok(outputs.iter().map(expected_return).collect())
}

fn expected_return(output: &Output) -> f64 {
    match output {
        Output::Forecast { expected_return, .. } => f64::from(*expected_return) / UNIT,
        Output::Policy { .. } | Output::Values { .. } | Output::Control { .. } => f64::NAN,
    }
}

/// R² against a forecast that is always `mean`.
fn explained(actual: &[f64], said: &[f64], mean: f64) -> f64 {
    let missed: f64 = actual.iter().zip(said).map(|(actual, said)| (actual - said).powi(2)).sum();
    1.0 - missed / actual.iter().map(|actual| (actual - mean).powi(2)).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_autoregression_is_learned_in_either_precision() {
        for precision in [Precision::Single, Precision::Mixed] {
            let learned = run(Planted::Autoregression, (20_000, 24), (precision, 1)).unwrap();
            assert!(learned.share.unwrap() > 0.8, "{precision:?}: {learned:?}");
            assert!(learned.share.unwrap() < 1.05 && !learned.coin_inside, "{precision:?}: {learned:?}");
        }
    }
}
