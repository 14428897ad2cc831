//! Fully connected layers: hidden ones with an activation, a linear last one.
//!
//! Hidden activations lie unit by unit, `[units × rows]`: then no product of a forward pass has to reorder a weight
//! matrix, which for the small batches of agents costs as much as a third of the product itself. Inputs and outputs are
//! row by row.

use std::ops::Range;

use crate::elementary::{relu, sum, tanh, vectorised};
use crate::matrix::{Matrix, Target, multiply};
use crate::{Draw, Layout};

/// What follows each hidden layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// max(x, 0).
    Relu,
    /// tanh x.
    Tanh,
}

impl Activation {
    fn apply(self, values: &mut [f32]) {
        match self {
            Self::Relu => relu(values),
            Self::Tanh => tanh(values),
        }
    }

    /// Multiplies `gradient` by the derivative at the points whose activated values are `outputs`.
    fn differentiate(self, outputs: &[f32], gradient: &mut [f32]) {
        let pairs = gradient.iter_mut().zip(outputs);
        match self {
            Self::Relu => vectorised(|| pairs.for_each(|(g, y)| *g = if *y > 0.0 { *g } else { 0.0 })),
            Self::Tanh => vectorised(|| pairs.for_each(|(g, y)| *g *= 1.0 - y * y)),
        }
    }
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
    /// `[units × rows]` of each layer.
    outputs: Vec<Vec<f32>>,
    gradients: Vec<Vec<f32>>,
    /// `[rows × outputs]`: the last layer's, and their gradients.
    shown: [Vec<f32>; 2],
    width: usize,
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
        let room = || self.layers.iter().map(|layer| vec![0.0; rows * layer.outputs]).collect();
        let shown = || vec![0.0; rows * self.outputs()];
        MlpTape { outputs: room(), gradients: room(), shown: [shown(), shown()], width: self.outputs() }
    }

    /// Computes a batch; the result is [`MlpTape::output`].
    ///
    /// # Shapes
    /// `input`: `[rows × inputs]`.
    ///
    /// # Panics
    /// When a slice is too short: a caller's bug; so below.
    pub fn forward(&self, weights: &[f32], input: &[f32], rows: usize, tape: &mut MlpTape) {
        for (index, layer) in self.layers.iter().enumerate() {
            let (before, after) = tape.outputs.split_at_mut(index);
            let input = match before.last() {
                Some(below) => Matrix::new(below, layer.inputs, rows),
                None => Matrix::new(input, rows, layer.inputs).transposed(),
            };
            let output = &mut after[0][..layer.outputs * rows];
            let bias = &weights[layer.bias.clone()];
            output.chunks_exact_mut(rows).zip(bias).for_each(|(unit, bias)| unit.fill(*bias));
            let matrix = Matrix::new(&weights[layer.weight.clone()], layer.outputs, layer.inputs);
            multiply(matrix, input, Target::add(output, rows));
            if index + 1 < self.layers.len() {
                self.activation.apply(output);
            }
        }
        let last = self.layers.len() - 1;
        transpose(&tape.outputs[last][..tape.width * rows], rows, &mut tape.shown[0]);
    }

    /// Goes back through the last forward pass, from the gradient that the caller wrote to
    /// [`MlpTape::output_and_gradient`].
    pub fn backward(&self, weights: &[f32], rows: usize, tape: &mut MlpTape, mut toward: Toward<'_>) {
        let last = self.layers.len() - 1;
        transpose(&tape.shown[1][..rows * tape.width], tape.width, &mut tape.gradients[last]);
        for (index, layer) in self.layers.iter().enumerate().rev() {
            let (below, own) = tape.gradients.split_at_mut(index);
            let gradient = &mut own[0][..layer.outputs * rows];
            if index < last {
                self.activation.differentiate(&tape.outputs[index], gradient);
            }
            let flat = &*gradient;
            let gradient = Matrix::new(flat, layer.outputs, rows);
            if let Some((input, sums)) = &mut toward.weights {
                let input = match index.checked_sub(1) {
                    Some(below) => Matrix::new(&tape.outputs[below], layer.inputs, rows).transposed(),
                    None => Matrix::new(input, rows, layer.inputs),
                };
                multiply(gradient, input, Target::add(&mut sums[layer.weight.clone()], layer.inputs));
                let biases = sums[layer.bias.clone()].iter_mut();
                biases.zip(flat.chunks_exact(rows)).for_each(|(bias, unit)| *bias += sum(unit));
            }
            let matrix = &weights[layer.weight.clone()];
            if let Some(below) = below.last_mut() {
                let matrix = Matrix::new(matrix, layer.outputs, layer.inputs).transposed();
                multiply(matrix, gradient, Target::overwrite(below, rows));
            } else if let Some((columns, out)) = &mut toward.input {
                let wanted = &matrix[columns.start..];
                let wanted = Matrix::strided(wanted, layer.outputs, columns.len(), layer.inputs);
                multiply(gradient.transposed(), wanted, Target::overwrite(out, columns.len()));
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

    /// Activations of the last hidden layer, `[units × rows]` for as many rows as there is room for; `None` of a linear
    /// network.
    #[must_use]
    pub fn last_hidden(&self) -> Option<&[f32]> {
        self.outputs.len().checked_sub(2).map(|index| self.outputs[index].as_slice())
    }
}

/// Writes the transpose of `from`, whose rows are `width` long, to the front of `to`.
fn transpose(from: &[f32], width: usize, to: &mut [f32]) {
    let count = from.len() / width;
    if width == 1 || count == 1 {
        to[..from.len()].copy_from_slice(from);
        return;
    }
    for (row, values) in from.chunks_exact(width).enumerate() {
        values.iter().enumerate().for_each(|(column, value)| to[column * count + row] = *value);
    }
}

#[cfg(test)]
mod tests;
