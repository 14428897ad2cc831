//! What a forecaster may be told of labels, heads, losses and layers.

use super::*;
use crate::schema::tests::fits;
use crate::{HeadSpec, LabelSpec, ReturnHead, TaskSpec, canonical_json, schema};

const TASK: &str = "learning_rate: 0.001 }\nmodel";
const MODEL: &str = "dropout: 0 }";

fn task_said(keys: &str) -> String {
    said(&[(TASK, &format!("learning_rate: 0.001, {keys} }}\nmodel"))])
}

fn model_said(keys: &str) -> String {
    said(&[(MODEL, &format!("dropout: 0, {keys} }}"))])
}

#[test]
fn every_choice_of_a_forecaster_can_start_and_fits_the_schema() {
    let tasks = [
        "labels: horizon",
        "labels: { triple_barrier: { width: 1.5, bars: 20 } }",
        "heads: { returns: gaussian, volatility: quasi_likelihood }",
        "heads: { returns: quantiles }",
        "task_weights: uncertainty",
        "imbalance: balanced",
        "imbalance: { focal: { gamma: 2 } }",
        "schedule: { warm_up_cosine: { warm_up: 0.1, floor: 0.01 } }",
        "accumulate: 4",
        "precision: mixed",
    ];
    let models = [
        "dilations: [1, 2, 4]",
        "normalisation: layer",
        "normalisation: { group: { groups: 4 } }",
        "shortcut: residual",
        "directions: both",
    ];
    let tasks = tasks.map(|keys| (TASK, format!("learning_rate: 0.001, {keys} }}\nmodel")));
    let models = models.map(|keys| (MODEL, format!("dropout: 0, {keys} }}")));
    for (old, new) in tasks.iter().chain(&models) {
        let edit = (*old, new.as_str());
        assert_eq!(said(&[edit]), "", "{new}");
        let (root, (value, _)) = (schema(), crate::yaml::read("a.yaml", &crate::sample::edited(&[edit])).unwrap());
        fits(&root, &root, &value, new);
    }
}

