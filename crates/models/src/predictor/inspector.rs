//! Looks into a forecaster: how each of its numbers hangs on each value of a row, and where its attention lies. What the
//! network says of a row is the Predictor's; nothing here changes that.

use std::fmt;
use std::str::FromStr;

use neural::Dropout;
use neural::sequence::Purpose;
use serde::{Deserialize, Serialize};
use spec::Output;

use super::{Asked, Network, ROWS, together};
use crate::forecaster::slope_of_bounded_exp;
use crate::{CLASSES, Forecaster, ForecasterTape, ModelError, Predictor, Scales, softmax};

/// One number of those that a forecaster says, before any calibration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// Log return over the horizon.
    ExpectedReturn,
    /// Probability of down.
    Down,
    /// Probability of flat.
    Flat,
    /// Probability of up.
    Up,
    /// Deviation of one-bar log returns over the horizon.
    Volatility,
}

impl Target {
    /// All, in the order of reports.
    pub const ALL: [Self; 5] = [Self::ExpectedReturn, Self::Down, Self::Flat, Self::Up, Self::Volatility];

    /// As commands and files name it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ExpectedReturn => "expected-return",
            Self::Down => "down",
            Self::Flat => "flat",
            Self::Up => "up",
            Self::Volatility => "volatility",
        }
    }

    /// The number in an output; `None` where it does not say it.
    #[must_use]
    pub fn of(self, output: &Output) -> Option<f32> {
        let Output::Forecast { probabilities: [down, flat, up], expected_return, volatility, .. } = output else {
            return None;
        };
        match self {
            Self::ExpectedReturn => Some(*expected_return),
            Self::Down => Some(*down),
            Self::Flat => Some(*flat),
            Self::Up => Some(*up),
            Self::Volatility => *volatility,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Target {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let names = Self::ALL.map(Self::name).join(", ");
        Self::ALL.into_iter().find(|target| target.name() == text).ok_or_else(|| format!("use one of {names}"))
    }
}

/// A forecaster that is looked into. Its tape is scratch.
#[derive(Debug)]
pub struct Inspector<'a> {
    predictor: &'a Predictor,
    target: Target,
    tape: ForecasterTape,
    /// Gradient of the weights: the way back computes it, and nobody asks for it here.
    unused: Vec<f32>,
}

impl Predictor {
    /// Looks into this forecaster, at one of its numbers.
    ///
    /// # Errors
    /// [`ModelError::Shape`] for a network that is no forecaster, or that does not say the number.
    pub fn inspector(&self, target: Target) -> Result<Inspector<'_>, ModelError> {
        let asked = self.asked()?;
        if target == Target::Volatility && asked.network.heads().volatility.outputs() == 0 {
            let range = "expected-return, down, flat or up: this network has no head of volatility";
            return Err(ModelError::Shape { what: "target", value: target.to_string(), range });
        }
        let tape = asked.network.tape(ROWS, Purpose::Explaining);
        Ok(Inspector { predictor: self, target, tape, unused: vec![0.0; asked.weights.len()] })
    }

    pub(super) fn asked(&self) -> Result<&Asked, ModelError> {
        match &self.network {
            Network::Forecaster(asked) => Ok(asked),
            Network::Policy { .. } | Network::Ensemble(_) => Err(ModelError::Shape {
                what: "kind",
                value: "a policy or an ensemble".to_owned(),
                range: "a forecaster",
            }),
        }
    }
}

impl Inspector<'_> {
    /// Values of a row.
    #[must_use]
    pub fn input_width(&self) -> usize {
        self.predictor.input_width()
    }

    /// The number for each row: bit for bit what [`Predictor::predict`] says where nothing is calibrated.
    ///
    /// # Errors
    /// As [`Predictor::predict`].
    pub fn values(&self, rows: &[&[f32]]) -> Result<Vec<f32>, ModelError> {
        self.predictor.check(rows)?;
        let (asked, mut outputs) = (self.predictor.asked()?, Vec::with_capacity(rows.len()));
        for rows in rows.chunks(together(rows.len())) {
            asked.answer(&rows.concat(), rows.len(), Dropout::Off, &mut outputs)?;
        }
        let value = |(row, output): (usize, &Output)| self.target.of(output).ok_or(ModelError::Output { row });
        outputs.iter().enumerate().map(value).collect()
    }

    /// The gradient of the number by each value of each row. Its bits depend on the row alone.
    ///
    /// # Shapes
    /// `[rows × input_width]`, each row's as the row itself.
    ///
    /// # Errors
    /// As [`Predictor::predict`]; [`ModelError::Output`] for a gradient that is not finite.
    pub fn gradients(&mut self, rows: &[&[f32]]) -> Result<Vec<f32>, ModelError> {
        self.predictor.check(rows)?;
        let Asked { network, weights, panels, scales, vectors, .. } = self.predictor.asked()?;
        let mut gradients = Vec::with_capacity(rows.len() * self.predictor.input_width());
        for rows in rows.chunks(ROWS) {
            let (input, count) = (rows.concat(), rows.len());
            network.forward(*vectors, (weights, panels), (&input, count, Dropout::Off), &mut self.tape);
            let (outputs, slopes) = self.tape.outputs_and_gradient(count);
            let width = network.outputs();
            for (output, slope) in outputs.chunks_exact(width).zip(slopes.chunks_exact_mut(width)) {
                network.slope((self.target, *scales), output, slope);
            }
            self.unused.fill(0.0);
            network.backward(*vectors, (weights, panels, &mut self.unused), (&input, count), &mut self.tape);
            gradients.extend_from_slice(self.tape.input_gradient(count));
        }
        match gradients.iter().position(|value| !value.is_finite()) {
            Some(at) => Err(ModelError::Output { row: at / self.predictor.input_width() }),
            None => Ok(gradients),
        }
    }

    /// The share of attention that each bar of a row's window gets, oldest first; they add up to 1. `None` of a network
    /// without attention.
    ///
    /// # Errors
    /// As [`Predictor::predict`].
    pub fn attention(&mut self, row: &[f32]) -> Result<Option<Vec<f32>>, ModelError> {
        self.predictor.check(&[row])?;
        let Asked { network, weights, panels, vectors, .. } = self.predictor.asked()?;
        network.forward(*vectors, (weights, panels), (row, 1, Dropout::Off), &mut self.tape);
        let window = self.predictor.spec.window;
        Ok(self.tape.attention().map(|shares| shares[..window].to_vec()))
    }
}

impl Forecaster {
    /// The gradient of a number by an output row: what [`Forecaster::read`] makes of the row, differentiated.
    fn slope(&self, (target, scales): (Target, Scales), outputs: &[f32], slope: &mut [f32]) {
        slope.fill(0.0);
        let mut class = |class: usize| {
            let shares = softmax(&outputs[..CLASSES]);
            for (other, slope) in slope[..CLASSES].iter_mut().enumerate() {
                let own = if other == class { 1.0 } else { 0.0 };
                *slope = shares[class] * (own - shares[other]);
            }
        };
        match target {
            Target::Down => class(0),
            Target::Flat => class(1),
            Target::Up => class(2),
            // The first of any return head is its middle.
            Target::ExpectedReturn => slope[CLASSES] = scales.returns,
            Target::Volatility => {
                let at = CLASSES + self.heads().returns.outputs();
                slope[at] = slope_of_bounded_exp(outputs[at]) * scales.volatility;
            }
        }
    }
}

#[cfg(test)]
mod tests;
