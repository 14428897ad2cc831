//! Against libtorch's autograd.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;
use tch::{Kind, Tensor};

use super::*;

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

fn agrees_with_libtorch(rows: usize, shape: &MlpShape<'_>) {
    let MlpShape { inputs, hidden, outputs, activation, .. } = *shape;
    let mut layout = Layout::default();
    let mlp = Mlp::new(&mut layout, "net", shape);
    let weights = layout.draw(&mut ChaCha8Rng::seed_from_u64(3));
    let (input, upstream) = (values(rows * inputs, 0.3), values(rows * outputs, 1.1));

    let mut tape = mlp.tape(rows + 2);
    mlp.forward(&weights, &input, rows, &mut tape);
    tape.output_and_gradient(rows).1.copy_from_slice(&upstream);
    let (mut gradient, mut d_input) = (vec![0.0; layout.len()], vec![9.0; rows * 2]);
    mlp.backward(&weights, rows, &mut tape, Toward::weights(&input, &mut gradient).and_input(3..5, &mut d_input));

    let x = tensor(&input, &[rows, inputs]);
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
    close(tape.output(rows), &y);
    (y * Tensor::from_slice(&upstream).view([rows as i64, outputs as i64])).sum(Kind::Float).backward();
    for (place, parameter) in layout.places().iter().zip(&parameters) {
        close(&gradient[place.range.clone()], &parameter.grad());
    }
    close(&d_input, &x.grad().narrow(1, 3, 2));
}

#[test]
fn values_and_gradients_are_those_of_libtorch() {
    let relu = MlpShape { inputs: 5, hidden: &[8, 6], outputs: 3, activation: Activation::Relu, orthogonal: None };
    agrees_with_libtorch(7, &relu);
    agrees_with_libtorch(1, &relu);
    agrees_with_libtorch(32, &relu);
    agrees_with_libtorch(75, &MlpShape { inputs: 41, hidden: &[70, 33], ..relu });
    agrees_with_libtorch(128, &MlpShape { inputs: 64, hidden: &[96, 32], outputs: 33, ..relu });
    let tanh = MlpShape { hidden: &[16], activation: Activation::Tanh, orthogonal: Some(0.01), ..relu };
    agrees_with_libtorch(7, &tanh);
    agrees_with_libtorch(7, &MlpShape { hidden: &[], orthogonal: Some(1.0), ..tanh });
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

/// Outputs, gradients of the input's first two columns, and gradients of the weights.
fn learned(mlp: &Mlp, weights: &[f32], input: &[f32], vectors: Vectors) -> [Vec<u32>; 3] {
    let rows = input.len() / mlp.inputs();
    let mut tape = MlpTape { vectors, ..mlp.tape(rows) };
    let (mut gradient, mut d_input) = (vec![0.0; weights.len()], vec![0.0; rows * 2]);
    mlp.forward(weights, input, rows, &mut tape);
    let (output, upstream) = tape.output_and_gradient(rows);
    upstream.copy_from_slice(output);
    mlp.backward(weights, rows, &mut tape, Toward::weights(input, &mut gradient).and_input(0..2, &mut d_input));
    [tape.output(rows).to_vec(), d_input, gradient].map(|values| values.into_iter().map(f32::to_bits).collect())
}

#[test]
fn a_row_has_the_same_bits_in_every_company_and_on_every_kind_of_vectors() {
    let widest = Vectors::default();
    for activation in [Activation::Relu, Activation::Tanh] {
        let mut layout = Layout::default();
        let shape = MlpShape { inputs: 5, hidden: &[70, 33], outputs: 3, activation, orthogonal: None };
        let mlp = Mlp::new(&mut layout, "net", &shape);
        let weights = layout.draw(&mut ChaCha8Rng::seed_from_u64(7));
        let input = values(75 * 5, 0.4);
        let together = learned(&mlp, &weights, &input, widest);
        for rows in [1, 9, 17, 40] {
            let few = learned(&mlp, &weights, &input[..rows * 5], widest);
            assert_eq!((&few[0][..], &few[1][..]), (&together[0][..rows * 3], &together[1][..rows * 2]), "of {rows}");
        }
        if let Some(narrow) = Vectors::avx2() {
            assert_eq!(learned(&mlp, &weights, &input, narrow), together);
        }
    }
}

#[test]
fn a_tape_that_held_more_rows_tells_nothing_of_them() {
    let mut layout = Layout::default();
    let shape = MlpShape { inputs: 3, hidden: &[40], outputs: 2, activation: Activation::Tanh, orthogonal: None };
    let mlp = Mlp::new(&mut layout, "net", &shape);
    let weights = layout.draw(&mut ChaCha8Rng::seed_from_u64(8));
    let input = values(50 * 3, 0.9);
    let learn = |tape: &mut MlpTape, input: &[f32]| {
        let mut gradient = vec![0.0; layout.len()];
        mlp.forward(&weights, input, input.len() / 3, tape);
        tape.output_and_gradient(input.len() / 3).1.fill(1.0);
        mlp.backward(&weights, input.len() / 3, tape, Toward::weights(input, &mut gradient));
        gradient
    };
    let mut used = mlp.tape(50);
    learn(&mut used, &input);
    let hidden = |tape: &MlpTape| tape.last_hidden().unwrap().row(36).collect::<Vec<f32>>();
    let before = hidden(&used);
    assert_eq!(learn(&mut used, &input[..37 * 3]), learn(&mut mlp.tape(37), &input[..37 * 3]));
    assert_eq!(hidden(&used), before, "a row's hidden units are its own");
}

#[test]
fn what_is_not_a_number_comes_through() {
    for activation in [Activation::Relu, Activation::Tanh] {
        let mut layout = Layout::default();
        let shape = MlpShape { inputs: 2, hidden: &[3], outputs: 1, activation, orthogonal: None };
        let mlp = Mlp::new(&mut layout, "net", &shape);
        let weights = layout.draw(&mut ChaCha8Rng::seed_from_u64(9));
        let mut tape = mlp.tape(2);
        mlp.forward(&weights, &[0.1, 0.2, f32::NAN, 0.2], 2, &mut tape);
        let output = tape.output(2);
        assert!(output[0].is_finite() && output[1].is_nan(), "{output:?}");
    }
}
