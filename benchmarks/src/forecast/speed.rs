//! Speed of the benchmark network: batch 256, window 60, 16 features, two convolutions of 64 channels, two LSTM layers of
//! 128 units with dropout 0.2, attention pooling, a head of three classes and one of a number. f32, one thread.

use std::cell::RefCell;
use std::fmt;
use std::str::FromStr;

use models::{Forecaster, NetworkKind, NetworkSpec, Predictor};
use neural::{Layout, Vectors};
use serde::Serialize;
use spec::{BundleId, Digest, FeatureSpec, ModelSpec, Precision, SupervisedSpec};
use trainer::{Ended, Kept, Sink, SinkError, Start, TrainError};

use super::{Planted, trial};
use crate::clock::{Elapsed, Moment};
use crate::gemm;

const BATCH: usize = 256;
const WINDOW: usize = 60;
const WIDTH: usize = 16;
/// Passes with dropout over a row.
const PASSES: usize = 32;
/// Calls before the first that counts.
const WARM: usize = 3;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Optimiser steps of a training, gathering of rows included.
    Train,
    /// The same in mixed precision.
    TrainMixed,
    /// Forecasts of 256 rows at a time.
    Infer,
    /// Forecasts of one row at a time.
    Latency,
    /// 32 passes with dropout over one row.
    Mc,
}

impl Mode {
    /// As the command line has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::TrainMixed => "train-mixed",
            Self::Infer => "infer",
            Self::Latency => "latency",
            Self::Mc => "mc",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Mode {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Train, Self::TrainMixed, Self::Infer, Self::Latency, Self::Mc]
            .into_iter()
            .find(|mode| mode.name() == text)
            .ok_or_else(|| "use train, train-mixed, infer, latency or mc".to_owned())
    }
}

/// A line of `bench forecaster`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Speed {
    /// Always `forecaster`.
    pub bench: &'static str,
    /// What was measured.
    pub mode: &'static str,
    /// Rows learned from or forecast over CPU seconds, of the median call; of `mc`, passes.
    pub samples_per_cpu_s: f64,
    /// Wall microseconds of a call.
    pub p50_us: f64,
    /// The same.
    pub p95_us: f64,
    /// CPU microseconds of the median call.
    pub cpu_p50_us: f64,
    /// Calls measured.
    pub calls: usize,
    /// Floating-point operations that a sample needs; of `mc` those of the layers a pass goes through.
    pub flops_per_sample: f64,
    /// Of the median call, by CPU time.
    pub gflops: f64,
    /// What one core multiplies at best.
    pub gemm_peak_gflops: f64,
    /// Weights.
    pub parameters: usize,
    /// The CPU's vectors that were used.
    pub vectors: &'static str,
}

/// The network of the benchmark.
fn model() -> ModelSpec {
    serde_json::from_value(serde_json::json!({
        "cnn_lstm": { "channels": 64, "kernel": 3, "hidden": 128, "layers": 2, "dropout": 0.2 }
    }))
    .expect("the model is written here")
}

fn network() -> NetworkSpec {
    NetworkSpec { kind: NetworkKind::Forecaster, model: model(), window: WINDOW, width: WIDTH }
}

/// Measures for about `seconds`.
///
/// # Errors
/// [`TrainError`] when the network cannot be built or asked.
pub fn run(mode: Mode, seconds: f64) -> Result<Speed, TrainError> {
    let peak = gemm::peak();
    let mut layout = Layout::default();
    let forecaster = Forecaster::new(&mut layout, &network())?;
    let forward = 2.0 * forecaster.multiply_adds() as f64;
    let (calls, samples, flops) = match mode {
        Mode::Train => (train(seconds, Precision::Single)?, BATCH, 3.0 * forward),
        Mode::TrainMixed => (train(seconds, Precision::Mixed)?, BATCH, 3.0 * forward),
        Mode::Infer => (ask(seconds, |predictor, rows| predictor.predict(rows).map(drop))?, BATCH, forward),
        Mode::Latency => (ask(seconds, |predictor, rows| predictor.predict(&rows[..1]).map(drop))?, 1, forward),
        Mode::Mc => (ask(seconds, |predictor, rows| predictor.sample(rows[0], PASSES).map(drop))?, PASSES, forward),
    };
    let (walls, cpus) = (sorted(&calls, |call| call.wall_s), sorted(&calls, |call| call.cpu_s));
    let cpu_s = quantile(&cpus, 0.5);
    let samples_per_cpu_s = samples as f64 / cpu_s;
    Ok(Speed {
        bench: "forecaster",
        mode: mode.name(),
        samples_per_cpu_s,
        p50_us: 1e6 * quantile(&walls, 0.5),
        p95_us: 1e6 * quantile(&walls, 0.95),
        cpu_p50_us: 1e6 * cpu_s,
        calls: calls.len(),
        flops_per_sample: flops,
        gflops: flops * samples_per_cpu_s / 1e9,
        gemm_peak_gflops: peak,
        parameters: layout.places().iter().map(|place| place.range.len()).sum(),
        vectors: Vectors::default().name(),
    })
}

