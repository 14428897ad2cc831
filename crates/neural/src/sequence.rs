//! From windows to features: convolutions over time → LSTM → attention pooling, with dropout.
//!
//! A row's features are a function of the row alone, to the bit: products keep one order of operations ([`crate::product`])
//! and nothing is normalised over a batch. Batches are cut into tiles by the caller; activations of a tile live in a
//! preallocated [`SequenceTape`], and no pass allocates.

pub(crate) mod block;
pub(crate) mod normalise;
pub(crate) mod pooling;
pub(crate) mod recurrent;

use std::ops::Range;

pub use block::Shortcut;
pub use normalise::Normalisation;

use crate::dropout::{Dropout, drop_out};
use crate::linear::LinearPanels;
use crate::vectors::Vectors;
use crate::{Layout, Offsets, sequence};
use block::{Block, BlockPanels, BlockShape, BlockTape};
use pooling::{Pooling, PoolingTape};
use recurrent::{Lstm, LstmPanels, LstmTape, Order};

/// What a tape is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Backward passes follow.
    Learning,
    /// Backward passes follow, down to the input.
    Explaining,
    /// Forward passes alone: less is kept.
    Asking,
}

/// What LSTM layers multiply in while they learn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// f32.
    #[default]
    Single,
    /// bfloat16, summed in f32. Weights, states and all else stay f32, and what is asked later is computed in f32.
    Mixed,
}

/// Which ways an LSTM layer goes over a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Directions {
    /// From its oldest step to its newest.
    Forward,
    /// Both ways, features side by side. The window ends with the present, so nothing of the future is seen.
    Both,
}

impl Directions {
    const fn orders(self) -> &'static [Order] {
        match self {
            Self::Forward => &[Order::Forward],
            Self::Both => &[Order::Forward, Order::Backward],
        }
    }
}

/// Sizes of a [`Sequence`].
#[derive(Clone, Debug, PartialEq)]
pub struct SequenceShape {
    /// Steps of a window.
    pub window: usize,
    /// Values of a step.
    pub width: usize,
    /// Channels of each convolution.
    pub channels: usize,
    /// Width of a convolution in steps, odd, at most 63.
    pub kernel: usize,
    /// Steps between the taps of each convolution; one convolution for each, at least one.
    pub dilations: Vec<usize>,
    /// After each convolution.
    pub normalisation: sequence::Normalisation,
    /// Past each convolution.
    pub shortcut: sequence::Shortcut,
    /// Units of each LSTM layer in each direction.
    pub hidden: usize,
    /// LSTM layers.
    pub layers: usize,
    /// Of each LSTM layer.
    pub directions: Directions,
    /// Probability that a feature falls between LSTM layers, and behind the pooling.
    pub dropout: f32,
}

/// The layers; weights live in the caller's flat buffer.
#[derive(Clone, Debug, PartialEq)]
pub struct Sequence {
    shape: SequenceShape,
    blocks: Vec<Block>,
    /// Each in its directions.
    layers: Vec<Vec<Lstm>>,
    pooling: Pooling,
}

/// Its weights in the order of the kernels.
#[derive(Clone, Debug)]
pub struct SequencePanels {
    blocks: Vec<BlockPanels>,
    layers: Vec<Vec<LstmPanels>>,
    pooling: LinearPanels,
}

/// Activations of some rows, and their gradients.
#[derive(Clone, Debug)]
pub struct SequenceTape {
    /// `[time × rows × width]`.
    input: Vec<f32>,
    blocks: Vec<BlockTape>,
    layers: Vec<LayerTape>,
    pooling: PoolingTape,
    /// `[rows × features]` each.
    pooled: Vec<f32>,
    output: Vec<f32>,
    gradient: Vec<f32>,
    /// `[rows × time × width]` of the input; empty but for explaining.
    input_gradient: Vec<f32>,
    /// `[time × rows × wide]`, wide enough for any layer: what flows back, where to, and a direction's share.
    flows: [Vec<f32>; 3],
    /// Of the last forward pass.
    keys: Vec<u64>,
    features: usize,
    /// Values of an input row.
    input_width: usize,
}

