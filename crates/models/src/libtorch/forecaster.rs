//! The plain forecaster in libtorch's tensors.

use tch::Tensor;
use tch::nn::Path;

use super::encoder::Encoder;
use super::layers::{Dense, Initial, Mode};
use crate::NetworkSpec;

/// What the heads put out.
#[derive(Debug)]
pub(crate) struct Forecast {
    /// `[batch, 3]`: logits of down, flat, up.
    pub(crate) direction: Tensor,
    /// `[batch]`: forward return in standard deviations of the training labels.
    pub(crate) standardised_return: Tensor,
}

/// An encoder with a direction head and a return head.
#[derive(Debug)]
pub(crate) struct Forecaster {
    encoder: Encoder,
    direction: Dense,
    value: Dense,
}

impl Forecaster {
    pub(crate) fn new(path: &Path<'_>, spec: &NetworkSpec, initial: Initial) -> Self {
        let encoder = Encoder::new(&(path / "encoder"), spec, initial);
        let features = encoder.outputs();
        Self {
            encoder,
            direction: Dense::new(&(path / "direction"), features, 3, initial),
            value: Dense::new(&(path / "return"), features, 1, initial),
        }
    }

    /// # Shapes
    /// `input`: `[batch, window × width]`.
    pub(crate) fn forward(&self, input: &Tensor, mode: Mode) -> Forecast {
        let features = self.encoder.forward(input, mode);
        Forecast {
            direction: self.direction.forward(&features),
            standardised_return: self.value.forward(&features).squeeze_dim(1),
        }
    }
}
