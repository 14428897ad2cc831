//! Steps of a vector environment under a policy, as an on-policy algorithm learns from them.

use std::collections::VecDeque;

use envs::{Actions, Buffers, StepOutcome, VectorEnv};
use models::{ActorCritic, Mode};
use rand::Rng as _;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::gae::{Trace, advantages};
use crate::seeds::{self, Stream};

/// Finished episodes that the mean return is taken over.
const EPISODES_KEPT: usize = 100;

/// Returns of episodes: those that run, and the last that ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Episodes {
    /// Undiscounted return so far, per environment.
    running: Vec<f64>,
    finished: VecDeque<f64>,
}

impl Episodes {
    pub(crate) fn new(envs: usize) -> Self {
        Self { running: vec![0.0; envs], finished: VecDeque::new() }
    }

    fn record(&mut self, buffers: &Buffers) {
        for ((sum, reward), outcome) in self.running.iter_mut().zip(&buffers.rewards).zip(&buffers.outcomes) {
            *sum += f64::from(*reward);
            if outcome.is_end() {
                self.finished.push_back(std::mem::take(sum));
            }
        }
        while self.finished.len() > EPISODES_KEPT {
            self.finished.pop_front();
        }
    }

    /// Mean return of the last finished episodes; `None` before the first ends.
    pub(crate) fn mean_return(&self) -> Option<f64> {
        (!self.finished.is_empty()).then(|| self.finished.iter().sum::<f64>() / self.finished.len() as f64)
    }
}

/// Where and how to collect.
pub(crate) struct Collector<'a> {
    pub(crate) network: &'a ActorCritic,
    pub(crate) seed: u64,
    /// Steps per environment.
    pub(crate) steps: usize,
    /// Steps per environment taken in earlier rollouts: counts the draws of actions.
    pub(crate) taken: u64,
}

/// A rollout: `[steps × envs]`, step by step.
pub(crate) struct Rollout {
    /// `[steps × envs, observation_width]`.
    pub(crate) observations: Tensor,
    /// `[steps × envs]`, i64.
    pub(crate) actions: Tensor,
    /// ln of the probability that each action had.
    pub(crate) log_probabilities: Tensor,
    pub(crate) advantages: Tensor,
    /// What the value function should have said: advantage + value.
    pub(crate) returns: Tensor,
}

/// Columns while they grow.
#[derive(Default)]
struct Columns {
    observations: Vec<f32>,
    actions: Vec<i64>,
    log_probabilities: Vec<f32>,
    rewards: Vec<f64>,
    values: Vec<f64>,
    outcomes: Vec<StepOutcome>,
    final_values: Vec<f64>,
}

impl Collector<'_> {
    /// Steps the environment from what `buffers.observations` shows.
    pub(crate) fn collect(
        &self,
        env: &mut dyn VectorEnv,
        buffers: &mut Buffers,
        episodes: &mut Episodes,
        (gamma, lambda): (f64, f64),
    ) -> Rollout {
        let _guard = tch::no_grad_guard();
        let mut columns = Columns::default();
        let mut chosen = vec![0; env.envs()];
        for step in 0..self.steps {
            let (logits, values) = self.judge(&buffers.observations, env.observation_width());
            let mut rng = seeds::generator(self.seed, Stream::Actions, self.taken + step as u64);
            for (action, logits) in chosen
                .iter_mut()
                .zip(logits.chunks_exact(env.action_space().actions().expect("its actions are discrete")))
            {
                let (drawn, log_probability) = draw(logits, uniform(rng.next_u64()));
                *action = drawn;
                columns.actions.push(i64::from(drawn));
                columns.log_probabilities.push(log_probability);
            }
            columns.observations.extend_from_slice(&buffers.observations);
            columns.values.extend(values);
            env.step(Actions::Discrete(&chosen), buffers.lend());
            episodes.record(buffers);
            columns.rewards.extend(buffers.rewards.iter().map(|reward| f64::from(*reward)));
            columns.outcomes.extend_from_slice(&buffers.outcomes);
            columns.final_values.extend(self.final_values(buffers, env.observation_width()));
        }
        let (_, last_values) = self.judge(&buffers.observations, env.observation_width());
        columns.finish(&last_values, gamma, lambda)
    }

    /// Logits `[envs × actions]` and values `[envs]`.
    fn judge(&self, observations: &[f32], width: usize) -> (Vec<f32>, Vec<f64>) {
        let input = Tensor::from_slice(observations).view([-1, width as i64]);
        let judged = self.network.forward(&input, Mode::Inference);
        (values_of(&judged.logits), values_of(&judged.values).into_iter().map(f64::from).collect())
    }

    /// Values of final observations where an episode was truncated, zero elsewhere.
    fn final_values(&self, buffers: &Buffers, width: usize) -> Vec<f64> {
        if !buffers.outcomes.contains(&StepOutcome::Truncated) {
            return vec![0.0; buffers.outcomes.len()];
        }
        let (_, mut values) = self.judge(&buffers.final_observations, width);
        for (value, outcome) in values.iter_mut().zip(&buffers.outcomes) {
            if *outcome != StepOutcome::Truncated {
                *value = 0.0;
            }
        }
        values
    }
}

impl Columns {
    fn finish(self, last_values: &[f64], gamma: f64, lambda: f64) -> Rollout {
        let trace = Trace {
            rewards: &self.rewards,
            values: &self.values,
            outcomes: &self.outcomes,
            final_values: &self.final_values,
            last_values,
        };
        let advantages = advantages(&trace, gamma, lambda);
        let returns: Vec<f64> =
            advantages.iter().zip(&self.values).map(|(advantage, value)| advantage + value).collect();
        let count = self.actions.len() as i64;
        Rollout {
            observations: Tensor::from_slice(&self.observations).view([count, -1]),
            actions: Tensor::from_slice(&self.actions),
            log_probabilities: Tensor::from_slice(&self.log_probabilities),
            advantages: Tensor::from_slice(&advantages).to_kind(Kind::Float),
            returns: Tensor::from_slice(&returns).to_kind(Kind::Float),
        }
    }
}

fn values_of(tensor: &Tensor) -> Vec<f32> {
    Vec::try_from(tensor.contiguous().view(-1)).expect("a flat f32 tensor is a vector")
}

/// 53 random bits as a number in [0, 1).
fn uniform(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

/// The action that `uniform` falls on, and ln of its probability.
fn draw(logits: &[f32], uniform: f64) -> (u32, f32) {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let shifted = |logit: f32| f64::from(logit) - f64::from(largest);
    let total: f64 = logits.iter().map(|logit| shifted(*logit).exp()).sum();
    let mut left = uniform * total;
    let mut drawn = logits.len() - 1;
    for (action, logit) in logits.iter().enumerate() {
        left -= shifted(*logit).exp();
        if left < 0.0 {
            drawn = action;
            break;
        }
    }
    (drawn as u32, (shifted(logits[drawn]) - total.ln()) as f32)
}
