//! The environments that an agent learns in, with what is remembered of them from step to step.

use std::collections::VecDeque;

use envs::{Autoreset, Buffers, VectorEnv};
use serde::{Deserialize, Serialize};
use spec::Normalise;

use crate::TrainError;
use crate::agent::{Agent, Chosen};
use crate::checkpoint::CheckpointError;
use crate::moments::{Moments, RewardScale};
use crate::seeds::{self, Stream};

/// Finished episodes that the mean return is taken over.
const EPISODES_KEPT: usize = 100;

/// The environments, what they show, and how far training is.
pub(crate) struct World {
    pub(crate) env: Box<dyn VectorEnv>,
    pub(crate) buffers: Buffers,
    pub(crate) seed: u64,
    /// Steps that training takes in all.
    pub(crate) steps_planned: u64,
    pub(crate) memory: Memory,
    chosen: Chosen,
}

/// What is saved of a [`World`] beside the environment's own state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Memory {
    /// Steps taken, each copy's counted; resets are none.
    pub(crate) steps: u64,
    /// Whether the coming row of a copy is a reset of [`Autoreset::NextStep`], and no transition.
    pub(crate) resetting: Vec<bool>,
    /// Continuous actions that were cut to their range before the environment saw them, components.
    clamped: u64,
    observed: Option<Moments>,
    rewarded: Option<RewardScale>,
    /// Undiscounted return so far, per copy.
    running: Vec<f64>,
    finished: VecDeque<f64>,
    #[serde(with = "hex::serde")]
    env: Vec<u8>,
}

impl World {
    pub(crate) fn new(
        mut env: Box<dyn VectorEnv>,
        (seed, steps_planned): (u64, u64),
        (normalise, gamma): (Normalise, f64),
    ) -> Self {
        let mut buffers = Buffers::new(&*env);
        env.reset(seeds::derive(seed, Stream::Episodes, 0), &mut buffers.observations);
        let envs = env.envs();
        let mut observed = normalise.observations().then(|| Moments::new(env.observation_width()));
        if let Some(moments) = &mut observed {
            moments.update(&buffers.observations);
        }
        let memory = Memory {
            steps: 0,
            resetting: vec![false; envs],
            clamped: 0,
            observed,
            rewarded: normalise.rewards().then(|| RewardScale::new(envs, gamma)),
            running: vec![0.0; envs],
            finished: VecDeque::new(),
            env: Vec::new(),
        };
        let chosen = Chosen::new(&*env);
        Self { env, buffers, seed, steps_planned, memory, chosen }
    }

    pub(crate) fn envs(&self) -> usize {
        self.env.envs()
    }

    /// Share of the planned steps that are taken.
    pub(crate) fn progress(&self) -> f64 {
        (self.memory.steps as f64 / self.steps_planned as f64).min(1.0)
    }

    /// Mean return of the last finished episodes; `None` before the first ends.
    pub(crate) fn mean_return(&self) -> Option<f64> {
        let finished = &self.memory.finished;
        (!finished.is_empty()).then(|| finished.iter().sum::<f64>() / finished.len() as f64)
    }

    /// Brings the agent's view of observations up to date.
    pub(crate) fn inform(&self, agent: &mut Agent) {
        if let Some(moments) = &self.memory.observed {
            agent.adopt(moments);
        }
    }

