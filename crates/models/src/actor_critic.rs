//! A policy over discrete actions and the value of what it sees.

use spec::ModelSpec;
use tch::nn::Path;
use tch::{Kind, Tensor};

use crate::encoder::Encoder;
use crate::layers::{Dense, Draw};
use crate::{Initial, Mode, NetworkSpec};

/// Orthogonal gains of Andrychowicz et al. 2021 and the reference implementations: a small last actor layer makes the first
/// policy nearly uniform.
const GAIN_HIDDEN: f64 = std::f64::consts::SQRT_2;
const GAIN_POLICY: f64 = 0.01;
const GAIN_VALUE: f64 = 1.0;

/// What the network makes of observations.
#[derive(Debug)]
pub struct Judgement {
    /// `[batch, actions]`: unnormalised log probabilities.
    pub logits: Tensor,
    /// `[batch]`: expected discounted return.
    pub values: Tensor,
}

/// An MLP learns policy and value apart; a CNN+LSTM is dear, so both heads share one.
#[derive(Debug)]
pub struct ActorCritic {
    actor: Encoder,
    /// `None` shares the actor's.
    critic: Option<Encoder>,
    policy: Dense,
    value: Dense,
}

impl ActorCritic {
    pub(crate) fn new(path: &Path<'_>, spec: &NetworkSpec, actions: i64, initial: Initial) -> Self {
        let draw = Draw::Orthogonal(GAIN_HIDDEN);
        let actor = Encoder::new(&(path / "actor"), spec, draw, initial);
        let critic = match spec.model {
            ModelSpec::Mlp { .. } => Some(Encoder::new(&(path / "critic"), spec, draw, initial)),
            ModelSpec::CnnLstm { .. } => None,
        };
        let features = actor.outputs();
        Self {
            actor,
            critic,
            policy: Dense::new(&(path / "policy"), features, actions, Draw::Orthogonal(GAIN_POLICY), initial),
            value: Dense::new(&(path / "value"), features, 1, Draw::Orthogonal(GAIN_VALUE), initial),
        }
    }

    /// # Shapes
    /// `observations`: `[batch, observation_width]`.
    #[must_use]
    pub fn forward(&self, observations: &Tensor, mode: Mode) -> Judgement {
        let features = self.actor.forward(observations, mode);
        let logits = self.policy.forward(&features);
        let judged = match &self.critic {
            Some(critic) => critic.forward(observations, mode),
            None => features,
        };
        Judgement { logits, values: self.value.forward(&judged).squeeze_dim(1) }
    }

    /// Probability of each action: `[batch, actions]`.
    pub(crate) fn outputs(&self, observations: &Tensor) -> Tensor {
        self.policy.forward(&self.actor.forward(observations, Mode::Inference)).softmax(1, Kind::Float)
    }
}
