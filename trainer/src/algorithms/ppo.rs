//! Proximal policy optimisation (Schulman et al. 2017, arXiv:1707.06347), clipped surrogate.
//!
//! Follows the 13 core details of Huang et al. 2022, and for continuous actions their 9: vector environments, orthogonal
//! first weights, Adam with ε = 1e-5, annealing, GAE, every sample once per pass in shuffled mini-batches, advantages
//! normalised per mini-batch, an entropy bonus, one norm clip over all gradients; a Gaussian of learned deviation, whose
//! actions are cut to their range on the way to the environment and kept uncut for their density. Where the reference code
//! treats a truncated episode as ended, this bootstraps from its final observation.

use models::weights::Named;
use models::{PolicyHead, PolicyTape};
use neural::{Adam, AdamOptions, Mlp, MlpTape, Toward};
use rand::seq::SliceRandom as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use spec::{Metric, PpoSpec};

use crate::TrainError;
use crate::agent::Agent;
use crate::checkpoint::CheckpointError;
use crate::distribution::{categorical_entropy, gaussian_entropy, gaussian_log_density, log_softmax};
use crate::learn::{Learner, Metrics, fill, put, put_adam, take_adam};
use crate::rollout::{Collector, Rollout};
use crate::seeds::{self, Stream};
use crate::world::World;

const ADAM_EPSILON: f32 = 1e-5;

/// Policy, value function and optimiser.
pub(crate) struct Ppo<'a> {
    spec: &'a PpoSpec,
    pub(crate) agent: Agent,
    critic: Mlp,
    adam: Adam,
    pub(crate) gradient: Vec<f32>,
    acting: (PolicyTape, MlpTape),
    tape: PolicyTape,
    critic_tape: MlpTape,
    rollout: Rollout,
    minibatch: Minibatch,
    features_gradient: [Vec<f32>; 2],
    rollouts: u64,
}

/// Rows of a rollout that are learned from together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Minibatch {
    pub(crate) observations: Vec<f32>,
    pub(crate) actions: Vec<f32>,
    pub(crate) log_probabilities: Vec<f64>,
    pub(crate) advantages: Vec<f64>,
    pub(crate) returns: Vec<f64>,
    pub(crate) values: Vec<f64>,
}

/// What an update measured.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Measured {
    pub(crate) policy_loss: f64,
    pub(crate) value_loss: f64,
    pub(crate) entropy: f64,
    /// Mean of (r − 1) − ln r: an estimator of the KL divergence that is never negative (Schulman 2020).
    pub(crate) kl: f64,
    /// Share of rows whose ratio was cut off.
    pub(crate) clipped: f64,
}

/// A row of the clipped objective, eq. 7.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Surrogate {
    /// −min(rA, clip(r, 1 ± ε)A).
    pub(crate) loss: f64,
    /// Its derivative by ln of the new probability.
    pub(crate) slope: f64,
}

/// `log_ratio` = ln of new over old probability of the action taken.
pub(crate) fn surrogate(log_ratio: f64, advantage: f64, clip: f64) -> Surrogate {
    let ratio = log_ratio.exp();
    let (free, cut) = (ratio * advantage, ratio.clamp(1.0 - clip, 1.0 + clip) * advantage);
    if free <= cut { Surrogate { loss: -free, slope: -free } } else { Surrogate { loss: -cut, slope: 0.0 } }
}

/// (A − mean) / (deviation + 1e-8), the deviation with n − 1.
pub(crate) fn normalise(advantages: &mut [f64]) {
    let count = advantages.len() as f64;
    let mean = advantages.iter().sum::<f64>() / count;
    let variance = advantages.iter().map(|a| (a - mean).powi(2)).sum::<f64>() / (count - 1.0);
    advantages.iter_mut().for_each(|a| *a = (*a - mean) / (variance.sqrt() + 1e-8));
}

/// ½(V − R)² and its derivative; with a clip range, V is cut to the old value ± it.
pub(crate) fn value_loss(value: f64, old: f64, target: f64, clip: Option<f64>) -> (f64, f64) {
    let off = clip.map_or(value - old, |clip| (value - old).clamp(-clip, clip));
    let error = old + off - target;
    let inside = off == value - old;
    (error * error / 2.0, if inside { error } else { 0.0 })
}

