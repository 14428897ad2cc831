//! A convolution over time that keeps the window's length, as one matrix product over the whole batch.
//!
//! Rows lie in a padded layout: `kernel / 2` zero rows, then for each window its rows and `kernel − 1` zero rows. The
//! inputs of an output row are then one contiguous slice, so the matrix of all of them is the buffer itself, read with
//! rows that overlap. The outputs that straddle two windows are computed in vain and set to zero, which is just the
//! padding that a next convolution needs.

use std::ops::Range;

use crate::elementary::{add_rows, relu, vectorised};
use crate::matrix::{Matrix, Target, multiply};
use crate::{Draw, Layout};

/// Where the rows of a batch lie in a padded buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Padded {
    pub(crate) window: usize,
    pub(crate) kernel: usize,
}

impl Padded {
    /// Rows from one window to the next.
    const fn pitch(self) -> usize {
        self.window + self.kernel - 1
    }

    /// Length in rows of a buffer for a batch.
    pub(crate) const fn rows(self, batch: usize) -> usize {
        self.kernel / 2 + batch * self.pitch()
    }

    /// Row of the buffer where window `index` begins.
    pub(crate) const fn start(self, index: usize) -> usize {
        self.kernel / 2 + index * self.pitch()
    }

    /// Rows from the first window's first to the last window's last.
    const fn span(self, batch: usize) -> usize {
        (batch - 1) * self.pitch() + self.window
    }

    /// Sets everything between windows to zero.
    fn clear(self, buffer: &mut [f32], batch: usize, width: usize) {
        buffer[..self.start(0) * width].fill(0.0);
        for index in 0..batch {
            let end = self.start(index) + self.window;
            buffer[end * width..(end + self.kernel - 1).min(self.rows(batch)) * width].fill(0.0);
        }
    }
}

/// Conv1d and ReLU.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Convolution {
    padded: Padded,
    inputs: usize,
    outputs: usize,
    /// `[outputs, kernel, inputs]`.
    weight: Range<usize>,
    bias: Range<usize>,
}

impl Convolution {
    pub(crate) fn new(layout: &mut Layout, name: &str, padded: Padded, (inputs, outputs): (usize, usize)) -> Self {
        let bound = 1.0 / ((padded.kernel * inputs) as f32).sqrt();
        Self {
            padded,
            inputs,
            outputs,
            weight: layout.add(format!("{name}.weight"), &[outputs, padded.kernel, inputs], Draw::Uniform(bound)),
            bias: layout.add(format!("{name}.bias"), &[outputs], Draw::Uniform(bound)),
        }
    }

    pub(crate) const fn multiply_adds(&self) -> u64 {
        (self.padded.window * self.padded.kernel * self.inputs * self.outputs) as u64
    }

    /// # Shapes
    /// Both padded: `input` of rows of `inputs`, `output` of rows of `outputs`.
    pub(crate) fn forward(&self, weights: &[f32], input: &[f32], batch: usize, output: &mut [f32]) {
        let (span, reach) = (self.padded.span(batch), self.padded.kernel * self.inputs);
        let first = self.padded.start(0) * self.outputs;
        let rows = &mut output[first..first + span * self.outputs];
        let bias = &weights[self.bias.clone()];
        rows.chunks_exact_mut(self.outputs).for_each(|row| row.copy_from_slice(bias));
        multiply(
            Matrix::strided(input, span, reach, self.inputs),
            Matrix::new(&weights[self.weight.clone()], self.outputs, reach).transposed(),
            Target::add(rows, self.outputs),
        );
        relu(rows);
        self.padded.clear(output, batch, self.outputs);
    }

    /// Turns `d_output` (padded) into the gradient before the ReLU, adds the weights' to `gradient`.
    pub(crate) fn backward(
        &self,
        (input, output): (&[f32], &[f32]),
        batch: usize,
        d_output: &mut [f32],
        gradient: &mut [f32],
    ) {
        vectorised(|| {
            d_output.iter_mut().zip(output).for_each(|(g, y)| *g = if *y > 0.0 { *g } else { 0.0 });
        });
        let (span, reach) = (self.padded.span(batch), self.padded.kernel * self.inputs);
        let first = self.padded.start(0) * self.outputs;
        let rows = &d_output[first..first + span * self.outputs];
        multiply(
            Matrix::new(rows, span, self.outputs).transposed(),
            Matrix::strided(input, span, reach, self.inputs),
            Target::add(&mut gradient[self.weight.clone()], reach),
        );
        add_rows(rows, &mut gradient[self.bias.clone()]);
    }

    /// Gradient of the input, padded, from that before the ReLU. `spread` is room for `[span × kernel × inputs]`.
    pub(crate) fn toward_input(
        &self,
        weights: &[f32],
        (d_output, spread): (&[f32], &mut [f32]),
        batch: usize,
        d_input: &mut [f32],
    ) {
        let (span, reach) = (self.padded.span(batch), self.padded.kernel * self.inputs);
        let first = self.padded.start(0) * self.outputs;
        multiply(
            Matrix::new(&d_output[first..], span, self.outputs),
            Matrix::new(&weights[self.weight.clone()], self.outputs, reach),
            Target::overwrite(spread, reach),
        );
        d_input.fill(0.0);
        for (row, spread) in spread.chunks_exact(reach).take(span).enumerate() {
            let at = row * self.inputs;
            d_input[at..at + reach].iter_mut().zip(spread).for_each(|(sum, value)| *sum += value);
        }
    }

    /// Values of `spread` for a batch.
    pub(crate) const fn spread(&self, batch: usize) -> usize {
        self.padded.span(batch) * self.padded.kernel * self.inputs
    }
}
