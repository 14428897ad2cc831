//! Deep Q-learning (Mnih et al. 2015) with its usual options: double (van Hasselt et al. 2016), dueling (Wang et al. 2016),
//! n-step returns and prioritised replay (as in Hessel et al. 2018).
//!
//! The loss is Huber's, with its corner at 1; the target network is copied every so many environment steps or follows by
//! Polyak averaging.

use models::weights::Named;
use models::{PolicyHead, PolicyTape, duel};
use neural::{Adam, AdamOptions, Toward, polyak};
use rand::RngExt as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use spec::{Bootstrap, DqnSpec, Metric, QHead, TargetUpdate};

use crate::TrainError;
use crate::agent::{Agent, first_largest};
use crate::checkpoint::CheckpointError;
use crate::learn::{Metrics, fill, put, put_adam, take_adam};
use crate::off_policy::{Clock, Method};
use crate::replay::Batch;
use crate::seeds::{self, Stream};
use crate::world::World;

const ADAM_EPSILON: f32 = 1e-8;

/// Q-network, target network and optimiser.
pub(crate) struct Dqn<'a> {
    spec: &'a DqnSpec,
    pub(crate) agent: Agent,
    pub(crate) target: Vec<f32>,
    adam: Adam,
    pub(crate) gradient: Vec<f32>,
    tape: PolicyTape,
    acting: PolicyTape,
    features_gradient: Vec<f32>,
    /// Values of all actions in the next observations, `[rows × actions]`.
    next_values: Vec<f32>,
    /// Actions taken there.
    next_actions: Vec<usize>,
    targets: Vec<f32>,
    /// The target network was copied at this multiple of its interval.
    copies: u64,
    loss: f64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    adam: u64,
    copies: u64,
    loss: f64,
}

impl<'a> Dqn<'a> {
    pub(crate) fn new(spec: &'a DqnSpec, mut agent: Agent, world: &World) -> Self {
        agent.weights = agent.layout.draw(&mut seeds::generator(world.seed, Stream::Weights, 0));
        Self::with_weights(spec, agent, world.envs())
    }

    /// Learns on from the weights that `agent` holds.
    pub(crate) fn with_weights(spec: &'a DqnSpec, agent: Agent, envs: usize) -> Self {
        let rows = spec.replay.batch as usize;
        let options = AdamOptions { epsilon: ADAM_EPSILON, norm_max: Some(spec.gradient_norm_max) };
        Self {
            spec,
            target: agent.weights.clone(),
            adam: Adam::new(agent.layout.len(), options),
            gradient: vec![0.0; agent.layout.len()],
            tape: agent.network.tape(rows),
            acting: agent.network.tape(envs),
            features_gradient: vec![0.0; rows * agent.network.features()],
            next_values: vec![0.0; rows * agent.network.head().size()],
            next_actions: vec![0; rows],
            targets: vec![0.0; rows],
            copies: 0,
            loss: 0.0,
            agent,
        }
    }

    /// y = R + d·Q′(s′, a′); a′ by the target network's own choice, or by the online network's.
    fn bootstrap(&mut self, batch: &Batch) {
        let (rows, actions) = (batch.rewards.len(), self.agent.network.head().size());
        if self.spec.bootstrap == Bootstrap::Double {
            let weights = &self.agent.weights;
            values(&self.agent, weights, (&batch.next_observations, rows), &mut self.tape, &mut self.next_values);
            choose(&self.next_values, actions, &mut self.next_actions);
        }
        let next = (batch.next_observations.as_slice(), rows);
        values(&self.agent, &self.target, next, &mut self.tape, &mut self.next_values);
        if self.spec.bootstrap == Bootstrap::Max {
            choose(&self.next_values, actions, &mut self.next_actions);
        }
        for (row, target) in self.targets.iter_mut().enumerate() {
            let value = self.next_values[row * actions + self.next_actions[row]];
            *target = batch.rewards[row] + batch.discounts[row] * value;
        }
    }

    /// Adds the gradient of the mean Huber loss of the actions taken; returns that loss.
    pub(crate) fn backward(&mut self, batch: &Batch, errors: &mut Vec<f32>) -> f64 {
        self.bootstrap(batch);
        let (rows, head) = (batch.rewards.len(), self.agent.network.head());
        let (weights, network) = (&self.agent.weights, &self.agent.network);
        let features = network.see(weights, &batch.observations, rows, &mut self.tape.torso);
        network.mlp().forward(weights, features, rows, &mut self.tape.head);
        let (outputs, gradients) = self.tape.head.output_and_gradient(rows);
        let (size, mut values) = (head.size(), vec![0.0; head.size()]);
        gradients.fill(0.0);
        errors.clear();
        let mut loss = 0.0;
        for (row, (outputs, gradient)) in
            outputs.chunks_exact(head.outputs()).zip(gradients.chunks_exact_mut(head.outputs())).enumerate()
        {
            let action = batch.actions[row] as usize;
            let dueling = matches!(head, PolicyHead::Values { layer: QHead::Dueling, .. });
            let value = if dueling {
                duel(outputs, &mut values);
                values[action]
            } else {
                outputs[action]
            };
            let error = value - self.targets[row];
            errors.push(error);
            let weight = batch.weights[row] / rows as f32;
            loss += f64::from(weight * huber(error));
            let slope = weight * error.clamp(-1.0, 1.0);
            if dueling {
                gradient[0] = slope;
                gradient[1..].fill(-slope / size as f32);
                gradient[1 + action] += slope;
            } else {
                gradient[action] = slope;
            }
        }
        let toward = Toward::weights(features, &mut self.gradient);
        if network.has_torso() {
            let width = network.features();
            let toward = toward.and_input(0..width, &mut self.features_gradient);
            network.mlp().backward(weights, rows, &mut self.tape.head, toward);
            let into = (weights.as_slice(), self.gradient.as_mut_slice());
            network.unsee(into, &self.features_gradient[..rows * width], rows, &mut self.tape.torso);
        } else {
            network.mlp().backward(weights, rows, &mut self.tape.head, toward);
        }
        loss
    }
}

