//! Forecasts direction, return and volatility from one encoding of a window.
//!
//! Computed by `neural` in a fixed order of operations, in training and everywhere else: a row's forecast has the same
//! bits in any batch, and on any machine with fused multiply-adds.

use std::ops::Range;

use neural::sequence::{self, Purpose, SequencePanels};
use neural::{
    Dropout, Layout, Linear, LinearPanels, Offsets, Sequence, SequenceShape, SequenceTape, Stack, StackTape, Vectors,
};
use spec::{Activation, HeadSpec, ModelSpec, Output, Precision, ReturnHead, Spread};

use crate::{ModelError, NetworkKind, NetworkSpec};

/// Directions: down, flat, up.
pub const CLASSES: usize = 3;

/// Deviations and volatilities are kept within e^± this of one standardised unit.
const LOG_MAX: f32 = 10.0;

/// From a row to features.
#[derive(Clone, Debug)]
enum Encoder {
    Sequence(Box<Sequence>),
    Stack(Stack),
}

/// An encoder with its heads; weights live in one flat buffer.
#[derive(Clone, Debug)]
pub struct Forecaster {
    encoder: Encoder,
    /// In the order of the outputs.
    heads: Vec<Linear>,
    kinds: HeadSpec,
    inputs: usize,
    /// Values of the flat buffer that are its own, from the first.
    end: usize,
}

/// Weights in the order of the kernels.
#[derive(Clone, Debug)]
pub struct ForecasterPanels {
    encoder: EncoderPanels,
    heads: Vec<LinearPanels>,
}

#[derive(Clone, Debug)]
enum EncoderPanels {
    Sequence(Box<SequencePanels>),
    Stack(Vec<LinearPanels>),
}

/// Activations of some rows.
#[derive(Clone, Debug)]
pub struct ForecasterTape {
    encoder: EncoderTape,
    /// `[rows × outputs of the head]` each.
    heads: Vec<Vec<f32>>,
    /// `[rows × outputs]`: what the heads say, and its gradient.
    outputs: Vec<f32>,
    gradient: Vec<f32>,
    width: usize,
}

#[derive(Clone, Debug)]
enum EncoderTape {
    Sequence(Box<SequenceTape>),
    Stack(StackTape),
}

impl ForecasterTape {
    /// Numbers it has room for.
    fn values(&self) -> usize {
        let encoder = match &self.encoder {
            EncoderTape::Sequence(tape) => tape.values(),
            EncoderTape::Stack(tape) => tape.values(),
        };
        encoder + self.heads.iter().map(Vec::len).sum::<usize>() + self.outputs.len() + self.gradient.len()
    }
}

impl EncoderTape {
    fn output(&self, rows: usize) -> &[f32] {
        match self {
            Self::Sequence(tape) => tape.output(rows),
            Self::Stack(tape) => tape.output(rows),
        }
    }

    fn output_gradient(&mut self, rows: usize) -> &mut [f32] {
        match self {
            Self::Sequence(tape) => tape.output_gradient(rows),
            Self::Stack(tape) => tape.output_gradient(rows),
        }
    }
}

/// What one standardised unit is, fitted on the training labels; not learned.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scales {
    /// Of the return over the horizon, log return.
    pub returns: f32,
    /// Of one-bar volatility, log return.
    pub volatility: f32,
}

impl Default for Scales {
    fn default() -> Self {
        Self { returns: 1.0, volatility: 1.0 }
    }
}

impl Forecaster {
    /// Adds its tensors to an empty layout: `encoder…`, then the heads. A learner may place more behind them.
    ///
    /// # Errors
    /// As [`NetworkSpec::check`]; [`ModelError::Shape`] for a network that is an agent's.
    pub fn new(layout: &mut Layout, spec: &NetworkSpec) -> Result<Self, ModelError> {
        spec.check()?;
        let kinds = match spec.kind {
            NetworkKind::Forecaster => HeadSpec::default(),
            NetworkKind::MultiTask { heads } => heads,
            NetworkKind::Policy { .. } => {
                return Err(ModelError::Shape { what: "kind", value: "policy".to_owned(), range: "a forecaster" });
            }
        };
        let encoder = encoder(layout, spec);
        let features = encoder.features();
        let mut heads = vec![Linear::new(layout, "direction", (features, CLASSES))];
        heads.push(Linear::new(layout, "return", (features, kinds.returns.outputs())));
        if kinds.volatility.outputs() > 0 {
            heads.push(Linear::new(layout, "volatility", (features, kinds.volatility.outputs())));
        }
        Ok(Self { encoder, heads, kinds, inputs: spec.input_width(), end: layout.len() })
    }