impl<'a> Ppo<'a> {
    pub(crate) fn new(spec: &'a PpoSpec, agent: Agent, world: &World) -> Self {
        let mut new = Self::with_layers(spec, agent, world.envs());
        let mut rng = seeds::generator(world.seed, Stream::Weights, 0);
        new.agent.weights = new.agent.layout.draw(&mut rng);
        if let Some(range) = new.agent.network.log_deviation() {
            new.agent.weights[range].fill(spec.log_deviation as f32);
        }
        new
    }

    /// Without weights yet.
    pub(crate) fn with_layers(spec: &'a PpoSpec, mut agent: Agent, envs: usize) -> Self {
        let critic = agent.network.critic(&mut agent.layout, "critic", 0);
        let rows = (spec.rollout as usize * envs).div_ceil(spec.minibatches as usize) + 1;
        let options = AdamOptions { epsilon: ADAM_EPSILON, norm_max: Some(spec.gradient_norm_max) };
        let features = || vec![0.0; rows * agent.network.features()];
        Self {
            spec,
            adam: Adam::new(agent.layout.len(), options),
            gradient: vec![0.0; agent.layout.len()],
            acting: (agent.network.tape(envs), critic.tape(envs)),
            tape: agent.network.tape(rows),
            critic_tape: critic.tape(rows),
            rollout: Rollout::default(),
            minibatch: Minibatch::default(),
            features_gradient: [features(), features()],
            rollouts: 0,
            critic,
            agent,
        }
    }

    /// Several passes over the rollout.
    fn learn(&mut self, world: &World, progress: f64) -> Result<Metrics, TrainError> {
        let rate = self.spec.schedule.at(self.spec.learning_rate, progress);
        let clip = self.spec.clip_schedule.at(self.spec.clip, progress);
        let mut order = std::mem::take(&mut self.rollout.rows);
        // A deviation needs two samples.
        let parts = (self.spec.minibatches as usize).clamp(1, (order.len() / 2).max(1));
        let first = self.rollouts * u64::from(self.spec.epochs);
        let mut sum = Measured::default();
        for pass in 0..u64::from(self.spec.epochs) {
            order.shuffle(&mut seeds::generator(world.seed, Stream::Order, first + pass));
            sum = Measured::default();
            for part in 0..parts {
                let rows = &order[part * order.len() / parts..(part + 1) * order.len() / parts];
                if rows.len() < 2 {
                    continue;
                }
                self.minibatch.gather(&self.rollout, rows, self.agent.spec.input_width());
                normalise(&mut self.minibatch.advantages);
                sum.add(&self.step(clip, rate)?, 1.0 / parts as f64);
            }
            if self.spec.target_kl.is_some_and(|target| sum.kl > target) {
                break;
            }
        }
        Ok(sum.metrics())
    }

    fn step(&mut self, clip: f64, rate: f64) -> Result<Measured, TrainError> {
        let minibatch = std::mem::take(&mut self.minibatch);
        let measured = self.backward(&minibatch, clip);
        self.minibatch = minibatch;
        if !(measured.policy_loss.is_finite() && measured.value_loss.is_finite()) {
            return Err(TrainError::not_finite("the loss", self.adam.steps));
        }
        self.apply(rate).map_err(|_| TrainError::not_finite("the gradient", self.adam.steps))?;
        Ok(measured)
    }

    pub(crate) fn apply(&mut self, rate: f64) -> Result<(), neural::NotFinite> {
        self.adam.step(&mut self.agent.weights, &mut self.gradient, rate)
    }

