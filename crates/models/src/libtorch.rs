//! The plain forecaster of libtorch's operations: what the native one is held against.

mod encoder;
mod forecaster;
mod layers;

use tch::nn::VarStore;
use tch::{Device, Tensor};

use crate::weights::{Named, unpack};
use crate::{Forecaster, NetworkSpec, single_threaded};
use forecaster::Forecaster as Reference;
use layers::{Initial, Mode};
use neural::sequence::Purpose;
use neural::{Dropout, Layout, Vectors};

/// The variables of a store, sorted by name.
pub(crate) fn named(store: &VarStore) -> Named {
    store.variables().into_iter().collect()
}

/// The reference with the weights of some bytes.
fn reference(spec: &NetworkSpec, bytes: &[u8]) -> (Reference, VarStore) {
    single_threaded();
    let store = VarStore::new(Device::Cpu);
    let network = Reference::new(&store.root(), spec, Initial::Zeros);
    let tensors = unpack(bytes).unwrap();
    tch::no_grad(|| {
        for (name, mut variable) in named(&store) {
            variable.copy_(&tensors[&name]);
        }
    });
    (network, store)
}

/// Norm of a difference over the norm of what it should be.
fn off(actual: &Tensor, wanted: &Tensor) -> f64 {
    (actual - wanted).norm().double_value(&[]) / wanted.norm().double_value(&[]).max(1e-12)
}

#[test]
fn a_file_of_weights_means_the_same_network_natively_and_in_libtorch() {
    for model in [crate::fixtures::cnn_lstm(), crate::fixtures::mlp()] {
        let spec = crate::fixtures::forecaster(model);
        let bytes = crate::fixtures::drawn(&spec);
        let (reference, store) = reference(&spec, &bytes);
        let rows = 5;
        let input: Vec<f32> =
            (0..rows).flat_map(|seed| crate::fixtures::row(spec.input_width(), seed as u64)).collect();
        let windows = Tensor::from_slice(&input).view([rows as i64, -1]).set_requires_grad(true);
        let forecast = reference.forward(&windows, Mode::Inference);
        let wanted = Tensor::cat(&[&forecast.direction, &forecast.standardised_return.unsqueeze(1)], 1);

        let mut layout = Layout::default();
        let network = Forecaster::new(&mut layout, &spec).unwrap();
        let (weights, scales) = network.assign(&layout, unpack(&bytes).unwrap()).unwrap();
        let (mut panels, mut tape) = (network.panels(), network.tape(rows, Purpose::Explaining));
        network.pack(&weights, &mut panels);
        let vectors = Vectors::default();
        network.forward(vectors, (&weights, &panels), (&input, rows, Dropout::Off), &mut tape);
        assert!(off(&Tensor::from_slice(tape.outputs(rows)).view([rows as i64, -1]), &wanted) < 1e-5);

        let upstream = Tensor::from_slice(&crate::fixtures::row(rows * 4, 9)).view([rows as i64, 4]);
        (&wanted * &upstream).sum(tch::Kind::Float).backward();
        let upstream: Vec<f32> = Vec::try_from(upstream.view(-1)).unwrap();
        tape.outputs_and_gradient(rows).1.copy_from_slice(&upstream);
        let mut gradient = vec![0.0; layout.len()];
        network.backward(vectors, (&weights, &panels, &mut gradient), (&input, rows), &mut tape);
        let gradients = network.named(&layout, &gradient, scales);
        let variables = named(&store);
        let whole = variables.values().map(|t| t.grad().norm().double_value(&[]).powi(2)).sum::<f64>().sqrt();
        for (name, variable) in variables {
            let (ours, theirs) = (&gradients[&name], variable.grad());
            let norm = theirs.norm().double_value(&[]).max(whole / 100.0);
            let off = (ours - &theirs).norm().double_value(&[]) / norm;
            assert!(off < 2e-5, "{name} is off by {off:e} of its norm");
        }
        let slopes = Tensor::from_slice(tape.input_gradient(rows)).view([rows as i64, -1]);
        assert!(off(&slopes, &windows.grad()) < 2e-5, "the gradient of the rows");
    }
}
