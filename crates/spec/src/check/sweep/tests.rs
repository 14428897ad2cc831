//! What a sweep may say of its space, its objectives and its rungs.

use crate::sample::{POLICY, said};

const DIMENSION: &str = "task.supervised.learning_rate: { log_uniform: [0.0001, 0.01] }\n";

/// The sample with a choice of units, and a rate that counts under some of them.
fn conditional(condition: &str) -> String {
    let space = format!(
        "{DIMENSION}    model.cnn_lstm.hidden: {{ choice: [4, 8] }}\n    task.supervised.epochs: {{ choice: [1, 2] }}\n  conditions:\n    {condition}\n"
    );
    said(&[(DIMENSION, &space)])
}

#[test]
fn a_dimension_may_count_under_some_values_of_a_choice_alone() {
    assert_eq!(conditional("task.supervised.learning_rate: { of: model.cnn_lstm.hidden, is: [8] }"), "");
}

#[test]
fn a_condition_that_can_never_hold_is_told_at_its_place() {
    for (condition, told) in [
        (
            "task.supervised.learning_rate: { of: model.cnn_lstm.channels, is: [8] }",
            "`model.cnn_lstm.channels` is no `choice` of the space, nothing else says when it counts",
        ),
        (
            "task.supervised.batch: { of: model.cnn_lstm.hidden, is: [8] }",
            "`task.supervised.batch` is not in the space, there is nothing to switch off",
        ),
        (
            "task.supervised.learning_rate: { of: model.cnn_lstm.hidden, is: [9] }",
            "9 is no value of `model.cnn_lstm.hidden`, it never comes",
        ),
        ("task.supervised.learning_rate: { of: model.cnn_lstm.hidden, is: [] }", "no value, it would never count"),
        (
            "model.cnn_lstm.hidden: { of: model.cnn_lstm.hidden, is: [8] }",
            "`model.cnn_lstm.hidden` depends on itself, it could never be drawn",
        ),
        (
            "model.cnn_lstm.hidden: { of: task.supervised.epochs, is: [1] }\n    task.supervised.epochs: { of: model.cnn_lstm.hidden, is: [8] }",
            "`task.supervised.epochs` depends on itself, it could never be drawn",
        ),
    ] {
        let said = conditional(condition);
        assert!(said.contains(told) && said.starts_with("a.yaml:"), "{condition}: {said}");
    }
}

#[test]
fn objectives_are_named_once_and_a_front_needs_two() {
    let of = |line: &str| said(&[("trials: 4", &format!("trials: 4\n  {line}"))]);
    assert_eq!(of("also: [validation_drawdown]\n  sampler: nsga_ii"), "");
    assert!(of("sampler: nsga_ii").contains("`nsga_ii` for one objective, a front needs two objectives"));
    assert!(of("also: [validation_sharpe]").contains("`validation_sharpe` is repeated"));
    assert!(of("also: [validation_return, validation_return]").contains("`validation_return` is repeated"));
}

#[test]
fn rungs_out_of_range_are_told() {
    let of = |pruner: &str| said(&[("trials: 4", &format!("trials: 4\n  pruner: {pruner}"))]);
    assert_eq!(of("{ successive_halving: {} }"), "");
    assert_eq!(of("{ median: { rungs: 2 } }"), "");
    assert!(of("{ hyperband: { factor: 1 } }").contains("`sweep.pruner.hyperband.factor` is 1, that is out of range"));
    assert!(of("{ median: { rungs: 0 } }").contains("`sweep.pruner.median.rungs` is 0"));
    assert!(of("{ asha: {} }").contains("asha"));
}

#[test]
fn whole_numbers_over_several_magnitudes_are_drawn_by_their_logarithm() {
    let of = |range: &str| said(&[(DIMENSION, &format!("task.supervised.batch: {{ log_integer: {range} }}\n"))]);
    assert_eq!(of("[8, 512]"), "");
    assert!(of("[0, 512]").contains("low is 0, the logarithm starts above 0"));
    assert!(of("[9, 8]").contains("low 9 is not below high 8"));
}

