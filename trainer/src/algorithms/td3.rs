//! Twin delayed deep deterministic policy gradient (Fujimoto, van Hoof and Meger 2018, arXiv:1802.09477).
//!
//! Three changes to DDPG: the target is the smaller of two critics', the target's action is smoothed by clipped noise, and the
//! policy (with all targets) moves once in every `policy_delay` updates of the critics. A torso is taught by the critics.

use models::PolicyTape;
use models::weights::Named;
use neural::{Adam, AdamOptions, Toward, elementary, polyak};
use rand::RngExt as _;
use rand_distr::StandardNormal;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use spec::{Metric, Td3Spec};

use crate::TrainError;
use crate::agent::Agent;
use crate::checkpoint::CheckpointError;
use crate::critics::{Critics, bootstrap};
use crate::exploration::{Moment, Noise};
use crate::learn::{Metrics, fill, put, put_adam, take_adam};
use crate::off_policy::{Clock, Method};
use crate::replay::Batch;
use crate::seeds::{self, Stream};
use crate::world::World;

const ADAM_EPSILON: f32 = 1e-8;

/// Policy, critics, their targets and optimisers.
pub(crate) struct Td3<'a> {
    spec: &'a Td3Spec,
    pub(crate) agent: Agent,
    critics: Critics,
    pub(crate) target: Vec<f32>,
    policy_adam: Adam,
    critic_adam: Adam,
    pub(crate) gradient: Vec<f32>,
    noise: Noise,
    tape: PolicyTape,
    acting: PolicyTape,
    /// Scratch: `[rows × width]`, and the targets, `[rows]`.
    actions: Vec<f32>,
    action_gradient: Vec<f32>,
    targets: Vec<f32>,
    losses: Losses,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Losses {
    value: f64,
    policy: f64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    adams: [u64; 2],
    drift: Vec<f32>,
    losses: Losses,
}

impl<'a> Td3<'a> {
    pub(crate) fn new(spec: &'a Td3Spec, agent: Agent, world: &World) -> Self {
        let mut new = Self::with_weights(spec, agent, world.envs());
        new.begin_at(new.agent.layout.draw(&mut seeds::generator(world.seed, Stream::Weights, 0)));
        new
    }

    pub(crate) fn with_weights(spec: &'a Td3Spec, mut agent: Agent, envs: usize) -> Self {
        let (rows, width) = (spec.replay.batch as usize, agent.network.head().size());
        let critics = Critics::new(&mut agent, rows);
        let options = AdamOptions { epsilon: ADAM_EPSILON, norm_max: None };
        let (own, all) = (agent.network.own(), agent.layout.len());
        Self {
            spec,
            target: vec![0.0; all],
            policy_adam: Adam::new(own.len(), options),
            critic_adam: Adam::new(all - own.end, options),
            gradient: vec![0.0; all],
            noise: Noise::new(spec.exploration, envs, width),
            tape: agent.network.tape(rows),
            acting: agent.network.tape(envs),
            actions: vec![0.0; rows * width],
            action_gradient: vec![0.0; rows * width],
            targets: vec![0.0; rows],
            losses: Losses::default(),
            critics,
            agent,
        }
    }

    /// Starts from these weights, targets equal to them.
    pub(crate) fn begin_at(&mut self, weights: Vec<f32>) {
        self.target.clone_from(&weights);
        self.agent.weights = weights;
    }

    /// y = R + d·min Q′(s′, clip(μ′(s′) + clip(ε))). `noise`, `[rows × width]`, is standard normal.
    fn bootstrap(&mut self, batch: &Batch, mut noise: impl FnMut() -> f32) {
        let (rows, network) = (batch.rewards.len(), &self.agent.network);
        let features = network.see(&self.target, &batch.next_observations, rows, &mut self.tape.torso);
        network.mlp().forward(&self.target, features, rows, &mut self.tape.head);
        self.actions.copy_from_slice(self.tape.head.output(rows));
        elementary::tanh(&mut self.actions);
        let (deviation, most) = (self.spec.target_noise as f32, self.spec.target_noise_max as f32);
        for action in &mut self.actions {
            *action = (*action + (deviation * noise()).clamp(-most, most)).clamp(-1.0, 1.0);
        }
        self.critics.judge(&self.target, features, &self.actions, rows);
        let [first, second] = self.critics.both(rows);
        bootstrap(batch, |row| first[row].min(second[row]), &mut self.targets);
    }

    /// Adds the gradient of the sum of both critics' mean squared errors; returns it.
    pub(crate) fn critic_backward(&mut self, batch: &Batch, noise: impl FnMut() -> f32, errors: &mut Vec<f32>) -> f64 {
        self.bootstrap(batch, noise);
        let (rows, weights) = (batch.rewards.len(), &self.agent.weights);
        let features = self.agent.network.see(weights, &batch.observations, rows, &mut self.tape.torso);
        self.critics.judge(weights, features, &batch.actions, rows);
        errors.clear();
        errors.resize(rows, 0.0);
        let (targets, mut loss) = (&self.targets, 0.0);
        self.critics.slope(rows, |_, row, value| {
            let (error, weight) = (value - targets[row], batch.weights[row] / rows as f32);
            errors[row] += error.abs() / 2.0;
            loss += f64::from(weight * error * error);
            2.0 * weight * error
        });
        self.critics.learn(&self.agent, &mut self.gradient, rows, &mut self.tape);
        loss
    }

