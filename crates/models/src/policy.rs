//! An agent's network: what it sees, through a torso and a head, to what it does.
//!
//! Computed by `neural`, on the CPU, in training and everywhere else: the policy that is judged, served and traded is the
//! one that was learned, to the bit. Continuous actions are in units of half the action's range: −1 to 1.

use std::ops::Range;

use neural::{CnnLstm, CnnLstmShape, CnnLstmTape, Draw, Layout, Mlp, MlpShape, MlpTape};
use serde::{Deserialize, Serialize};
use spec::{Activation, ModelSpec, QHead};
use tch::{Kind, Tensor};

use crate::weights::Named;
use crate::{ModelError, NetworkKind, NetworkSpec};

/// Normalised observations are cut off here.
pub const OBSERVATION_MAX: f32 = 10.0;

/// Gain of the last layer of a policy that is drawn orthogonally (Andrychowicz et al. 2021): the first policy is nearly
/// uniform.
const GAIN_POLICY: f32 = 0.01;

/// What a policy's outputs mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum PolicyHead {
    /// Logits of so many actions; the most probable one is taken.
    Categorical {
        /// How many.
        actions: usize,
    },
    /// Values of so many actions; the most valuable one is taken.
    Values {
        /// How many.
        actions: usize,
        /// The last layer.
        layer: QHead,
    },
    /// Mean of a Gaussian whose deviation is learned apart; the mean, cut to the range, is taken.
    Gaussian {
        /// Components of an action.
        width: usize,
    },
    /// tanh of the outputs is taken.
    Deterministic {
        /// Components of an action.
        width: usize,
    },
    /// Means, then ln of deviations, of a Gaussian squashed by tanh; tanh of the mean is taken.
    SquashedGaussian {
        /// Components of an action.
        width: usize,
    },
}

impl PolicyHead {
    /// Values the network puts out.
    #[must_use]
    pub const fn outputs(self) -> usize {
        match self {
            Self::Categorical { actions } | Self::Values { actions, layer: QHead::Plain } => actions,
            Self::Values { actions, layer: QHead::Dueling } => actions + 1,
            Self::Gaussian { width } | Self::Deterministic { width } => width,
            Self::SquashedGaussian { width } => 2 * width,
        }
    }

    /// How many actions there are, or components an action has.
    #[must_use]
    pub const fn size(self) -> usize {
        match self {
            Self::Categorical { actions } | Self::Values { actions, .. } => actions,
            Self::Gaussian { width } | Self::Deterministic { width } | Self::SquashedGaussian { width } => width,
        }
    }

    /// Policies of on-policy methods are drawn orthogonally and use tanh, the others as their papers have it.
    const fn on_policy(self) -> bool {
        matches!(self, Self::Categorical { .. } | Self::Gaussian { .. })
    }
}

/// What an observation goes through before any head.
#[derive(Clone, Debug)]
enum Torso {
    /// As it is: heads have the hidden layers.
    Identity {
        width: usize,
    },
    CnnLstm(Box<CnnLstm>),
}

/// Layers of an agent; weights live in one flat buffer, in which a learner may place more behind them.
#[derive(Clone, Debug)]
pub struct PolicyNetwork {
    head: PolicyHead,
    torso: Torso,
    mlp: Mlp,
    hidden: Vec<usize>,
    activation: neural::Activation,
    normaliser: Option<[Range<usize>; 2]>,
    log_deviation: Option<Range<usize>>,
    /// The head's own weights, and the torso's.
    own: Range<usize>,
    shared: Range<usize>,
}

/// Activations of one batch.
#[derive(Clone, Debug)]
pub struct PolicyTape {
    normalised: Vec<f32>,
    /// Of the torso; `None` without one.
    pub torso: Option<CnnLstmTape>,
    /// Of the head.
    pub head: MlpTape,
}

