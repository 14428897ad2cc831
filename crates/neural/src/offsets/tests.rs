//! Offsets against biases that hold them.

use std::ops::Range;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;

use crate::sequence::tests::{plain, values};
use crate::sequence::{Normalisation, Purpose, Sequence, SequenceShape, Shortcut};
use crate::{Activation, Dropout, Layout, Stack, Vectors};

const ROWS: usize = 5;
const WINDOW: usize = 7;
const WIDTH: usize = 3;
const UNITS: usize = 6;

/// What a pass there and back leaves.
struct Passed {
    output: Vec<f32>,
    gradient: Vec<f32>,
    /// Of each row's offset.
    offsets: Vec<Vec<f32>>,
}

enum Net {
    Sequence(Box<Sequence>),
    Stack(Stack),
}

/// One of each kind, with its weights.
fn nets() -> Vec<(Net, Vec<f32>)> {
    let shape = SequenceShape { channels: UNITS, dilations: vec![1, 2], ..plain(WINDOW, WIDTH) };
    let (normalisation, shortcut) = (Normalisation::Layer, Shortcut::Residual);
    let residual = SequenceShape { normalisation, shortcut, ..shape.clone() };
    let sequence = |shape| {
        let mut layout = Layout::default();
        let net = Net::Sequence(Box::new(Sequence::new(&mut layout, "net", shape)));
        (net, layout)
    };
    let mut layout = Layout::default();
    let stack = Stack::new(&mut layout, "net", (WINDOW * WIDTH, &[UNITS, 4]), Activation::Tanh);
    let nets = [sequence(shape), sequence(residual), (Net::Stack(stack), layout)];
    nets.into_iter().map(|(net, layout)| (net, layout.draw(&mut ChaCha8Rng::seed_from_u64(3)))).collect()
}

impl Net {
    fn entry(&self) -> Range<usize> {
        match self {
            Self::Sequence(net) => net.entry(),
            Self::Stack(net) => net.entry(),
        }
    }

    /// `rows` rows whose sums begin with these offsets, if any, and back.
    fn pass(&self, weights: &[f32], (input, rows): (&[f32], usize), offsets: Option<&[Vec<f32>]>) -> Passed {
        let (vectors, mut gradient) = (Vectors::default(), vec![0.0; weights.len()]);
        let write = |to: &mut crate::Offsets| {
            to.rows_mut().zip(offsets.unwrap_or_default()).for_each(|(row, offset)| row.copy_from_slice(offset));
        };
        let read = |from: &crate::Offsets| from.gradients().take(rows).map(<[f32]>::to_vec).collect();
        match self {
            Self::Sequence(net) => {
                let mut panels = net.panels();
                net.pack(weights, &mut panels);
                let mut tape = match offsets {
                    Some(_) => net.tape_with_offsets(rows + 1),
                    None => net.tape(rows + 1, Purpose::Learning),
                };
                write(tape.offsets());
                net.forward(vectors, (weights, &panels), (input, rows, Dropout::Off), &mut tape);
                let output = tape.output(rows).to_vec();
                tape.output_gradient(rows).copy_from_slice(&values(output.len(), 0.9));
                net.backward(vectors, (weights, &panels, &mut gradient), rows, &mut tape);
                Passed { output, gradient, offsets: read(tape.offsets()) }
            }
            Self::Stack(net) => {
                let mut panels = net.panels();
                net.pack(weights, &mut panels);
                let mut tape = match offsets {
                    Some(_) => net.tape_with_offsets(rows + 1),
                    None => net.tape(rows + 1, Purpose::Learning),
                };
                write(tape.offsets());
                net.forward(vectors, &panels, (input, rows), &mut tape);
                let output = tape.output(rows).to_vec();
                tape.output_gradient(rows).copy_from_slice(&values(output.len(), 0.9));
                net.backward(vectors, (&panels, &mut gradient), (input, rows), &mut tape);
                Passed { output, gradient, offsets: read(tape.offsets()) }
            }
        }
    }
}

#[test]
fn an_offset_that_all_rows_share_is_a_bias_to_the_last_bit() {
    for (net, weights) in nets() {
        let (input, offset) = (values(ROWS * WINDOW * WIDTH, 0.3), values(UNITS, 0.1));
        let mut folded = weights.clone();
        folded[net.entry()].iter_mut().zip(&offset).for_each(|(bias, offset)| *bias += offset);
        let shared = net.pass(&weights, (&input, ROWS), Some(&vec![offset; ROWS]));
        let plain = net.pass(&folded, (&input, ROWS), None);
        assert_eq!(shared.output, plain.output);
        assert_eq!(shared.gradient, plain.gradient);
        assert_ne!(shared.output, net.pass(&weights, (&input, ROWS), None).output);
        assert!(plain.offsets.is_empty());
    }
}

#[test]
fn a_row_has_its_own_offset_and_its_gradient_is_that_of_the_bias_for_the_row_alone() {
    for (net, weights) in nets() {
        let input = values(ROWS * WINDOW * WIDTH, 0.3);
        let offsets: Vec<Vec<f32>> = (0..ROWS).map(|row| values(UNITS, row as f32)).collect();
        let together = net.pass(&weights, (&input, ROWS), Some(&offsets));
        let each = together.output.len() / ROWS;
        assert_eq!(together.offsets.len(), ROWS);
        let sum = |unit: usize| together.offsets.iter().map(|row| row[unit]).sum::<f32>();
        for (unit, bias) in together.gradient[net.entry()].iter().enumerate() {
            assert!((sum(unit) - bias).abs() <= 1e-4 * bias.abs().max(1.0), "{} {bias}", sum(unit));
        }
        let alone = net.pass(&weights, (&input[..WINDOW * WIDTH], 1), Some(&offsets[..1]));
        assert_eq!(alone.output, together.output[..each], "no row touches another");
        for (alone, together) in alone.offsets[0].iter().zip(&together.offsets[0]) {
            assert!((alone - together).abs() <= 1e-5 * together.abs().max(1.0), "{alone} {together}");
        }
        assert_ne!(together.offsets[0], together.offsets[1]);
    }
}
