//! Parameters put into specs.

use expect_test::{Expect, expect};

use super::*;
use crate::sample::{facts, parsed};
use crate::{ModelSpec, ParamValue, TaskSpec, resolve};

fn made(params: &[(&str, ParamValue)]) -> Result<TrialSpec, Problem> {
    let (spec, positions) = parsed(&[]);
    let spec = resolve(&spec, &positions, &facts());
    let params = params.iter().map(|(path, value)| ((*path).to_owned(), value.clone())).collect();
    trial(&spec, &params, 7, "sample-0123abcd.3".parse().unwrap(), (Digest::of(b"bars"), &[]))
}

fn refused(path: &str, value: ParamValue, expected: Expect) {
    expected.assert_eq(&made(&[(path, value)]).unwrap_err().to_string());
}

#[test]
fn parameters_land_where_their_paths_point_and_the_rest_stays() {
    let params = [
        ("task.supervised.learning_rate", ParamValue::Real(0.004)),
        ("model.cnn_lstm.hidden", ParamValue::Integer(32)),
    ];
    let trial = made(&params).unwrap();
    let TaskSpec::Supervised(task) = &trial.task else { panic!("{:?}", trial.task) };
    let ModelSpec::CnnLstm { hidden, channels, .. } = trial.model else { panic!("{:?}", trial.model) };
    assert_eq!((task.learning_rate, task.epochs, hidden, channels), (0.004, 2, 32, 8));
    assert_eq!((trial.seed, trial.trial.index, trial.threads, trial.device), (7, 3, 1, Device::Cpu));
    assert_eq!(trial.params.len(), 2);
}

#[test]
fn a_field_that_the_file_leaves_at_its_default_can_be_swept_and_an_element_of_a_list_too() {
    let params = [
        ("model.cnn_lstm.dropout", ParamValue::Real(0.3)),
        ("features.0.log_return.bars", ParamValue::Integer(5)),
        ("env.costs.commission_bps", ParamValue::Integer(3)),
    ];
    let trial = made(&params).unwrap();
    assert_eq!(trial.features[0], crate::FeatureSpec::LogReturn { bars: 5 });
    assert_eq!(trial.env.costs.commission_bps, market::BasisPoints(3));
}

#[test]
fn a_parameter_that_does_not_fit_is_refused_without_a_place() {
    refused(
        "task.supervised.epoch",
        ParamValue::Integer(1),
        expect![
            "no `task.supervised.epoch`, a trial of this experiment has no such value, did you mean `task.supervised.epochs`?"
        ],
    );
    refused(
        "task.supervised.epochs",
        ParamValue::Real(1.5),
        expect![
            "found the number `1.5`, `task.supervised.epochs` is of another kind, write a whole number, 0 or more, without a decimal point"
        ],
    );
    refused(
        "task.supervised.epochs",
        ParamValue::Integer(0),
        expect!["`task.supervised.epochs` is 0, that is out of range, use 1 to 10000"],
    );
    refused(
        "sweep.trials",
        ParamValue::Integer(9),
        expect![
            "`sweep.trials` cannot be swept, it has to be the same in all trials, sweep a value below `features`, `task`, `model`, `env`, `strategy`"
        ],
    );
}

#[test]
fn two_parameters_that_fit_alone_can_be_refused_together() {
    let fast = ("features.1.macd.fast", ParamValue::Integer(20));
    let slow = ("features.1.macd.slow", ParamValue::Integer(15));
    assert!(made(std::slice::from_ref(&fast)).is_ok() && made(std::slice::from_ref(&slow)).is_ok());
    assert!(made(&[fast, slow]).is_err());
}

#[test]
fn a_trial_is_of_a_resolved_spec() {
    let (spec, _) = parsed(&[("device: cpu", "device: auto")]);
    let error = trial(&spec, &Params::new(), 1, "sample-0.0".parse().unwrap(), (Digest::of(b"bars"), &[])).unwrap_err();
    expect!["the device is `auto`, a trial runs on one, resolve it"].assert_eq(&error.to_string());
}