impl PolicyNetwork {
    /// Adds an agent's tensors to a layout: `actor…`, then `torso…`.
    ///
    /// # Errors
    /// As [`NetworkSpec::check`]; [`ModelError::Shape`] for a network that is no agent's.
    pub fn new(layout: &mut Layout, spec: &NetworkSpec) -> Result<Self, ModelError> {
        spec.check()?;
        let NetworkKind::Policy { head, observation_width, normalised } = spec.kind else {
            return Err(ModelError::Shape { what: "kind", value: "forecaster".to_owned(), range: "a policy" });
        };
        let mut own = layout.len()..0;
        let normaliser = normalised.then(|| {
            let mean = layout.add("normaliser.mean", &[observation_width], Draw::Constant(0.0));
            [mean, layout.add("normaliser.scale", &[observation_width], Draw::Constant(1.0))]
        });
        let (hidden, activation) = hidden(&spec.model, head);
        let features = match &spec.model {
            ModelSpec::Mlp { .. } => observation_width,
            ModelSpec::CnnLstm { hidden, .. } => *hidden as usize + observation_width - spec.window * spec.width,
        };
        let shape = MlpShape {
            inputs: features,
            hidden: &hidden,
            outputs: head.outputs(),
            activation,
            orthogonal: head.on_policy().then_some(GAIN_POLICY),
        };
        let mlp = Mlp::new(layout, "actor", &shape);
        let log_deviation = matches!(head, PolicyHead::Gaussian { .. })
            .then(|| layout.add("actor.log_deviation", &[head.size()], Draw::Constant(0.0)));
        own.end = layout.len();
        let torso = torso(layout, spec, observation_width);
        let shared = own.end..layout.len();
        Ok(Self { head, torso, mlp, hidden, activation, normaliser, log_deviation, own, shared })
    }

    /// What its outputs mean.
    #[must_use]
    pub const fn head(&self) -> PolicyHead {
        self.head
    }

    /// Where the weights of the head lie, normaliser and deviation included.
    #[must_use]
    pub fn own(&self) -> Range<usize> {
        self.own.clone()
    }

    /// Where the weights of the torso lie, which critics share; empty without one.
    #[must_use]
    pub fn shared(&self) -> Range<usize> {
        self.shared.clone()
    }

    /// Where ln of the deviations lies, `[width]`; of a [`PolicyHead::Gaussian`] alone.
    #[must_use]
    pub fn log_deviation(&self) -> Option<Range<usize>> {
        self.log_deviation.clone()
    }

    /// Where mean and 1 / deviation of observations lie; `None` where they are taken as they are.
    #[must_use]
    pub fn normaliser(&self) -> Option<[Range<usize>; 2]> {
        self.normaliser.clone()
    }

    /// Values that heads are computed from: what the torso puts out.
    #[must_use]
    pub fn features(&self) -> usize {
        match &self.torso {
            Torso::Identity { width } => *width,
            Torso::CnnLstm(network) => network.outputs(),
        }
    }

    /// Multiply-adds of the torso, and of the head, over one row.
    #[must_use]
    pub fn multiply_adds(&self) -> [u64; 2] {
        let torso = match &self.torso {
            Torso::Identity { .. } => 0,
            Torso::CnnLstm(network) => network.multiply_adds(),
        };
        [torso, self.mlp.multiply_adds()]
    }

    /// A critic with the same hidden layers, over the features and `extra` values: tensors `name…` are added to `layout`.
    pub fn critic(&self, layout: &mut Layout, name: &str, extra: usize) -> Mlp {
        let shape = MlpShape {
            inputs: self.features() + extra,
            hidden: &self.hidden,
            outputs: 1,
            activation: self.activation,
            orthogonal: self.head.on_policy().then_some(1.0),
        };
        Mlp::new(layout, name, &shape)
    }

    /// Room for batches of up to `rows`.
    #[must_use]
    pub fn tape(&self, rows: usize) -> PolicyTape {
        let torso = match &self.torso {
            Torso::Identity { .. } => None,
            Torso::CnnLstm(network) => Some(network.tape(rows)),
        };
        let normalised = match &self.normaliser {
            Some([mean, _]) => vec![0.0; rows * mean.len()],
            None => Vec::new(),
        };
        PolicyTape { normalised, torso, head: self.mlp.tape(rows) }
    }

