//! What is learned: a policy's network with its weights, and how its actions reach an environment.

use envs::{ActionSpace, Bounds, VectorEnv};
use models::weights::{self, Named};
use models::{NetworkKind, NetworkSpec, PolicyHead, PolicyNetwork, PolicyTape};
use neural::Layout;
use spec::{Algorithm, DqnSpec, ModelSpec, Normalise};

use crate::TrainError;
use crate::moments::Moments;

/// Rows computed at a time when the policy is asked, not taught: as the Predictor does, so that bits agree.
const TILE: usize = models::TILE;

/// The window that a network with a torso sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Steps.
    pub steps: usize,
    /// Values of a step.
    pub width: usize,
}

/// A policy with its weights. Learners place critics behind it in the same buffer.
pub(crate) struct Agent {
    pub(crate) spec: NetworkSpec,
    pub(crate) layout: Layout,
    pub(crate) network: PolicyNetwork,
    pub(crate) weights: Vec<f32>,
    asked: PolicyTape,
    tile: Vec<f32>,
}

/// The network that an algorithm learns for an environment.
pub(crate) fn network_spec(
    algorithm: &Algorithm,
    (model, window, normalise): (&ModelSpec, Window, Normalise),
    env: &dyn VectorEnv,
) -> Result<NetworkSpec, TrainError> {
    let refuse = |algorithm, takes| Err(TrainError::Actions { algorithm, takes, env: env.to_string() });
    let head = match (algorithm, env.action_space()) {
        (Algorithm::Ppo(_), ActionSpace::Discrete(actions)) => PolicyHead::Categorical { actions: *actions },
        (Algorithm::Ppo(_), ActionSpace::Continuous(bounds)) => PolicyHead::Gaussian { width: bounds.width() },
        (Algorithm::Dqn(DqnSpec { head, .. }), ActionSpace::Discrete(actions)) => {
            PolicyHead::Values { actions: *actions, layer: *head }
        }
        (Algorithm::Td3(_), ActionSpace::Continuous(bounds)) => PolicyHead::Deterministic { width: bounds.width() },
        (Algorithm::Sac(_), ActionSpace::Continuous(bounds)) => PolicyHead::SquashedGaussian { width: bounds.width() },
        (Algorithm::Dqn(_), ActionSpace::Continuous(_)) => return refuse("dqn", "discrete"),
        (Algorithm::Td3(_), ActionSpace::Discrete(_)) => return refuse("td3", "continuous"),
        (Algorithm::Sac(_), ActionSpace::Discrete(_)) => return refuse("sac", "continuous"),
    };
    let normalised = normalise.observations();
    let kind = NetworkKind::Policy { head, observation_width: env.observation_width(), normalised };
    Ok(NetworkSpec { kind, model: model.clone(), window: window.steps, width: window.width })
}

impl Agent {
    /// Layers without weights yet: a learner adds its own to the layout, then calls [`Agent::draw`].
    pub(crate) fn new(spec: NetworkSpec) -> Result<Self, TrainError> {
        let mut layout = Layout::default();
        let network = PolicyNetwork::new(&mut layout, &spec)?;
        let (asked, tile) = (network.tape(TILE), vec![0.0; TILE * spec.input_width()]);
        Ok(Self { spec, layout, network, weights: Vec::new(), asked, tile })
    }

