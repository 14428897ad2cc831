//! Soft actor-critic (Haarnoja et al. 2018, arXiv:1812.05905), twin critics, temperature learned or fixed.
//!
//! The policy is a Gaussian squashed by tanh, with exact log densities; gradients go through the drawn action. The
//! temperature of an update is that from before its own step. A torso is taught by the critics alone.

use models::PolicyTape;
use models::weights::Named;
use neural::{Adam, AdamOptions, Toward, polyak};
use rand::RngExt as _;
use rand_distr::StandardNormal;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use spec::{Metric, SacSpec, Temperature};

use crate::TrainError;
use crate::agent::Agent;
use crate::checkpoint::CheckpointError;
use crate::critics::{Critics, bootstrap};
use crate::distribution::{LOG_DEVIATION, squashed_log_density};
use crate::exploration::{Moment, Noise};
use crate::learn::{Metrics, fill, put, put_adam, take, take_adam};
use crate::off_policy::{Clock, Method};
use crate::replay::Batch;
use crate::seeds::{self, Stream};
use crate::world::World;

const ADAM_EPSILON: f32 = 1e-8;

/// Policy, critics, target critics, temperature and their optimisers.
pub(crate) struct Sac<'a> {
    spec: &'a SacSpec,
    pub(crate) agent: Agent,
    critics: Critics,
    pub(crate) target: Vec<f32>,
    policy_adam: Adam,
    critic_adam: Adam,
    pub(crate) gradient: Vec<f32>,
    pub(crate) temperature: LearnedTemperature,
    noise: Option<Noise>,
    tape: PolicyTape,
    acting: PolicyTape,
    drawn: Drawn,
    action_gradient: [Vec<f32>; 2],
    targets: Vec<f32>,
    losses: Losses,
}

/// ln α, with its optimiser; α stays where it is when it is fixed.
pub(crate) struct LearnedTemperature {
    pub(crate) log: [f32; 1],
    /// Wanted entropy; `None` when α is fixed.
    target_entropy: Option<f64>,
    adam: Adam,
}

/// Actions drawn from the policy.
#[derive(Clone, Debug, Default)]
struct Drawn {
    /// Squashed, `[rows × width]`.
    actions: Vec<f32>,
    /// Standard normal draws behind them.
    noise: Vec<f32>,
    /// ln of the density of each row's action.
    log_densities: Vec<f64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Losses {
    value: f64,
    policy: f64,
    entropy: f64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    adams: [u64; 3],
    drift: Vec<f32>,
    losses: Losses,
}

impl<'a> Sac<'a> {
    pub(crate) fn new(spec: &'a SacSpec, agent: Agent, world: &World) -> Self {
        let mut new = Self::with_weights(spec, agent, world.envs());
        new.begin_at(new.agent.layout.draw(&mut seeds::generator(world.seed, Stream::Weights, 0)));
        new
    }

    pub(crate) fn with_weights(spec: &'a SacSpec, mut agent: Agent, envs: usize) -> Self {
        let (rows, width) = (spec.replay.batch as usize, agent.network.head().size());
        let critics = Critics::new(&mut agent, rows);
        let options = AdamOptions { epsilon: ADAM_EPSILON, norm_max: None };
        let (own, all) = (agent.network.own(), agent.layout.len());
        let (initial, target_entropy) = match spec.temperature {
            Temperature::Fixed(alpha) => (alpha, None),
            Temperature::Automatic { initial, target_entropy } => {
                (initial, Some(target_entropy.unwrap_or(-(width as f64))))
            }
        };
        Self {
            spec,
            target: vec![0.0; all],
            policy_adam: Adam::new(own.len(), options),
            critic_adam: Adam::new(all - own.end, options),
            gradient: vec![0.0; all],
            temperature: LearnedTemperature { log: [initial.ln() as f32], target_entropy, adam: Adam::new(1, options) },
            noise: spec.exploration.map(|exploration| Noise::new(exploration, envs, width)),
            tape: agent.network.tape(rows),
            acting: agent.network.tape(envs),
            drawn: Drawn::default(),
            action_gradient: [vec![0.0; rows * width], vec![0.0; rows * width]],
            targets: vec![0.0; rows],
            losses: Losses::default(),
            critics,
            agent,
        }
    }

    /// Starts from these weights, target critics equal to them.
    pub(crate) fn begin_at(&mut self, weights: Vec<f32>) {
        self.target.clone_from(&weights);
        self.agent.weights = weights;
    }

    fn alpha(&self) -> f64 {
        f64::from(self.temperature.log[0]).exp()
    }

    /// y = R + d·(min Q′(s′, a′) − α ln π(a′|s′)), a′ drawn anew.
    fn bootstrap(&mut self, batch: &Batch, alpha: f64, noise: impl FnMut() -> f32) {
        let (rows, network) = (batch.rewards.len(), &self.agent.network);
        // With a torso, policy and target critics see through the target's: one pass serves both.
        let features = network.see(&self.target, &batch.next_observations, rows, &mut self.tape.torso);
        network.mlp().forward(&self.agent.weights, features, rows, &mut self.tape.head);
        self.drawn.draw(self.tape.head.output(rows), network.head().size(), noise);
        self.critics.judge(&self.target, features, &self.drawn.actions, rows);
        let [first, second] = self.critics.both(rows);
        let densities = &self.drawn.log_densities;
        let value = |row: usize| first[row].min(second[row]) - (alpha * densities[row]) as f32;
        bootstrap(batch, value, &mut self.targets);
    }