    /// Brings raw observations to unit scale, in place.
    pub fn normalise(&self, weights: &[f32], observations: &mut [f32]) {
        if let Some([mean, scale]) = &self.normaliser {
            let (mean, scale) = (&weights[mean.clone()], &weights[scale.clone()]);
            for row in observations.chunks_exact_mut(mean.len()) {
                for ((value, mean), scale) in row.iter_mut().zip(mean).zip(scale) {
                    *value = ((*value - mean) * scale).clamp(-OBSERVATION_MAX, OBSERVATION_MAX);
                }
            }
        }
    }

    /// The head's layers: features in, outputs out.
    #[must_use]
    pub const fn mlp(&self) -> &Mlp {
        &self.mlp
    }

    /// What heads are computed from. Shapes: `[rows × observation_width]`, normalised → `[rows × features]`.
    pub fn see<'a>(
        &self,
        weights: &[f32],
        observations: &'a [f32],
        rows: usize,
        tape: &'a mut Option<CnnLstmTape>,
    ) -> &'a [f32] {
        match (&self.torso, tape) {
            (Torso::CnnLstm(network), Some(tape)) => {
                network.forward(weights, observations, rows, tape);
                tape.output(rows)
            }
            (Torso::Identity { .. } | Torso::CnnLstm(_), _) => observations,
        }
    }

    /// Goes back through the torso, if there is one, from the gradient of the features; adds to `gradient`.
    pub fn unsee(
        &self,
        (weights, gradient): (&[f32], &mut [f32]),
        features_gradient: &[f32],
        rows: usize,
        tape: &mut Option<CnnLstmTape>,
    ) {
        if let (Torso::CnnLstm(network), Some(tape)) = (&self.torso, tape) {
            tape.output_gradient(rows).copy_from_slice(features_gradient);
            network.backward(weights, rows, tape, gradient);
        }
    }

    /// Whether there are layers below the heads.
    #[must_use]
    pub const fn has_torso(&self) -> bool {
        matches!(self.torso, Torso::CnnLstm(_))
    }

    /// What the policy puts out for raw observations when it is asked, not taught: probabilities, values, or an action.
    ///
    /// # Shapes
    /// `observations`: `[rows × observation_width]`; `out`: `[rows × size of the head]`.
    pub fn respond(&self, weights: &[f32], observations: &[f32], tape: &mut PolicyTape, out: &mut [f32]) {
        let rows = out.len() / self.head.size();
        let mut normalised = std::mem::take(&mut tape.normalised);
        let seen = if self.normaliser.is_some() {
            normalised[..observations.len()].copy_from_slice(observations);
            self.normalise(weights, &mut normalised[..observations.len()]);
            &normalised[..observations.len()]
        } else {
            observations
        };
        let features = self.see(weights, seen, rows, &mut tape.torso);
        self.mlp.forward(weights, features, rows, &mut tape.head);
        tape.normalised = normalised;
        let outputs = tape.head.output(rows).chunks_exact(self.head.outputs());
        for (outputs, response) in outputs.zip(out.chunks_exact_mut(self.head.size())) {
            self.interpret(outputs, response);
        }
    }

    fn interpret(&self, outputs: &[f32], response: &mut [f32]) {
        match self.head {
            PolicyHead::Categorical { .. } => {
                response.copy_from_slice(outputs);
                softmax(response);
            }
            PolicyHead::Values { layer: QHead::Plain, .. } => response.copy_from_slice(outputs),
            PolicyHead::Values { layer: QHead::Dueling, .. } => duel(outputs, response),
            PolicyHead::Gaussian { .. } => {
                let pairs = response.iter_mut().zip(outputs);
                pairs.for_each(|(action, mean)| *action = mean.clamp(-1.0, 1.0));
            }
            PolicyHead::Deterministic { width } | PolicyHead::SquashedGaussian { width } => {
                response.copy_from_slice(&outputs[..width]);
                neural::elementary::tanh(response);
            }
        }
    }

    /// The agent's tensors, of a flat buffer that may hold more behind them.
    #[must_use]
    pub fn named(&self, layout: &Layout, weights: &[f32]) -> Named {
        let places = layout.places().iter().filter(|place| place.range.end <= self.shared.end);
        places.map(|place| (place.name.clone(), tensor(&weights[place.range.clone()], &place.shape))).collect()
    }
}

