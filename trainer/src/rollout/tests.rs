//! What a rollout keeps: actions as drawn, transitions alone, and returns that look beyond a time limit.

use envs::probe::{Kind, Probe};
use envs::{Autoreset, Classic, ClassicKind, VectorEnv};
use spec::Normalise;

use super::*;
use crate::reference::agent;

const GAMMA: f64 = 0.9;
const LAMBDA: f64 = 0.95;

/// A policy and its critic.
struct Actor {
    agent: Agent,
    critic: Mlp,
    tape: PolicyTape,
    critic_tape: MlpTape,
}

impl Actor {
    /// All weights are zero.
    fn new(head: PolicyHead, world: &World) -> Self {
        let mut agent = agent(head, world.env.observation_width());
        let critic = agent.network.critic(&mut agent.layout, "critic", 0);
        agent.weights = vec![0.0; agent.layout.len()];
        let (tape, critic_tape) = (agent.network.tape(world.envs()), critic.tape(world.envs()));
        Self { agent, critic, tape, critic_tape }
    }

    fn fill(&mut self, tensor: &str, value: f32) {
        let place = self.agent.layout.places().iter().find(|place| place.name == tensor).unwrap();
        self.agent.weights[place.range.clone()].fill(value);
    }

    fn collect(&mut self, world: &mut World, steps: usize) -> Rollout {
        let collector = Collector {
            agent: &mut self.agent,
            critic: &self.critic,
            tape: &mut self.tape,
            critic_tape: &mut self.critic_tape,
        };
        let mut rollout = Rollout::default();
        rollout.collect(collector, world, steps, (GAMMA, LAMBDA)).unwrap();
        rollout
    }

    /// Values of one observation in each copy.
    fn values(&mut self, observations: &[f32], envs: usize) -> Vec<f64> {
        self.critic.forward(&self.agent.weights, observations, envs, &mut self.critic_tape);
        self.critic_tape.output(envs).iter().map(|value| f64::from(*value)).collect()
    }
}

fn world(env: impl VectorEnv + 'static) -> World {
    World::new(Box::new(env), (3, 1_000), (Normalise::None, GAMMA))
}

#[test]
fn a_gaussian_action_is_kept_uncut_with_its_own_density() {
    let mut world = world(Probe::new(Kind::TargetAction, 1));
    let mut actor = Actor::new(PolicyHead::Gaussian { width: 1 }, &world);
    actor.fill("actor.layer2.bias", 0.25);
    actor.fill("actor.log_deviation", 1.0);
    let rollout = actor.collect(&mut world, 64);
    assert!(rollout.actions.iter().any(|action| action.abs() > 1.0), "it is cut on its way to the environment alone");
    for (action, density) in rollout.actions.iter().zip(&rollout.log_probabilities) {
        assert!((density - gaussian_log_density(f64::from(*action), 0.25, 1.0)).abs() < 1e-12, "{action}: {density}");
    }
}

#[test]
fn a_step_that_resets_is_no_row() {
    let mut world = world(Probe::new(Kind::EndlessReward, 2).with_autoreset(Autoreset::NextStep));
    let rollout = Actor::new(PolicyHead::Categorical { actions: 1 }, &world).collect(&mut world, 10);
    // After each episode of four steps one begins the next, in both copies.
    let transitions: Vec<usize> = (0..8).chain(10..18).collect();
    assert_eq!((rollout.rows, world.memory.steps), (transitions, 16));
}

#[test]
fn a_time_limit_takes_nothing_from_the_worth_of_an_endless_reward() {
    let mut world = world(Probe::new(Kind::EndlessReward, 2));
    let mut actor = Actor::new(PolicyHead::Categorical { actions: 1 }, &world);
    // 1/(1 − γ): what is expected already.
    actor.fill("critic.layer2.bias", 10.0);
    let rollout = actor.collect(&mut world, 8);
    assert!(rollout.returns.iter().all(|value| (value - 10.0).abs() < 1e-9), "{:?}", rollout.returns);
    let ended = |outcome: &StepOutcome| if outcome.is_end() { StepOutcome::Terminated } else { *outcome };
    let outcomes: Vec<StepOutcome> = rollout.outcomes.iter().map(ended).collect();
    let trace = Trace {
        rewards: &rollout.rewards,
        values: &rollout.values,
        outcomes: &outcomes,
        final_values: &rollout.final_values,
        last_values: &[10.0; 2],
    };
    let off = advantages(&trace, GAMMA, LAMBDA);
    assert!(off.iter().all(|advantage| *advantage < -1.0), "were it an end, all would be worth less: {off:?}");
}

#[test]
fn a_time_limit_bootstraps_from_the_end_of_its_episode_not_from_the_next_start() {
    let mut world = world(Classic::new(ClassicKind::Pendulum, 4, Autoreset::SameStep));
    let mut actor = Actor::new(PolicyHead::Gaussian { width: 1 }, &world);
    actor.agent.weights = actor.agent.layout.draw(&mut seeds::generator(3, Stream::Weights, 0));
    let (rollout, last) = (actor.collect(&mut world, 200), 199 * 4);
    let ends = actor.values(&world.buffers.final_observations, 4);
    let starts = actor.values(&world.buffers.observations, 4);
    assert!(ends.iter().zip(&starts).any(|(end, start)| (end - start).abs() > 1e-3), "they can be told apart");
    for ((value, reward), end) in rollout.returns[last..].iter().zip(&rollout.rewards[last..]).zip(&ends) {
        assert!((value - (reward + GAMMA * end)).abs() < 1e-9, "{value} is not {reward} + γ {end}");
    }
}

#[test]
fn the_rewards_of_a_rollout_are_scaled() {
    let env = Probe::new(Kind::EndlessReward, 2);
    let head = PolicyHead::Categorical { actions: env.action_space().actions().unwrap() };
    let mut world = World::new(Box::new(env), (3, 1_000), (Normalise::Rewards, GAMMA));
    let rollout = Actor::new(head, &world).collect(&mut world, 20);
    let mut last = [1.0];
    world.scale(&mut last, 1);
    assert_eq!(rollout.rewards.last(), Some(&f64::from(last[0])));
    assert!((f64::from(last[0]) - 1.0).abs() > 0.01, "{last:?}");
}
