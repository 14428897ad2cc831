//! The forecaster of the quickstart on real bars: what its explanations miss, and how sampled ones stand to exact ones.

use std::num::NonZeroU32;
use std::path::Path;

use explain::{Forecast, Grain, Players, Scored as _, Target, importance, integrated_gradients, shapley};
use models::Predictor;
use serde::Serialize;
use serde_json::json;
use trainer::TrainingData;

use super::{ExplanationsError, Recipe, aapl, quantile, quickstart_features, trained};
use crate::clock::Moment;

/// Points on the way from the mean to a row, each measured.
const STEPS: [u32; 4] = [16, 32, 64, 128];

/// What a residual is held against, as a share of the range of the number over the test rows.
const TOLERANCE: f64 = 0.01;

/// Test rows whose exact Shapley values are computed, evenly spread, and the orders that are sampled.
const SAMPLED_ROWS: usize = 64;
const PERMUTATIONS: u32 = 100;

/// Shuffles of each feature.
const SHUFFLES: u32 = 16;

/// What integrated gradients miss with so many steps.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Residuals {
    /// Which number.
    pub target: Target,
    /// Points on the way.
    pub steps: u32,
    /// Test rows explained.
    pub rows: usize,
    /// Largest less least of the number over them.
    pub range: f64,
    /// Residual over range.
    pub median_share: f64,
    /// The same.
    pub p95_share: f64,
    /// The same.
    pub largest_share: f64,
    /// Share of the rows whose residual is within 1 % of the range.
    pub within: f64,
    /// CPU milliseconds of an explanation.
    pub cpu_ms: f64,
}

/// Sampled Shapley values beside exact ones.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Agreement {
    /// Rows explained.
    pub rows: usize,
    /// Features, each a player over the whole window.
    pub players: usize,
    /// Orders sampled for each row.
    pub permutations: u32,
    /// Share of the values within 3 standard errors of the exact ones.
    pub within_3: f64,
    /// Mean of the squared deviations in standard errors: 1 where the errors are right.
    pub mean_square: f64,
    /// Largest deviation in standard errors.
    pub largest: f64,
    /// Mean standard error over the mean magnitude of the exact values.
    pub relative_error: f64,
}

/// A feature's permutation importance for the return that came.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Importance {
    /// Name of the feature.
    pub feature: String,
    /// Increase of the mean square error over the error itself.
    pub increase: f64,
    /// The standard error of that.
    pub error: f64,
}

/// What was measured of one model.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Real {
    /// Of the training.
    pub seed: u64,
    /// For each number and each count of steps.
    pub residuals: Vec<Residuals>,
    /// Of the expected return, by feature.
    pub shapley: Agreement,
    /// Of the expected return over the test split.
    pub importance: Vec<Importance>,
}

/// Trains on the bars of a CSV of AAPL and explains its test rows.
///
/// # Errors
/// [`ExplanationsError`].
pub fn run(csv: &Path, (epochs, seed): (u32, u64)) -> Result<Real, ExplanationsError> {
    let bars = aapl(csv)?;
    let (predictor, data) = trained(&bars, &recipe(epochs, seed))?;
    let test: Vec<usize> = data.split.test.clone().filter(|bar| data.window(*bar).is_some()).collect();
    let rows: Vec<f32> = test.iter().filter_map(|bar| data.window(*bar)).flatten().copied().collect();
    let mut residuals = Vec::new();
    for target in [Target::ExpectedReturn, Target::Up] {
        for steps in STEPS {
            residuals.push(missed((&predictor, target), &rows, steps)?);
        }
    }
    let shapley = agreement(&predictor, &rows)?;
    Ok(Real { seed, residuals, shapley, importance: relied_on(&predictor, &data)? })
}

/// That of `experiments/quickstart.yaml`, its first point.
fn recipe(epochs: u32, seed: u64) -> Recipe {
    Recipe::of(
        json!({
            "features": quickstart_features(),
            "task": { "window": 30, "horizon": 5, "epochs": epochs, "learning_rate": 0.001, "patience": 5 },
            "model": { "cnn_lstm": { "channels": 32, "hidden": 48, "dropout": 0.2 } },
            "split": {
                "train": ["2013-01-02", "2018-12-31"], "validation": ["2019-01-02", "2020-12-31"],
                "test": ["2021-01-04", "2023-09-21"], "purge": 5, "embargo": 5
            }
        }),
        seed,
    )
}