#[derive(Clone, Debug)]
struct LayerTape {
    /// `[time × rows × features]`: its input after dropout; empty of the first layer and without dropout.
    dropped: Vec<f32>,
    directions: Vec<LstmTape>,
    /// `[time × rows × features]`: both directions side by side; empty with one.
    joined: Vec<f32>,
}

impl LayerTape {
    fn output(&self) -> &[f32] {
        if self.joined.is_empty() { &self.directions[0].states } else { &self.joined }
    }

    fn values(&self) -> usize {
        self.dropped.len() + self.joined.len() + self.directions.iter().map(LstmTape::values).sum::<usize>()
    }
}

impl Sequence {
    /// Adds its tensors to a layout, their names beginning with `name`.
    ///
    /// # Panics
    /// For an even or too wide kernel, no convolution, or no layer: a caller's bug.
    pub fn new(layout: &mut Layout, name: &str, shape: SequenceShape) -> Self {
        assert!(shape.kernel % 2 == 1 && shape.kernel <= block::KERNEL_MAX, "an odd kernel up to 63");
        assert!(!shape.dilations.is_empty() && shape.layers > 0, "convolutions and layers");
        let SequenceShape { window, channels, hidden, .. } = shape;
        let blocks = shape.dilations.iter().enumerate().map(|(index, dilation)| {
            let shape = BlockShape {
                time: window,
                inputs: if index == 0 { shape.width } else { channels },
                outputs: channels,
                kernel: shape.kernel,
                dilation: *dilation,
                normalisation: shape.normalisation,
                shortcut: shape.shortcut,
            };
            Block::new(layout, &format!("{name}.convolution{index}"), shape)
        });
        let blocks = blocks.collect();
        let orders = shape.directions.orders();
        let features = hidden * orders.len();
        let mut layers = Vec::new();
        for layer in 0..shape.layers {
            let sizes = (window, if layer == 0 { channels } else { features }, hidden);
            let direction = |order: &Order| {
                let name = match order {
                    Order::Forward => format!("{name}.lstm{layer}"),
                    Order::Backward => format!("{name}.lstm{layer}_backward"),
                };
                Lstm::new(layout, &name, sizes, *order)
            };
            layers.push(orders.iter().map(direction).collect());
        }
        let pooling = Pooling::new(layout, &format!("{name}.attention"), (window, features));
        Self { shape, blocks, layers, pooling }
    }

    /// The same layers, learning in `precision`. In mixed precision a tape has room for 32 rows at most, and panels are for
    /// learning alone.
    #[must_use]
    pub fn learning_in(mut self, precision: Precision) -> Self {
        let layers = self.layers.into_iter();
        self.layers = layers.map(|layer| layer.into_iter().map(|lstm| lstm.learning_in(precision)).collect()).collect();
        self
    }

    /// Features of an output row.
    #[must_use]
    pub const fn features(&self) -> usize {
        self.shape.hidden * self.shape.directions.orders().len()
    }

    /// Multiply-adds of a forward pass over one row.
    #[must_use]
    pub fn multiply_adds(&self) -> u64 {
        let layers: u64 = self.layers.iter().flatten().map(Lstm::multiply_adds).sum();
        self.blocks.iter().map(Block::multiply_adds).sum::<u64>() + layers + self.pooling.multiply_adds()
    }

    /// Room for up to `rows` rows.
    #[must_use]
    pub fn tape(&self, rows: usize, purpose: Purpose) -> SequenceTape {
        let SequenceShape { window, width, channels, .. } = self.shape;
        let features = self.features();
        let steps = |wide: usize| vec![0.0; window * rows * wide];
        let layers = self.layers.iter().enumerate().map(|(index, layer)| LayerTape {
            dropped: if index > 0 && self.shape.dropout > 0.0 { steps(features) } else { Vec::new() },
            directions: layer.iter().map(|lstm| lstm.tape(rows, purpose)).collect(),
            joined: if layer.len() > 1 { steps(features) } else { Vec::new() },
        });
        let flows = || match purpose {
            Purpose::Learning => steps(features.max(channels)),
            Purpose::Explaining => steps(features.max(channels).max(width)),
            Purpose::Asking => Vec::new(),
        };
        let input_gradient = match purpose {
            Purpose::Explaining => steps(width),
            Purpose::Learning | Purpose::Asking => Vec::new(),
        };
        let row = || vec![0.0; rows * features];
        SequenceTape {
            input: steps(width),
            blocks: self.blocks.iter().map(|block| block.tape(rows)).collect(),
            layers: layers.collect(),
            pooling: self.pooling.tape(rows, purpose),
            pooled: row(),
            output: row(),
            gradient: row(),
            input_gradient,
            flows: [flows(), flows(), flows()],
            keys: Vec::with_capacity(rows),
            features,
            input_width: window * width,
        }
    }

