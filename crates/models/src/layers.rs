//! Dense layers and the choices every layer shares.

use tch::Tensor;
use tch::nn::{Init, Path};

/// What a network is computed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Dropout is active.
    Training,
    /// Dropout is off: the same input gives the same output.
    Inference,
}

impl Mode {
    pub(crate) fn is_training(self) -> bool {
        self == Self::Training
    }
}

/// What weights hold before anything is learned or loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Initial {
    /// Drawn from libtorch's generator: seed it first.
    Drawn,
    /// Zeros, to be loaded; draws nothing.
    Zeros,
}

impl Initial {
    /// `init` where weights are drawn.
    pub(crate) fn or_zeros(self, init: Init) -> Init {
        match self {
            Self::Drawn => init,
            Self::Zeros => Init::Const(0.0),
        }
    }
}

/// How a layer's weights are drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Draw {
    /// Uniform within 1/√inputs, biases too: libtorch's own.
    Uniform,
    /// Orthogonal with this gain, biases zero (Saxe et al. 2014).
    Orthogonal(f64),
}

/// x·Wᵀ + b.
#[derive(Debug)]
pub(crate) struct Dense {
    weight: Tensor,
    bias: Tensor,
}

impl Dense {
    pub(crate) fn new(path: &Path<'_>, inputs: i64, outputs: i64, draw: Draw, initial: Initial) -> Self {
        let bound = 1.0 / (inputs as f64).sqrt();
        let uniform = Init::Uniform { lo: -bound, up: bound };
        let (weight, bias) = match draw {
            Draw::Uniform => (uniform, uniform),
            Draw::Orthogonal(gain) => (Init::Orthogonal { gain }, Init::Const(0.0)),
        };
        Self {
            weight: path.var("weight", &[outputs, inputs], initial.or_zeros(weight)),
            bias: path.var("bias", &[outputs], initial.or_zeros(bias)),
        }
    }

    /// # Shapes
    /// `[…, inputs]` → `[…, outputs]`.
    pub(crate) fn forward(&self, input: &Tensor) -> Tensor {
        input.linear(&self.weight, Some(&self.bias))
    }
}

/// Dense layers with tanh after each.
#[derive(Debug)]
pub(crate) struct Mlp {
    layers: Vec<Dense>,
    /// Units of the last layer.
    pub(crate) outputs: i64,
}

impl Mlp {
    pub(crate) fn new(path: &Path<'_>, inputs: i64, hidden: &[u32], draw: Draw, initial: Initial) -> Self {
        let mut width = inputs;
        let mut layers = Vec::with_capacity(hidden.len());
        for (index, units) in hidden.iter().enumerate() {
            let units = i64::from(*units);
            layers.push(Dense::new(&(path / format!("layer{index}")), width, units, draw, initial));
            width = units;
        }
        Self { layers, outputs: width }
    }

    /// # Shapes
    /// `[batch, inputs]` → `[batch, outputs]`.
    pub(crate) fn forward(&self, input: &Tensor) -> Tensor {
        self.layers.iter().fold(input.shallow_clone(), |x, layer| layer.forward(&x).tanh())
    }
}
