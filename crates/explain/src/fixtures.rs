//! What the tests of this crate share: models in closed form, golden attributions, a bundle's parts.

use artifacts::{Bundle, BundleKind, Kernel, Parts};
use features::{FeatureState, Normaliser, compute};
use market::{Bar, Calendar, Timestamp};
use models::{ModelError, NetworkKind, NetworkSpec, Predictor};
use serde::Deserialize;
use spec::{Digest, FeatureSpec, ModelSpec};

use crate::Scored;

/// outer · tanh(inner · x + bias), or outer · x without inner rows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Formula {
    inner: Vec<Vec<f64>>,
    bias: Vec<f64>,
    outer: Vec<f64>,
    width: usize,
}

impl Formula {
    pub(crate) fn linear(weights: &[f64]) -> Self {
        Self { outer: weights.to_vec(), width: weights.len(), ..Self::default() }
    }

    /// tanh of a weighted sum: kinked where the weights are large.
    pub(crate) fn squashed(weights: &[f64]) -> Self {
        Self { inner: vec![weights.to_vec()], bias: vec![0.0], outer: vec![1.0], width: weights.len() }
    }

    fn hidden(&self, row: &[f32]) -> Vec<f64> {
        let unit = |(weights, bias): (&Vec<f64>, &f64)| (dot(weights, row) + bias).tanh();
        self.inner.iter().zip(&self.bias).map(unit).collect()
    }
}

fn dot(weights: &[f64], row: &[f32]) -> f64 {
    weights.iter().zip(row).map(|(weight, value)| weight * f64::from(*value)).sum()
}

impl Scored for Formula {
    fn width(&self) -> usize {
        self.width
    }

    fn scores(&mut self, rows: &[f32]) -> Result<Vec<f64>, ModelError> {
        let score = |row: &[f32]| {
            if self.inner.is_empty() {
                return dot(&self.outer, row);
            }
            self.outer.iter().zip(self.hidden(row)).map(|(outer, hidden)| outer * hidden).sum()
        };
        Ok(rows.chunks_exact(self.width).map(score).collect())
    }

    fn gradients(&mut self, rows: &[f32]) -> Result<Vec<f32>, ModelError> {
        let gradient = |row: &[f32]| -> Vec<f32> {
            if self.inner.is_empty() {
                return self.outer.iter().map(|weight| *weight as f32).collect();
            }
            let slopes: Vec<f64> = self.outer.iter().zip(self.hidden(row)).map(|(o, h)| o * (1.0 - h * h)).collect();
            let slope =
                |at: usize| -> f64 { slopes.iter().zip(&self.inner).map(|(slope, weights)| slope * weights[at]).sum() };
            (0..self.width).map(|at| slope(at) as f32).collect()
        };
        Ok(rows.chunks_exact(self.width).flat_map(gradient).collect())
    }
}

/// What `scripts/fixtures/attributions.py` wrote.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Golden {
    pub(crate) window: usize,
    pub(crate) width: usize,
    inner: Vec<Vec<f64>>,
    bias: Vec<f64>,
    outer: Vec<f64>,
    pub(crate) row: Vec<f32>,
    pub(crate) baseline: Vec<f32>,
    pub(crate) score: f64,
    pub(crate) baseline_score: f64,
    pub(crate) shapley_cell: Vec<f64>,
    pub(crate) shapley_feature: Vec<f64>,
    pub(crate) shapley_bar: Vec<f64>,
    pub(crate) integrated_gradients: Vec<f64>,
}

impl Golden {
    pub(crate) fn read() -> Self {
        serde_json::from_str(include_str!("../tests/fixtures/attributions.json")).unwrap()
    }

    pub(crate) fn model(&self) -> Formula {
        let (inner, bias, outer) = (self.inner.clone(), self.bias.clone(), self.outer.clone());
        Formula { inner, bias, outer, width: self.window * self.width }
    }

    pub(crate) fn pair(&self) -> (&[f32], &[f32]) {
        (&self.row, &self.baseline)
    }
}