    /// The same for learning, with an offset for each row.
    #[must_use]
    pub fn tape_with_offsets(&self, rows: usize) -> SequenceTape {
        let mut tape = self.tape(rows, Purpose::Learning);
        tape.blocks[0].offsets = self.blocks[0].offsets(rows);
        tape
    }

    /// Where the bias that offsets add to lies in the flat buffer.
    #[must_use]
    pub fn entry(&self) -> Range<usize> {
        self.blocks[0].bias()
    }

    /// Room for its weights.
    #[must_use]
    pub fn panels(&self) -> SequencePanels {
        SequencePanels {
            blocks: self.blocks.iter().map(Block::panels).collect(),
            layers: self.layers.iter().map(|layer| layer.iter().map(Lstm::panels).collect()).collect(),
            pooling: self.pooling.panels(),
        }
    }

    /// Brings the weights into the order of the kernels: due after each change of them.
    pub fn pack(&self, weights: &[f32], panels: &mut SequencePanels) {
        self.blocks.iter().zip(&mut panels.blocks).for_each(|(block, panels)| block.pack(weights, panels));
        let layers = self.layers.iter().flatten().zip(panels.layers.iter_mut().flatten());
        layers.for_each(|(layer, panels)| layer.pack(weights, panels));
        self.pooling.pack(weights, &mut panels.pooling);
    }