    /// The same network, whose LSTM layers learn in `precision`: its panels and tapes are for learning alone. In mixed precision
    /// a tape has room for 32 rows at most.
    #[must_use]
    pub fn learning_in(mut self, precision: Precision) -> Self {
        let precision = match precision {
            Precision::Single => sequence::Precision::Single,
            Precision::Mixed => sequence::Precision::Mixed,
        };
        self.encoder = match self.encoder {
            Encoder::Sequence(network) => Encoder::Sequence(Box::new(network.learning_in(precision))),
            Encoder::Stack(network) => Encoder::Stack(network),
        };
        self
    }

    /// What it forecasts beside directions.
    #[must_use]
    pub const fn heads(&self) -> HeadSpec {
        self.kinds
    }

    /// Values of a flat buffer that are its own, from the first.
    #[must_use]
    pub const fn end(&self) -> usize {
        self.end
    }

    /// The first layer's bias in a flat buffer. An offset that all rows share may be added to it instead, to the same bits.
    #[must_use]
    pub fn entry(&self) -> Range<usize> {
        match &self.encoder {
            Encoder::Sequence(network) => network.entry(),
            Encoder::Stack(network) => network.entry(),
        }
    }

    /// Features that the encoder makes of a row: what the heads see.
    #[must_use]
    pub fn features(&self) -> usize {
        self.encoder.features()
    }

    /// Values of an output row: logits of the directions, the return's, the volatility's.
    #[must_use]
    pub fn outputs(&self) -> usize {
        self.heads.iter().map(Linear::outputs).sum()
    }

    /// Multiply-adds of a forward pass over one row.
    #[must_use]
    pub fn multiply_adds(&self) -> u64 {
        let encoder = match &self.encoder {
            Encoder::Sequence(network) => network.multiply_adds(),
            Encoder::Stack(network) => network.multiply_adds(),
        };
        encoder + self.heads.iter().map(Linear::multiply_adds).sum::<u64>()
    }

    /// Room for up to `rows` rows.
    #[must_use]
    pub fn tape(&self, rows: usize, purpose: Purpose) -> ForecasterTape {
        let encoder = match &self.encoder {
            Encoder::Sequence(network) => EncoderTape::Sequence(Box::new(network.tape(rows, purpose))),
            Encoder::Stack(network) => EncoderTape::Stack(network.tape(rows, purpose)),
        };
        self.around(encoder, rows)
    }

    /// The same for learning, with an offset for each row: what it is of adds to the first layer's sums.
    #[must_use]
    pub fn tape_with_offsets(&self, rows: usize) -> ForecasterTape {
        let encoder = match &self.encoder {
            Encoder::Sequence(network) => EncoderTape::Sequence(Box::new(network.tape_with_offsets(rows))),
            Encoder::Stack(network) => EncoderTape::Stack(network.tape_with_offsets(rows)),
        };
        self.around(encoder, rows)
    }

    fn around(&self, encoder: EncoderTape, rows: usize) -> ForecasterTape {
        let width = self.outputs();
        let heads = self.heads.iter().map(|head| vec![0.0; rows * head.outputs()]).collect();
        ForecasterTape { encoder, heads, outputs: vec![0.0; rows * width], gradient: vec![0.0; rows * width], width }
    }

    /// Bytes of a tape for `rows` rows, at least one. Each takes as much, so two tapes are made to count them.
    #[must_use]
    pub fn tape_bytes(&self, rows: usize, purpose: Purpose) -> usize {
        let [one, two] = [1, 2].map(|rows| self.tape(rows, purpose).values());
        (one + (rows - 1) * (two - one)) * size_of::<f32>()
    }

    /// Room for its weights.
    #[must_use]
    pub fn panels(&self) -> ForecasterPanels {
        let encoder = match &self.encoder {
            Encoder::Sequence(network) => EncoderPanels::Sequence(Box::new(network.panels())),
            Encoder::Stack(network) => EncoderPanels::Stack(network.panels()),
        };
        ForecasterPanels { encoder, heads: self.heads.iter().map(Linear::panels).collect() }
    }

    /// Brings the weights into the order of the kernels: due after each change of them.
    ///
    /// # Panics
    /// For panels of another network: a caller's bug; so below.
    pub fn pack(&self, weights: &[f32], panels: &mut ForecasterPanels) {
        match (&self.encoder, &mut panels.encoder) {
            (Encoder::Sequence(network), EncoderPanels::Sequence(panels)) => network.pack(weights, panels),
            (Encoder::Stack(network), EncoderPanels::Stack(panels)) => network.pack(weights, panels),
            (Encoder::Sequence(_) | Encoder::Stack(_), _) => panic!("panels of another network"),
        }
        self.heads.iter().zip(&mut panels.heads).for_each(|(head, panels)| head.pack(weights, panels));
    }

