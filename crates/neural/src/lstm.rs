//! Long short-term memory (Hochreiter and Schmidhuber 1997, with forget gates), from a zero state over a window.
//!
//! Time runs outermost (`[time × batch × …]`): the input's part of all gates is one matrix product, the state's part one a
//! step, and both weight gradients are one each. Gates in the order input, forget, cell, output.

use std::ops::Range;

use crate::elementary::{add_rows, sigmoid, tanh, vectorised};
use crate::matrix::{Matrix, Target, multiply};
use crate::{Draw, Layout};

/// One layer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Lstm {
    time: usize,
    inputs: usize,
    hidden: usize,
    /// `[4 × hidden, inputs]`.
    weight_input: Range<usize>,
    /// `[4 × hidden, hidden]`.
    weight_hidden: Range<usize>,
    bias: Range<usize>,
}

/// States of one batch.
#[derive(Clone, Debug)]
pub(crate) struct LstmTape {
    /// `[time × batch × 4 × hidden]`, activated; after a backward pass, the gradients before activation.
    gates: Vec<f32>,
    /// `[(time + 1) × batch × hidden]`, the first zero; so are the cells.
    pub(crate) states: Vec<f32>,
    cells: Vec<f32>,
    /// tanh of the cells after each step.
    squashed: Vec<f32>,
    /// `[batch × hidden]` each: what flows back into state and cell.
    d_state: Vec<f32>,
    d_cell: Vec<f32>,
}

impl Lstm {
    /// Over windows of `time` steps.
    pub(crate) fn new(layout: &mut Layout, name: &str, (time, inputs, hidden): (usize, usize, usize)) -> Self {
        let matrix = |inputs: usize| [4 * hidden, inputs];
        Self {
            time,
            inputs,
            hidden,
            weight_input: layout.add(format!("{name}.weight_input"), &matrix(inputs), Draw::Orthogonal(1.0)),
            weight_hidden: layout.add(format!("{name}.weight_hidden"), &matrix(hidden), Draw::Orthogonal(1.0)),
            bias: layout.add(format!("{name}.bias"), &[4 * hidden], Draw::Constant(0.0)),
        }
    }

    pub(crate) const fn multiply_adds(&self) -> u64 {
        (4 * self.hidden * (self.inputs + self.hidden)) as u64
    }

    pub(crate) fn tape(&self, batch: usize) -> LstmTape {
        let time = self.time;
        let states = || vec![0.0; (time + 1) * batch * self.hidden];
        LstmTape {
            gates: vec![0.0; time * batch * 4 * self.hidden],
            states: states(),
            cells: states(),
            squashed: vec![0.0; time * batch * self.hidden],
            d_state: vec![0.0; batch * self.hidden],
            d_cell: vec![0.0; batch * self.hidden],
        }
    }

    /// # Shapes
    /// `input`: `[time × batch × inputs]`; the result is `tape.states` from its second step on.
    pub(crate) fn forward(&self, weights: &[f32], input: &[f32], batch: usize, tape: &mut LstmTape) {
        let (time, hidden, step) = (self.time, self.hidden, batch * self.hidden);
        let gates = &mut tape.gates[..time * 4 * step];
        let bias = &weights[self.bias.clone()];
        gates.chunks_exact_mut(4 * hidden).for_each(|row| row.copy_from_slice(bias));
        let matrix = Matrix::new(&weights[self.weight_input.clone()], 4 * hidden, self.inputs).transposed();
        multiply(Matrix::new(input, time * batch, self.inputs), matrix, Target::add(gates, 4 * hidden));
        let recurrent = Matrix::new(&weights[self.weight_hidden.clone()], 4 * hidden, hidden).transposed();
        tape.states[..step].fill(0.0);
        tape.cells[..step].fill(0.0);
        for (at, gates) in gates.chunks_exact_mut(4 * step).enumerate() {
            let (before, after) = tape.states[at * step..].split_at_mut(step);
            multiply(Matrix::new(before, batch, hidden), recurrent, Target::add(gates, 4 * hidden));
            let (cells, next) = tape.cells[at * step..].split_at_mut(step);
            let squashed = &mut tape.squashed[at * step..(at + 1) * step];
            for (row, gates) in gates.chunks_exact_mut(4 * hidden).enumerate() {
                let row = row * hidden..(row + 1) * hidden;
                sigmoid(&mut gates[..2 * hidden]);
                tanh(&mut gates[2 * hidden..3 * hidden]);
                sigmoid(&mut gates[3 * hidden..]);
                let [input, forget, cell, output] = quarters(gates);
                let (next, squashed) = (&mut next[row.clone()], &mut squashed[row.clone()]);
                let gated = next.iter_mut().zip(&cells[row.clone()]).zip(input).zip(forget).zip(cell);
                vectorised(|| gated.for_each(|((((next, c), i), f), g)| *next = f * c + i * g));
                squashed.copy_from_slice(next);
                tanh(squashed);
                let shown = after[row].iter_mut().zip(squashed).zip(output);
                vectorised(|| shown.for_each(|((h, squashed), o)| *h = o * *squashed));
            }
        }
    }

