//! The forecaster on series whose best forecast is known ([`learnable`]), and its speed ([`speed`]).

pub mod learnable;
mod series;
pub mod speed;

use dataset::Dataset;
use market::{Bar, Interval, Symbol, Timestamp};
use serde_json::json;
use spec::{FeatureSpec, ModelSpec, SupervisedSpec, TaskSpec, TrialSpec};
use trainer::{TrainError, TrainingData};

pub use series::Planted;

/// Log return of one unit of a series.
const UNIT: f64 = 0.001;

/// The first bar: 2013-01-01.
const FIRST: i64 = 1_356_998_400_000_000;
const MINUTE: i64 = 60_000_000;

/// Shares of the rows that are learned from, and compared by; the rest is for the test.
const SHARES: [f64; 2] = [0.6, 0.15];

/// Time of a bar.
pub(crate) fn time(index: usize) -> Timestamp {
    Timestamp::from_micros(FIRST + index as i64 * MINUTE)
}

/// Bars of a minute whose log returns are these, in units of [`UNIT`]: one bar more.
fn bars(returns: &[f64]) -> Vec<Bar> {
    let mut close = 100.0;
    let mut all = Vec::with_capacity(returns.len() + 1);
    for (index, value) in std::iter::once(&0.0).chain(returns).enumerate() {
        let open: f64 = close;
        close = open * (UNIT * value).exp();
        let (high, low) = (open.max(close), open.min(close));
        all.push(Bar { time: time(index), open, high, low, close, volume: 1_000.0 });
    }
    all
}

/// A trial over them, prepared.
fn trial(
    returns: &[f64],
    features: &[FeatureSpec],
    (task, model): (&SupervisedSpec, &ModelSpec),
    seed: u64,
) -> Result<(TrialSpec, TrainingData), TrainError> {
    let symbol = Symbol::try_from("PLANTED".to_owned()).expect("letters make a symbol");
    let data = Dataset::new(symbol, Interval::Minute, bars(returns));
    let count = data.bars.len();
    let [learned, compared] = SHARES.map(|share| (share * count as f64) as usize);
    let range = |from: usize, to: usize| json!([time(from), time(to - 1)]);
    let (purge, digest) = (task.horizon, data.digest);
    let trial = json!({
        "trial": "planted-1.0", "params": {}, "seed": seed,
        "data": {
            "source": "planted", "symbols": ["PLANTED"], "interval": "1m",
            "split": {
                "train": range(0, learned), "validation": range(learned, learned + compared),
                "test": range(learned + compared, count), "purge": purge, "embargo": 0
            }
        },
        "data_digest": digest, "features": features, "task": TaskSpec::Supervised(task.clone()), "model": model,
        "env": {}, "strategy": {}, "device": "cpu", "threads": 1
    });
    let trial: TrialSpec = serde_json::from_value(trial).expect("the spec is written here");
    let data = trainer::prepare(&trial, &data)?;
    Ok((trial, data))
}
