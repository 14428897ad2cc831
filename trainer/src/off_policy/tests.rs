//! What is remembered: whole transitions, in both ways of resetting.

use envs::{Autoreset, Classic, ClassicKind};
use spec::{Algorithm, DqnSpec, Normalise, QHead};

use super::*;
use crate::algorithms::dqn::Dqn;
use crate::reference::agent;
use crate::world::World;

fn dqn(n_step: u32) -> DqnSpec {
    let text = format!(
        r#"{{"dqn": {{"learning_rate": 0.001, "envs": 3, "replay": {{"batch": 8, "starts": 100000, "n_step": {n_step}}}}}}}"#
    );
    let Algorithm::Dqn(dqn) = serde_json::from_str(&text).unwrap() else { panic!("it is DQN") };
    dqn
}

/// Columns after some steps of CartPole at random: observations, rewards, next observations, discounts.
fn remembered(autoreset: Autoreset, n_step: u32) -> ([Vec<f32>; 5], u64) {
    let spec = dqn(n_step);
    let env = Classic::new(ClassicKind::CartPole, 3, autoreset);
    let mut world = World::new(Box::new(env), (5, 1_000), (Normalise::None, 0.99));
    let agent = agent(models::PolicyHead::Values { actions: 2, layer: QHead::Plain }, 4);
    let mut learner = OffPolicy::new(&spec.replay, Dqn::new(&spec, agent, &world), &world);
    for _ in 0..200 {
        learner.act(&mut world).unwrap();
    }
    (learner.replay.columns, world.memory.steps)
}

#[test]
fn no_row_crosses_the_end_of_an_episode_however_environments_reset() {
    for autoreset in [Autoreset::SameStep, Autoreset::NextStep] {
        let (columns, steps) = remembered(autoreset, 1);
        let rows = columns[2].len();
        assert_eq!(rows as u64, steps, "{autoreset:?}: each step is one row");
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
    let (columns, steps) = remembered(Autoreset::SameStep, 3);
    let rows = columns[2].len();
    assert!(rows as u64 <= steps && rows as u64 > steps - 9);
    let (full, mut counts) = (1.0 + 0.99 + 0.99_f32.powi(2), [0; 2]);
    for (&reward, &discount) in columns[2].iter().zip(&columns[4]) {
        if discount == 0.0 {
            assert!([1.0, 1.99, full].iter().any(|sum| (reward - sum).abs() < 1e-6));
        } else {
            assert!((reward - full).abs() < 1e-6 && (discount - 0.99_f32.powi(3)).abs() < 1e-6);
        }
        counts[usize::from(discount == 0.0)] += 1;
    }
    assert!(counts[0] > 100 && counts[1] > 20, "{counts:?}");
}
