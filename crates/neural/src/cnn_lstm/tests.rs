//! Against libtorch's autograd, in f64.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;
use tch::{Kind, Tensor};

use super::*;

fn values(count: usize, salt: f32) -> Vec<f32> {
    (0..count).map(|i| 2.0 * (i as f32 * i as f32 * 0.7 + salt).sin()).collect()
}

/// Norm-wise within 1e-5; a tensor whose norm is far below `whole`, that of all of them, is a small difference of large
/// sums, so it is held to a hundredth of that.
fn close(actual: &[f32], expected: &Tensor, whole: f64, what: &str) {
    let expected: Vec<f32> = Vec::try_from(expected.to_kind(Kind::Float).contiguous().view(-1)).unwrap();
    let norm = expected.iter().map(|value| value * value).sum::<f32>().sqrt().max(whole as f32 / 100.0);
    let off = actual.iter().zip(&expected).map(|(a, b)| (a - b) * (a - b)).sum::<f32>().sqrt();
    assert_eq!(actual.len(), expected.len(), "{what}");
    assert!(off / norm < 1e-5, "{what} is off by {} of the norm", off / norm);
}

/// The same network of libtorch's operations. Weights by their order in the layout.
fn libtorch(shape: CnnLstmShape, weights: &[Tensor], input: &Tensor) -> Tensor {
    let CnnLstmShape { window, width, rest, kernel, hidden, layers, burn_in, .. } = shape;
    let [batch, seen] = [input.size()[0], (window * width) as i64];
    let mut x = input.narrow(1, 0, seen).reshape([batch, window as i64, width as i64]).transpose(1, 2);
    for index in 0..2 {
        // [outputs, kernel, inputs] here, [outputs, inputs, kernel] there.
        let weight = weights[2 * index].transpose(1, 2);
        x = x.conv1d(&weight, Some(&weights[2 * index + 1]), 1, kernel as i64 / 2, 1, 1).relu();
    }
    let mut steps: Vec<Tensor> = x.unbind(2);
    for layer in 0..layers {
        let own = &weights[4 + 3 * layer..7 + 3 * layer];
        let zeros = || Tensor::zeros([batch, hidden as i64], (Kind::Double, tch::Device::Cpu));
        let (mut h, mut c) = (zeros(), zeros());
        for (time, step) in steps.iter_mut().enumerate() {
            let gates = step.linear(&own[0], Some(&own[2])) + h.linear(&own[1], None::<&Tensor>);
            let gates = gates.chunk(4, 1);
            c = gates[1].sigmoid() * &c + gates[0].sigmoid() * gates[2].tanh();
            h = gates[3].sigmoid() * c.tanh();
            if time < burn_in {
                (h, c) = (h.detach(), c.detach());
            }
            *step = h.shallow_clone();
        }
    }
    let y = Tensor::stack(&steps, 1);
    let [weight, bias, context] = [0, 1, 2].map(|index| &weights[4 + 3 * layers + index]);
    let scores = y.linear(weight, Some(bias)).tanh().matmul(context).unsqueeze(2);
    let pooled = (scores.softmax(1, None) * y).sum_dim_intlist(1, false, Kind::Double);
    Tensor::cat(&[pooled, input.narrow(1, seen, rest as i64)], 1)
}

fn agrees_with_libtorch(shape: CnnLstmShape, rows: usize) {
    let mut layout = Layout::default();
    let network = CnnLstm::new(&mut layout, "net", shape);
    let mut weights = layout.draw(&mut ChaCha8Rng::seed_from_u64(3));
    // Biases drawn as zero would hide a missing one.
    for place in layout.places().iter().filter(|place| place.name.ends_with("bias")) {
        weights[place.range.clone()].copy_from_slice(&values(place.range.len(), 0.4));
    }
    let (input, upstream) = (values(rows * network.inputs(), 0.3), values(rows * network.outputs(), 1.1));
    let mut tape = network.tape(rows + 1);
    let mut gradient = vec![0.0; layout.len()];
    // Twice, so that what a pass leaves behind would show.
    for _ in 0..2 {
        gradient.fill(0.0);
        network.forward(&weights, &input, rows, &mut tape);
        tape.output_gradient(rows).copy_from_slice(&upstream);
        network.backward(&weights, rows, &mut tape, &mut gradient);
    }
    let parameters: Vec<Tensor> = layout
        .places()
        .iter()
        .map(|place| {
            let shape: Vec<i64> = place.shape.iter().map(|size| *size as i64).collect();
            Tensor::from_slice(&weights[place.range.clone()])
                .to_kind(Kind::Double)
                .view(shape.as_slice())
                .set_requires_grad(true)
        })
        .collect();
    let wanted =
        libtorch(shape, &parameters, &Tensor::from_slice(&input).to_kind(Kind::Double).view([rows as i64, -1]));
    close(tape.output(rows), &wanted, 0.0, "the output");
    (wanted * Tensor::from_slice(&upstream).to_kind(Kind::Double).view([rows as i64, -1])).sum(Kind::Double).backward();
    let whole = parameters.iter().map(|p| p.grad().norm().double_value(&[]).powi(2)).sum::<f64>().sqrt();
    for (place, parameter) in layout.places().iter().zip(&parameters) {
        close(&gradient[place.range.clone()], &parameter.grad(), whole, &place.name);
    }
}

const SHAPE: CnnLstmShape =
    CnnLstmShape { window: 6, width: 3, rest: 2, channels: 5, kernel: 3, hidden: 4, layers: 1, burn_in: 0 };

#[test]
fn values_and_gradients_are_those_of_libtorch() {
    agrees_with_libtorch(SHAPE, 3);
    agrees_with_libtorch(CnnLstmShape { kernel: 5, layers: 2, hidden: 7, rest: 0, ..SHAPE }, 4);
    agrees_with_libtorch(CnnLstmShape { kernel: 1, window: 1, ..SHAPE }, 1);
}

#[test]
fn steps_that_are_burnt_in_get_no_gradient() {
    agrees_with_libtorch(CnnLstmShape { burn_in: 2, layers: 2, ..SHAPE }, 3);
}