/// Whether all values are within `most` of what they should be.
#[track_caller]
pub(crate) fn close(actual: &[f64], wanted: &[f64], most: f64) {
    assert_eq!(actual.len(), wanted.len());
    for (index, (a, w)) in actual.iter().zip(wanted).enumerate() {
        assert!((a - w).abs() <= most, "{index}: {a} is not {w}");
    }
}

/// Features of the bars of tests.
pub(crate) fn features() -> Vec<FeatureSpec> {
    vec![FeatureSpec::LogReturn { bars: 1 }, FeatureSpec::VolumeZ { bars: 5 }, FeatureSpec::Rsi { bars: 4 }]
}

/// Bars of consecutive sessions from 2020-01-02 on.
pub(crate) fn bars(count: usize) -> Vec<Bar> {
    let (first, end): (Timestamp, Timestamp) = ("2020-01-02".parse().unwrap(), "2030-01-01".parse().unwrap());
    let times = [first].into_iter().chain(Calendar::Xnys.sessions_between(first, end));
    let wave = |at: usize, salt: f64| ((at * at) as f64 * 0.7 + salt).sin();
    let bar = |(at, time): (usize, Timestamp)| {
        let close = 100.0 + 3.0 * wave(at, 1.0) + at as f64 * 0.02;
        let open = close * (1.0 + 0.004 * wave(at, 2.0));
        let (low, high) = (open.min(close) * 0.998, open.max(close) * 1.002);
        Bar { time, open, high, low, close, volume: 1_000.0 * (2.0 + wave(at, 3.0)) }
    };
    times.take(count).enumerate().map(bar).collect()
}

/// A feature state that was fitted on these bars.
pub(crate) fn state(window: usize, bars: &[Bar]) -> FeatureState {
    let matrix = compute(&features(), bars).unwrap();
    let normaliser = Normaliser::fit(&matrix, 0..bars.len());
    FeatureState::fitted(&features(), window, bars[0].time, normaliser).unwrap()
}

/// A forecaster with drawn weights for windows of six bars of three features.
pub(crate) fn network() -> NetworkSpec {
    let model = r#"{"cnn_lstm": {"channels": 8, "kernel": 3, "hidden": 12, "layers": 1, "dropout": 0.1}}"#;
    let model: ModelSpec = serde_json::from_str(model).unwrap();
    NetworkSpec { kind: NetworkKind::Forecaster, model, window: 6, width: 3 }
}

pub(crate) fn predictor() -> Predictor {
    let bytes = models::drawn(&network(), 3).unwrap();
    Predictor::from_parts(&network(), &bytes, spec::BundleId(Digest::of(&bytes))).unwrap()
}

/// A bundle of that network, its features fitted on `bars`.
pub(crate) fn bundle(kind: BundleKind, bars: &[Bar]) -> Bundle {
    let trial = serde_json::json!({
        "trial": "quick-1.0", "params": {}, "seed": 1,
        "data": {
            "source": "aapl", "symbols": ["AAPL"], "interval": "1d",
            "split": {
                "train": ["2013-01-02", "2018-12-31"], "validation": ["2019-01-02", "2020-12-31"],
                "test": ["2021-01-04", "2023-09-21"], "purge": 5, "embargo": 0
            }
        },
        "data_digest": Digest::of(b"bars"), "features": features(),
        "task": {"supervised": {"window": 6, "horizon": 1, "epochs": 1, "learning_rate": 0.001}},
        "model": network().model, "env": {}, "strategy": {}, "device": "cpu", "threads": 1
    });
    Bundle::build(Parts {
        kind,
        network: serde_json::to_value(network()).unwrap(),
        weights: models::drawn(&network(), 3).unwrap(),
        features: serde_json::to_vec(&state(6, bars)).unwrap(),
        trial: serde_json::from_value(trial).unwrap(),
        code_version: "0.1.0".to_owned(),
        kernel: Kernel { cpu: "any".to_owned(), threads: 1, library: "any".to_owned(), degrade: 0 },
        metrics: [].into(),
    })
}