fn sorted(calls: &[Elapsed], of: impl Fn(&Elapsed) -> f64) -> Vec<f64> {
    let mut values: Vec<f64> = calls.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values
}

fn quantile(sorted: &[f64], share: f64) -> f64 {
    sorted.get((share * sorted.len() as f64) as usize).or(sorted.last()).copied().unwrap_or(f64::NAN)
}

/// Asks a drawn network again and again.
fn ask(
    seconds: f64,
    call: impl Fn(&Predictor, &[&[f32]]) -> Result<(), models::ModelError>,
) -> Result<Vec<Elapsed>, TrainError> {
    let spec = network();
    let bytes = models::drawn(&spec, 1)?;
    let predictor = Predictor::from_parts(&spec, &bytes, BundleId(Digest::of(&bytes)))?;
    let (noise, _) = Planted::Noise.draw(BATCH * WINDOW * WIDTH, 1);
    let noise: Vec<f32> = noise.iter().map(|value| *value as f32).collect();
    let rows: Vec<&[f32]> = noise.chunks_exact(WINDOW * WIDTH).collect();
    for _ in 0..WARM {
        call(&predictor, &rows)?;
    }
    let (began, mut calls) = (Moment::now(), Vec::new());
    while began.elapsed().wall_s < seconds {
        let start = Moment::now();
        call(&predictor, &rows)?;
        calls.push(start.elapsed());
    }
    Ok(calls)
}

/// Times the steps of a training, and stops it.
struct Stopwatch {
    seconds: f64,
    began: Moment,
    steps: RefCell<(Moment, Vec<Elapsed>)>,
}

impl Sink for Stopwatch {
    fn progress(&mut self, _progress: spec::Progress) {}

    fn checkpoint(&mut self, _step: u64, _bytes: Vec<u8>) -> Result<Kept, SinkError> {
        Ok(Kept::Not)
    }

    fn should_stop(&self) -> bool {
        let mut steps = self.steps.borrow_mut();
        let step = steps.0.elapsed();
        steps.1.push(step);
        steps.0 = Moment::now();
        steps.1.len() > WARM && self.began.elapsed().wall_s >= self.seconds
    }

    fn keeps_checkpoints(&self) -> bool {
        false
    }
}

/// Steps of a training on noise, one epoch long enough for all of them.
fn train(seconds: f64, precision: Precision) -> Result<Vec<Elapsed>, TrainError> {
    const ROWS: usize = 120_000;
    let task: SupervisedSpec = serde_json::from_value(serde_json::json!({
        "window": WINDOW, "horizon": 1, "epochs": 1, "batch": BATCH, "learning_rate": 0.001, "return_weight": 1.0,
        "precision": precision
    }))
    .expect("the task is written here");
    let features: Vec<FeatureSpec> = (1..=WIDTH as u32).map(|bars| FeatureSpec::LogReturn { bars }).collect();
    let (spec, data) = trial(&Planted::Noise.draw(ROWS, 1).0, &features, (&task, &model()), 1)?;
    let now = Moment::now();
    let mut watch = Stopwatch { seconds, began: now, steps: RefCell::new((now, Vec::new())) };
    match trainer::train(&spec, &data, Start::Anew, &mut watch)? {
        Ended::Finished(_) | Ended::Stopped => {}
    }
    let steps = watch.steps.into_inner().1;
    Ok(steps.into_iter().skip(WARM).collect())
}
