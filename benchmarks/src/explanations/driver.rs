//! A market with a single driver: the next return is a step up or down by the volume of the bar, and noise. Explanations of
//! a forecaster that has learned it should name the volume first.

use std::num::NonZeroU32;

use dataset::Dataset;
use explain::{Forecast, Grain, Players, Scored as _, Target, importance, integrated_gradients, shapley};
use market::{Bar, Interval, Symbol, Timestamp};
use models::Predictor;
use rand::Rng as _;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;
use rand_distr::{Distribution as _, StandardNormal};
use serde::Serialize;
use serde_json::json;
use trainer::TrainingData;

use super::{ExplanationsError, Recipe, trained};

/// Log return of one unit of noise, and the step that the driver adds, in deviations of noise: R² = 0.26.
const UNIT: f64 = 0.001;
const STEP: f64 = 0.6;

/// The feature that shows the driver, by its place.
const DRIVER: usize = 3;

/// Rows of the test split that are explained, evenly spread.
const EXPLAINED: usize = 200;
const STEPS: u32 = 64;
const PERMUTATIONS: u32 = 50;
const SHUFFLES: u32 = 4;

/// The first bar: 2013-01-01.
const FIRST: i64 = 1_356_998_400_000_000;
const MINUTE: i64 = 60_000_000;

/// What explanations of one model say of the driver.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Driven {
    /// Of market and training.
    pub seed: u64,
    /// R² of the expected return on the test split; what is planted has 0.26.
    pub r2: f64,
    /// Explanations made by each method.
    pub explanations: usize,
    /// Share of those by integrated gradients in which the driver adds most among the features.
    pub first: f64,
    /// Share of them in which the driver's last bar is the strongest of all cells.
    pub first_cell: f64,
    /// Share of those by sampled Shapley values in which the driver adds most.
    pub first_shapley: f64,
    /// The driver's permutation importance over that of the next feature.
    pub importance_ratio: f64,
}

/// Trains on a market of `rows` bars and explains forecasts of its last quarter.
///
/// # Errors
/// [`ExplanationsError`].
pub fn run((rows, epochs): (usize, u32), seed: u64) -> Result<Driven, ExplanationsError> {
    let bars = market(rows, seed);
    let (predictor, data) = trained(&bars, &recipe(&bars, epochs, seed))?;
    explained(&predictor, &data, seed)
}

/// Bars of a minute whose returns the volume of the bar before drives.
fn market(rows: usize, seed: u64) -> Dataset {
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0x5851_f42d_4c95_7f2d);
    let (mut close, mut side) = (100.0, 0.0);
    let mut bars = Vec::with_capacity(rows);
    for index in 0..rows as i64 {
        let noise: f64 = StandardNormal.sample(&mut rng);
        let open: f64 = close;
        close = open * (UNIT * (STEP * side + noise)).exp();
        side = if rng.next_u32() & 1 == 0 { 1.0 } else { -1.0 };
        let (time, volume) = (Timestamp::from_micros(FIRST + index * MINUTE), 1_000.0 * f64::exp(side / 2.0));
        bars.push(Bar { time, open, high: open.max(close), low: open.min(close), close, volume });
    }
    let symbol = Symbol::try_from("DRIVEN".to_owned()).expect("letters make a symbol");
    Dataset::new(symbol, Interval::Minute, bars)
}

fn recipe(bars: &Dataset, epochs: u32, seed: u64) -> Recipe {
    let count = bars.bars.len();
    let (learned, compared) = (count * 3 / 5, count * 3 / 4);
    let range = |from: usize, to: usize| json!([bars.bars[from].time, bars.bars[to - 1].time]);
    let task = json!({
        "window": 20, "horizon": 1, "epochs": epochs, "batch": 128, "learning_rate": 0.003, "weight_decay": 0.0001,
        "return_weight": 1.0, "patience": 4
    });
    let features = json!([
        { "log_return": { "bars": 1 } }, { "log_return": { "bars": 5 } }, { "rsi": { "bars": 14 } },
        { "volume_z": { "bars": 20 } }, { "realised_volatility": { "bars": 20 } }, { "close_location": {} }
    ]);
    let model = json!({ "cnn_lstm": { "channels": 16, "kernel": 3, "hidden": 32, "layers": 1, "dropout": 0.0 } });
    let split = json!({
        "train": range(0, learned), "validation": range(learned, compared), "test": range(compared, count),
        "purge": 1, "embargo": 0
    });
    Recipe::of(json!({ "features": features, "task": task, "model": model, "split": split }), seed)
}

