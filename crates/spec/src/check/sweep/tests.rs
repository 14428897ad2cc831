//! What a sweep may say of its space, its objectives and its rungs.

use crate::sample::said;

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