/// ½e² up to 1, |e| − ½ beyond.
fn huber(error: f32) -> f32 {
    if error.abs() <= 1.0 { error * error / 2.0 } else { error.abs() - 0.5 }
}

fn choose(values: &[f32], actions: usize, chosen: &mut [usize]) {
    chosen.iter_mut().zip(values.chunks_exact(actions)).for_each(|(chosen, values)| *chosen = first_largest(values));
}

/// Values of all actions: `[rows × actions]`.
fn values(
    agent: &Agent,
    weights: &[f32],
    (observations, rows): (&[f32], usize),
    tape: &mut PolicyTape,
    out: &mut [f32],
) {
    let (network, head) = (&agent.network, agent.network.head());
    let features = network.see(weights, observations, rows, &mut tape.torso);
    network.mlp().forward(weights, features, rows, &mut tape.head);
    let outputs = tape.head.output(rows);
    match head {
        PolicyHead::Values { layer: QHead::Dueling, .. } => {
            let pairs = outputs.chunks_exact(head.outputs()).zip(out.chunks_exact_mut(head.size()));
            pairs.for_each(|(outputs, values)| duel(outputs, values));
        }
        PolicyHead::Values { layer: QHead::Plain, .. }
        | PolicyHead::Categorical { .. }
        | PolicyHead::Gaussian { .. }
        | PolicyHead::Deterministic { .. }
        | PolicyHead::SquashedGaussian { .. } => out.copy_from_slice(outputs),
    }
}

impl Method for Dqn<'_> {
    fn agent(&mut self) -> &mut Agent {
        &mut self.agent
    }

    fn action_width(&self) -> usize {
        1
    }

    fn actions(&self) -> Option<usize> {
        Some(self.agent.network.head().size())
    }

    fn gamma(&self) -> f64 {
        self.spec.gamma
    }

    fn explore(&mut self, observations: &[f32], world: &World, actions: &mut [f32]) {
        let epsilon = &self.spec.epsilon;
        let fallen = if epsilon.fraction > 0.0 { (world.progress() / epsilon.fraction).min(1.0) } else { 1.0 };
        let odds = epsilon.start + (epsilon.end - epsilon.start) * fallen;
        let (rows, size) = (actions.len(), self.agent.network.head().size());
        let mut all = vec![0.0; rows * size];
        values(&self.agent, &self.agent.weights, (observations, rows), &mut self.acting, &mut all);
        let mut rng = seeds::generator(world.seed, Stream::Actions, world.memory.steps);
        for (action, values) in actions.iter_mut().zip(all.chunks_exact(size)) {
            let greedy = first_largest(values);
            *action = if rng.random::<f64>() < odds { rng.random_range(0..size) } else { greedy } as f32;
        }
    }

    fn stepped(&mut self, steps: u64) {
        if let TargetUpdate::Every(every) = self.spec.target {
            let copies = steps / u64::from(every);
            if copies > self.copies {
                self.copies = copies;
                self.target.copy_from_slice(&self.agent.weights);
            }
        }
    }

    fn update(&mut self, batch: &Batch, clock: Clock, errors: &mut Vec<f32>) -> Result<(), TrainError> {
        let not_finite = |what| TrainError::not_finite(what, clock.update);
        self.loss = self.backward(batch, errors);
        if !self.loss.is_finite() {
            return Err(not_finite("the loss"));
        }
        let rate = self.spec.schedule.at(self.spec.learning_rate, clock.progress);
        let stepped = self.adam.step(&mut self.agent.weights, &mut self.gradient, rate);
        stepped.map_err(|_| not_finite("the gradient"))?;
        if let TargetUpdate::Polyak(tau) = self.spec.target {
            polyak(&mut self.target, &self.agent.weights, tau);
        }
        Ok(())
    }

    fn measured(&self) -> Metrics {
        Metrics::from([(Metric::ValueLoss, self.loss)])
    }

    fn save(&self, tensors: &mut Named) -> Value {
        put(tensors, "weights", &self.agent.weights);
        put(tensors, "target", &self.target);
        let adam = put_adam(tensors, "adam", &self.adam);
        let saved = Saved { adam, copies: self.copies, loss: self.loss };
        serde_json::to_value(saved).expect("it holds finite numbers alone")
    }

    fn restore(&mut self, tensors: &Named, state: Value) -> Result<(), CheckpointError> {
        let saved: Saved =
            serde_json::from_value(state).map_err(|error| CheckpointError::Content { why: error.to_string() })?;
        fill(tensors, "weights", &mut self.agent.weights)?;
        fill(tensors, "target", &mut self.target)?;
        take_adam(tensors, "adam", (&mut self.adam, saved.adam))?;
        (self.copies, self.loss) = (saved.copies, saved.loss);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