/// Values of actions from a state's value and the actions' advantages: V + A − mean A (Wang et al. 2016, eq. 9).
pub fn duel(outputs: &[f32], values: &mut [f32]) {
    let (state, advantages) = (outputs[0], &outputs[1..]);
    let mean = advantages.iter().sum::<f32>() / advantages.len() as f32;
    values.iter_mut().zip(advantages).for_each(|(value, advantage)| *value = state + advantage - mean);
}

fn softmax(logits: &mut [f32]) {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    logits.iter_mut().for_each(|logit| *logit -= most);
    neural::elementary::exp(logits);
    let sum: f32 = logits.iter().sum();
    logits.iter_mut().for_each(|value| *value /= sum);
}

fn hidden(model: &ModelSpec, head: PolicyHead) -> (Vec<usize>, neural::Activation) {
    let usual = if head.on_policy() { Activation::Tanh } else { Activation::Relu };
    let (hidden, activation) = match model {
        ModelSpec::Mlp { hidden, activation } => {
            (hidden.iter().map(|units| *units as usize).collect(), activation.unwrap_or(usual))
        }
        // One layer between the pooled window and the outputs: what the window holds meets position and action there.
        ModelSpec::CnnLstm { hidden, .. } => (vec![*hidden as usize], usual),
    };
    let activation = match activation {
        Activation::Relu => neural::Activation::Relu,
        Activation::Tanh => neural::Activation::Tanh,
    };
    (hidden, activation)
}

fn torso(layout: &mut Layout, spec: &NetworkSpec, observation_width: usize) -> Torso {
    match spec.model {
        ModelSpec::Mlp { .. } => Torso::Identity { width: observation_width },
        // Its other choices are a forecaster's alone: a spec's check refuses them for agents.
        ModelSpec::CnnLstm { channels, kernel, hidden, layers, burn_in, .. } => {
            let shape = CnnLstmShape {
                window: spec.window,
                width: spec.width,
                rest: observation_width - spec.window * spec.width,
                channels: channels as usize,
                kernel: kernel as usize,
                hidden: hidden as usize,
                layers: layers as usize,
                burn_in: burn_in as usize,
            };
            Torso::CnnLstm(Box::new(CnnLstm::new(layout, "torso", shape)))
        }
    }
}

/// A tensor of values.
pub(crate) fn tensor(values: &[f32], shape: &[usize]) -> Tensor {
    let shape: Vec<i64> = shape.iter().map(|size| *size as i64).collect();
    Tensor::from_slice(values).view(shape.as_slice())
}

/// Copies tensors into a flat buffer. Exactly the layout's must be there, each of its shape and finite.
///
/// # Errors
/// [`ModelError::Tensor`].
pub fn assign_flat(layout: &Layout, mut read: Named) -> Result<Vec<f32>, ModelError> {
    let problem = |tensor: &str, why: String| ModelError::Tensor { tensor: tensor.to_owned(), why };
    let mut weights = vec![0.0; layout.len()];
    for place in layout.places() {
        let tensor = read.remove(&place.name).ok_or_else(|| problem(&place.name, "is missing".to_owned()))?;
        let (wanted, given) = (place.shape.iter().map(|size| *size as i64).collect::<Vec<_>>(), tensor.size());
        if wanted != given {
            return Err(problem(&place.name, format!("has shape {given:?}, the network needs {wanted:?}")));
        }
        let values: Vec<f32> = Vec::try_from(tensor.to_kind(Kind::Float).contiguous().view(-1))?;
        if values.iter().any(|value| !value.is_finite()) {
            return Err(problem(&place.name, "holds NaN or infinity".to_owned()));
        }
        weights[place.range.clone()].copy_from_slice(&values);
    }
    match read.keys().next() {
        Some(name) => Err(problem(name, "is none of the network's".to_owned())),
        None => Ok(weights),
    }
}

#[cfg(test)]
mod tests;
