//! What DQN, TD3 and SAC share: act, remember, learn from what is remembered.

use std::collections::VecDeque;

use envs::StepOutcome;
use models::weights::Named;
use rand::RngExt as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use spec::ReplaySpec;

use crate::TrainError;
use crate::agent::Agent;
use crate::checkpoint::CheckpointError;
use crate::learn::{Learner, Metrics, put, take};
use crate::memory;
use crate::replay::{self, Batch, Replay, Transition, Widths};
use crate::seeds::{self, Stream};
use crate::world::World;

/// Where in the training an update happens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    pub(crate) seed: u64,
    /// Updates before this one.
    pub(crate) update: u64,
    /// Share of the steps taken.
    pub(crate) progress: f64,
}

/// What is peculiar to each method.
pub(crate) trait Method {
    fn agent(&mut self) -> &mut Agent;

    /// Numbers that name an action.
    fn action_width(&self) -> usize;

    /// How many actions there are; `None` where they are continuous.
    fn actions(&self) -> Option<usize>;

    fn gamma(&self) -> f64;

    /// What to do in each environment while learning. `observations` are normalised.
    fn explore(&mut self, observations: &[f32], world: &World, actions: &mut [f32]);

    /// An environment's episode has ended.
    fn episode_ended(&mut self, _env: usize) {}

    /// A step was taken; `steps` in all.
    fn stepped(&mut self, _steps: u64) {}

    /// Learns from one mini-batch of normalised observations. `errors`, `[rows]`, is told how wrong the values were.
    fn update(&mut self, batch: &Batch, clock: Clock, errors: &mut Vec<f32>) -> Result<(), TrainError>;

    /// What the last update measured.
    fn measured(&self) -> Metrics;

    fn save(&self, tensors: &mut Named) -> Value;

    fn restore(&mut self, tensors: &Named, state: Value) -> Result<(), CheckpointError>;
}

/// A step that has not yet all its n rewards.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pending {
    observation: Vec<f32>,
    action: Vec<f32>,
    reward: f64,
    /// γ to the number of rewards in `reward`.
    discount: f64,
}

/// A method with its memory.
pub(crate) struct OffPolicy<'a, M> {
    spec: &'a ReplaySpec,
    method: M,
    replay: Replay,
    /// Per environment, oldest first.
    pending: Vec<VecDeque<Pending>>,
    updates: u64,
    actions: Vec<f32>,
    normalised: Vec<f32>,
    batch: Batch,
    errors: Vec<f32>,
}

/// As saved, tensors apart.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    method: Value,
    pending: Vec<VecDeque<Pending>>,
    updates: u64,
    cursor: usize,
    priorities: Option<Vec<f64>>,
}

const COLUMNS: [&str; 5] = ["observations", "actions", "rewards", "next_observations", "discounts"];

impl<'a, M: Method> OffPolicy<'a, M> {
    pub(crate) fn new(spec: &'a ReplaySpec, method: M, world: &World) -> Result<Self, TrainError> {
        let widths = Widths { observation: world.env.observation_width(), action: method.action_width() };
        // More than all steps are never kept.
        let capacity = (spec.capacity as u64).min(world.steps_planned + world.envs() as u64) as usize;
        memory::foresee(Replay::wanted_bytes(spec, widths, capacity.max(1)))?;
        Ok(Self {
            spec,
            replay: Replay::new(spec, widths, capacity.max(1)),
            pending: vec![VecDeque::new(); world.envs()],
            updates: 0,
            actions: vec![0.0; world.envs() * method.action_width()],
            normalised: Vec::new(),
            batch: Batch::default(),
            errors: Vec::new(),
            method,
        })
    }

    fn act(&mut self, world: &mut World) -> Result<(), TrainError> {
        if world.memory.steps < self.spec.starts {
            let mut rng = seeds::generator(world.seed, Stream::Actions, world.memory.steps);
            match self.method.actions() {
                Some(count) => self.actions.fill_with(|| rng.random_range(0..count) as f32),
                None => self.actions.fill_with(|| rng.random_range(-1.0..=1.0)),
            }
        } else {
            self.normalised.clone_from(&world.buffers.observations);
            world.inform(self.method.agent());
            let agent = self.method.agent();
            agent.network.normalise(&agent.weights, &mut self.normalised);
            self.method.explore(&self.normalised, world, &mut self.actions);
        }
        let width = world.env.observation_width();
        let before = std::mem::take(&mut self.normalised);
        let seen = {
            let mut seen = before;
            seen.clone_from(&world.buffers.observations);
            seen
        };
        let resetting = world.step(&self.actions)?;
        for env in 0..world.envs() {
            if !resetting[env] {
                self.remember(world, env, &seen[env * width..(env + 1) * width]);
            }
        }
        self.normalised = seen;
        self.method.stepped(world.memory.steps);
        Ok(())
    }

