//! Fully connected layers: hidden ones with an activation, a linear last one.
//!
//! A batch goes through all layers tile by tile (see [`crate::tiles`]), so activations stay in the first caches. Inputs and
//! outputs are row by row. The bits of a row depend neither on its batch nor on the CPU's vectors.

use std::ops::Range;

use crate::product::LANES;
use crate::tiles::{Across, Backward, Forward, Outer, Tiles, give};
use crate::vectors::Vectors;
use crate::{Draw, Layout};

/// What follows each hidden layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// max(x, 0).
    Relu,
    /// tanh x.
    Tanh,
}

/// Sizes and first weights of an [`Mlp`].
#[derive(Clone, Debug, PartialEq)]
pub struct MlpShape<'a> {
    /// Values of an input row.
    pub inputs: usize,
    /// Units of each hidden layer; none makes it linear.
    pub hidden: &'a [usize],
    /// Values of an output row.
    pub outputs: usize,
    /// After each hidden layer.
    pub activation: Activation,
    /// Gain of the last layer, drawn orthogonally like the others (gain √2), biases zero; `None` draws all uniformly
    /// within 1/√inputs, biases too.
    pub orthogonal: Option<f32>,
}

#[derive(Clone, Debug, PartialEq)]
struct Dense {
    inputs: usize,
    outputs: usize,
    weight: Range<usize>,
    bias: Range<usize>,
}

/// The layers; weights live in the caller's flat buffer.
#[derive(Clone, Debug, PartialEq)]
pub struct Mlp {
    layers: Vec<Dense>,
    activation: Activation,
}

/// Activations of one batch, and their gradients.
#[derive(Clone, Debug)]
pub struct MlpTape {
    /// Of each layer.
    outputs: Vec<Tiles>,
    gradients: Vec<Tiles>,
    /// Of one tile, and its gradient.
    input: [Tiles; 2],
    /// What came into a layer, for the gradient of its weights.
    across: Across,
    /// `[rows × outputs]`: the last layer's, and their gradients.
    shown: [Vec<f32>; 2],
    width: usize,
    vectors: Vectors,
}

/// What a backward pass is asked for; what is not asked for is not computed.
#[derive(Debug, Default)]
pub struct Toward<'a> {
    weights: Option<(&'a [f32], &'a mut [f32])>,
    input: Option<(Range<usize>, &'a mut [f32])>,
}

impl<'a> Toward<'a> {
    /// The weights: added to `gradient`. `input` is that of the forward pass.
    pub fn weights(input: &'a [f32], gradient: &'a mut [f32]) -> Self {
        Self { weights: Some((input, gradient)), input: None }
    }

    /// These columns of the input: `gradient` is `[rows × columns]` and overwritten.
    pub fn input(columns: Range<usize>, gradient: &'a mut [f32]) -> Self {
        Self { weights: None, input: Some((columns, gradient)) }
    }

    /// Also these columns of the input.
    #[must_use]
    pub fn and_input(self, columns: Range<usize>, gradient: &'a mut [f32]) -> Self {
        Self { input: Some((columns, gradient)), ..self }
    }
}

impl Mlp {
    /// Adds its tensors, `name.layerN.weight` and `.bias`, to a layout.
    pub fn new(layout: &mut Layout, name: &str, shape: &MlpShape<'_>) -> Self {
        let mut inputs = shape.inputs;
        let sizes = shape.hidden.iter().chain([&shape.outputs]);
        let layers = sizes.enumerate().map(|(index, &outputs)| {
            let bound = 1.0 / (inputs as f32).sqrt();
            let (weight, bias) = match shape.orthogonal {
                None => (Draw::Uniform(bound), Draw::Uniform(bound)),
                Some(gain) if index == shape.hidden.len() => (Draw::Orthogonal(gain), Draw::Constant(0.0)),
                Some(_) => (Draw::Orthogonal(std::f32::consts::SQRT_2), Draw::Constant(0.0)),
            };
            let layer = Dense {
                inputs,
                outputs,
                weight: layout.add(format!("{name}.layer{index}.weight"), &[outputs, inputs], weight),
                bias: layout.add(format!("{name}.layer{index}.bias"), &[outputs], bias),
            };
            inputs = outputs;
            layer
        });
        Self { layers: layers.collect(), activation: shape.activation }
    }

    /// Values of an input row.
    #[must_use]
    pub fn inputs(&self) -> usize {
        self.layers[0].inputs
    }

    /// Values of an output row.
    #[must_use]
    pub fn outputs(&self) -> usize {
        self.layers[self.layers.len() - 1].outputs
    }

    /// Multiply-adds of a forward pass over one row.
    #[must_use]
    pub fn multiply_adds(&self) -> u64 {
        self.layers.iter().map(|layer| (layer.inputs * layer.outputs) as u64).sum()
    }