    /// Computes some rows; the result is [`SequenceTape::output`], as many rows as [`Dropout::outputs`] says.
    ///
    /// # Shapes
    /// `input`: `[rows × window × width]`, oldest step first.
    ///
    /// # Panics
    /// For more rows than the tape has room for, or keys that are no multiple of the rows: a caller's bug.
    pub fn forward(
        &self,
        vectors: Vectors,
        (weights, panels): (&[f32], &SequencePanels),
        (input, rows, dropout): (&[f32], usize, Dropout<'_>),
        tape: &mut SequenceTape,
    ) {
        let (time, width, features) = (self.shape.window, self.shape.width, self.features());
        for (row, window) in input.chunks_exact(time * width).take(rows).enumerate() {
            for (step, values) in window.chunks_exact(width).enumerate() {
                tape.input[(step * rows + row) * width..][..width].copy_from_slice(values);
            }
        }
        for (index, (block, panels)) in self.blocks.iter().zip(&panels.blocks).enumerate() {
            let (before, own) = tape.blocks.split_at_mut(index);
            let input = before.last().map_or(&tape.input, |below| &below.output);
            block.forward(vectors, (weights, panels), (input, rows), &mut own[0]);
        }
        tape.keys.clear();
        if let Dropout::On(keys) = dropout {
            assert!(keys.len().is_multiple_of(rows), "a key for each pass over a row");
            tape.keys.extend_from_slice(keys);
        }
        let drops = !tape.keys.is_empty() && self.shape.dropout > 0.0;
        let outputs = dropout.outputs(rows);
        let mut now = rows;
        for (index, (layer, panels)) in self.layers.iter().zip(&panels.layers).enumerate() {
            let (before, own) = tape.layers.split_at_mut(index);
            let LayerTape { dropped, directions, joined } = &mut own[0];
            let mut input =
                before.last().map_or(tape.blocks[tape.blocks.len() - 1].output.as_slice(), LayerTape::output);
            if index > 0 && drops {
                for step in 0..time {
                    let from = &input[step * now * features..(step + 1) * now * features];
                    let to = &mut dropped[step * outputs * features..(step + 1) * outputs * features];
                    self.drop_rows(vectors, self.place(index, step), &tape.keys, (from, to));
                }
                (input, now) = (dropped, outputs);
            }
            for ((lstm, panels), tape) in layer.iter().zip(panels).zip(&mut *directions) {
                lstm.forward(vectors, panels, (input, now), tape);
            }
            if let [first, second] = directions.as_slice() {
                join(&first.states, &second.states, self.shape.hidden, &mut joined[..time * now * features]);
            }
        }
        let y = tape.layers[tape.layers.len() - 1].output();
        let pooled = (&mut tape.pooling, &mut tape.pooled[..now * features]);
        self.pooling.forward(vectors, (weights, &panels.pooling), (y, now), pooled);
        let (pooled, output) = (&tape.pooled[..now * features], &mut tape.output[..outputs * features]);
        if drops {
            let place = self.place(self.shape.layers, 0);
            self.drop_rows(vectors, place, &tape.keys, (pooled, output));
        } else {
            output.chunks_exact_mut(now * features).for_each(|rows| rows.copy_from_slice(pooled));
        }
    }

    /// Where the draws of a step before a layer begin; behind the last layer there is one step.
    fn place(&self, layer: usize, step: usize) -> u32 {
        let place = ((layer - 1) * self.shape.window + step) * self.features();
        u32::try_from(place).expect("three layers of 512 steps and 2,048 features are fewer")
    }

    /// Rows into rows, again from the first where there are more, each through its mask.
    fn drop_rows(&self, vectors: Vectors, place: u32, keys: &[u64], (from, to): (&[f32], &mut [f32])) {
        let features = self.features();
        let sources = from.chunks_exact(features).cycle();
        for ((row, source), key) in to.chunks_exact_mut(features).zip(sources).zip(keys) {
            row.copy_from_slice(source);
            drop_out(vectors, (*key, place), self.shape.dropout, row);
        }
    }

    /// Gradients of rows before their masks, in place.
    fn drop_back(&self, vectors: Vectors, place: u32, keys: &[u64], d_rows: &mut [f32]) {
        for (row, key) in d_rows.chunks_exact_mut(self.features()).zip(keys) {
            drop_out(vectors, (*key, place), self.shape.dropout, row);
        }
    }

    /// Goes back through the last forward pass, from the gradient that the caller wrote to
    /// [`SequenceTape::output_gradient`]; adds to `gradient`. On a tape for explaining it goes on to
    /// [`SequenceTape::input_gradient`], whose bits depend on the row alone, as those of the features do.
    ///
    /// # Panics
    /// On a tape for asking, or after several passes over a row: a caller's bug.
    pub fn backward(
        &self,
        vectors: Vectors,
        (weights, panels, gradient): (&[f32], &SequencePanels, &mut [f32]),
        rows: usize,
        tape: &mut SequenceTape,
    ) {
        let (time, channels, features) = (self.shape.window, self.shape.channels, self.features());
        let keys = tape.keys.as_slice();
        assert!(keys.is_empty() || keys.len() == rows, "one pass over each row");
        let drops = !keys.is_empty() && self.shape.dropout > 0.0;
        let d_pooled = &mut tape.gradient[..rows * features];
        if drops {
            self.drop_back(vectors, self.place(self.shape.layers, 0), keys, d_pooled);
        }
        let [mut d_y, mut d_input, share] = tape.flows.each_mut();
        let y = tape.layers[tape.layers.len() - 1].output();
        let pooling = (weights, &panels.pooling, &mut *gradient);
        self.pooling.backward(vectors, pooling, (y, d_y), (&mut tape.pooling, d_pooled, rows));
        for (index, (layer, panels)) in self.layers.iter().zip(&panels.layers).enumerate().rev() {
            let (before, own) = tape.layers.split_at_mut(index);
            let LayerTape { dropped, directions, .. } = &mut own[0];
            let below = before.last().map_or(tape.blocks[tape.blocks.len() - 1].output.as_slice(), LayerTape::output);
            let input = if index > 0 && drops { dropped } else { below };
            let inputs = if index == 0 { channels } else { features };
            d_input[..time * rows * inputs].fill(0.0);
            for (direction, ((lstm, panels), tape)) in layer.iter().zip(panels).zip(directions).enumerate() {
                let d_states = if layer.len() > 1 {
                    part(d_y, (direction, self.shape.hidden), &mut share[..time * rows * self.shape.hidden]);
                    &**share
                } else {
                    &**d_y
                };
                lstm.backward(vectors, (panels, &mut *gradient), (input, d_states, d_input), (rows, tape));
            }
            if index > 0 && drops {
                for (step, d_rows) in d_input.chunks_exact_mut(rows * features).take(time).enumerate() {
                    self.drop_back(vectors, self.place(index, step), keys, d_rows);
                }
            }
            std::mem::swap(&mut d_y, &mut d_input);
        }
        for (index, (block, panels)) in self.blocks.iter().zip(&panels.blocks).enumerate().rev() {
            let (before, own) = tape.blocks.split_at_mut(index);
            let input = before.last().map_or(&tape.input, |below| &below.output);
            let d_below = (index > 0 || !tape.input_gradient.is_empty()).then_some(&mut **d_input);
            let weights = (weights, panels, &mut *gradient);
            block.backward(vectors, weights, (input, d_y, d_below), (rows, &mut own[0]));
            std::mem::swap(&mut d_y, &mut d_input);
        }
        let width = self.shape.width;
        for (row, window) in tape.input_gradient.chunks_exact_mut(time * width).take(rows).enumerate() {
            for (step, values) in window.chunks_exact_mut(width).enumerate() {
                values.copy_from_slice(&d_y[(step * rows + row) * width..][..width]);
            }
        }
    }
}

/// Two directions side by side.
fn join(first: &[f32], second: &[f32], hidden: usize, joined: &mut [f32]) {
    let halves = first.chunks_exact(hidden).zip(second.chunks_exact(hidden));
    for (both, (first, second)) in joined.chunks_exact_mut(2 * hidden).zip(halves) {
        both[..hidden].copy_from_slice(first);
        both[hidden..].copy_from_slice(second);
    }
}

/// One direction of two.
fn part(joined: &[f32], (direction, hidden): (usize, usize), own: &mut [f32]) {
    for (own, both) in own.chunks_exact_mut(hidden).zip(joined.chunks_exact(2 * hidden)) {
        own.copy_from_slice(&both[direction * hidden..(direction + 1) * hidden]);
    }
}

impl SequenceTape {
    /// Numbers it has room for: as many for each row.
    #[must_use]
    pub fn values(&self) -> usize {
        let Self { input, blocks, layers, pooling, pooled, output, gradient, input_gradient, flows, .. } = self;
        let own: usize = [input, pooled, output, gradient, input_gradient].map(Vec::len).iter().sum();
        own + flows.iter().map(Vec::len).sum::<usize>()
            + blocks.iter().map(BlockTape::values).sum::<usize>()
            + layers.iter().map(LayerTape::values).sum::<usize>()
            + pooling.values()
    }

    /// `[rows × features]` of the last forward pass.
    #[must_use]
    pub fn output(&self, rows: usize) -> &[f32] {
        &self.output[..rows * self.features]
    }

    /// To be written before a backward pass, `[rows × features]`.
    pub fn output_gradient(&mut self, rows: usize) -> &mut [f32] {
        &mut self.gradient[..rows * self.features]
    }

    /// What rows add to the first convolution's sums.
    pub fn offsets(&mut self) -> &mut Offsets {
        &mut self.blocks[0].offsets
    }

    /// Gradient of the input, `[rows × window × width]`, of the last backward pass.
    ///
    /// # Panics
    /// On a tape that is not for explaining: a caller's bug.
    #[must_use]
    pub fn input_gradient(&self, rows: usize) -> &[f32] {
        &self.input_gradient[..rows * self.input_width]
    }

    /// Shares of attention, `[window × rows]`, of the last forward pass.
    #[must_use]
    pub fn attention(&self) -> &[f32] {
        self.pooling.shares()
    }
}

#[cfg(test)]
pub(crate) mod tests;
