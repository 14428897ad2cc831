//! PPO on what an encoder has learned beside indicators, and on indicators alone: real bars, same seeds, same steps.
//!
//! The encoder is a forecaster's, trained and chosen on bars before the test split; each agent learns on the training split,
//! and all are looked at once on the test split, as the environment trades it.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use dataset::Dataset;
use envs::{Buffers, Episodes, History, TradingEnv, VectorEnv as _};
use market::Instrument;
use models::{Embedding, Predictor};
use serde::Serialize;
use serde_json::json;
use spec::{BundleId, Digest, EnvSpec, TrialSpec};
use trainer::{Ended, Start, TrainError, TrainingData};

use crate::clock::Moment;
use crate::evaluation::Hands;
use crate::explanations::{ExplanationsError, Recipe, aapl, quickstart_features, trained};
use crate::forecast::learnable::Quiet;

/// Rows that the encoder remembers: all of the bundled bars.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(4_096).expect("it is not 0");

/// Bars in a year.
const YEAR: f64 = 252.0;

/// The test split as one agent traded it, after costs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Traded {
    /// Of the agent; none of holding.
    pub seed: Option<u64>,
    /// Total return.
    pub total_return: f64,
    /// Annualised, of log returns.
    pub sharpe: f64,
    /// CPU seconds of training.
    pub cpu_s: f64,
}

/// What was measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LearnedFeatures {
    /// Digest of the encoder: the version of the features.
    pub encoder: BundleId,
    /// Features it gives a bar.
    pub width: usize,
    /// Last bar that had a say in the encoder, and the first that agents are tested on.
    pub encoder_until: String,
    /// The same.
    pub tested_from: String,
    /// Share of the rows asked for that were remembered.
    pub remembered: Option<f64>,
    /// Agents on indicators alone.
    pub indicators: Vec<Traded>,
    /// Agents on both.
    pub learned: Vec<Traded>,
    /// Buying on the first bar and holding.
    pub holding: Traded,
}

/// Trains an encoder, then two agents a seed.
///
/// # Errors
/// [`ExplanationsError`].
pub fn run(csv: &Path, (epochs, steps): (u32, u64), seeds: u64) -> Result<LearnedFeatures, ExplanationsError> {
    let bars = aapl(csv)?;
    let (encoder, windows) = trained(&bars, &recipe(epochs))?;
    let embedding = Embedding::new(encoder, REMEMBERED)?;
    let (mut indicators, mut learned) = (Vec::new(), Vec::new());
    for seed in 1..=seeds {
        let trial = agent(&bars, steps, seed);
        let plain = trainer::prepare(&trial, &bars)?;
        let wide = widened(&plain, &windows, &embedding)?;
        indicators.push(traded(&trial, &plain)?);
        learned.push(traded(&trial, &wide)?);
    }
    let trial = agent(&bars, steps, 0);
    let data = trainer::prepare(&trial, &bars)?;
    let long = |_: &[&[f32]]| Ok(vec![spec::Output::Policy { action: 1, probabilities: Vec::new() }]);
    let date = |bar: usize| bars.bars[bar].time.date();
    Ok(LearnedFeatures {
        encoder: embedding.version(),
        width: embedding.width(),
        encoder_until: date(windows.split.validation.end - 1),
        tested_from: date(data.split.test.start),
        remembered: embedding.remembered().share(),
        indicators,
        learned,
        holding: Traded { seed: None, cpu_s: 0.0, ..one_pass(&trial.env, &data, long)? },
    })
}

/// A forecaster whose encoder has 128 units each way: 256 features.
fn recipe(epochs: u32) -> Recipe {
    let task = json!({ "window": 30, "horizon": 5, "epochs": epochs, "learning_rate": 0.001, "patience": 5 });
    let model =
        json!({ "cnn_lstm": { "channels": 32, "hidden": 128, "layers": 1, "dropout": 0.2, "directions": "both" } });
    Recipe::of(json!({ "features": quickstart_features(), "task": task, "model": model, "split": split() }), 1)
}

fn split() -> serde_json::Value {
    json!({
        "train": ["2013-01-02", "2018-12-31"], "validation": ["2019-01-02", "2020-12-31"],
        "test": ["2021-01-04", "2023-09-21"], "purge": 5, "embargo": 5
    })
}

/// That of `experiments/rl-ppo.yaml`.
fn agent(bars: &Dataset, steps: u64, seed: u64) -> TrialSpec {
    let ppo = json!({ "envs": 8, "rollout": 128, "epochs": 4, "minibatches": 4, "learning_rate": 0.0003 });
    let trial = json!({
        "trial": "traded-1.0", "params": {}, "seed": seed,
        "data": { "source": "traded", "symbols": [bars.symbol], "interval": bars.interval, "split": split() },
        "data_digest": bars.digest, "features": quickstart_features(),
        "task": { "rl": { "window": 5, "steps": steps, "algorithm": { "ppo": ppo } } },
        "model": { "mlp": { "hidden": [64, 64] } },
        "env": { "positions": "long_flat", "episode_bars": 252 }, "strategy": {}, "device": "cpu", "threads": 1
    });
    serde_json::from_value(trial).expect("the spec is written here")
}

