//! Twin critics over features and actions (Fujimoto et al. 2018): the smaller of two values does not overestimate.

use models::PolicyTape;
use neural::{Mlp, MlpTape, Toward};

use crate::agent::Agent;
use crate::replay::Batch;

/// Two value functions Q(s, a) behind an agent's policy in its flat buffer, with their scratch.
pub(crate) struct Critics {
    networks: [Mlp; 2],
    tapes: [MlpTape; 2],
    /// `[rows × (features + action)]`.
    input: Vec<f32>,
    features: usize,
    action: usize,
    features_gradient: [Vec<f32>; 2],
}

impl Critics {
    /// Adds `critic0…` and `critic1…` to the agent's layout.
    pub(crate) fn new(agent: &mut Agent, rows: usize) -> Self {
        let (features, action) = (agent.network.features(), agent.network.head().size());
        let layout = &mut agent.layout;
        let networks = ["critic0", "critic1"].map(|name| agent.network.critic(layout, name, action));
        let tapes = [networks[0].tape(rows), networks[1].tape(rows)];
        Self {
            tapes,
            networks,
            input: vec![0.0; rows * (features + action)],
            features,
            action,
            features_gradient: [vec![0.0; rows * features], vec![0.0; rows * features]],
        }
    }

    /// Values of `actions` where `features` are seen; to be read by [`Critics::both`].
    pub(crate) fn judge(&mut self, weights: &[f32], features: &[f32], actions: &[f32], rows: usize) {
        let width = self.features + self.action;
        for (row, input) in self.input.chunks_exact_mut(width).take(rows).enumerate() {
            let (seen, done) = input.split_at_mut(self.features);
            seen.copy_from_slice(&features[row * self.features..(row + 1) * self.features]);
            done.copy_from_slice(&actions[row * self.action..(row + 1) * self.action]);
        }
        for (network, tape) in self.networks.iter().zip(&mut self.tapes) {
            network.forward(weights, &self.input, rows, tape);
        }
    }

    /// The first critic's values alone.
    pub(crate) fn judge_first(&mut self, weights: &[f32], features: &[f32], actions: &[f32], rows: usize) {
        let width = self.features + self.action;
        for (row, input) in self.input.chunks_exact_mut(width).take(rows).enumerate() {
            let (seen, done) = input.split_at_mut(self.features);
            seen.copy_from_slice(&features[row * self.features..(row + 1) * self.features]);
            done.copy_from_slice(&actions[row * self.action..(row + 1) * self.action]);
        }
        self.networks[0].forward(weights, &self.input, rows, &mut self.tapes[0]);
    }

    /// What was last judged: `[rows]` each.
    pub(crate) fn both(&self, rows: usize) -> [&[f32]; 2] {
        [self.tapes[0].output(rows), self.tapes[1].output(rows)]
    }

    /// Writes each critic's output gradient by `slope(critic, row, value)`.
    pub(crate) fn slope(&mut self, rows: usize, mut slope: impl FnMut(usize, usize, f32) -> f32) {
        for (critic, tape) in self.tapes.iter_mut().enumerate() {
            let (values, gradients) = tape.output_and_gradient(rows);
            for (row, (gradient, value)) in gradients.iter_mut().zip(values).enumerate() {
                *gradient = slope(critic, row, *value);
            }
        }
    }

    /// From the output gradients to the weights of both critics, and of the torso below them.
    pub(crate) fn learn(&mut self, agent: &Agent, gradient: &mut [f32], rows: usize, tape: &mut PolicyTape) {
        let torso = agent.network.has_torso();
        for ((network, own), below) in self.networks.iter().zip(&mut self.tapes).zip(&mut self.features_gradient) {
            let mut toward = Toward::weights(&self.input, gradient);
            if torso {
                toward = toward.and_input(0..self.features, below);
            }
            network.backward(&agent.weights, rows, own, toward);
        }
        if torso {
            let [first, second] = &mut self.features_gradient;
            let all = rows * self.features;
            first[..all].iter_mut().zip(&second[..all]).for_each(|(sum, value)| *sum += value);
            agent.network.unsee((&agent.weights, gradient), &first[..all], rows, &mut tape.torso);
        }
    }

    /// From the output gradients of critic `index` to those of the actions it judged: `[rows × action]`.
    pub(crate) fn toward_action(&mut self, index: usize, weights: &[f32], rows: usize, out: &mut [f32]) {
        let columns = self.features..self.features + self.action;
        self.networks[index].backward(weights, rows, &mut self.tapes[index], Toward::input(columns, out));
    }
}

/// y = R + d·V(s′), written to `targets`.
pub(crate) fn bootstrap(batch: &Batch, next_value: impl Fn(usize) -> f32, targets: &mut [f32]) {
    for (row, target) in targets.iter_mut().enumerate() {
        *target = batch.rewards[row] + batch.discounts[row] * next_value(row);
    }
}