    /// Adds the gradient of policy loss − entropy bonus + value loss. Advantages are taken as they are.
    pub(crate) fn backward(&mut self, minibatch: &Minibatch, clip: f64) -> Measured {
        let (rows, weights, network) = (minibatch.returns.len(), &self.agent.weights, &self.agent.network);
        let features = network.see(weights, &minibatch.observations, rows, &mut self.tape.torso);
        network.mlp().forward(weights, features, rows, &mut self.tape.head);
        self.critic.forward(weights, features, rows, &mut self.critic_tape);
        let (values, slopes) = self.critic_tape.output_and_gradient(rows);
        let mut measured = Measured::default();
        for row in 0..rows {
            let (old, target) = (minibatch.values[row], minibatch.returns[row]);
            let (loss, slope) = value_loss(f64::from(values[row]), old, target, self.spec.value_clip);
            measured.value_loss += loss / rows as f64;
            slopes[row] = (self.spec.value * slope / rows as f64) as f32;
        }
        let (outputs, slopes) = self.tape.head.output_and_gradient(rows);
        let objective = Objective { minibatch, clip, entropy: self.spec.entropy };
        match (network.head(), network.log_deviation()) {
            (PolicyHead::Gaussian { .. }, Some(range)) => {
                let log_deviations: Vec<f64> = weights[range.clone()].iter().map(|log| f64::from(*log)).collect();
                objective.gaussian((outputs, &log_deviations), (slopes, &mut self.gradient[range]), &mut measured);
            }
            _ => objective.categorical(outputs, slopes, &mut measured),
        }
        self.backward_through(minibatch, rows);
        measured
    }

    fn backward_through(&mut self, minibatch: &Minibatch, rows: usize) {
        let (weights, network) = (&self.agent.weights, &self.agent.network);
        let width = network.features();
        let [policy_side, value_side] = &mut self.features_gradient;
        let features = match &self.tape.torso {
            Some(torso) => torso.output(rows),
            None => &minibatch.observations,
        };
        if !network.has_torso() {
            let toward = Toward::weights(features, &mut self.gradient);
            network.mlp().backward(weights, rows, &mut self.tape.head, toward);
            let toward = Toward::weights(features, &mut self.gradient);
            self.critic.backward(weights, rows, &mut self.critic_tape, toward);
            return;
        }
        let toward = Toward::weights(features, &mut self.gradient).and_input(0..width, policy_side);
        network.mlp().backward(weights, rows, &mut self.tape.head, toward);
        let toward = Toward::weights(features, &mut self.gradient).and_input(0..width, value_side);
        self.critic.backward(weights, rows, &mut self.critic_tape, toward);
        let all = rows * width;
        policy_side[..all].iter_mut().zip(&value_side[..all]).for_each(|(sum, value)| *sum += value);
        network.unsee((weights, &mut self.gradient), &policy_side[..all], rows, &mut self.tape.torso);
    }
}

/// The policy's part of the loss over a mini-batch.
struct Objective<'a> {
    minibatch: &'a Minibatch,
    clip: f64,
    entropy: f64,
}

impl Objective<'_> {
    /// Measures a row and returns the derivative of its share of the loss by ln of the action's probability.
    fn row(&self, row: usize, log_probability: f64, measured: &mut Measured) -> f64 {
        let rows = self.minibatch.returns.len() as f64;
        let log_ratio = log_probability - self.minibatch.log_probabilities[row];
        let Surrogate { loss, slope } = surrogate(log_ratio, self.minibatch.advantages[row], self.clip);
        measured.policy_loss += loss / rows;
        measured.kl += (log_ratio.exp_m1() - log_ratio) / rows;
        measured.clipped += f64::from(u8::from((log_ratio.exp() - 1.0).abs() > self.clip)) / rows;
        slope / rows
    }

    fn categorical(&self, outputs: &[f32], slopes: &mut [f32], measured: &mut Measured) {
        let rows = self.minibatch.returns.len();
        let actions = outputs.len() / rows;
        let mut logs = vec![0.0; actions];
        for (row, (logits, slopes)) in outputs.chunks_exact(actions).zip(slopes.chunks_exact_mut(actions)).enumerate() {
            logs.iter_mut().zip(logits).for_each(|(log, logit)| *log = f64::from(*logit));
            log_softmax(&mut logs);
            let entropy = categorical_entropy(&logs);
            measured.entropy += entropy / rows as f64;
            let taken = self.minibatch.actions[row] as usize;
            let slope = self.row(row, logs[taken], measured);
            let bonus = self.entropy / rows as f64;
            for (action, (out, log)) in slopes.iter_mut().zip(&logs).enumerate() {
                let probability = log.exp();
                let chosen = f64::from(u8::from(action == taken)) - probability;
                *out = (slope * chosen + bonus * probability * (log + entropy)) as f32;
            }
        }
    }

    fn gaussian(
        &self,
        (means, log_deviations): (&[f32], &[f64]),
        (slopes, deviation_gradient): (&mut [f32], &mut [f32]),
        measured: &mut Measured,
    ) {
        let width = log_deviations.len();
        measured.entropy = log_deviations.iter().map(|log| gaussian_entropy(*log)).sum();
        let mut sums = vec![-self.entropy; width];
        for (row, (means, slopes)) in means.chunks_exact(width).zip(slopes.chunks_exact_mut(width)).enumerate() {
            let actions = &self.minibatch.actions[row * width..(row + 1) * width];
            let parts = || actions.iter().zip(means).zip(log_deviations);
            let density =
                |((a, m), log): ((&f32, &f32), &f64)| gaussian_log_density(f64::from(*a), f64::from(*m), *log);
            let slope = self.row(row, parts().map(density).sum(), measured);
            for ((((action, mean), log), out), sum) in parts().zip(slopes).zip(&mut sums) {
                let z = (f64::from(*action) - f64::from(*mean)) * (-log).exp();
                *out = (slope * z * (-log).exp()) as f32;
                *sum += slope * (z * z - 1.0);
            }
        }
        deviation_gradient.iter_mut().zip(sums).for_each(|(own, sum)| *own += sum as f32);
    }
}