    /// Computes some rows; the result is [`ForecasterTape::outputs`], as many rows as [`Dropout::outputs`] says.
    ///
    /// # Shapes
    /// `input`: `[rows × input_width]`.
    pub fn forward(
        &self,
        vectors: Vectors,
        (weights, panels): (&[f32], &ForecasterPanels),
        (input, rows, dropout): (&[f32], usize, Dropout<'_>),
        tape: &mut ForecasterTape,
    ) {
        let count = dropout.outputs(rows);
        match (&self.encoder, &panels.encoder, &mut tape.encoder) {
            (Encoder::Sequence(network), EncoderPanels::Sequence(panels), EncoderTape::Sequence(tape)) => {
                network.forward(vectors, (weights, panels), (input, rows, dropout), tape);
            }
            (Encoder::Stack(network), EncoderPanels::Stack(panels), EncoderTape::Stack(tape)) if count == rows => {
                network.forward(vectors, panels, (input, count), tape);
            }
            (Encoder::Stack(network), EncoderPanels::Stack(panels), EncoderTape::Stack(tape)) => {
                // It has no dropout: all passes over a row are one.
                let again = input[..rows * self.inputs].iter().copied().cycle().take(count * self.inputs);
                network.forward(vectors, panels, (&again.collect::<Vec<f32>>(), count), tape);
            }
            (Encoder::Sequence(_) | Encoder::Stack(_), _, _) => panic!("panels or a tape of another network"),
        }
        let features = tape.encoder.output(count);
        let mut at = 0;
        for ((head, panels), said) in self.heads.iter().zip(&panels.heads).zip(&mut tape.heads) {
            head.forward(vectors, panels, (features, count), said);
            let width = head.outputs();
            for (row, said) in tape.outputs.chunks_exact_mut(tape.width).zip(said.chunks_exact(width)).take(count) {
                row[at..at + width].copy_from_slice(said);
            }
            at += width;
        }
    }

    /// Goes back through the last forward pass, from the gradient that the caller wrote to
    /// [`ForecasterTape::outputs_and_gradient`]; adds to `gradient`. On a tape for explaining it goes on to
    /// [`ForecasterTape::input_gradient`].
    pub fn backward(
        &self,
        vectors: Vectors,
        (weights, panels, gradient): (&[f32], &ForecasterPanels, &mut [f32]),
        (input, rows): (&[f32], usize),
        tape: &mut ForecasterTape,
    ) {
        tape.encoder.output_gradient(rows).fill(0.0);
        let mut at = 0;
        for ((head, panels), d_said) in self.heads.iter().zip(&panels.heads).zip(&mut tape.heads) {
            let width = head.outputs();
            let d_rows = tape.gradient.chunks_exact(tape.width).zip(d_said.chunks_exact_mut(width)).take(rows);
            d_rows.for_each(|(d_row, d_said)| d_said.copy_from_slice(&d_row[at..at + width]));
            head.learn((tape.encoder.output(rows), d_said), rows, gradient);
            head.back(vectors, panels, (d_said, rows), tape.encoder.output_gradient(rows));
            at += width;
        }
        match (&self.encoder, &panels.encoder, &mut tape.encoder) {
            (Encoder::Sequence(network), EncoderPanels::Sequence(panels), EncoderTape::Sequence(tape)) => {
                network.backward(vectors, (weights, panels, gradient), rows, tape);
            }
            (Encoder::Stack(network), EncoderPanels::Stack(panels), EncoderTape::Stack(tape)) => {
                network.backward(vectors, (panels, gradient), (input, rows), tape);
            }
            (Encoder::Sequence(_) | Encoder::Stack(_), _, _) => panic!("panels or a tape of another network"),
        }
    }

    /// What an output row says, in log returns.
    #[must_use]
    pub fn read(&self, outputs: &[f32], scales: Scales) -> Output {
        let (directions, rest) = outputs.split_at(CLASSES);
        let (returns, volatility) = rest.split_at(self.kinds.returns.outputs());
        let (expected, spread) = match self.kinds.returns {
            ReturnHead::Point => (returns[0], None),
            ReturnHead::Gaussian => (returns[0], Some(Spread::Deviation(bounded_exp(returns[1]) * scales.returns))),
            ReturnHead::Quantiles => {
                let quantiles = ascending(returns);
                (quantiles[2], Some(Spread::Quantiles(quantiles.map(|quantile| quantile * scales.returns))))
            }
        };
        Output::Forecast {
            probabilities: softmax(directions),
            expected_return: expected * scales.returns,
            spread,
            volatility: volatility.first().map(|log| bounded_exp(*log) * scales.volatility),
        }
    }
}

impl ForecasterTape {
    /// `[rows × outputs]` of the last forward pass.
    #[must_use]
    pub fn outputs(&self, rows: usize) -> &[f32] {
        &self.outputs[..rows * self.width]
    }