/// Integrated gradients of each row against the mean row.
fn missed((predictor, target): (&Predictor, Target), rows: &[f32], steps: u32) -> Result<Residuals, ExplanationsError> {
    let mut forecast = Forecast::new(predictor, target)?;
    let (width, network) = (forecast.width(), predictor.spec());
    let features: Vec<usize> = (0..network.width).collect();
    let players = Players::of(Grain::Cell, (network.window, network.width), &features);
    let scores = forecast.scores(rows)?;
    let most = scores.iter().copied().fold(f64::MIN, f64::max);
    let range = most - scores.iter().copied().fold(f64::MAX, f64::min);
    let (mean, steps) = (vec![0.0; width], NonZeroU32::new(steps).expect("steps of a list without 0"));
    let began = Moment::now();
    let mut shares = Vec::with_capacity(scores.len());
    for row in rows.chunks_exact(width) {
        let found = integrated_gradients(&mut forecast, (row, &mean), &players, steps)?;
        shares.push(found.residual().abs() / range);
    }
    let cpu_s = began.elapsed().cpu_s;
    let within = shares.iter().filter(|share| **share <= TOLERANCE).count();
    Ok(Residuals {
        target,
        steps: steps.get(),
        rows: shares.len(),
        range,
        median_share: quantile(&mut shares, 0.5),
        p95_share: quantile(&mut shares, 0.95),
        largest_share: quantile(&mut shares, 1.0),
        within: within as f64 / shares.len() as f64,
        cpu_ms: 1_000.0 * cpu_s / shares.len() as f64,
    })
}

/// Sampled and exact Shapley values of some rows, a feature a player.
fn agreement(predictor: &Predictor, rows: &[f32]) -> Result<Agreement, ExplanationsError> {
    let mut forecast = Forecast::new(predictor, Target::ExpectedReturn)?;
    let (width, network) = (forecast.width(), predictor.spec());
    let features: Vec<usize> = (0..network.width).collect();
    let players = Players::of(Grain::Feature, (network.window, network.width), &features);
    let mean = vec![0.0; width];
    let every = (rows.len() / width).div_ceil(SAMPLED_ROWS).max(1);
    let (mut deviations, mut errors, mut sizes, mut explained) = (Vec::new(), 0.0, 0.0, 0);
    for (index, row) in rows.chunks_exact(width).enumerate().step_by(every) {
        let exact = shapley::exact(&mut forecast, (row, &mean), &players)?;
        let sampled = shapley::sampled(&mut forecast, (row, &mean), &players, (PERMUTATIONS, index as u64))?;
        let own = sampled.errors.unwrap_or_default();
        for ((value, error), wanted) in sampled.values.iter().zip(&own).zip(&exact.values) {
            deviations.push((value - wanted).abs() / error);
            errors += error;
            sizes += wanted.abs();
        }
        explained += 1;
    }
    let count = deviations.len() as f64;
    let within = deviations.iter().filter(|deviation| **deviation <= 3.0).count();
    Ok(Agreement {
        rows: explained,
        players: players.count(),
        permutations: PERMUTATIONS,
        within_3: within as f64 / count,
        mean_square: deviations.iter().map(|deviation| deviation * deviation).sum::<f64>() / count,
        largest: quantile(&mut deviations, 1.0),
        relative_error: errors / sizes,
    })
}

/// By how much the mean square error of the expected return grows when a feature is shuffled among the test rows.
fn relied_on(predictor: &Predictor, data: &TrainingData) -> Result<Vec<Importance>, ExplanationsError> {
    const HORIZON: usize = 5;
    let mut forecast = Forecast::new(predictor, Target::ExpectedReturn)?;
    let network = predictor.spec();
    let features: Vec<usize> = (0..network.width).collect();
    let players = Players::of(Grain::Feature, (network.window, network.width), &features);
    let judged: Vec<usize> = data.labelled(&data.split.test, HORIZON).collect();
    let rows: Vec<f32> = judged.iter().filter_map(|bar| data.window(*bar)).flatten().copied().collect();
    let bars = &data.dataset.bars;
    let came: Vec<f64> = judged.iter().map(|bar| (bars[bar + HORIZON].close / bars[*bar].close).ln()).collect();
    let error = |said: &[f64]| said.iter().zip(&came).map(|(a, b)| (a - b).powi(2)).sum::<f64>() / came.len() as f64;
    let found = importance(&mut forecast, &rows, &players, error, (SHUFFLES, 1))?;
    let names = data.feature_state.pipeline.names().iter();
    let lines = names.zip(&found.increases).zip(&found.errors).map(|((feature, increase), error)| Importance {
        feature: feature.clone(),
        increase: increase / found.loss,
        error: error / found.loss,
    });
    Ok(lines.collect())
}