impl Minibatch {
    fn gather(&mut self, rollout: &Rollout, rows: &[usize], width: usize) {
        let action = rollout.actions.len() / rollout.returns.len();
        let wide = |to: &mut Vec<f32>, from: &[f32], width: usize| {
            to.clear();
            rows.iter().for_each(|row| to.extend_from_slice(&from[row * width..(row + 1) * width]));
        };
        wide(&mut self.observations, &rollout.observations, width);
        wide(&mut self.actions, &rollout.actions, action);
        let columns = [
            (&mut self.log_probabilities, &rollout.log_probabilities),
            (&mut self.advantages, &rollout.advantages),
            (&mut self.returns, &rollout.returns),
            (&mut self.values, &rollout.values),
        ];
        for (to, from) in columns {
            to.clear();
            to.extend(rows.iter().map(|row| from[*row]));
        }
    }
}

impl Measured {
    fn add(&mut self, other: &Self, share: f64) {
        self.policy_loss += share * other.policy_loss;
        self.value_loss += share * other.value_loss;
        self.entropy += share * other.entropy;
        self.kl += share * other.kl;
        self.clipped += share * other.clipped;
    }

    fn metrics(&self) -> Metrics {
        Metrics::from([
            (Metric::PolicyLoss, self.policy_loss),
            (Metric::ValueLoss, self.value_loss),
            (Metric::Entropy, self.entropy),
            (Metric::Kl, self.kl),
            (Metric::Clipped, self.clipped),
        ])
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    adam: u64,
    rollouts: u64,
}

impl Learner for Ppo<'_> {
    fn advance(&mut self, world: &mut World) -> Result<Metrics, TrainError> {
        let progress = world.progress();
        let collector = Collector {
            agent: &mut self.agent,
            critic: &self.critic,
            tape: &mut self.acting.0,
            critic_tape: &mut self.acting.1,
        };
        let decay = (self.spec.gamma, self.spec.lambda);
        self.rollout.collect(collector, world, self.spec.rollout as usize, decay)?;
        let metrics = self.learn(world, progress)?;
        self.rollouts += 1;
        Ok(metrics)
    }

    fn agent(&mut self) -> &mut Agent {
        &mut self.agent
    }

    fn updates(&self) -> u64 {
        self.adam.steps
    }

    fn save(&self, tensors: &mut Named) -> Value {
        put(tensors, "weights", &self.agent.weights);
        let adam = put_adam(tensors, "adam", &self.adam);
        serde_json::to_value(Saved { adam, rollouts: self.rollouts }).expect("it holds whole numbers alone")
    }

    fn restore(&mut self, tensors: &Named, state: Value) -> Result<(), CheckpointError> {
        let saved: Saved =
            serde_json::from_value(state).map_err(|error| CheckpointError::Content { why: error.to_string() })?;
        fill(tensors, "weights", &mut self.agent.weights)?;
        take_adam(tensors, "adam", (&mut self.adam, saved.adam))?;
        self.rollouts = saved.rollouts;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