fn explained(predictor: &Predictor, data: &TrainingData, seed: u64) -> Result<Driven, ExplanationsError> {
    let mut forecast = Forecast::new(predictor, Target::ExpectedReturn)?;
    let (window, width) = (predictor.spec().window, predictor.spec().width);
    let all: Vec<usize> = (0..width).collect();
    let players = |grain| Players::of(grain, (window, width), &all);
    let (cells, features) = (players(Grain::Cell), players(Grain::Feature));
    let mean = vec![0.0; window * width];
    let judged: Vec<usize> = data.labelled(&data.split.test, 1).collect();
    let every = judged.len().div_ceil(EXPLAINED);
    let steps = NonZeroU32::new(STEPS).expect("it is not 0");
    let (mut first, mut first_cell, mut first_shapley, mut count) = (0, 0, 0, 0);
    for row in judged.iter().step_by(every).filter_map(|bar| data.window(*bar)) {
        let found = integrated_gradients(&mut forecast, (row, &mean), &cells, steps)?.values;
        // Cells come bar by bar, the features of each in their order.
        first_cell += u32::from(strongest(&found) == (window - 1) * width + DRIVER);
        first += u32::from(strongest(&features.sums(&found)) == DRIVER);
        let sampled = shapley::sampled(&mut forecast, (row, &mean), &features, (PERMUTATIONS, seed))?;
        first_shapley += u32::from(strongest(&sampled.values) == DRIVER);
        count += 1;
    }
    let rows: Vec<f32> = judged.iter().filter_map(|bar| data.window(*bar)).flatten().copied().collect();
    let bars = &data.dataset.bars;
    let came: Vec<f64> = judged.iter().map(|bar| (bars[bar + 1].close / bars[*bar].close).ln()).collect();
    let error = |said: &[f64]| said.iter().zip(&came).map(|(a, b)| (a - b).powi(2)).sum::<f64>() / came.len() as f64;
    let r2 = 1.0 - error(&forecast.scores(&rows)?) / error(&vec![0.0; came.len()]);
    let lost = importance(&mut forecast, &rows, &features, error, (SHUFFLES, seed))?;
    let others = lost.increases.iter().enumerate().filter(|(at, _)| *at != DRIVER);
    let next = others.map(|(_, increase)| *increase).fold(f64::MIN, f64::max);
    let share = |count_of: u32| f64::from(count_of) / count as f64;
    Ok(Driven {
        seed,
        r2,
        explanations: count,
        first: share(first),
        first_cell: share(first_cell),
        first_shapley: share(first_shapley),
        importance_ratio: lost.increases[DRIVER] / next.max(f64::MIN_POSITIVE),
    })
}

/// The place of the largest magnitude.
fn strongest(values: &[f64]) -> usize {
    (0..values.len()).max_by(|a, b| values[*a].abs().total_cmp(&values[*b].abs())).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_planted_driver_comes_first() {
        let driven = run((20_000, 12), 1).unwrap();
        assert!(driven.r2 > 0.2, "it is learned: {driven:?}");
        assert_eq!(driven.explanations, 200, "one row in 25 of the last quarter");
        assert!(driven.first >= 0.95 && driven.first_cell >= 0.95 && driven.first_shapley >= 0.95, "{driven:?}");
        assert!(driven.importance_ratio > 10.0, "{driven:?}");
    }

    #[test]
    fn what_is_planted_is_what_the_volume_says() {
        let bars = market(50_000, 3).bars;
        let moves: Vec<(f64, f64)> = bars
            .windows(2)
            .map(|pair| ((pair[0].volume / 1_000.0).ln().signum(), (pair[1].close / pair[0].close).ln() / UNIT))
            .collect();
        let slope = moves.iter().map(|(side, moved)| side * moved).sum::<f64>() / moves.len() as f64;
        assert!((slope - STEP).abs() < 0.02, "{slope}");
        let missed = moves.iter().map(|(side, moved)| (moved - STEP * side).powi(2)).sum::<f64>() / moves.len() as f64;
        assert!((missed - 1.0).abs() < 0.03, "{missed}");
    }
}