    /// Takes one action in each copy, named as learners do. Rewards and observations in the buffers are as the environment
    /// gave them. Returns which rows were resets, not transitions.
    pub(crate) fn step(&mut self, actions: &[f32]) -> Result<Vec<bool>, TrainError> {
        if self.env.action_space().actions().is_none() {
            let outside = actions.iter().filter(|action| !(-1.0..=1.0).contains(*action)).count();
            self.memory.clamped += outside as u64;
        }
        self.chosen.set(actions);
        self.env.step(self.chosen.actions(), self.buffers.lend());
        let (buffers, memory) = (&mut self.buffers, &mut self.memory);
        finite("a reward", &buffers.rewards, memory.steps)?;
        finite("an observation", &buffers.observations, memory.steps)?;
        let width = self.env.observation_width();
        for (row, outcome) in buffers.final_observations.chunks_exact(width).zip(&buffers.outcomes) {
            if outcome.is_end() {
                finite("a final observation", row, memory.steps)?;
            }
        }
        let next_step = self.env.autoreset() == Autoreset::NextStep;
        let ended = buffers.outcomes.iter().map(|outcome| next_step && outcome.is_end()).collect();
        let resetting = std::mem::replace(&mut memory.resetting, ended);
        memory.steps += resetting.iter().filter(|resetting| !**resetting).count() as u64;
        for ((sum, reward), outcome) in memory.running.iter_mut().zip(&buffers.rewards).zip(&buffers.outcomes) {
            *sum += f64::from(*reward);
            if outcome.is_end() {
                memory.finished.push_back(std::mem::take(sum));
            }
        }
        while memory.finished.len() > EPISODES_KEPT {
            memory.finished.pop_front();
        }
        if let Some(moments) = &mut memory.observed {
            moments.update(&buffers.observations);
        }
        if let Some(scale) = &mut memory.rewarded {
            scale.observe(&buffers.rewards, &resetting, buffers.outcomes.iter().map(|outcome| outcome.is_end()));
        }
        Ok(resetting)
    }

    /// Actions outside the space so far, taken as the nearest inside.
    pub(crate) fn clamped(&self) -> u64 {
        self.memory.clamped + self.env.clamped()
    }

    /// Brings rewards, each the sum of `steps`, to unit scale by what was seen so far, where that is asked for. What is
    /// remembered stays as it was: a memory of scaled rewards would mix as many scales as it is long.
    pub(crate) fn scale(&self, rewards: &mut [f32], steps: u32) {
        if let Some(scale) = &self.memory.rewarded {
            scale.scale(rewards, steps);
        }
    }

    pub(crate) fn saved(&mut self) -> &Memory {
        self.memory.env = self.env.state();
        &self.memory
    }

    pub(crate) fn restore(&mut self, memory: Memory) -> Result<(), CheckpointError> {
        let content = |why: String| CheckpointError::Content { why };
        if memory.running.len() != self.envs() || memory.resetting.len() != self.envs() {
            return Err(content(format!("it is of {} environments, not of {}", memory.running.len(), self.envs())));
        }
        self.env.restore(&memory.env).map_err(|error| content(crate::chain(&error)))?;
        self.env.observe(&mut self.buffers.observations);
        self.memory = memory;
        Ok(())
    }
}

fn finite(what: &'static str, values: &[f32], step: u64) -> Result<(), TrainError> {
    if values.iter().all(|value| value.is_finite()) { Ok(()) } else { Err(TrainError::broken(what, step)) }
}

/// Undiscounted return of one episode in each copy, from what `buffers` shows now, under the policy as it is served.
pub(crate) fn play(env: &mut dyn VectorEnv, buffers: &mut Buffers, agent: &mut Agent) -> Vec<f64> {
    let mut returns: Vec<(f64, bool)> = vec![(0.0, false); env.envs()];
    let mut chosen = Chosen::new(env);
    let mut answers = vec![0.0; env.envs() * agent.network.head().size()];
    while returns.iter().any(|(_, ended)| !ended) {
        agent.answer(&buffers.observations, &mut answers);
        chosen.decide(&answers);
        env.step(chosen.actions(), buffers.lend());
        for ((sum, ended), (reward, outcome)) in returns.iter_mut().zip(buffers.rewards.iter().zip(&buffers.outcomes)) {
            if !*ended {
                *sum += f64::from(*reward);
                *ended = outcome.is_end();
            }
        }
    }
    returns.into_iter().map(|(sum, _)| sum).collect()
}