/// A population of four, with a space of these lines.
fn population(edits: &[(&str, &str)], space: &str) -> String {
    let pruner = "trials: 4\n  batch: 4\n  pruner: { population: { rungs: 2 } }";
    let all: Vec<(&str, &str)> = edits.iter().copied().chain([("trials: 4", pruner), (DIMENSION, space)]).collect();
    said(&all)
}

#[test]
fn what_a_child_could_not_go_on_with_is_told_at_its_line() {
    assert_eq!(population(&[], "task.supervised.learning_rate: { log_uniform: [0.0001, 0.01] }\n"), "");
    for (path, dimension) in [
        ("model.cnn_lstm.hidden", "{ choice: [4, 8] }"),
        ("task.supervised.horizon", "{ integer: [1, 5] }"),
        ("task.supervised.epochs", "{ integer: [1, 5] }"),
        ("features.0.log_return.bars", "{ integer: [1, 5] }"),
        ("env.costs.commission_bps", "{ integer: [1, 5] }"),
    ] {
        let said = population(&[], &format!("{DIMENSION}    {path}: {dimension}\n"));
        let told = format!("`{path}` cannot change in a population, a child goes on with the weights");
        assert!(said.starts_with("a.yaml:27:5: ") && said.contains(&told), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

#[test]
fn an_agent_may_change_what_its_learner_reads_at_each_step() {
    let episodes = ("resources: {", "env: { episode_bars: 20 }\nresources: {");
    let agent = |space: &str| population(&[POLICY[0], episodes], space);
    assert_eq!(agent("task.rl.algorithm.ppo.entropy: { uniform: [0.001, 0.1] }\n"), "");
    for path in ["gamma", "rollout", "log_deviation"] {
        let range = if path == "rollout" { "{ integer: [16, 32] }" } else { "{ uniform: [0.5, 0.9] }" };
        let said = agent(&format!("task.rl.algorithm.ppo.{path}: {range}\n"));
        assert!(said.contains(&format!("`task.rl.algorithm.ppo.{path}` cannot change in a population")), "{said}");
    }
}

#[test]
fn a_population_has_one_seed_members_to_replace_and_no_grid() {
    let of = |lines: &str| {
        let lines = format!("trials: 8\n  {lines}");
        said(&[("trials: 4", &lines)])
    };
    assert_eq!(of("batch: 2\n  pruner: { population: { quantile: 0.5 } }"), "");
    assert!(of("batch: 2\n  pruner: { population: {} }").contains(
        "a population of 2 with a quantile of 0.25, nobody would ever be replaced, use a batch of 4 or more"
    ));
    assert!(of("seeds: [1, 2]\n  pruner: { population: {} }").contains("several seeds for a population"));
    assert!(of("pruner: { population: { quantile: 0.6 } }").contains("`sweep.pruner.population.quantile` is 0.6"));
    assert!(of("pruner: { population: { perturb: 1 } }").contains("`sweep.pruner.population.perturb` is 1"));
    let grid = "trials: 4\n  sampler: grid\n  pruner: { population: {} }";
    let choice = "task.supervised.batch: { choice: [8, 16, 32, 64] }\n";
    let said = said(&[("trials: 4", grid), (DIMENSION, choice)]);
    assert!(said.contains("`grid` for a population, children lie between the points of a grid"), "{said}");
}

#[test]
fn what_decides_about_whole_batches_has_no_asynchronous_mode() {
    let of = |pruner: &str| said(&[("trials: 4", &format!("trials: 4\n  mode: asynchronous\n  pruner: {pruner}"))]);
    assert_eq!(of("{ successive_halving: {} }"), "");
    assert_eq!(of("none\n  seeds: [1, 2]"), "");
    assert!(of("{ median: {} }\n  seeds: [1, 2]").contains("several seeds, asynchronous and pruned"));
    assert!(
        of("{ hyperband: {} }").starts_with("a.yaml:21:9: `asynchronous` with `hyperband`"),
        "{}",
        of("{ hyperband: {} }")
    );
    assert!(of("{ population: {} }").contains("`asynchronous` with `population`, it decides about whole batches"));
}
