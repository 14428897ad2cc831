//! What is remembered: whole transitions, in both ways of resetting.

use envs::probe::{Kind, Probe};
use envs::{Autoreset, Classic, ClassicKind, VectorEnv};
use models::PolicyHead;
use spec::{Algorithm, DqnSpec, Normalise, QHead};

use super::*;
use crate::algorithms::dqn::Dqn;
use crate::algorithms::td3::Td3;
use crate::reference::agent;
use crate::world::World;

fn dqn(n_step: u32) -> DqnSpec {
    let text = format!(
        r#"{{"dqn": {{"learning_rate": 0.001, "envs": 3, "replay": {{"batch": 8, "starts": 100000, "n_step": {n_step}}}}}}}"#
    );
    let Algorithm::Dqn(dqn) = serde_json::from_str(&text).unwrap() else { panic!("it is DQN") };
    dqn
}

/// Columns after 200 steps of three copies at random, as [`COLUMNS`] names them, and how many steps were transitions.
fn remembered(env: impl VectorEnv + 'static, n_step: u32) -> ([Vec<f32>; 5], u64) {
    let spec = dqn(n_step);
    let head = PolicyHead::Values { actions: env.action_space().actions().unwrap(), layer: QHead::Plain };
    let agent = agent(head, env.observation_width());
    let mut world = World::new(Box::new(env), (5, 1_000), (Normalise::None, 0.99));
    let mut learner = OffPolicy::new(&spec.replay, Dqn::new(&spec, agent, &world), &world).unwrap();
    for _ in 0..200 {
        learner.act(&mut world).unwrap();
    }
    (learner.replay.columns, world.memory.steps)
}

#[test]
fn no_row_crosses_the_end_of_an_episode_however_environments_reset() {
    for autoreset in [Autoreset::SameStep, Autoreset::NextStep] {
        let (columns, steps) = remembered(Classic::new(ClassicKind::CartPole, 3, autoreset), 1);
        let rows = columns[2].len();
        assert_eq!(rows as u64, steps, "{autoreset:?}: each step is one row");
        assert!(autoreset == Autoreset::NextStep || rows == 600, "{rows}: where no step is a reset, all are rows");
        let mut ends = 0;
        for row in 0..rows {
            let (seen, next) = (&columns[0][row * 4..row * 4 + 4], &columns[3][row * 4..row * 4 + 4]);
            // One Euler step moves the cart by its speed: a reset in between would not.
            assert!((next[0] - seen[0] - 0.02 * seen[1]).abs() < 1e-5, "{autoreset:?}: row {row} crosses a reset");
            assert_eq!(columns[2][row], 1.0, "{autoreset:?}: the reward of a reset is no reward");
            let ended = next[0].abs() > 2.4 || next[2].abs() > 0.209_439_5;
            assert_eq!(columns[4][row] == 0.0, ended, "{autoreset:?}: a terminated row bootstraps nothing");
            ends += usize::from(ended);
        }
        assert!(ends > 10);
    }
}

#[test]
fn n_rewards_are_summed_and_an_end_cuts_them_short() {
    let (columns, steps) = remembered(Classic::new(ClassicKind::CartPole, 3, Autoreset::SameStep), 3);
    let rows = columns[2].len();
    assert!(rows as u64 <= steps && rows as u64 > steps - 9);
    let (full, mut whole, mut ends) = (1.0 + 0.99 + 0.99_f32.powi(2), 0, [0; 3]);
    for (&reward, &discount) in columns[2].iter().zip(&columns[4]) {
        if discount == 0.0 {
            let sum = [1.0, 1.99, full].iter().position(|sum| (reward - sum).abs() < 1e-6);
            ends[sum.unwrap()] += 1;
        } else {
            assert!((reward - full).abs() < 1e-6 && (discount - 0.99_f32.powi(3)).abs() < 1e-6);
            whole += 1;
        }
    }
    assert!(whole > 100 && ends[0] > 6, "{whole} go on, {ends:?} end");
    assert_eq!(ends, [ends[0]; 3], "the last three steps of each episode reach its end");
}

#[test]
fn a_row_that_a_time_limit_cuts_bootstraps_by_a_discount_for_each_reward() {
    for (autoreset, episodes) in [(Autoreset::SameStep, 150), (Autoreset::NextStep, 120)] {
        let endless = || Probe::new(Kind::EndlessReward, 3).with_autoreset(autoreset);
        let (columns, _) = remembered(endless(), 1);
        assert!(columns[4].iter().all(|discount| *discount == 0.99), "{autoreset:?}: no row is terminated");
        let (columns, _) = remembered(endless(), 3);
        // Of the last step of an episode of four, the third, and the first two: 1 + γ + … and γⁿ.
        let rows = [(1.0_f32, 0.99_f32), (1.99, 0.9801), (2.9701, 0.970_299)];
        let mut counts = [0; 3];
        for (reward, discount) in columns[2].iter().zip(&columns[4]) {
            let close = |(sum, power): &(f32, f32)| (reward - sum).abs() < 1e-6 && (discount - power).abs() < 1e-6;
            counts[rows.iter().position(close).unwrap()] += 1;
        }
        assert_eq!(counts, [episodes, episodes, 2 * episodes], "{autoreset:?}");
    }
}

/// The drift of TD3's noise after one step.
fn drift(env: impl VectorEnv + 'static) -> Vec<f32> {
    let text = r#"{"td3": {"learning_rate": 0.001, "replay": {"starts": 0},
        "exploration": {"ornstein_uhlenbeck": {"deviation": 0.2}}}}"#;
    let Algorithm::Td3(spec) = serde_json::from_str(text).unwrap() else { panic!("it is TD3") };
    let agent = agent(PolicyHead::Deterministic { width: 1 }, env.observation_width());
    let mut world = World::new(Box::new(env), (5, 1_000), (Normalise::None, 0.99));
    let mut learner = OffPolicy::new(&spec.replay, Td3::new(&spec, agent, &world), &world).unwrap();
    learner.act(&mut world).unwrap();
    let saved = learner.method.save(&mut Named::new());
    serde_json::from_value(saved["drift"].clone()).unwrap()
}

#[test]
fn a_drift_lasts_as_long_as_its_episode() {
    assert_ne!(drift(Classic::new(ClassicKind::Pendulum, 1, Autoreset::SameStep)), [0.0]);
    assert_eq!(drift(Probe::new(Kind::TargetAction, 1)), [0.0], "its episodes are of one step");
}

#[test]
fn rewards_are_kept_as_they_came_and_scaled_when_they_are_learned_from() {
    let spec = dqn(1);
    let head = PolicyHead::Values { actions: 2, layer: QHead::Plain };
    let env = Probe::new(Kind::EndlessReward, 3);
    let agent = agent(head, env.observation_width());
    let mut world = World::new(Box::new(env), (5, 1_000), (Normalise::Rewards, 0.99));
    let mut learner = OffPolicy::new(&spec.replay, Dqn::new(&spec, agent, &world), &world).unwrap();
    for _ in 0..20 {
        learner.act(&mut world).unwrap();
    }
    learner.learn(&world).unwrap();
    let mut scaled = [1.0];
    world.scale(&mut scaled, 1);
    assert!(scaled[0] < 0.95, "{scaled:?}: returns of 1 to 4 vary by more than 1");
    assert!(learner.replay.columns[2].iter().all(|reward| *reward == 1.0));
    assert!(learner.batch.rewards.iter().all(|reward| *reward == scaled[0]), "{:?}", learner.batch.rewards);
}
