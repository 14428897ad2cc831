//! A recipe from end to end, as the command runs it.

use benchmarks::evaluation::Starts;
use benchmarks::{agent, recipes};
use envs::ClassicKind;

/// PPO on CartPole, a quarter of its recipe.
#[test]
fn an_agent_learns_to_balance_and_two_runs_are_one() {
    let mut recipe = recipes::shipped("ppo", ClassicKind::CartPole).unwrap();
    recipe.agent.steps = 25_000;
    recipe.agent.evaluation.times = 4;
    let starts = Starts::Drawn { episodes: 20, seed: 1 };
    let figures = agent::run(&recipe, 0, &starts).unwrap();
    let best = figures.best.as_ref().unwrap();
    let mean = best.iter().sum::<f64>() / best.len() as f64;
    assert!(mean > 300.0, "{mean}, where a random policy gets 22");
    assert!(figures.steps >= 25_000 && figures.updates == figures.steps / 256 * 20);
    let again = agent::run(&recipe, 0, &starts).unwrap();
    assert_eq!((again.state, again.weights), (figures.state, figures.weights));
    let other = agent::run(&recipe, 1, &starts).unwrap();
    assert_ne!(other.weights, figures.weights);
}

#[test]
fn a_recipe_that_shows_what_is_not_there_is_told_so() {
    let mut recipe = recipes::shipped("sac", ClassicKind::Pendulum).unwrap();
    for shows in [vec![3], vec![]] {
        recipe.shows = Some(shows);
        let error = agent::run(&recipe, 0, &recipes::starts(&recipe.env)).unwrap_err();
        assert_eq!(error.to_string(), "`shows` of Pendulum-v1 lists components 0 to 2, at least one");
    }
}

#[test]
fn an_algorithm_that_cannot_act_somewhere_says_so() {
    let mut recipe = recipes::shipped("sac", ClassicKind::Pendulum).unwrap();
    recipe.env = ClassicKind::CartPole.name().to_owned();
    let error = agent::run(&recipe, 0, &recipes::starts(&recipe.env)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "sac takes continuous actions, and CartPole-v1 × 1 has others: choose another algorithm or `env.action`"
    );
    recipe.env = "LunarLander-v2".to_owned();
    let error = agent::run(&recipe, 0, &recipes::starts(&recipe.env)).unwrap_err();
    assert!(
        error.to_string().starts_with("there is no classic problem `LunarLander-v2`: use one of CartPole-v1"),
        "{error}"
    );
}