#[test]
fn choices_out_of_range_are_told_with_their_place() {
    expect![[r#"
        a.yaml:16:109: `task.supervised.labels.triple_barrier.width` is 0, that is out of range, use a number above 0, at most 10
        a.yaml:16:118: `task.supervised.labels.triple_barrier.bars` is 1, that is out of range, use 2 to 1000
        a.yaml:16:154: `task.supervised.imbalance.focal.gamma` is 11, that is out of range, use a number above 0, at most 10
        a.yaml:16:201: `task.supervised.schedule.warm_up_cosine.warm_up` is 1.5, that is out of range, use 0 to 1
        a.yaml:16:213: `task.supervised.schedule.warm_up_cosine.floor` is -1, that is out of range, use 0 to 1
        a.yaml:16:233: `task.supervised.accumulate` is 0, that is out of range, use 1 to 1024
    "#]]
    .assert_eq(&task_said(
        "labels: { triple_barrier: { width: 0, bars: 1 } }, imbalance: { focal: { gamma: 11 } }, \
         schedule: { warm_up_cosine: { warm_up: 1.5, floor: -1 } }, accumulate: 0",
    ));
    expect![[r#"
        a.yaml:18:66: `model.cnn_lstm.dilations.1` is 0, that is out of range, use 1 to 128
        a.yaml:18:104: 3 groups of 8 channels, groups are equally wide, use a number that divides `channels`
    "#]]
    .assert_eq(&model_said("dilations: [1, 0], normalisation: { group: { groups: 3 } }"));
    expect![[r#"
        a.yaml:18:62: 0 convolutions, that is out of range, list the dilations of 1 to 8
    "#]]
    .assert_eq(&model_said("dilations: []"));
}

/// The sample's validation split keeps 87 rows; with October it keeps 118.
const LONGER: [(&str, &str); 2] = [("2020-09-30", "2020-10-31"), ("2020-10-01", "2020-11-01")];

#[test]
fn a_calibration_is_checked_with_its_place_and_needs_validation_rows() {
    let keys = |keys: &str| format!("learning_rate: 0.001, calibration: {keys} }}\nmodel");
    let (plain, full) = (keys("{}"), keys("{ coverage: 0.95, rate: 0, passes: 64 }"));
    for written in [&plain, &full] {
        assert_eq!(said(&[(TASK, written), LONGER[0], LONGER[1]]), "", "{written}");
        let text = crate::sample::edited(&[(TASK, written)]);
        let (root, (value, _)) = (schema(), crate::yaml::read("a.yaml", &text).unwrap());
        fits(&root, &root, &value, written);
    }
    let short = said(&[(TASK, &plain)]);
    assert!(short.starts_with("a.yaml:9:17: `validation` has 87 rows, 100 are needed"), "{short}");
    assert_eq!(said(&[]), "", "without a calibration they are enough");
    let bad = keys("{ coverage: 1, rate: -0.1, passes: 1 }");
    expect![[r#"
        a.yaml:16:99: `task.supervised.calibration.coverage` is 1, that is out of range, use 0.5 to 0.99
        a.yaml:16:108: `task.supervised.calibration.rate` is -0.1, that is out of range, use 0 to 0.5
        a.yaml:16:122: `task.supervised.calibration.passes` is 1, that is out of range, use 2 to 256
    "#]]
    .assert_eq(&said(&[(TASK, &bad), LONGER[0], LONGER[1]]));
}

#[test]
fn an_unknown_choice_is_told_with_those_there_are() {
    let told = |keys: &str| {
        let text = crate::sample::edited(&[(TASK, &format!("learning_rate: 0.001, {keys} }}\nmodel"))]);
        parse("a.yaml", &text).unwrap_err().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    assert!(told("heads: { returns: gausian }").contains("`gaussian`"), "{}", told("heads: { returns: gausian }"));
    assert!(told("heads: { return: gaussian }").contains("`returns`"), "{}", told("heads: { return: gaussian }"));
    assert!(told("task_weights: kendall").starts_with("a.yaml:16:"), "{}", told("task_weights: kendall"));
}

#[test]
fn mixed_precision_is_for_networks_with_lstm_layers() {
    let mixed = (TASK, "learning_rate: 0.001, precision: mixed }\nmodel");
    let dense = ("cnn_lstm: { channels: 8, hidden: 8, dropout: 0 }", "mlp: { hidden: [16] }");
    told(
        &[mixed, dense],
        expect![[r#"
        a.yaml:16:85: mixed precision without an LSTM layer, only those learn in it, leave it out, or use `cnn_lstm`
    "#]],
    );
}

#[test]
fn layers_of_a_forecaster_are_refused_for_an_agent() {
    let layers = "dropout: 0, dilations: [1, 2], normalisation: layer, shortcut: residual, directions: both }";
    let env = ("resources:", "env: { episode_bars: 64 }\nresources:");
    told(
        &[POLICY[0], POLICY[1], (MODEL, layers), env],
        expect![[r#"
            a.yaml:18:62: `dilations` in an agent, agents have two plain convolutions and go forward, leave it out, or train a forecaster
            a.yaml:18:85: `normalisation` in an agent, agents have two plain convolutions and go forward, leave it out, or train a forecaster
            a.yaml:18:102: `shortcut` in an agent, agents have two plain convolutions and go forward, leave it out, or train a forecaster
            a.yaml:18:124: `directions` in an agent, agents have two plain convolutions and go forward, leave it out, or train a forecaster
        "#]],
    );
}

#[test]
fn defaults_are_left_out_of_what_is_hashed_and_choices_are_not() {
    let written = |keys: &str| {
        let (spec, _) = parsed(&[(TASK, &format!("learning_rate: 0.001{keys} }}\nmodel"))]);
        String::from_utf8(canonical_json(&spec)).unwrap()
    };
    let plain = written("");
    let defaults =
        ["labels", "heads", "task_weights", "imbalance", "schedule", "accumulate", "precision", "calibration"];
    for name in defaults.into_iter().chain(["dilations"]) {
        assert!(!plain.contains(&format!("\"{name}\"")), "{name} is written in {plain}");
    }
    assert_eq!(
        plain,
        written(", labels: horizon, heads: {}, accumulate: 1, precision: single"),
        "a default that is written is the same spec"
    );
    let (spec, _) = parsed(&[(TASK, "learning_rate: 0.001, heads: { returns: quantiles } }\nmodel")]);
    let TaskSpec::Supervised(task) = spec.task else { panic!("the sample forecasts") };
    assert_eq!((task.heads.returns, task.labels), (ReturnHead::Quantiles, LabelSpec::Horizon));
    assert_ne!(task.heads, HeadSpec::default());
}