    /// Outputs and, to be written before a backward pass, their gradient; both `[rows × outputs]`.
    pub fn outputs_and_gradient(&mut self, rows: usize) -> (&[f32], &mut [f32]) {
        (&self.outputs[..rows * self.width], &mut self.gradient[..rows * self.width])
    }

    /// What rows add to the first layer's sums; none but on a tape with offsets.
    pub fn offsets(&mut self) -> &mut Offsets {
        match &mut self.encoder {
            EncoderTape::Sequence(tape) => tape.offsets(),
            EncoderTape::Stack(tape) => tape.offsets(),
        }
    }

    /// What the heads saw, `[rows × features]`, in the last forward pass.
    #[must_use]
    pub fn features(&self, rows: usize) -> &[f32] {
        self.encoder.output(rows)
    }

    /// Gradient of the input, `[rows × input_width]`, of the last backward pass on a tape for explaining.
    #[must_use]
    pub fn input_gradient(&self, rows: usize) -> &[f32] {
        match &self.encoder {
            EncoderTape::Sequence(tape) => tape.input_gradient(rows),
            EncoderTape::Stack(tape) => tape.input_gradient(rows),
        }
    }

    /// Shares of attention, `[window × rows]`, of the last forward pass; `None` of an encoder without attention.
    #[must_use]
    pub fn attention(&self) -> Option<&[f32]> {
        match &self.encoder {
            EncoderTape::Sequence(tape) => Some(tape.attention()),
            EncoderTape::Stack(_) => None,
        }
    }
}

impl Encoder {
    fn features(&self) -> usize {
        match self {
            Self::Sequence(network) => network.features(),
            Self::Stack(network) => network.outputs(),
        }
    }
}

fn encoder(layout: &mut Layout, spec: &NetworkSpec) -> Encoder {
    match &spec.model {
        ModelSpec::CnnLstm {
            channels,
            kernel,
            hidden,
            layers,
            dropout,
            burn_in: _,
            dilations,
            normalisation,
            shortcut,
            directions,
        } => {
            let shape = SequenceShape {
                window: spec.window,
                width: spec.width,
                channels: *channels as usize,
                kernel: *kernel as usize,
                dilations: dilations.iter().map(|dilation| *dilation as usize).collect(),
                normalisation: match normalisation {
                    spec::Normalisation::Off => sequence::Normalisation::Off,
                    spec::Normalisation::Layer => sequence::Normalisation::Layer,
                    spec::Normalisation::Group { groups } => sequence::Normalisation::Group(*groups as usize),
                },
                shortcut: match shortcut {
                    spec::Shortcut::Off => sequence::Shortcut::Off,
                    spec::Shortcut::Residual => sequence::Shortcut::Residual,
                },
                hidden: *hidden as usize,
                layers: *layers as usize,
                directions: match directions {
                    spec::Directions::Forward => sequence::Directions::Forward,
                    spec::Directions::Both => sequence::Directions::Both,
                },
                dropout: *dropout as f32,
            };
            Encoder::Sequence(Box::new(Sequence::new(layout, "encoder", shape)))
        }
        ModelSpec::Mlp { hidden, activation } => {
            let hidden: Vec<usize> = hidden.iter().map(|units| *units as usize).collect();
            let activation = match activation.unwrap_or(Activation::Tanh) {
                Activation::Relu => neural::Activation::Relu,
                Activation::Tanh => neural::Activation::Tanh,
            };
            Encoder::Stack(Stack::new(layout, "encoder", (spec.input_width(), &hidden), activation))
        }
    }
}

/// Probabilities of logits. By a library of its own, since libm's bits differ from machine to machine.
#[must_use]
pub fn softmax(logits: &[f32]) -> [f32; CLASSES] {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: [f32; CLASSES] = std::array::from_fn(|class| libm::expf(logits[class] - most));
    let sum: f32 = powers.iter().sum();
    powers.map(|power| power / sum)
}

/// e^x, kept where a deviation makes sense.
#[must_use]
pub fn bounded_exp(log: f32) -> f32 {
    libm::expf(log.clamp(-LOG_MAX, LOG_MAX))
}

/// The slope of [`bounded_exp`]: 0 where it is kept.
pub(crate) fn slope_of_bounded_exp(log: f32) -> f32 {
    if log.abs() < LOG_MAX { bounded_exp(log) } else { 0.0 }
}

/// Quantiles from what the head puts out: the middle one, then the steps inwards to outwards, down and up, each through
/// ln(1 + e^x), so that no two cross.
#[must_use]
pub fn ascending(outputs: &[f32]) -> [f32; 5] {
    let step = |index: usize| softplus(outputs[index]);
    let middle = outputs[0];
    let (low, high) = (middle - step(1), middle + step(3));
    [low - step(2), low, middle, high, high + step(4)]
}

/// ln(1 + e^x).
fn softplus(x: f32) -> f32 {
    if x > 20.0 { x } else { libm::log1pf(libm::expf(x)) }
}
