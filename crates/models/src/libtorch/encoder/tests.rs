//! The encoder: shapes, dropout and what attention looks at.

use tch::nn::VarStore;
use tch::{Device, Tensor};

use super::Encoder;
use crate::fixtures::row;
use crate::libtorch::layers::{Initial, Mode};
use crate::libtorch::named;
use crate::weights::Named;
use crate::{NetworkKind, NetworkSpec, single_threaded};

const WINDOW: usize = 5;
const WIDTH: usize = 2;
const CHANNELS: usize = 3;
const HIDDEN: usize = 4;

fn shape(dropout: f64) -> NetworkSpec {
    let [channels, hidden] = [CHANNELS as u32, HIDDEN as u32];
    let model = crate::fixtures::plain_cnn_lstm((channels, hidden, 1), dropout);
    NetworkSpec { kind: NetworkKind::Forecaster, model, window: WINDOW, width: WIDTH }
}

fn encoder(spec: &NetworkSpec) -> (Encoder, VarStore) {
    single_threaded();
    tch::manual_seed(3);
    let store = VarStore::new(Device::Cpu);
    let encoder = Encoder::new(&store.root(), spec, Initial::Drawn);
    (encoder, store)
}

/// A tensor as nested rows over its first dimension.
fn rows(tensors: &Named, name: &str) -> Vec<Vec<f64>> {
    let tensor = &tensors[name];
    let flat: Vec<f32> = Vec::try_from(tensor.detach().view(-1)).unwrap();
    let width = flat.len() / tensor.size()[0] as usize;
    flat.chunks(width).map(|row| row.iter().map(|value| f64::from(*value)).collect()).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// `[window][inputs]` → `[window][channels]`: kernel 3 with zeros at both ends, ReLU.
fn convolve(tensors: &Named, name: &str, x: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let (weight, bias) = (rows(tensors, &format!("{name}.weight")), rows(tensors, &format!("{name}.bias")));
    let at = |time: usize, offset: usize, input: usize| {
        (time + offset).checked_sub(1).and_then(|time| x.get(time)).map_or(0.0, |row| row[input])
    };
    let value = |time: usize, channel: usize| {
        let taps = (0..x[0].len()).flat_map(|input| (0..3).map(move |offset| (input, offset)));
        let sum: f64 = taps.map(|(i, offset)| weight[channel][i * 3 + offset] * at(time, offset, i)).sum();
        (sum + bias[channel][0]).max(0.0)
    };
    (0..x.len()).map(|time| (0..CHANNELS).map(|channel| value(time, channel)).collect()).collect()
}

/// Hochreiter and Schmidhuber 1997 with forget gates; gates in the order input, forget, cell, output.
fn lstm(tensors: &Named, x: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let of = |name: &str| rows(tensors, &format!("lstm0.{name}"));
    let (from_input, from_hidden) = (of("weight_input"), of("weight_hidden"));
    let (bias_input, bias_hidden) = (of("bias_input"), of("bias_hidden"));
    let (mut hidden, mut cell) = (vec![0.0; HIDDEN], vec![0.0; HIDDEN]);
    let mut outputs = Vec::new();
    for row in x {
        let gate = |index: usize| {
            let bias = bias_input[index][0] + bias_hidden[index][0];
            dot(&from_input[index], row) + dot(&from_hidden[index], &hidden) + bias
        };
        let gates: Vec<f64> = (0..4 * HIDDEN).map(gate).collect();
        for unit in 0..HIDDEN {
            let [input, forget, new, output] = [0, 1, 2, 3].map(|gate| gates[gate * HIDDEN + unit]);
            cell[unit] = sigmoid(forget) * cell[unit] + sigmoid(input) * new.tanh();
            hidden[unit] = sigmoid(output) * cell[unit].tanh();
        }
        outputs.push(hidden.clone());
    }
    outputs
}

/// Shares of each step by softmax over context · tanh(W y + b).
fn pool(tensors: &Named, y: &[Vec<f64>]) -> Vec<f64> {
    let (weight, bias) = (rows(tensors, "attention.score.weight"), rows(tensors, "attention.score.bias"));
    let context = &rows(tensors, "attention.context")[0];
    let score = |row: &Vec<f64>| {
        let units: Vec<f64> = (0..HIDDEN).map(|unit| (dot(&weight[unit], row) + bias[unit][0]).tanh()).collect();
        dot(context, &units).exp()
    };
    let scores: Vec<f64> = y.iter().map(score).collect();
    let total: f64 = scores.iter().sum();
    (0..HIDDEN).map(|unit| y.iter().zip(&scores).map(|(row, score)| row[unit] * score / total).sum()).collect()
}

#[test]
fn the_network_computes_what_its_formulas_say() {
    let (encoder, store) = encoder(&shape(0.0));
    let tensors = named(&store);
    let input = row(WINDOW * WIDTH, 9);
    let x: Vec<Vec<f64>> = input.chunks(WIDTH).map(|bar| bar.iter().map(|v| f64::from(*v)).collect()).collect();
    let convolved = convolve(&tensors, "convolution1", &convolve(&tensors, "convolution0", &x));
    let expected = pool(&tensors, &lstm(&tensors, &convolved));
    let actual = encoder.forward(&Tensor::from_slice(&input).view([1, -1]), Mode::Inference);
    assert_eq!(actual.size(), [1, HIDDEN as i64]);
    for (unit, expected) in expected.iter().enumerate() {
        let actual = actual.double_value(&[0, unit as i64]);
        assert!((actual - expected).abs() < 1e-6, "unit {unit}: {actual} is not {expected}");
    }
}

#[test]
fn dropout_works_in_training_and_only_there() {
    let (encoder, _store) = encoder(&shape(0.5));
    let input = Tensor::from_slice(&row(WINDOW * WIDTH, 9)).view([1, -1]);
    let run = |mode: Mode| Vec::<f32>::try_from(encoder.forward(&input, mode).detach().view(-1)).unwrap();
    assert_eq!(run(Mode::Inference), run(Mode::Inference));
    let dropped = (0..8).flat_map(|_| run(Mode::Training)).filter(|value| *value == 0.0).count();
    assert!((4..28).contains(&dropped), "about half of 32 units: {dropped}");
}
