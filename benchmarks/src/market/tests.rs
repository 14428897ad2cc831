//! Scenarios: what can be made of a made-up market.

use envs::{Actions, conformance};

use super::*;

const KINDS: [MarketKind; 2] = [MarketKind::PlantedSignal, MarketKind::PureNoise];

/// Holds what the sign of the signal says, whatever it costs.
fn churned(kind: MarketKind) -> Record {
    let mut env = MadeUp::new(kind, world::terms(ActionMode::Discrete), TEST_EPISODES);
    let sign = |row: &&[f32]| Output::Policy { action: if row[0] > 0.0 { 2 } else { 0 }, probabilities: Vec::new() };
    trade(&mut env, |rows, hands| {
        hands.take(rows.iter().map(sign).collect());
        Ok(())
    })
    .unwrap()
}

#[test]
fn made_up_markets_conform() {
    for kind in KINDS {
        for action in [ActionMode::Discrete, ActionMode::Continuous] {
            conformance::check(|| MadeUp::new(kind, world::taught(action), 3));
        }
    }
}

#[test]
fn no_two_episodes_are_the_same_market() {
    let mut env = MadeUp::new(MarketKind::PureNoise, world::terms(ActionMode::Discrete), 2);
    let mut buffers = Buffers::new(&env);
    env.reset(1, &mut buffers.observations);
    let mut firsts = vec![buffers.observations[0], buffers.observations[3]];
    for _ in 0..2 * EPISODE_BARS {
        env.step(Actions::Discrete(&[1, 1]), buffers.lend());
        for copy in 0..2 {
            if buffers.outcomes[copy].is_end() {
                firsts.push(buffers.observations[3 * copy]);
            }
        }
    }
    assert_eq!(firsts.len(), 6);
    firsts.sort_by(f32::total_cmp);
    firsts.dedup();
    assert_eq!(firsts.len(), 6, "signals start anew: {firsts:?}");
}

#[test]
fn the_oracle_earns_where_a_signal_is_planted_and_holds_nothing_in_noise() {
    let terms = world::terms(ActionMode::Discrete);
    let planted = known(MarketKind::PlantedSignal, &terms);
    let churned = [churned(MarketKind::PlantedSignal), churned(MarketKind::PureNoise)];
    assert!(planted.sharpe > 2.0, "{planted:?}");
    assert!(planted.sharpe > churned[0].sharpe && planted.turnover < churned[0].turnover, "{planted:?} {churned:?}");
    assert!(churned[1].sharpe < -0.5, "who churns in noise pays: {churned:?}");
    let noise = known(MarketKind::PureNoise, &terms);
    assert_eq!((noise.sharpe, noise.mean_abs_position, noise.turnover), (0.0, 0.0, 0.0));
}

#[test]
fn costs_are_more_than_a_tenth_of_a_bars_deviation() {
    assert!(world::cost(&world::terms(ActionMode::Discrete)) >= 0.1 * SIGMA);
}

fn learned(algorithm: &str, kind: MarketKind) -> MarketFigures {
    let mut recipe = crate::recipes::market(algorithm).unwrap();
    recipe.agent.steps = 60_000;
    run(&recipe, kind, 0).unwrap()
}

#[test]
fn an_agent_takes_a_signal_that_pays_and_another_leaves_noise_alone() {
    let taken = learned("ppo", MarketKind::PlantedSignal);
    assert!(taken.share.unwrap() >= 0.8, "{taken:?}");
    let left = learned("dqn", MarketKind::PureNoise);
    assert!(left.agent.mean_abs_position <= 0.1 && left.share.is_none(), "{left:?}");
}

#[test]
fn a_recipe_for_something_else_is_told_so() {
    let recipe = crate::recipes::shipped("ppo", envs::ClassicKind::CartPole).unwrap();
    let error = run(&recipe, MarketKind::PureNoise, 0).unwrap_err().to_string();
    assert!(error.ends_with("not CartPole-v1 and 1"), "{error}");
}
