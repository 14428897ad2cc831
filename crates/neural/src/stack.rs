//! Hidden layers in a fixed order of operations, each with an activation: for networks whose bits must not depend on their
//! batch. Agents have [`crate::Mlp`], whose weights change with every batch and are read where they lie.

use std::ops::Range;

use crate::linear::{Linear, LinearPanels};
use crate::sequence::Purpose;
use crate::vectors::{Tanh, Vectors};
use crate::{Activation, Layout, Offsets};

/// The layers; at least one.
#[derive(Clone, Debug, PartialEq)]
pub struct Stack {
    inputs: usize,
    layers: Vec<Linear>,
    activation: Activation,
}

/// Activations of one batch, and their gradients: `[rows × units]` of each layer.
#[derive(Clone, Debug)]
pub struct StackTape {
    outputs: Vec<Vec<f32>>,
    gradients: Vec<Vec<f32>>,
    /// `[rows × inputs]`; empty but for explaining.
    input_gradient: Vec<f32>,
    /// Of the rows, where each begins the first layer's sums with one.
    offsets: Offsets,
    inputs: usize,
    width: usize,
}

impl StackTape {
    /// Numbers it has room for: as many for each row.
    #[must_use]
    pub fn values(&self) -> usize {
        self.outputs.iter().chain(&self.gradients).chain([&self.input_gradient]).map(Vec::len).sum::<usize>()
            + self.offsets.len()
    }
}

impl Stack {
    /// Adds its tensors, `name.layerN.weight` and `.bias`, to a layout.
    ///
    /// # Panics
    /// Without any layer: a caller's bug.
    pub fn new(layout: &mut Layout, name: &str, (inputs, hidden): (usize, &[usize]), activation: Activation) -> Self {
        assert!(!hidden.is_empty(), "a stack has layers");
        let before = [inputs].into_iter().chain(hidden.iter().copied());
        let layers = before
            .zip(hidden)
            .enumerate()
            .map(|(index, (inputs, outputs))| Linear::new(layout, &format!("{name}.layer{index}"), (inputs, *outputs)));
        Self { inputs, layers: layers.collect(), activation }
    }

    /// Units of the last layer.
    #[must_use]
    pub fn outputs(&self) -> usize {
        self.layers.last().map_or(self.inputs, Linear::outputs)
    }

    /// Multiply-adds of a forward pass over one row.
    #[must_use]
    pub fn multiply_adds(&self) -> u64 {
        self.layers.iter().map(Linear::multiply_adds).sum()
    }

    /// Room for batches of up to `rows`.
    #[must_use]
    pub fn tape(&self, rows: usize, purpose: Purpose) -> StackTape {
        let room = || self.layers.iter().map(|layer| vec![0.0; rows * layer.outputs()]).collect();
        let input_gradient = match purpose {
            Purpose::Explaining => vec![0.0; rows * self.inputs],
            Purpose::Learning | Purpose::Asking => Vec::new(),
        };
        let (inputs, width) = (self.inputs, self.outputs());
        StackTape { outputs: room(), gradients: room(), input_gradient, offsets: Offsets::default(), inputs, width }
    }

    /// The same for learning, with an offset for each row.
    #[must_use]
    pub fn tape_with_offsets(&self, rows: usize) -> StackTape {
        let units = self.layers[0].outputs();
        StackTape { offsets: Offsets::new(rows, units), ..self.tape(rows, Purpose::Learning) }
    }

    /// Where the bias that offsets add to lies in the flat buffer.
    #[must_use]
    pub fn entry(&self) -> Range<usize> {
        self.layers[0].bias()
    }

    /// Room for its weights.
    #[must_use]
    pub fn panels(&self) -> Vec<LinearPanels> {
        self.layers.iter().map(Linear::panels).collect()
    }

    /// Brings the weights into the order of the kernels.
    pub fn pack(&self, weights: &[f32], panels: &mut [LinearPanels]) {
        self.layers.iter().zip(panels).for_each(|(layer, panels)| layer.pack(weights, panels));
    }

    /// Computes a batch, `[rows × inputs]`; the result is [`StackTape::output`].
    pub fn forward(
        &self,
        vectors: Vectors,
        panels: &[LinearPanels],
        (input, rows): (&[f32], usize),
        tape: &mut StackTape,
    ) {
        for (index, (layer, panels)) in self.layers.iter().zip(panels).enumerate() {
            let (before, after) = tape.outputs.split_at_mut(index);
            let input = before.last().map_or(input, Vec::as_slice);
            let output = &mut after[0][..rows * layer.outputs()];
            if index == 0 && !tape.offsets.is_empty() {
                layer.forward_offset(vectors, panels, (input, rows, &tape.offsets), output);
            } else {
                layer.forward(vectors, panels, (input, rows), output);
            }
            match self.activation {
                Activation::Tanh => vectors.run(Tanh(output)),
                Activation::Relu => vectors.run(
                    #[inline(always)]
                    || output.iter_mut().for_each(|value| *value = value.max(0.0)),
                ),
            }
        }
    }

    /// Goes back through the last forward pass, from the gradient that the caller wrote to
    /// [`StackTape::output_gradient`]; adds to `gradient`. On a tape for explaining it goes on to
    /// [`StackTape::input_gradient`].
    pub fn backward(
        &self,
        vectors: Vectors,
        (panels, gradient): (&[LinearPanels], &mut [f32]),
        (input, rows): (&[f32], usize),
        tape: &mut StackTape,
    ) {
        for (index, layer) in self.layers.iter().enumerate().rev() {
            let (below, own) = tape.gradients.split_at_mut(index);
            let d_output = &mut own[0][..rows * layer.outputs()];
            let pairs = d_output.iter_mut().zip(&tape.outputs[index]);
            vectors.run(
                #[inline(always)]
                || match self.activation {
                    Activation::Tanh => pairs.for_each(|(d, y)| *d *= 1.0 - y * y),
                    Activation::Relu => pairs.for_each(|(d, y)| *d = if *y > 0.0 { *d } else { 0.0 }),
                },
            );
            let before = index.checked_sub(1).map_or(input, |below| tape.outputs[below].as_slice());
            layer.learn((before, d_output), rows, gradient);
            if index == 0 && !tape.offsets.is_empty() {
                tape.offsets.gather(rows, d_output);
            }
            let d_input = below.last_mut().unwrap_or(&mut tape.input_gradient);
            if !d_input.is_empty() {
                d_input.fill(0.0);
                layer.back(vectors, &panels[index], (d_output, rows), d_input);
            }
        }
    }
}

impl StackTape {
    /// What rows add to the first layer's sums.
    pub fn offsets(&mut self) -> &mut Offsets {
        &mut self.offsets
    }

    /// `[rows × outputs]` of the last forward pass.
    #[must_use]
    pub fn output(&self, rows: usize) -> &[f32] {
        self.outputs.last().map_or(&[], |output| &output[..rows * self.width])
    }

    /// Gradient of the input, `[rows × inputs]`, of the last backward pass.
    ///
    /// # Panics
    /// On a tape that is not for explaining: a caller's bug.
    #[must_use]
    pub fn input_gradient(&self, rows: usize) -> &[f32] {
        &self.input_gradient[..rows * self.inputs]
    }

    /// To be written before a backward pass, `[rows × outputs]`.
    pub fn output_gradient(&mut self, rows: usize) -> &mut [f32] {
        let width = self.width;
        self.gradients.last_mut().map_or(&mut [], |gradient| &mut gradient[..rows * width])
    }
}
