//! x·Wᵀ + b in a fixed order, with what goes back through it.

use std::ops::Range;

use crate::elementary::add_rows;
use crate::matrix::{Matrix, Target, multiply};
use crate::product::{Begin, Panels, Part, Product};
use crate::vectors::Vectors;
use crate::{Draw, Layout, Offsets};

/// A dense layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Linear {
    inputs: usize,
    outputs: usize,
    /// `[outputs, inputs]`.
    weight: Range<usize>,
    bias: Range<usize>,
}

/// Its weights in the order of the kernels.
#[derive(Clone, Debug)]
pub struct LinearPanels {
    forward: Panels,
    backward: Panels,
    bias: Vec<f32>,
}

impl Linear {
    /// Adds `name.weight` and `name.bias` to a layout, drawn uniformly within 1/√inputs.
    pub fn new(layout: &mut Layout, name: &str, (inputs, outputs): (usize, usize)) -> Self {
        let draw = Draw::Uniform(1.0 / (inputs as f32).sqrt());
        Self {
            inputs,
            outputs,
            weight: layout.add(format!("{name}.weight"), &[outputs, inputs], draw),
            bias: layout.add(format!("{name}.bias"), &[outputs], draw),
        }
    }

    /// Values of an output row.
    #[must_use]
    pub const fn outputs(&self) -> usize {
        self.outputs
    }

    /// Multiply-adds over one row.
    #[must_use]
    pub const fn multiply_adds(&self) -> u64 {
        (self.inputs * self.outputs) as u64
    }

    /// Room for its weights.
    #[must_use]
    pub fn panels(&self) -> LinearPanels {
        let Self { inputs, outputs, .. } = *self;
        LinearPanels {
            forward: Panels::new(inputs, outputs),
            backward: Panels::new(outputs, inputs),
            bias: vec![0.0; outputs],
        }
    }

    /// Brings the weights into the order of the kernels.
    pub fn pack(&self, weights: &[f32], panels: &mut LinearPanels) {
        let Self { inputs, outputs, .. } = *self;
        let weight = &weights[self.weight.clone()];
        panels.forward.pack(weight, (0, 0), (inputs, outputs), (1, inputs));
        panels.backward.pack(weight, (0, 0), (outputs, inputs), (inputs, 1));
        panels.bias.copy_from_slice(&weights[self.bias.clone()]);
    }

    /// # Shapes
    /// `[rows × inputs]` → `[rows × outputs]`.
    pub fn forward(&self, vectors: Vectors, panels: &LinearPanels, (input, rows): (&[f32], usize), out: &mut [f32]) {
        let parts = [Part::new(input, self.inputs, 0)];
        let begin = Begin::Bias(&panels.bias);
        vectors.run(Product { rows, parts: &parts, panels: &panels.forward, begin, target: out });
    }

    /// The same, each row's sums beginning with its offset beside the bias.
    pub(crate) fn forward_offset(
        &self,
        vectors: Vectors,
        panels: &LinearPanels,
        (input, rows, offsets): (&[f32], usize, &Offsets),
        out: &mut [f32],
    ) {
        let parts = [Part::new(input, self.inputs, 0)];
        offsets.begin(&panels.bias, rows, &mut out[..rows * self.outputs]);
        vectors.run(Product { rows, parts: &parts, panels: &panels.forward, begin: Begin::Target, target: out });
    }

    /// Where its bias lies in the flat buffer.
    pub(crate) fn bias(&self) -> Range<usize> {
        self.bias.clone()
    }

    /// Adds the weights' gradient.
    pub fn learn(&self, (input, d_output): (&[f32], &[f32]), rows: usize, gradient: &mut [f32]) {
        let d_output = &d_output[..rows * self.outputs];
        multiply(
            Matrix::new(d_output, rows, self.outputs).transposed(),
            Matrix::new(input, rows, self.inputs),
            Target::add(&mut gradient[self.weight.clone()], self.inputs),
        );
        add_rows(d_output, &mut gradient[self.bias.clone()]);
    }

    /// Gradient of the input, added to what stands in `d_input`.
    pub fn back(
        &self,
        vectors: Vectors,
        panels: &LinearPanels,
        (d_output, rows): (&[f32], usize),
        d_input: &mut [f32],
    ) {
        let parts = [Part::new(d_output, self.outputs, 0)];
        let panels = &panels.backward;
        vectors.run(Product { rows, parts: &parts, panels, begin: Begin::Target, target: d_input });
    }
}