/// The rows of an agent with the features of each bar's window behind them.
fn widened(
    plain: &TrainingData,
    windows: &TrainingData,
    embedding: &Embedding,
) -> Result<TrainingData, ExplanationsError> {
    let mut wide = plain.clone();
    let rows = &plain.rows;
    let first = rows.first.max(windows.first_window());
    let seen: Vec<&[f32]> = (first..plain.dataset.bars.len()).filter_map(|bar| windows.window(bar)).collect();
    let learned = embedding.of(&seen)?;
    let own = rows.values[(first - rows.first) * rows.width..].chunks_exact(rows.width);
    let both = own.zip(learned.chunks_exact(embedding.width()));
    wide.rows.values = both.flat_map(|(own, learned)| own.iter().chain(learned)).copied().collect();
    (wide.rows.first, wide.rows.width) = (first, rows.width + embedding.width());
    Ok(wide)
}

/// Trains an agent and looks at it once on the test split.
fn traded(trial: &TrialSpec, data: &TrainingData) -> Result<Traded, ExplanationsError> {
    let began = Moment::now();
    let trained = match trainer::train(trial, data, Start::Anew, &mut Quiet)? {
        Ended::Finished(trained) => trained,
        Ended::Stopped => unreachable!("nobody asks it to stop"),
    };
    let cpu_s = began.elapsed().cpu_s;
    let policy = Predictor::from_parts(&trained.network, &trained.weights, BundleId(Digest::of(&trained.weights)))?;
    Ok(Traded { seed: Some(trial.seed), cpu_s, ..one_pass(&trial.env, data, |rows| policy.predict(rows))? })
}

/// One pass over the test split.
fn one_pass(
    terms: &EnvSpec,
    data: &TrainingData,
    decide: impl Fn(&[&[f32]]) -> Result<Vec<spec::Output>, models::ModelError>,
) -> Result<Traded, ExplanationsError> {
    let failed = |error: envs::EnvError| TrainError::Env { why: error.to_string() };
    let Dataset { symbol, interval, bars, .. } = &data.dataset;
    let history =
        History::new(Instrument::share(symbol.clone()), *interval, bars, data.rows.clone()).map_err(failed)?;
    let range = data.split.test.clone();
    let mut env = TradingEnv::new(Arc::new(history), terms, range, Episodes::OnePass).map_err(failed)?;
    let (mut buffers, mut hands, mut returns) = (Buffers::new(&env), Hands::new(&env), Vec::new());
    env.reset(0, &mut buffers.observations);
    loop {
        hands.take(decide(&[&buffers.observations])?);
        env.step(hands.actions(), buffers.lend());
        // Rewards are log returns after costs, as the terms have it.
        returns.push(f64::from(buffers.rewards[0]));
        if buffers.outcomes[0].is_end() {
            break;
        }
    }
    let total_return = returns.iter().sum::<f64>().exp_m1();
    Ok(Traded { seed: None, total_return, sharpe: statistics::sharpe(&returns) * YEAR.sqrt(), cpu_s: 0.0 })
}

#[cfg(test)]
mod tests {
    use models::NetworkSpec;

    use super::*;
    use crate::explanations::prepared;

    /// The features of an encoder with drawn weights.
    fn embedding() -> Embedding {
        let recipe = recipe(1);
        let (kind, width) = (models::NetworkKind::Forecaster, recipe.features.len());
        let network = NetworkSpec { kind, model: recipe.model, window: 30, width };
        let bytes = models::drawn(&network, 1).unwrap();
        let encoder = Predictor::from_parts(&network, &bytes, BundleId(Digest::of(&bytes))).unwrap();
        Embedding::new(encoder, REMEMBERED).unwrap()
    }

    fn rows(bars: &Dataset, embedding: &Embedding) -> (TrainingData, TrainingData) {
        let (_, windows) = prepared(bars, &recipe(1)).unwrap();
        let plain = trainer::prepare(&agent(bars, 1, 1), bars).unwrap();
        let wide = widened(&plain, &windows, embedding).unwrap();
        (windows, wide)
    }

    fn shipped() -> Dataset {
        aapl(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../data/aapl_daily_2013_2023.csv"))).unwrap()
    }

    #[test]
    fn a_row_is_the_bars_indicators_and_what_the_encoder_makes_of_its_window() {
        let (bars, embedding) = (shipped(), embedding());
        let (windows, wide) = rows(&bars, &embedding);
        let plain = trainer::prepare(&agent(&bars, 1, 1), &bars).unwrap().rows;
        assert_eq!((embedding.width(), wide.rows.width, wide.rows.first), (256, 265, windows.first_window()));
        for bar in [wide.rows.first, 1_000, bars.bars.len() - 1] {
            let row = &wide.rows.values[(bar - wide.rows.first) * 265..][..265];
            assert_eq!(row[..9], plain.values[(bar - plain.first) * 9..][..9]);
            assert_eq!(row[9..], embedding.of(&[windows.window(bar).unwrap()]).unwrap());
        }
        assert_eq!(wide.rows.values.len(), (bars.bars.len() - wide.rows.first) * 265);
    }

    #[test]
    fn bars_to_come_change_nothing_that_was_learned_of_earlier_ones() {
        let (bars, embedding) = (shipped(), embedding());
        let cut = bars.bars.len() - 300;
        let mut other = bars.bars.clone();
        for bar in &mut other[cut..] {
            (bar.open, bar.high, bar.low, bar.close) = (3.0 * bar.open, 3.5 * bar.high, 2.5 * bar.low, 3.0 * bar.close);
        }
        let other = Dataset::new(bars.symbol.clone(), bars.interval, other);
        let ((_, before), (_, after)) = (rows(&bars, &embedding), rows(&other, &embedding));
        let same = (cut - before.rows.first) * before.rows.width;
        assert_eq!(before.rows.values[..same], after.rows.values[..same]);
        assert_ne!(before.rows.values[same..], after.rows.values[same..]);
    }
}
