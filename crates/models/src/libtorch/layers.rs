//! Dense layers and the choices every layer shares.

use spec::Activation;
use tch::Tensor;
use tch::nn::{Init, Path};

/// What a network is computed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
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
pub(crate) enum Initial {
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

/// x·Wᵀ + b, first drawn uniformly within 1/√inputs.
#[derive(Debug)]
pub(crate) struct Dense {
    weight: Tensor,
    bias: Tensor,
}

impl Dense {
    pub(crate) fn new(path: &Path<'_>, inputs: i64, outputs: i64, initial: Initial) -> Self {
        let bound = 1.0 / (inputs as f64).sqrt();
        let uniform = initial.or_zeros(Init::Uniform { lo: -bound, up: bound });
        Self { weight: path.var("weight", &[outputs, inputs], uniform), bias: path.var("bias", &[outputs], uniform) }
    }

    /// # Shapes
    /// `[…, inputs]` → `[…, outputs]`.
    pub(crate) fn forward(&self, input: &Tensor) -> Tensor {
        input.linear(&self.weight, Some(&self.bias))
    }
}

/// Dense layers, each with an activation.
#[derive(Debug)]
pub(crate) struct Mlp {
    layers: Vec<Dense>,
    activation: Activation,
    /// Units of the last layer.
    pub(crate) outputs: i64,
}

impl Mlp {
    pub(crate) fn new(
        path: &Path<'_>,
        (inputs, hidden, activation): (i64, &[u32], Activation),
        initial: Initial,
    ) -> Self {
        let mut width = inputs;
        let mut layers = Vec::with_capacity(hidden.len());
        for (index, units) in hidden.iter().enumerate() {
            let units = i64::from(*units);
            layers.push(Dense::new(&(path / format!("layer{index}")), width, units, initial));
            width = units;
        }
        Self { layers, activation, outputs: width }
    }

    /// # Shapes
    /// `[batch, inputs]` → `[batch, outputs]`.
    pub(crate) fn forward(&self, input: &Tensor) -> Tensor {
        self.layers.iter().fold(input.shallow_clone(), |x, layer| match self.activation {
            Activation::Relu => layer.forward(&x).relu(),
            Activation::Tanh => layer.forward(&x).tanh(),
        })
    }
}