    /// Goes back through the last forward pass to step `first`, and no further.
    ///
    /// # Shapes
    /// `d_states`: `[time × batch × hidden]`, of the states from the second on; `d_input`: `[time × batch × inputs]`.
    pub(crate) fn backward(
        &self,
        (weights, gradient): (&[f32], &mut [f32]),
        (input, d_states, d_input): (&[f32], &[f32], &mut [f32]),
        (batch, first): (usize, usize),
        tape: &mut LstmTape,
    ) {
        let (time, hidden, step) = (self.time, self.hidden, batch * self.hidden);
        tape.d_state.fill(0.0);
        tape.d_cell.fill(0.0);
        for at in (first..time).rev() {
            let arriving = tape.d_state[..step].iter_mut().zip(&d_states[at * step..]);
            vectorised(|| arriving.for_each(|(sum, value)| *sum += value));
            self.step_back(at, batch, tape);
            let gates = &tape.gates[at * 4 * step..(at + 1) * 4 * step];
            let recurrent = Matrix::new(&weights[self.weight_hidden.clone()], 4 * hidden, hidden);
            let target = Target::overwrite(&mut tape.d_state, hidden);
            multiply(Matrix::new(gates, batch, 4 * hidden), recurrent, target);
        }
        let rows = (time - first) * batch;
        let gates = &tape.gates[first * 4 * step..time * 4 * step];
        let d_gates = Matrix::new(gates, rows, 4 * hidden);
        let seen = Matrix::new(&input[first * batch * self.inputs..], rows, self.inputs);
        let carried = Matrix::new(&tape.states[first * step..], rows, hidden);
        let (into, kept) = (&self.weight_input, &self.weight_hidden);
        multiply(d_gates.transposed(), seen, Target::add(&mut gradient[into.clone()], self.inputs));
        multiply(d_gates.transposed(), carried, Target::add(&mut gradient[kept.clone()], hidden));
        add_rows(gates, &mut gradient[self.bias.clone()]);
        let (burnt, learned) = d_input.split_at_mut(first * batch * self.inputs);
        burnt.fill(0.0);
        let matrix = Matrix::new(&weights[into.clone()], 4 * hidden, self.inputs);
        multiply(d_gates, matrix, Target::overwrite(learned, self.inputs));
    }

    /// From the gradients of a step's state and cell to those of its gates, before activation.
    fn step_back(&self, at: usize, batch: usize, tape: &mut LstmTape) {
        let (hidden, step) = (self.hidden, batch * self.hidden);
        let gates = &mut tape.gates[at * 4 * step..(at + 1) * 4 * step];
        for (row, gates) in gates.chunks_exact_mut(4 * hidden).enumerate() {
            let row = row * hidden..(row + 1) * hidden;
            let [input, forget, cell, output] = quarters_mut(gates);
            let state = tape.d_state[row.clone()].iter().zip(&mut tape.d_cell[row.clone()]);
            let at = at * step;
            let before = &tape.cells[at + row.start..at + row.end];
            let squashed = &tape.squashed[at + row.start..at + row.end];
            let gates = input.iter_mut().zip(forget).zip(cell.iter_mut().zip(output));
            let all = state.zip(before.iter().zip(squashed)).zip(gates);
            vectorised(|| {
                all.for_each(|(((dh, dc), (before, squashed)), ((i, f), (g, o)))| {
                    let through = dh * *o * (1.0 - squashed * squashed) + *dc;
                    let (d_i, d_g) = (through * *g * *i * (1.0 - *i), through * *i * (1.0 - *g * *g));
                    *dc = through * *f;
                    *f = through * before * *f * (1.0 - *f);
                    *o = dh * squashed * *o * (1.0 - *o);
                    (*i, *g) = (d_i, d_g);
                });
            });
        }
    }
}

fn quarters(gates: &[f32]) -> [&[f32]; 4] {
    let hidden = gates.len() / 4;
    let (front, back) = gates.split_at(2 * hidden);
    let ((a, b), (c, d)) = (front.split_at(hidden), back.split_at(hidden));
    [a, b, c, d]
}

fn quarters_mut(gates: &mut [f32]) -> [&mut [f32]; 4] {
    let hidden = gates.len() / 4;
    let (front, back) = gates.split_at_mut(2 * hidden);
    let ((a, b), (c, d)) = (front.split_at_mut(hidden), back.split_at_mut(hidden));
    [a, b, c, d]
}