    /// Adds the gradient of −mean Q₁(s, μ(s)) to the policy's; returns it.
    pub(crate) fn policy_backward(&mut self, batch: &Batch) -> f64 {
        let (rows, weights, network) = (batch.rewards.len(), &self.agent.weights, &self.agent.network);
        let features = network.see(weights, &batch.observations, rows, &mut self.tape.torso);
        network.mlp().forward(weights, features, rows, &mut self.tape.head);
        self.actions.copy_from_slice(self.tape.head.output(rows));
        elementary::tanh(&mut self.actions);
        self.critics.judge_first(weights, features, &self.actions, rows);
        let value: f64 = self.critics.both(rows)[0].iter().map(|value| f64::from(*value)).sum();
        self.critics.slope(rows, |_, _, _| -1.0 / rows as f32);
        self.critics.toward_action(0, weights, rows, &mut self.action_gradient);
        let (_, gradient) = self.tape.head.output_and_gradient(rows);
        let through = self.action_gradient.iter().zip(&self.actions);
        gradient.iter_mut().zip(through).for_each(|(g, (d, a))| *g = d * (1.0 - a * a));
        network.mlp().backward(weights, rows, &mut self.tape.head, Toward::weights(features, &mut self.gradient));
        -value / rows as f64
    }

    /// One step of the critics.
    pub(crate) fn critic_step(&mut self, rate: f64) -> Result<(), neural::NotFinite> {
        let split = self.agent.network.own().end;
        self.critic_adam.step(&mut self.agent.weights[split..], &mut self.gradient[split..], rate)
    }

    /// One step of the policy; then all targets follow.
    pub(crate) fn policy_step(&mut self, rate: f64) -> Result<(), neural::NotFinite> {
        let own = self.agent.network.own();
        self.policy_adam.step(&mut self.agent.weights[own.clone()], &mut self.gradient[own], rate)?;
        polyak(&mut self.target, &self.agent.weights, self.spec.tau);
        Ok(())
    }
}

impl Method for Td3<'_> {
    fn agent(&mut self) -> &mut Agent {
        &mut self.agent
    }

    fn action_width(&self) -> usize {
        self.agent.network.head().size()
    }

    fn actions(&self) -> Option<usize> {
        None
    }

    fn gamma(&self) -> f64 {
        self.spec.gamma
    }

    fn explore(&mut self, observations: &[f32], world: &World, actions: &mut [f32]) {
        let (rows, weights, network) = (world.envs(), &self.agent.weights, &self.agent.network);
        let features = network.see(weights, observations, rows, &mut self.acting.torso);
        network.mlp().forward(weights, features, rows, &mut self.acting.head);
        actions.copy_from_slice(self.acting.head.output(rows));
        elementary::tanh(actions);
        let hidden = self.acting.head.last_hidden();
        let moment = Moment { seed: world.seed, step: world.memory.steps, hidden };
        self.noise.add(moment, network.head().size(), actions);
    }

    fn episode_ended(&mut self, env: usize) {
        self.noise.restart(env, self.agent.network.head().size());
    }

    fn update(&mut self, batch: &Batch, clock: Clock, errors: &mut Vec<f32>) -> Result<(), TrainError> {
        let not_finite = |what| TrainError::not_finite(what, clock.update);
        let rate = self.spec.schedule.at(self.spec.learning_rate, clock.progress);
        let mut rng = seeds::generator(clock.seed, Stream::Update, clock.update);
        self.losses.value = self.critic_backward(batch, || rng.sample(StandardNormal), errors);
        if !self.losses.value.is_finite() {
            return Err(not_finite("the loss of the critics"));
        }
        self.critic_step(rate).map_err(|_| not_finite("the gradient of the critics"))?;
        if (clock.update + 1).is_multiple_of(u64::from(self.spec.policy_delay)) {
            self.losses.policy = self.policy_backward(batch);
            self.policy_step(rate).map_err(|_| not_finite("the gradient of the policy"))?;
        }
        Ok(())
    }

    fn measured(&self) -> Metrics {
        Metrics::from([(Metric::ValueLoss, self.losses.value), (Metric::PolicyLoss, self.losses.policy)])
    }

    fn save(&self, tensors: &mut Named) -> Value {
        put(tensors, "weights", &self.agent.weights);
        put(tensors, "target", &self.target);
        let adams = [("policy_adam", &self.policy_adam), ("critic_adam", &self.critic_adam)];
        let adams = adams.map(|(name, adam)| put_adam(tensors, name, adam));
        let saved = Saved { adams, drift: self.noise.drift.clone(), losses: self.losses };
        serde_json::to_value(saved).expect("it holds finite numbers alone")
    }

    fn restore(&mut self, tensors: &Named, state: Value) -> Result<(), CheckpointError> {
        let content = |why: String| CheckpointError::Content { why };
        let saved: Saved = serde_json::from_value(state).map_err(|error| content(error.to_string()))?;
        if saved.drift.len() != self.noise.drift.len() {
            return Err(content("the noise is of other environments".to_owned()));
        }
        fill(tensors, "weights", &mut self.agent.weights)?;
        fill(tensors, "target", &mut self.target)?;
        take_adam(tensors, "policy_adam", (&mut self.policy_adam, saved.adams[0]))?;
        take_adam(tensors, "critic_adam", (&mut self.critic_adam, saved.adams[1]))?;
        (self.noise.drift, self.losses) = (saved.drift, saved.losses);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