    /// Adds the step of environment `env` to its pending ones and keeps those that are whole.
    fn remember(&mut self, world: &World, env: usize, seen: &[f32]) {
        let (width, gamma) = (seen.len(), self.method.gamma());
        let action = self.method.action_width();
        let reward = f64::from(world.buffers.rewards[env]);
        let outcome = world.buffers.outcomes[env];
        let pending = &mut self.pending[env];
        for step in &mut *pending {
            step.reward += step.discount * reward;
            step.discount *= gamma;
        }
        let action = self.actions[env * action..(env + 1) * action].to_vec();
        pending.push_back(Pending { observation: seen.to_vec(), action, reward, discount: gamma });
        let row = env * width..(env + 1) * width;
        let (next, last) = match outcome {
            StepOutcome::Continues => (&world.buffers.observations[row], false),
            StepOutcome::Terminated | StepOutcome::Truncated => (&world.buffers.final_observations[row], true),
        };
        while last && !pending.is_empty() || pending.len() >= self.spec.n_step as usize {
            let step = pending.pop_front().expect("there is one, as was just seen");
            let discount = if outcome == StepOutcome::Terminated { 0.0 } else { step.discount as f32 };
            self.replay.push(&Transition {
                observation: &step.observation,
                action: &step.action,
                reward: step.reward as f32,
                next_observation: next,
                discount,
            });
        }
        if last {
            self.method.episode_ended(env);
        }
    }

    fn learn(&mut self, world: &World) -> Result<(), TrainError> {
        let clock = Clock { seed: world.seed, update: self.updates, progress: world.progress() };
        let mut rng = seeds::generator(world.seed, Stream::Replay, self.updates);
        let beta = replay::beta(self.spec.prioritised.as_ref(), clock.progress);
        self.replay.sample(&mut rng, self.spec.batch as usize, beta, &mut self.batch);
        let agent = self.method.agent();
        agent.network.normalise(&agent.weights, &mut self.batch.observations);
        agent.network.normalise(&agent.weights, &mut self.batch.next_observations);
        world.scale(&mut self.batch.rewards, self.spec.n_step);
        self.method.update(&self.batch, clock, &mut self.errors)?;
        self.replay.reprioritise(&self.batch.indices, &self.errors);
        self.updates += 1;
        Ok(())
    }
}

impl<M: Method> Learner for OffPolicy<'_, M> {
    fn advance(&mut self, world: &mut World) -> Result<Metrics, TrainError> {
        for _ in 0..(self.spec.every as usize).div_ceil(world.envs()) {
            self.act(world)?;
        }
        if world.memory.steps <= self.spec.starts || self.replay.is_empty() {
            return Ok(Metrics::new());
        }
        world.inform(self.method.agent());
        for _ in 0..self.spec.updates {
            self.learn(world)?;
        }
        Ok(self.method.measured())
    }

    fn agent(&mut self) -> &mut Agent {
        self.method.agent()
    }

    fn updates(&self) -> u64 {
        self.updates
    }

    fn save(&self, tensors: &mut Named) -> Value {
        for (name, column) in COLUMNS.iter().zip(&self.replay.columns) {
            put(tensors, &format!("replay.{name}"), column);
        }
        let saved = Saved {
            method: self.method.save(tensors),
            pending: self.pending.clone(),
            updates: self.updates,
            cursor: self.replay.cursor,
            priorities: self.replay.priorities.as_ref().map(|priorities| priorities.saved(self.replay.len())),
        };
        serde_json::to_value(saved).expect("it holds finite numbers and text keys alone")
    }

    fn restore(&mut self, tensors: &Named, state: Value) -> Result<(), CheckpointError> {
        let content = |why: String| CheckpointError::Content { why };
        let saved: Saved = serde_json::from_value(state).map_err(|error| content(error.to_string()))?;
        let mut columns = [const { Vec::new() }; 5];
        for (name, column) in COLUMNS.iter().zip(&mut columns) {
            *column = take(tensors, &format!("replay.{name}"))?;
        }
        self.replay.restore(columns, saved.cursor).map_err(content)?;
        if let (Some(priorities), Some(values)) = (&mut self.replay.priorities, saved.priorities) {
            priorities.restore(&values);
        }
        self.method.restore(tensors, saved.method)?;
        (self.pending, self.updates) = (saved.pending, saved.updates);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