    /// The policy's tensors as safetensors.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        weights::pack(&self.named())
    }

    pub(crate) fn named(&self) -> Named {
        self.network.named(&self.layout, &self.weights)
    }

    /// Writes the observations' statistics into the network.
    pub(crate) fn adopt(&mut self, moments: &Moments) {
        let Some([mean, scale]) = self.network.normaliser() else { return };
        let pairs = self.weights[mean].iter_mut().zip(moments.means());
        pairs.for_each(|(own, value)| *own = *value as f32);
        self.weights[scale].iter_mut().zip(moments.scales()).for_each(|(own, value)| *own = value as f32);
    }

    /// What the policy answers when it is served. `observations`: `[rows × width]`; `answers`: `[rows × size of the head]`.
    pub(crate) fn answer(&mut self, observations: &[f32], answers: &mut [f32]) {
        let (width, size) = (self.spec.input_width(), self.network.head().size());
        let mut padded = [0.0; 64];
        for (rows, answers) in observations.chunks(TILE * width).zip(answers.chunks_mut(TILE * size)) {
            self.tile[..rows.len()].copy_from_slice(rows);
            self.tile[rows.len()..].fill(0.0);
            if answers.len() == TILE * size {
                self.network.respond(&self.weights, &self.tile, &mut self.asked, answers);
            } else {
                let mut whole = vec![0.0; TILE * size];
                let whole = if whole.len() <= padded.len() { &mut padded[..TILE * size] } else { &mut whole[..] };
                self.network.respond(&self.weights, &self.tile, &mut self.asked, whole);
                answers.copy_from_slice(&whole[..answers.len()]);
            }
        }
    }
}

/// Actions on their way to an environment.
#[derive(Clone, Debug)]
pub(crate) enum Chosen {
    Discrete(Vec<u32>),
    /// In the environment's own units.
    Continuous {
        bounds: Bounds,
        values: Vec<f32>,
    },
}

impl Chosen {
    pub(crate) fn new(env: &dyn VectorEnv) -> Self {
        match env.action_space() {
            ActionSpace::Discrete(_) => Self::Discrete(vec![0; env.envs()]),
            ActionSpace::Continuous(bounds) => {
                Self::Continuous { bounds: bounds.clone(), values: vec![0.0; env.envs() * bounds.width()] }
            }
        }
    }

    /// Takes actions as learners name them: an index, or components in halves of their range, which are cut to it.
    pub(crate) fn set(&mut self, actions: &[f32]) {
        match self {
            Self::Discrete(indices) => {
                indices.iter_mut().zip(actions).for_each(|(index, action)| *index = *action as u32);
            }
            Self::Continuous { bounds, values } => {
                let rows = values.chunks_exact_mut(bounds.width()).zip(actions.chunks_exact(bounds.width()));
                for (row, actions) in rows {
                    let ends = bounds.low().iter().zip(bounds.high());
                    for ((value, action), (low, high)) in row.iter_mut().zip(actions).zip(ends) {
                        *value = low + (action.clamp(-1.0, 1.0) + 1.0) / 2.0 * (high - low);
                    }
                }
            }
        }
    }

    /// Takes what a policy answers: probabilities, values, or components.
    pub(crate) fn decide(&mut self, answers: &[f32]) {
        match self {
            Self::Discrete(indices) => {
                let size = answers.len() / indices.len();
                for (index, answer) in indices.iter_mut().zip(answers.chunks_exact(size)) {
                    *index = first_largest(answer) as u32;
                }
            }
            Self::Continuous { .. } => self.set(answers),
        }
    }

    pub(crate) fn actions(&self) -> envs::Actions<'_> {
        match self {
            Self::Discrete(indices) => envs::Actions::Discrete(indices),
            Self::Continuous { values, .. } => envs::Actions::Continuous(values),
        }
    }
}

/// The index of the largest value; the lowest among equals.
pub(crate) fn first_largest(values: &[f32]) -> usize {
    let mut best = 0;
    for (index, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = index;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use envs::{Autoreset, Classic, ClassicKind};

    use super::*;

    #[test]
    fn an_action_in_halves_of_its_range_is_cut_to_it_and_brought_to_the_units_of_the_environment() {
        let mut chosen = Chosen::new(&Classic::new(ClassicKind::Pendulum, 2, Autoreset::SameStep));
        chosen.set(&[0.5, -3.0]);
        assert_eq!(chosen.actions().continuous(), [1.0, -2.0], "a torque is within ± 2");
    }
}
