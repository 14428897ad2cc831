//! Steps of all environments under a policy, as an on-policy method learns from them.

use envs::StepOutcome;
use models::{PolicyHead, PolicyTape};
use neural::{Mlp, MlpTape};
use rand::RngExt as _;
use rand_distr::StandardNormal;

use crate::TrainError;
use crate::agent::Agent;
use crate::distribution::{draw_categorical, gaussian_log_density, log_softmax};
use crate::gae::{Trace, advantages};
use crate::seeds::{self, Stream};
use crate::world::World;

/// A rollout: `[steps × envs]`, step by step. Allocated once, filled again and again.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rollout {
    /// Normalised, `[steps × envs, observation_width]`.
    pub(crate) observations: Vec<f32>,
    /// As drawn, before they are cut to their range: `[steps × envs, action_width]`.
    pub(crate) actions: Vec<f32>,
    /// ln of the probability (density) that each action had.
    pub(crate) log_probabilities: Vec<f64>,
    pub(crate) values: Vec<f64>,
    pub(crate) advantages: Vec<f64>,
    /// What the value function should have said: advantage + value.
    pub(crate) returns: Vec<f64>,
    /// Rows that are transitions: a reset of an environment is none.
    pub(crate) rows: Vec<usize>,
    rewards: Vec<f64>,
    outcomes: Vec<StepOutcome>,
    final_values: Vec<f64>,
}

/// Who collects: policy and value function with their scratch.
pub(crate) struct Collector<'a> {
    pub(crate) agent: &'a mut Agent,
    pub(crate) critic: &'a Mlp,
    pub(crate) tape: &'a mut PolicyTape,
    pub(crate) critic_tape: &'a mut MlpTape,
}

impl Rollout {
    fn clear(&mut self) {
        let Self { observations, actions, log_probabilities, values, rows, rewards, outcomes, final_values, .. } = self;
        [observations, actions].into_iter().for_each(Vec::clear);
        [log_probabilities, values, rewards, final_values].into_iter().for_each(Vec::clear);
        rows.clear();
        outcomes.clear();
    }

    /// Steps every environment `steps` times from where it stands.
    pub(crate) fn collect(
        &mut self,
        mut collector: Collector<'_>,
        world: &mut World,
        steps: usize,
        (gamma, lambda): (f64, f64),
    ) -> Result<(), TrainError> {
        self.clear();
        let envs = world.envs();
        let (mut observations, mut scaled) = (Vec::new(), Vec::new());
        for _ in 0..steps {
            collector.look(&world.buffers.observations, world, &mut observations);
            self.observations.extend_from_slice(&observations);
            collector.judge(&observations, envs, &mut self.values);
            let start = self.actions.len();
            collector.draw(world, &mut self.actions, &mut self.log_probabilities);
            let resetting = world.step(&self.actions[start..])?;
            let first = self.rewards.len();
            self.rows.extend((0..envs).filter(|env| !resetting[*env]).map(|env| first + env));
            scaled.clone_from(&world.buffers.rewards);
            world.scale(&mut scaled, 1);
            self.rewards.extend(scaled.iter().map(|reward| f64::from(*reward)));
            self.outcomes.extend_from_slice(&world.buffers.outcomes);
            self.judge_cut_off(&mut collector, world, &mut observations);
        }
        let mut last_values = Vec::new();
        collector.look(&world.buffers.observations, world, &mut observations);
        collector.judge(&observations, envs, &mut last_values);
        let trace = Trace {
            rewards: &self.rewards,
            values: &self.values,
            outcomes: &self.outcomes,
            final_values: &self.final_values,
            last_values: &last_values,
        };
        self.advantages = advantages(&trace, gamma, lambda);
        self.returns.clear();
        self.returns.extend(self.advantages.iter().zip(&self.values).map(|(advantage, value)| advantage + value));
        Ok(())
    }

    /// Values of the final observations of truncated episodes, zero elsewhere.
    fn judge_cut_off(&mut self, collector: &mut Collector<'_>, world: &World, observations: &mut Vec<f32>) {
        let outcomes = &world.buffers.outcomes;
        if !outcomes.contains(&StepOutcome::Truncated) {
            self.final_values.resize(self.final_values.len() + outcomes.len(), 0.0);
            return;
        }
        collector.look(&world.buffers.final_observations, world, observations);
        collector.judge(observations, outcomes.len(), &mut self.final_values);
    }
}

impl Collector<'_> {
    /// Normalises observations by what is known so far.
    fn look(&mut self, raw: &[f32], world: &World, observations: &mut Vec<f32>) {
        observations.clear();
        observations.extend_from_slice(raw);
        world.inform(self.agent);
        self.agent.network.normalise(&self.agent.weights, observations);
    }

    /// Computes the policy's outputs and appends the values.
    fn judge(&mut self, observations: &[f32], rows: usize, values: &mut Vec<f64>) {
        let (weights, network) = (&self.agent.weights, &self.agent.network);
        let features = network.see(weights, observations, rows, &mut self.tape.torso);
        network.mlp().forward(weights, features, rows, &mut self.tape.head);
        self.critic.forward(weights, features, rows, self.critic_tape);
        values.extend(self.critic_tape.output(rows).iter().map(|value| f64::from(*value)));
    }

    /// Draws an action for each environment from the outputs last computed.
    fn draw(&self, world: &World, actions: &mut Vec<f32>, log_probabilities: &mut Vec<f64>) {
        let head = self.agent.network.head();
        let mut rng = seeds::generator(world.seed, Stream::Actions, world.memory.steps);
        let outputs = self.tape.head.output(world.envs()).chunks_exact(head.outputs());
        let deviations = self.agent.network.log_deviation().map(|range| &self.agent.weights[range]);
        for outputs in outputs {
            match (head, deviations) {
                (PolicyHead::Gaussian { .. }, Some(log_deviations)) => {
                    let mut density = 0.0;
                    for (mean, log_deviation) in outputs.iter().zip(log_deviations) {
                        let action = mean + log_deviation.exp() * rng.sample::<f32, _>(StandardNormal);
                        let [value, mean, log] = [action, *mean, *log_deviation].map(f64::from);
                        density += gaussian_log_density(value, mean, log);
                        actions.push(action);
                    }
                    log_probabilities.push(density);
                }
                _ => {
                    let mut logs: Vec<f64> = outputs.iter().map(|logit| f64::from(*logit)).collect();
                    log_softmax(&mut logs);
                    let action = draw_categorical(&logs, rng.random());
                    actions.push(action as f32);
                    log_probabilities.push(logs[action]);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