    /// Adds the gradient of half the sum of both critics' mean squared errors; returns it.
    pub(crate) fn critic_backward(
        &mut self,
        batch: &Batch,
        (alpha, noise): (f64, impl FnMut() -> f32),
        errors: &mut Vec<f32>,
    ) -> f64 {
        self.bootstrap(batch, alpha, noise);
        let (rows, weights) = (batch.rewards.len(), &self.agent.weights);
        let features = self.agent.network.see(weights, &batch.observations, rows, &mut self.tape.torso);
        self.critics.judge(weights, features, &batch.actions, rows);
        errors.clear();
        errors.resize(rows, 0.0);
        let (targets, mut loss) = (&self.targets, 0.0);
        self.critics.slope(rows, |_, row, value| {
            let (error, weight) = (value - targets[row], batch.weights[row] / rows as f32);
            errors[row] += error.abs() / 2.0;
            loss += f64::from(weight * error * error) / 2.0;
            weight * error
        });
        self.critics.learn(&self.agent, &mut self.gradient, rows, &mut self.tape);
        loss
    }

    /// Adds the gradient of mean α ln π(a|s) − min Q(s, a), a drawn anew, to the policy's. Returns that loss and the mean of
    /// ln π.
    pub(crate) fn policy_backward(&mut self, batch: &Batch, alpha: f64, noise: impl FnMut() -> f32) -> (f64, f64) {
        let (rows, weights, network) = (batch.rewards.len(), &self.agent.weights, &self.agent.network);
        let width = network.head().size();
        let features = network.see(weights, &batch.observations, rows, &mut self.tape.torso);
        network.mlp().forward(weights, features, rows, &mut self.tape.head);
        self.drawn.draw(self.tape.head.output(rows), width, noise);
        self.critics.judge(weights, features, &self.drawn.actions, rows);
        let [first, second] = self.critics.both(rows);
        let smaller: Vec<usize> = first.iter().zip(second).map(|(a, b)| usize::from(b < a)).collect();
        let values: f64 = first.iter().zip(second).map(|(a, b)| f64::from(a.min(*b))).sum();
        self.critics.slope(rows, |critic, row, _| if smaller[row] == critic { 1.0 } else { 0.0 });
        for (index, out) in self.action_gradient.iter_mut().enumerate() {
            self.critics.toward_action(index, weights, rows, out);
        }
        let densities: f64 = self.drawn.log_densities.iter().sum();
        let (outputs, gradient) = self.tape.head.output_and_gradient(rows);
        for (at, (outputs, gradient)) in
            outputs.chunks_exact(2 * width).zip(gradient.chunks_exact_mut(2 * width)).enumerate()
        {
            for part in 0..width {
                let here = at * width + part;
                let (a, noise) = (self.drawn.actions[here], self.drawn.noise[here]);
                let slope = self.action_gradient[0][here] + self.action_gradient[1][here];
                let log_deviation = outputs[width + part];
                let inside = (LOG_DEVIATION.0..=LOG_DEVIATION.1).contains(&log_deviation);
                let spread = log_deviation.clamp(LOG_DEVIATION.0, LOG_DEVIATION.1).exp() * noise;
                // d ln π / du = 2 tanh u and da / du = 1 − a², where u = mean + deviation · noise.
                let along = alpha as f32 * 2.0 * a - slope * (1.0 - a * a);
                gradient[part] = along / rows as f32;
                let deviation = if inside { along * spread - alpha as f32 } else { 0.0 };
                gradient[width + part] = deviation / rows as f32;
            }
        }
        network.mlp().backward(weights, rows, &mut self.tape.head, Toward::weights(features, &mut self.gradient));
        ((alpha * densities - values) / rows as f64, densities / rows as f64)
    }

    pub(crate) fn critic_step(&mut self, rate: f64) -> Result<(), neural::NotFinite> {
        let split = self.agent.network.own().end;
        self.critic_adam.step(&mut self.agent.weights[split..], &mut self.gradient[split..], rate)
    }

    pub(crate) fn policy_step(&mut self, rate: f64) -> Result<(), neural::NotFinite> {
        let own = self.agent.network.own();
        self.policy_adam.step(&mut self.agent.weights[own.clone()], &mut self.gradient[own], rate)
    }