    /// Room for batches of up to `rows`.
    #[must_use]
    pub fn tape(&self, rows: usize) -> MlpTape {
        let room = || self.layers.iter().map(|layer| Tiles::new(rows, layer.outputs)).collect();
        let shown = || vec![0.0; rows * self.outputs()];
        let input = || Tiles::new(LANES, self.inputs());
        let widest = self.layers.iter().map(|layer| layer.inputs).max().unwrap_or_default();
        MlpTape {
            outputs: room(),
            gradients: room(),
            input: [input(), input()],
            across: Across::new(rows, widest),
            shown: [shown(), shown()],
            width: self.outputs(),
            vectors: Vectors::default(),
        }
    }

    /// Computes a batch; the result is [`MlpTape::output`].
    ///
    /// # Shapes
    /// `input`: `[rows × inputs]`.
    ///
    /// # Panics
    /// When a slice is too short: a caller's bug; so below.
    pub fn forward(&self, weights: &[f32], input: &[f32], rows: usize, tape: &mut MlpTape) {
        let vectors = tape.vectors;
        for (tile, input) in input[..rows * self.inputs()].chunks(LANES * self.inputs()).enumerate() {
            tape.input[0].take(input);
            for (index, layer) in self.layers.iter().enumerate() {
                let (below, own) = tape.outputs.split_at_mut(index);
                vectors.run(Forward {
                    weights: &weights[layer.weight.clone()],
                    bias: &weights[layer.bias.clone()],
                    activation: (index + 1 < self.layers.len()).then_some(self.activation),
                    rows: input.len() / self.inputs(),
                    input: below.last().map_or_else(|| tape.input[0].tile(0), |below| below.tile(tile)),
                    output: own[0].tile_mut(tile),
                });
            }
        }
        let last = &tape.outputs[self.layers.len() - 1];
        last.give(&mut tape.shown[0][..rows * tape.width]);
    }

    /// Goes back through the last forward pass, from the gradient that the caller wrote to
    /// [`MlpTape::output_and_gradient`].
    pub fn backward(&self, weights: &[f32], rows: usize, tape: &mut MlpTape, mut toward: Toward<'_>) {
        let vectors = tape.vectors;
        tape.gradients[self.layers.len() - 1].take(&tape.shown[1][..rows * tape.width]);
        for (index, layer) in self.layers.iter().enumerate().rev() {
            if let Some((input, sums)) = &mut toward.weights {
                match index.checked_sub(1) {
                    Some(below) => tape.across.take_tiles(rows, &tape.outputs[below]),
                    None => tape.across.take_rows(&input[..rows * layer.inputs], layer.inputs),
                }
                let gradient = &tape.gradients[index];
                gradient.add_sums(vectors, rows, &mut sums[layer.bias.clone()]);
                vectors.run(Outer { gradient, input: &tape.across, target: &mut sums[layer.weight.clone()] });
            }
            let matrix = &weights[layer.weight.clone()];
            for first in (0..rows).step_by(LANES) {
                let (tile, rows) = (first / LANES, LANES.min(rows - first));
                let (below, own) = tape.gradients.split_at_mut(index);
                let gradient = own[0].tile(tile);
                if let Some(below) = below.last_mut() {
                    let through = Some((self.activation, tape.outputs[index - 1].tile(tile)));
                    let (inputs, target) = (layer.inputs, below.tile_mut(tile));
                    vectors.run(Backward { weights: matrix, inputs, rows, gradient, through, target });
                } else if let Some((columns, out)) = &mut toward.input {
                    let (inputs, target) = (layer.inputs, &mut tape.input[1].tile_mut(0)[..columns.len()]);
                    let weights = &matrix[columns.start..];
                    vectors.run(Backward { weights, inputs, rows, gradient, through: None, target: &mut *target });
                    give(target, &mut out[first * columns.len()..][..rows * columns.len()]);
                }
            }
        }
    }
}

impl MlpTape {
    /// `[rows × outputs]` of the last forward pass.
    ///
    /// # Panics
    /// For more rows than there is room for: a caller's bug; so below.
    #[must_use]
    pub fn output(&self, rows: usize) -> &[f32] {
        &self.shown[0][..rows * self.width]
    }

    /// Output and, to be written before a backward pass, its gradient; both `[rows × outputs]`.
    pub fn output_and_gradient(&mut self, rows: usize) -> (&[f32], &mut [f32]) {
        let [output, gradient] = &mut self.shown;
        (&output[..rows * self.width], &mut gradient[..rows * self.width])
    }

    /// Activations of the last hidden layer; `None` of a linear network.
    #[must_use]
    pub fn last_hidden(&self) -> Option<&Tiles> {
        self.outputs.len().checked_sub(2).map(|index| &self.outputs[index])
    }
}

#[cfg(test)]
mod tests;
