//! What the tests of this crate share: shapes, drawn weights and made-up rows.

use spec::{BundleId, Digest, ModelSpec};
use tch::Device;
use tch::nn::VarStore;

use crate::{Initial, Network, NetworkKind, NetworkSpec, Predictor, single_threaded, weights};

pub(crate) fn cnn_lstm() -> ModelSpec {
    ModelSpec::CnnLstm { channels: 16, kernel: 3, hidden: 24, layers: 2, dropout: 0.3 }
}

pub(crate) fn mlp() -> ModelSpec {
    ModelSpec::Mlp { hidden: vec![64, 64] }
}

pub(crate) fn forecaster(model: ModelSpec) -> NetworkSpec {
    NetworkSpec { kind: NetworkKind::Forecaster, model, window: 20, width: 7 }
}

pub(crate) fn policy(model: ModelSpec) -> NetworkSpec {
    NetworkSpec { kind: NetworkKind::Policy { actions: 3, observation_width: 142 }, model, window: 20, width: 7 }
}

/// The bytes of drawn weights. libtorch's generator is one per process, so tests that compare draw once.
pub(crate) fn drawn(spec: &NetworkSpec) -> Vec<u8> {
    single_threaded();
    tch::manual_seed(5);
    let store = VarStore::new(Device::Cpu);
    Network::build(spec, &store.root(), Initial::Drawn).unwrap();
    weights::to_bytes(&store)
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