    /// Torso and critics; the policy has no target.
    pub(crate) fn follow(&mut self) {
        let split = self.agent.network.own().end;
        polyak(&mut self.target[split..], &self.agent.weights[split..], self.spec.tau);
    }
}

impl LearnedTemperature {
    /// One step down −ln α·(ln π + wanted entropy), where `density` is the mean of ln π.
    pub(crate) fn step(&mut self, density: f64, rate: f64) -> Result<(), neural::NotFinite> {
        let Some(wanted) = self.target_entropy else { return Ok(()) };
        self.adam.step(&mut self.log, &mut [-(density + wanted) as f32], rate)
    }
}

impl Drawn {
    /// Draws an action a row from means and ln deviations, `[rows × 2·width]`.
    fn draw(&mut self, outputs: &[f32], width: usize, mut noise: impl FnMut() -> f32) {
        self.actions.clear();
        self.noise.clear();
        self.log_densities.clear();
        for row in outputs.chunks_exact(2 * width) {
            let mut density = 0.0;
            for (mean, log_deviation) in row[..width].iter().zip(&row[width..]) {
                let log_deviation = log_deviation.clamp(LOG_DEVIATION.0, LOG_DEVIATION.1);
                let noise = noise();
                let u = mean + log_deviation.exp() * noise;
                density += squashed_log_density(f64::from(u), f64::from(noise), f64::from(log_deviation));
                self.actions.push(u.tanh());
                self.noise.push(noise);
            }
            self.log_densities.push(density);
        }
    }
}

impl Method for Sac<'_> {
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
        let width = network.head().size();
        let features = network.see(weights, observations, rows, &mut self.acting.torso);
        network.mlp().forward(weights, features, rows, &mut self.acting.head);
        let mut rng = seeds::generator(world.seed, Stream::Actions, world.memory.steps);
        let mut drawn = Drawn::default();
        drawn.draw(self.acting.head.output(rows), width, || rng.sample(StandardNormal));
        actions.copy_from_slice(&drawn.actions);
        if let Some(noise) = &mut self.noise {
            let hidden = self.acting.head.last_hidden();
            noise.add(Moment { seed: world.seed, step: world.memory.steps, hidden }, width, actions);
        }
    }

    fn episode_ended(&mut self, env: usize) {
        let width = self.agent.network.head().size();
        if let Some(noise) = &mut self.noise {
            noise.restart(env, width);
        }
    }

    fn update(&mut self, batch: &Batch, clock: Clock, errors: &mut Vec<f32>) -> Result<(), TrainError> {
        let not_finite = |what| TrainError::not_finite(what, clock.update);
        let rate = self.spec.schedule.at(self.spec.learning_rate, clock.progress);
        let mut rng = seeds::generator(clock.seed, Stream::Update, clock.update);
        let alpha = self.alpha();
        self.losses.value = self.critic_backward(batch, (alpha, || rng.sample(StandardNormal)), errors);
        if !self.losses.value.is_finite() {
            return Err(not_finite("the loss of the critics"));
        }
        self.critic_step(rate).map_err(|_| not_finite("the gradient of the critics"))?;
        let (loss, density) = self.policy_backward(batch, alpha, || rng.sample(StandardNormal));
        (self.losses.policy, self.losses.entropy) = (loss, -density);
        if !loss.is_finite() {
            return Err(not_finite("the loss of the policy"));
        }
        self.policy_step(rate).map_err(|_| not_finite("the gradient of the policy"))?;
        self.temperature.step(density, rate).map_err(|_| not_finite("the gradient of the temperature"))?;
        self.follow();
        Ok(())
    }

    fn measured(&self) -> Metrics {
        let Losses { value, policy, entropy } = self.losses;
        Metrics::from([(Metric::ValueLoss, value), (Metric::PolicyLoss, policy), (Metric::Entropy, entropy)])
    }

    fn save(&self, tensors: &mut Named) -> Value {
        put(tensors, "weights", &self.agent.weights);
        put(tensors, "target", &self.target);
        put(tensors, "temperature", &self.temperature.log);
        let adams = [
            ("policy_adam", &self.policy_adam),
            ("critic_adam", &self.critic_adam),
            ("temperature_adam", &self.temperature.adam),
        ];
        let adams = adams.map(|(name, adam)| put_adam(tensors, name, adam));
        let drift = self.noise.as_ref().map(|noise| noise.drift.clone()).unwrap_or_default();
        serde_json::to_value(Saved { adams, drift, losses: self.losses }).expect("it holds finite numbers alone")
    }

    fn restore(&mut self, tensors: &Named, state: Value) -> Result<(), CheckpointError> {
        let content = |why: String| CheckpointError::Content { why };
        let saved: Saved = serde_json::from_value(state).map_err(|error| content(error.to_string()))?;
        let drift = self.noise.as_ref().map_or(0, |noise| noise.drift.len());
        if saved.drift.len() != drift || take(tensors, "temperature")?.len() != 1 {
            return Err(content("the noise is of other environments".to_owned()));
        }
        fill(tensors, "weights", &mut self.agent.weights)?;
        fill(tensors, "target", &mut self.target)?;
        fill(tensors, "temperature", &mut self.temperature.log)?;
        take_adam(tensors, "policy_adam", (&mut self.policy_adam, saved.adams[0]))?;
        take_adam(tensors, "critic_adam", (&mut self.critic_adam, saved.adams[1]))?;
        take_adam(tensors, "temperature_adam", (&mut self.temperature.adam, saved.adams[2]))?;
        if let Some(noise) = &mut self.noise {
            noise.drift = saved.drift;
        }
        self.losses = saved.losses;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
