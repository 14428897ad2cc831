//! Against libtorch's autograd.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;
use tch::{Kind, Tensor};

use super::*;

const ROWS: usize = 7;

fn values(count: usize, salt: f32) -> Vec<f32> {
    (0..count).map(|i| (i as f32 * 0.7 + salt).sin()).collect()
}

fn close(actual: &[f32], expected: &Tensor) {
    let expected: Vec<f32> = Vec::try_from(expected.contiguous().view(-1)).unwrap();
    let norm = expected.iter().map(|value| value * value).sum::<f32>().sqrt().max(1e-3);
    let off = actual.iter().zip(&expected).map(|(a, b)| (a - b) * (a - b)).sum::<f32>().sqrt();
    assert_eq!(actual.len(), expected.len());
    assert!(off / norm < 1e-5, "off by {} of the norm", off / norm);
}

fn tensor(values: &[f32], shape: &[usize]) -> Tensor {
    let shape: Vec<i64> = shape.iter().map(|size| *size as i64).collect();
    Tensor::from_slice(values).view(shape.as_slice()).set_requires_grad(true)
}

fn agrees_with_libtorch(activation: Activation, hidden: &[usize], orthogonal: Option<f32>) {
    let mut layout = Layout::default();
    let shape = MlpShape { inputs: 5, hidden, outputs: 3, activation, orthogonal };
    let mlp = Mlp::new(&mut layout, "net", &shape);
    let weights = layout.draw(&mut ChaCha8Rng::seed_from_u64(3));
    let (input, upstream) = (values(ROWS * 5, 0.3), values(ROWS * 3, 1.1));

    let mut tape = mlp.tape(ROWS + 2);
    mlp.forward(&weights, &input, ROWS, &mut tape);
    tape.output_and_gradient(ROWS).1.copy_from_slice(&upstream);
    let (mut gradient, mut d_input) = (vec![0.0; layout.len()], vec![9.0; ROWS * 2]);
    mlp.backward(&weights, ROWS, &mut tape, Toward::weights(&input, &mut gradient).and_input(3..5, &mut d_input));

    let x = tensor(&input, &[ROWS, 5]);
    let parameters: Vec<Tensor> =
        layout.places().iter().map(|place| tensor(&weights[place.range.clone()], &place.shape)).collect();
    let mut y = x.shallow_clone();
    for (index, pair) in parameters.chunks(2).enumerate() {
        y = y.linear(&pair[0], Some(&pair[1]));
        if index < hidden.len() {
            y = match activation {
                Activation::Relu => y.relu(),
                Activation::Tanh => y.tanh(),
            };
        }
    }
    close(tape.output(ROWS), &y);
    (y * Tensor::from_slice(&upstream).view([ROWS as i64, 3])).sum(Kind::Float).backward();
    for (place, parameter) in layout.places().iter().zip(&parameters) {
        close(&gradient[place.range.clone()], &parameter.grad());
    }
    close(&d_input, &x.grad().narrow(1, 3, 2));
}

#[test]
fn values_and_gradients_are_those_of_libtorch() {
    agrees_with_libtorch(Activation::Relu, &[8, 6], None);
    agrees_with_libtorch(Activation::Tanh, &[16], Some(0.01));
    agrees_with_libtorch(Activation::Tanh, &[], Some(1.0));
}

#[test]
fn gradients_add_up_and_those_of_the_input_alone_leave_the_weights_be() {
    let mut layout = Layout::default();
    let shape = MlpShape { inputs: 2, hidden: &[4], outputs: 1, activation: Activation::Relu, orthogonal: None };
    let mlp = Mlp::new(&mut layout, "net", &shape);
    let weights = layout.draw(&mut ChaCha8Rng::seed_from_u64(5));
    let input = values(6, 0.2);
    let mut tape = mlp.tape(3);
    let mut gradient = vec![0.0; layout.len()];
    let mut once = Vec::new();
    for _ in 0..2 {
        mlp.forward(&weights, &input, 3, &mut tape);
        tape.output_and_gradient(3).1.fill(1.0);
        mlp.backward(&weights, 3, &mut tape, Toward::weights(&input, &mut gradient));
        if once.is_empty() {
            once.clone_from(&gradient);
        }
    }
    assert!(gradient.iter().zip(&once).all(|(twice, once)| *twice == 2.0 * once) && once.iter().any(|g| *g != 0.0));

    let mut both = vec![0.0; 6];
    tape.output_and_gradient(3).1.fill(1.0);
    mlp.backward(&weights, 3, &mut tape, Toward::input(0..2, &mut both));
    let mut second = vec![0.0; 3];
    tape.output_and_gradient(3).1.fill(1.0);
    mlp.backward(&weights, 3, &mut tape, Toward::input(1..2, &mut second));
    assert!(second.iter().zip(both.chunks(2)).all(|(alone, pair)| (*alone - pair[1]).abs() < 1e-6));
}
