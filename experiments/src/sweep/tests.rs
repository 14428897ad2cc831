//! The sweep behind its port: what it asks depends on the question alone.

use std::collections::BTreeSet;

use proptest::prelude::*;
use scheduler::{Ask, Sweep, SweepOutcome};
use serde_json::json;
use spec::{ParamValue, TrialSpec};

use crate::fixture;
use crate::sweep::ExperimentSweep;

mod adaptive;
mod asynchronous;
mod family;

fn sweep() -> ExperimentSweep {
    ExperimentSweep::new(fixture::question(fixture::random_sweep())).unwrap()
}

/// Every batch, when outcomes come after each ask as `tells` says.
fn batches(mut sweep: ExperimentSweep, mut tells: impl FnMut(&mut ExperimentSweep)) -> Vec<Vec<Vec<u8>>> {
    let mut batches = Vec::new();
    while let Ask::Batch(payloads) = sweep.ask() {
        batches.push(payloads);
        tells(&mut sweep);
    }
    assert_eq!(sweep.ask(), Ask::Done, "a sweep that is done stays done");
    batches
}

fn trials(batches: &[Vec<Vec<u8>>]) -> Vec<TrialSpec> {
    batches.iter().flatten().map(|payload| serde_json::from_slice(payload).unwrap()).collect()
}

#[test]
fn a_submission_that_is_a_bomb_is_refused_before_a_trial_is_made() {
    let refused = |change: fn(&mut serde_json::Value)| {
        let question = fixture::question(fixture::random_sweep());
        let mut json = serde_json::to_value(question).unwrap();
        change(&mut json["spec"]);
        ExperimentSweep::open(json.to_string().as_bytes()).unwrap_err().to_string()
    };
    let none = refused(|spec| spec["sweep"]["trials"] = 0.into());
    assert!(none.starts_with("sweep has 0 trials, 1 to 1000000 can be run"), "{none}");
    let many = refused(|spec| spec["sweep"]["trials"] = 1_000_000_000.into());
    assert!(many.starts_with("sweep has 2000000000 trials, 1 to 1000000 can be run"), "{many}");
    let large = refused(|spec| {
        spec["sweep"]["trials"] = 100_000.into();
        spec["data"]["source"] = "a".repeat(100_000).into();
    });
    assert!(large.contains("more than 4294967296 bytes: shorten the spec"), "{large}");
}

#[test]
fn each_point_is_run_with_each_seed_in_batches_of_whole_points() {
    let batches = batches(sweep(), |_| {});
    let sizes: Vec<usize> = batches.iter().map(Vec::len).collect();
    assert_eq!(sizes, [8, 4], "four points and then two, two seeds each");
    let trials = trials(&batches);
    let indices: Vec<u32> = trials.iter().map(|trial| trial.trial.index).collect();
    assert_eq!(indices, (0..12).collect::<Vec<_>>());
    for pair in trials.chunks(2) {
        assert_eq!(pair[0].params, pair[1].params, "one point");
        assert_eq!([pair[0].seed, pair[1].seed], [1, 2]);
    }
    let points: BTreeSet<String> = trials.iter().map(|trial| format!("{:?}", trial.params)).collect();
    assert_eq!(points.len(), 6, "six different points");
}

#[test]
fn a_payload_carries_the_point_where_the_worker_looks_for_it() {
    for trial in trials(&batches(sweep(), |_| {})) {
        let spec::TaskSpec::Supervised(task) = &trial.task else { panic!("the fixture is supervised") };
        let spec::ModelSpec::CnnLstm { hidden, .. } = trial.model else { panic!("the fixture is a CNN+LSTM") };
        assert_eq!(trial.params["task.supervised.learning_rate"], ParamValue::Real(task.learning_rate));
        assert_eq!(trial.params["model.cnn_lstm.hidden"], ParamValue::Integer(i64::from(hidden)));
    }
}

#[test]
fn a_restart_from_the_submitted_bytes_asks_for_the_same_bytes() {
    let question = fixture::question(fixture::random_sweep());
    let reopened = ExperimentSweep::open(&spec::canonical_json(&question)).unwrap();
    assert_eq!(batches(reopened, |_| {}), batches(sweep(), |_| {}));
    assert!(ExperimentSweep::open(b"{}").is_err());
}

#[test]
fn neither_parallelism_nor_priority_changes_what_is_asked() {
    let mut spec = fixture::spec(fixture::random_sweep());
    (spec.sweep.parallel, spec.priority) = (Some(1), 9);
    let mut question = fixture::question(fixture::random_sweep());
    question.spec = crate::question::normalised(&spec);
    assert_eq!(batches(ExperimentSweep::new(question).unwrap(), |_| {}), batches(sweep(), |_| {}));
}

#[test]
fn another_machine_or_build_tries_the_same_points_under_another_id() {
    let mut question = fixture::question(fixture::random_sweep());
    question.kernel.cpu = "another".to_owned();
    question.code_version = "0.2.0".to_owned();
    let elsewhere = trials(&batches(ExperimentSweep::new(question).unwrap(), |_| {}));
    let here = trials(&batches(sweep(), |_| {}));
    assert_ne!(elsewhere[0].trial.experiment, here[0].trial.experiment);
    for (there, here) in elsewhere.iter().zip(&here) {
        assert_eq!(there.params, here.params);
    }
}

#[test]
fn a_grid_runs_its_combinations_and_no_more() {
    let grid = json!({
        "sampler": "grid", "trials": 50, "batch": 4, "objective": "validation_sharpe", "direction": "maximise",
        "space": {
            "model.cnn_lstm.hidden": { "choice": [4, 8, 16] },
            "model.cnn_lstm.channels": { "choice": [2, 4] }
        }
    });
    let trials = trials(&batches(ExperimentSweep::new(fixture::question(grid)).unwrap(), |_| {}));
    assert_eq!(trials.len(), 6);
    assert_eq!(trials[1].params["model.cnn_lstm.hidden"], ParamValue::Integer(8), "the last path turns fastest");
}

#[test]
fn a_point_that_does_not_fit_is_refused_before_anything_starts() {
    let sweep = json!({
        "trials": 2, "batch": 1, "objective": "validation_sharpe", "direction": "maximise",
        "space": { "model.cnn_lstm.hidden": { "choice": ["wide"] } }
    });
    let error = ExperimentSweep::new(fixture::question(sweep)).unwrap_err();
    assert!(error.to_string().starts_with("trial 0 cannot be made: "), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_order_and_any_outcome_of_tells_leaves_the_asks_as_they_are(
        told in prop::collection::vec((0u32..12, 0u8..4), 0..24),
    ) {
        let expected = batches(sweep(), |_| {});
        let mut told = told.into_iter();
        let disturbed = batches(sweep(), |sweep| {
            for (index, kind) in told.by_ref().take(8) {
                sweep.tell(index, match kind {
                    0 => SweepOutcome::Succeeded(index.to_le_bytes().to_vec()),
                    1 => SweepOutcome::Failed,
                    2 => SweepOutcome::Cancelled,
                    _ => SweepOutcome::Pruned,
                });
            }
        });
        prop_assert_eq!(disturbed, expected);
    }
}
