//! Forecasts direction and return from one encoding.

use tch::nn::{Init, Path};
use tch::{Kind, Tensor};

use crate::encoder::Encoder;
use crate::layers::Dense;
use crate::{Initial, Mode, NetworkSpec};

/// What the heads put out.
#[derive(Debug)]
pub struct Forecast {
    /// `[batch, 3]`: logits of down, flat, up.
    pub direction: Tensor,
    /// `[batch]`: forward return in standard deviations of the training labels.
    pub standardised_return: Tensor,
}

/// An encoder with a direction head and a return head.
#[derive(Debug)]
pub struct Forecaster {
    encoder: Encoder,
    direction: Dense,
    value: Dense,
    /// `[1]`: log return in one standardised unit. Fitted on the training labels; not learned.
    return_scale: Tensor,
}

impl Forecaster {
    pub(crate) fn new(path: &Path<'_>, spec: &NetworkSpec, initial: Initial) -> Self {
        let encoder = Encoder::new(&(path / "encoder"), spec, initial);
        let features = encoder.outputs();
        Self {
            encoder,
            direction: Dense::new(&(path / "direction"), features, 3, initial),
            value: Dense::new(&(path / "return"), features, 1, initial),
            return_scale: path.add("return_scale", tch::nn::init(Init::Const(1.0), &[1], path.device()), false),
        }
    }

    /// # Shapes
    /// `input`: `[batch, window × width]`.
    #[must_use]
    pub fn forward(&self, input: &Tensor, mode: Mode) -> Forecast {
        let features = self.encoder.forward(input, mode);
        Forecast {
            direction: self.direction.forward(&features),
            standardised_return: self.value.forward(&features).squeeze_dim(1),
        }
    }

    /// Sets the log return of one standardised unit.
    pub fn set_return_scale(&mut self, scale: f64) {
        tch::no_grad(|| {
            let _ = self.return_scale.fill_(scale);
        });
    }

    /// Probabilities of down, flat, up and the expected log return: `[batch, 4]`.
    pub(crate) fn outputs(&self, input: &Tensor) -> Tensor {
        let forecast = self.forward(input, Mode::Inference);
        let expected = (forecast.standardised_return * &self.return_scale).unsqueeze(1);
        Tensor::cat(&[forecast.direction.softmax(1, Kind::Float), expected], 1)
    }
}
