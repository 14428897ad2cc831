//! Adam and AdamW over all weights at once, with a state that is data.
//!
//! Weights, gradients and moments lie in one flat tensor each, and the network's variables are views into it. So a step
//! is ten operations however many layers there are, and a checkpoint holds two tensors and a count.

use models::weights::{self, Named};
use serde::{Deserialize, Serialize};
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

use crate::checkpoint::CheckpointError;

/// Variables start at multiples of this many values, 64 bytes: kernels may choose by alignment.
const ALIGN: i64 = 16;

/// Decay of the gradient's running mean.
const BETA_1: f64 = 0.9;
/// Decay of its square's.
const BETA_2: f64 = 0.999;

/// What Adam is told once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct AdamOptions {
    /// Added to the denominator.
    pub(crate) epsilon: f64,
    /// Decoupled weight decay (Loshchilov and Hutter 2019); 0 is plain Adam (Kingma and Ba 2015).
    pub(crate) weight_decay: f64,
}

/// Steps done: with the two moments, all of Adam's state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct AdamSteps(pub(crate) u64);

/// The optimiser of a network.
pub(crate) struct Adam {
    options: AdamOptions,
    steps: AdamSteps,
    weights: Tensor,
    gradient: Tensor,
    first: Tensor,
    second: Tensor,
}

/// A gradient is not finite.
#[derive(Debug)]
pub(crate) struct BadGradient;

impl Adam {
    /// Takes over the trainable variables of `store`: they keep their values and become views.
    pub(crate) fn new(store: &VarStore, options: AdamOptions) -> Self {
        let mut variables: Vec<Tensor> = weights::named(store).into_values().filter(Tensor::requires_grad).collect();
        let length = |variable: &Tensor| (variable.numel() as i64 + ALIGN - 1) / ALIGN * ALIGN;
        let total: i64 = variables.iter().map(length).sum();
        let zeros = || Tensor::zeros([total], (Kind::Float, Device::Cpu));
        let optimiser = Self {
            options,
            steps: AdamSteps::default(),
            weights: zeros(),
            gradient: zeros(),
            first: zeros(),
            second: zeros(),
        };
        // Gradients exist only after a backward pass: this one gives every variable one, to be made a view.
        variables.iter().map(|variable| variable.sum(Kind::Float)).sum::<Tensor>().backward();
        tch::no_grad(|| {
            let mut at = 0;
            for variable in &mut variables {
                let view = |flat: &Tensor| flat.narrow(0, at, variable.numel() as i64).view(variable.size().as_slice());
                let (mut own, gradient) = (view(&optimiser.weights), view(&optimiser.gradient));
                own.copy_(variable);
                variable.grad().set_data(&gradient);
                at += length(variable);
                variable.set_data(&own);
            }
        });
        optimiser
    }

    /// Forgets the gradients of the last step.
    pub(crate) fn zero_gradient(&mut self) {
        let _ = self.gradient.zero_();
    }

    /// Scales the gradient of all weights together down to `norm_max`.
    pub(crate) fn clip(&mut self, norm_max: f64) -> Result<(), BadGradient> {
        let norm = self.gradient.norm().double_value(&[]);
        if !norm.is_finite() {
            return Err(BadGradient);
        }
        if norm > norm_max {
            let _ = self.gradient.g_mul_scalar_(norm_max / (norm + 1e-6));
        }
        Ok(())
    }

    /// One step against the gradient. Returns the steps done.
    pub(crate) fn step(&mut self, learning_rate: f64) -> AdamSteps {
        let AdamOptions { epsilon, weight_decay } = self.options;
        self.steps.0 += 1;
        let exponent = self.steps.0 as f64;
        let (bias_1, bias_2) = (1.0 - BETA_1.powf(exponent), 1.0 - BETA_2.powf(exponent));
        tch::no_grad(|| {
            if weight_decay > 0.0 {
                let _ = self.weights.g_mul_scalar_(1.0 - learning_rate * weight_decay);
            }
            let _ = self.first.lerp_(&self.gradient, 1.0 - BETA_1);
            let _ = self.second.lerp_(&self.gradient.square(), 1.0 - BETA_2);
            let deviation = self.second.sqrt().g_mul_scalar_(1.0 / bias_2.sqrt()).g_add_scalar_(epsilon);
            let _ = self.weights.g_sub_(&(&self.first / deviation).g_mul_scalar_(learning_rate / bias_1));
        });
        self.steps
    }

    /// The state: steps done and the moments.
    pub(crate) fn state(&self) -> (AdamSteps, Named) {
        let moments = [("first", &self.first), ("second", &self.second)];
        (self.steps, moments.map(|(name, moment)| (name.to_owned(), moment.shallow_clone())).into())
    }

    /// Goes on from a state.
    pub(crate) fn restore(&mut self, steps: AdamSteps, moments: &Named) -> Result<(), CheckpointError> {
        for (name, moment) in [("first", &mut self.first), ("second", &mut self.second)] {
            match moments.get(name) {
                Some(tensor) if tensor.size() == moment.size() => moment.copy_(tensor),
                Some(_) | None => {
                    let why = format!("the optimiser's {name} moment is missing or belongs to another network");
                    return Err(CheckpointError::Content { why });
                }
            }
        }
        self.steps = steps;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
