//! What the tests of this crate share: shapes, drawn weights and made-up rows.

use artifacts::{Bundle, BundleKind, Kernel, Parts};
use spec::{
    BundleId, Digest, Directions, HeadSpec, ModelSpec, Normalisation, QHead, ReturnHead, Shortcut, VolatilityHead,
};
use tch::Tensor;

use crate::{NetworkKind, NetworkSpec, PolicyHead, Predictor, weights};

pub(crate) fn cnn_lstm() -> ModelSpec {
    plain_cnn_lstm((16, 24, 2), 0.3)
}

/// Channels, units and LSTM layers; all else as it is by default.
pub(crate) fn plain_cnn_lstm((channels, hidden, layers): (u32, u32, u32), dropout: f64) -> ModelSpec {
    ModelSpec::CnnLstm {
        channels,
        kernel: 3,
        hidden,
        layers,
        dropout,
        burn_in: 0,
        dilations: vec![1, 1],
        normalisation: Normalisation::Off,
        shortcut: Shortcut::Off,
        directions: Directions::Forward,
    }
}

/// Everything that a forecaster may have.
pub(crate) fn rich(returns: ReturnHead) -> NetworkSpec {
    let model = ModelSpec::CnnLstm {
        channels: 12,
        kernel: 3,
        hidden: 20,
        layers: 2,
        dropout: 0.3,
        burn_in: 0,
        dilations: vec![1, 2, 4],
        normalisation: Normalisation::Group { groups: 3 },
        shortcut: Shortcut::Residual,
        directions: Directions::Both,
    };
    let heads = HeadSpec { returns, volatility: VolatilityHead::QuasiLikelihood };
    NetworkSpec { kind: NetworkKind::MultiTask { heads }, ..forecaster(model) }
}

pub(crate) fn mlp() -> ModelSpec {
    ModelSpec::Mlp { hidden: vec![64, 64], activation: None }
}

pub(crate) fn forecaster(model: ModelSpec) -> NetworkSpec {
    NetworkSpec { kind: NetworkKind::Forecaster, model, window: 20, width: 7 }
}

pub(crate) fn policy(head: PolicyHead, model: ModelSpec) -> NetworkSpec {
    let kind = NetworkKind::Policy { head, observation_width: 142, normalised: true };
    NetworkSpec { kind, model, window: 20, width: 7 }
}

/// One of each head.
pub(crate) fn heads() -> [PolicyHead; 6] {
    let actions = 3;
    [
        PolicyHead::Categorical { actions },
        PolicyHead::Values { actions, layer: QHead::Plain },
        PolicyHead::Values { actions, layer: QHead::Dueling },
        PolicyHead::Gaussian { width: 2 },
        PolicyHead::Deterministic { width: 2 },
        PolicyHead::SquashedGaussian { width: 2 },
    ]
}

/// The bytes of drawn weights; a policy's normaliser is one that does something. libtorch's generator is one per process,
/// so tests that compare draw once.
pub(crate) fn drawn(spec: &NetworkSpec) -> Vec<u8> {
    let mut tensors = weights::unpack(&crate::drawn(spec, 5).unwrap()).unwrap();
    if spec.observes_position() {
        let width = spec.input_width();
        tensors.insert("normaliser.mean".to_owned(), Tensor::from_slice(&row(width, 77)));
        tensors.insert("normaliser.scale".to_owned(), Tensor::from_slice(&vec![0.5f32; width]));
    }
    weights::pack(&tensors)
}

pub(crate) fn predictor(spec: &NetworkSpec) -> Predictor {
    Predictor::from_parts(spec, &drawn(spec), BundleId(Digest::of(b"any"))).unwrap()
}

/// A row of a fixed pattern, other for each `seed`, within ±3.
pub(crate) fn row(width: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u32 << 24) as f32 * 6.0 - 3.0
    };
    (0..width).map(|_| next()).collect()
}

/// A bundle around a network that nothing is said of what it sees.
pub(crate) fn bundle(kind: BundleKind, network: serde_json::Value, weights: Vec<u8>) -> Bundle {
    bundle_seeing(kind, b"{}".to_vec(), network, weights)
}

/// A bundle around a network and the features that it sees.
pub(crate) fn bundle_seeing(
    kind: BundleKind,
    features: Vec<u8>,
    network: serde_json::Value,
    weights: Vec<u8>,
) -> Bundle {
    let trial = serde_json::json!({
        "trial": "quick-1.0", "params": {}, "seed": 1,
        "data": {
            "source": "aapl", "symbols": ["AAPL"], "interval": "1d",
            "split": {
                "train": ["2013-01-02", "2018-12-31"], "validation": ["2019-01-02", "2020-12-31"],
                "test": ["2021-01-04", "2023-09-21"], "purge": 5, "embargo": 0
            }
        },
        "data_digest": Digest::of(b"bars"), "features": [{"log_return": {"bars": 1}}],
        "task": {"supervised": {"window": 4, "horizon": 1, "epochs": 1, "learning_rate": 0.001}},
        "model": {"mlp": {"hidden": [4]}}, "env": {}, "strategy": {}, "device": "cpu", "threads": 1
    });
    Bundle::build(Parts {
        kind,
        network,
        weights,
        features,
        trial: serde_json::from_value(trial).unwrap(),
        code_version: "0.1.0".to_owned(),
        kernel: Kernel { cpu: "any".to_owned(), threads: 1, library: "any".to_owned(), degrade: 0 },
        metrics: [].into(),
    })
}
