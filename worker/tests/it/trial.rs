//! The training runner on real bars: stopped, resumed, and resumed over a damaged checkpoint, it hands in the same bundle.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use artifacts::Store;
use dataset::{Adjustment, ImportOptions};
use market::Interval;
use protocol::Assignment;
use spec::{
    AttemptId, CheckpointRef, FailureClass, Metric, Parent, Progress, Rung, Share, TaskSpec, TrialOutcome, TrialSpec,
    canonical_json,
};
use worker::{Ended, Reporter, Runner as _, Trial};

/// A home with AAPL imported, and the payload of a short trial on it.
fn home_and_payload() -> (tempfile::TempDir, Vec<u8>) {
    let home = home();
    let payload = payload(home.path());
    (home, payload)
}

/// A home with AAPL imported.
pub(super) fn home() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let csv = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/aapl_daily_2013_2023.csv");
    let options = ImportOptions { symbol: None, interval: Interval::Day, adjustment: Adjustment::AdjustedClose };
    let sets = dataset::import_csv(&csv, &options).unwrap().sets;
    dataset::write_parquet(&folder.path().join("data/aapl.parquet"), &sets).unwrap();
    folder
}

/// A short trial on the data of `home`.
pub(super) fn payload(home: &Path) -> Vec<u8> {
    let symbol = "AAPL".to_owned().try_into().unwrap();
    let digest = dataset::read_parquet(&home.join("data/aapl.parquet"), &symbol).unwrap().digest;
    let payload = serde_json::json!({
        "trial": "quick-1.0", "params": {}, "seed": 7, "device": "cpu", "threads": 1,
        "data": {
            "source": "aapl", "symbols": ["AAPL"], "interval": "1d",
            "split": {
                "train": ["2013-01-02", "2018-12-31"], "validation": ["2019-01-02", "2020-12-31"],
                "test": ["2021-01-04", "2023-09-21"], "purge": 5, "embargo": 0
            }
        },
        "data_digest": digest,
        "features": [{"log_return": {"bars": 1}}, {"rsi": {"bars": 14}}],
        "task": {"supervised": {"window": 12, "horizon": 5, "epochs": 60, "learning_rate": 0.003, "patience": 60}},
        "model": {"cnn_lstm": {"channels": 8, "hidden": 16, "dropout": 0.3}},
        "env": {}, "strategy": {}
    });
    canonical_json(&payload)
}

pub(super) fn assignment(payload: &[u8], checkpoints: Vec<CheckpointRef>) -> Assignment {
    let trial = "quick-1.0".parse().unwrap();
    Assignment {
        trial,
        attempt: AttemptId(1),
        degrade: 0,
        gpus: Vec::new(),
        payload: payload.to_vec(),
        checkpoints,
        parent: None,
        lent: Vec::new(),
        rung: None,
        trace: None,
    }
}

fn run(home: &Path, assignment: &Assignment, stop: Arc<AtomicBool>) -> Ended {
    let store = Store::open(home.join("store").to_str().unwrap()).unwrap();
    Trial::new(home, store, "test").run(assignment, &mut Reporter::detached(stop)).unwrap()
}

/// How many checkpoints are in the store.
fn checkpoints(home: &Path) -> usize {
    std::fs::read_dir(home.join("store/checkpoints")).map_or(0, Iterator::count)
}

/// Asks to stop when half of the steps are done, by the training's own word: no clock has a say. Returns the two
/// checkpoints that are left, newest first.
fn interrupted(home: &Path, payload: &[u8]) -> Vec<CheckpointRef> {
    let (stop, kept) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
    let (asked, seen) = (Arc::clone(&stop), Arc::clone(&kept));
    let at_half = move |said: Progress| asked.store(2 * said.step >= said.steps, Ordering::Relaxed);
    let mut reporter = Reporter::watched(stop, at_half, move |newest| *seen.lock().unwrap() = newest);
    let store = Store::open(home.join("store").to_str().unwrap()).unwrap();
    let ended = Trial::new(home, store, "test").run(&assignment(payload, Vec::new()), &mut reporter).unwrap();
    let kept = kept.lock().unwrap().clone();
    assert_eq!((ended, kept.len(), checkpoints(home)), (Ended::Stopped, 2, 2));
    kept
}

#[test]
fn a_half_written_checkpoint_is_passed_over_and_the_result_is_the_same() {
    let (undisturbed, payload) = home_and_payload();
    let never = || Arc::new(AtomicBool::new(false));
    let expected = run(undisturbed.path(), &assignment(&payload, Vec::new()), never());
    assert!(matches!(expected, Ended::Succeeded(_)));
    assert_eq!(checkpoints(undisturbed.path()), 0, "checkpoints of a finished trial are removed");

    let (home, payload) = home_and_payload();
    let kept = interrupted(home.path(), &payload);
    let file = |checkpoint: &CheckpointRef| home.path().join("store/checkpoints").join(checkpoint.digest.to_string());
    let newest = std::fs::read(file(&kept[0])).unwrap();

    // Half of the newest is gone: the one before is used. Then both are damaged: training starts over.
    std::fs::write(file(&kept[0]), &newest[..newest.len() / 2]).unwrap();
    assert_eq!(run(home.path(), &assignment(&payload, kept.clone()), never()), expected);
    for checkpoint in &kept {
        std::fs::write(file(checkpoint), b"nothing").unwrap();
    }
    assert_eq!(run(home.path(), &assignment(&payload, kept), never()), expected);
}

#[test]
fn a_trial_holds_at_its_rungs_with_what_it_measured_and_ends_in_the_same_bytes() {
    let (undisturbed, payload) = home_and_payload();
    let never = || Arc::new(AtomicBool::new(false));
    let expected = run(undisturbed.path(), &assignment(&payload, Vec::new()), never());

    let (home, payload) = home_and_payload();
    let at = |share: f64, index: u32, checkpoints: &[CheckpointRef]| {
        let rung = Some(Rung { index, share: Share::of(share) });
        match run(home.path(), &Assignment { rung, ..assignment(&payload, checkpoints.to_vec()) }, never()) {
            Ended::Held { checkpoint, value } => (checkpoint, value.expect("a forecaster measures its loss").get()),
            other @ (Ended::Succeeded(_) | Ended::Stopped) => panic!("it did not hold: {other:?}"),
        }
    };
    let (first, early) = at(0.1, 0, &[]);
    let (again, repeated) = at(0.1, 0, &[]);
    assert_eq!((first, early.to_bits()), (again, repeated.to_bits()), "whoever takes over measures the same");
    let (second, later) = at(0.5, 1, &[first]);
    let (straight, value) = at(0.5, 0, &[]);
    assert_eq!((second, later.to_bits()), (straight, value.to_bits()), "a hold on the way changes nothing");
    assert!(second.step > first.step && later != early);
    assert_eq!(run(home.path(), &assignment(&payload, vec![second, first]), never()), expected);
}

/// The child of a trial at half of its training, ten times slower.
fn child_of(payload: &[u8]) -> TrialSpec {
    let parent: TrialSpec = serde_json::from_slice(payload).unwrap();
    let TaskSpec::Supervised(mut task) = parent.task.clone() else { panic!("it is a forecaster") };
    task.learning_rate /= 10.0;
    let link = Parent { trial: parent.trial.clone(), spec: parent.identity(), share: Share::of(0.5), checkpoint: None };
    let trial = "quick-1.1".parse().unwrap();
    TrialSpec { trial, task: TaskSpec::Supervised(task), parent: Some(link), ..parent }
}

#[test]
fn a_child_goes_on_from_the_rung_of_its_parent_and_its_bundle_says_so() {
    let (home, payload) = home_and_payload();
    let never = || Arc::new(AtomicBool::new(false));
    let rung = Some(Rung { index: 0, share: Share::of(0.5) });
    let held = run(home.path(), &Assignment { rung, ..assignment(&payload, Vec::new()) }, never());
    let Ended::Held { checkpoint: begun, .. } = held else { panic!("it did not hold: {held:?}") };

    let child = child_of(&payload);
    let asked = Assignment { parent: Some(begun), ..assignment(&canonical_json(&child), Vec::new()) };
    let ended = run(home.path(), &asked, never());
    let Ended::Succeeded(bytes) = &ended else { panic!("it did not end well: {ended:?}") };
    let outcome: TrialOutcome = serde_json::from_slice(bytes).unwrap();
    let store = Store::open(home.path().join("store").to_str().unwrap()).unwrap();
    let lineage = store.get_bundle(outcome.bundle).unwrap().manifest().trial.parent.clone().unwrap();
    assert_eq!((lineage.trial.to_string().as_str(), lineage.checkpoint), ("quick-1.0", Some(begun)));
    assert_eq!(outcome.curve.len(), 60, "the epochs of its parent are its own");

    // Interrupted in the middle, it goes on from its own checkpoint and ends in the same bundle.
    let rung = Some(Rung { index: 1, share: Share::of(0.8) });
    let held = run(home.path(), &Assignment { rung, ..asked.clone() }, never());
    let Ended::Held { checkpoint: own, .. } = held else { panic!("it did not hold: {held:?}") };
    assert_eq!(run(home.path(), &Assignment { checkpoints: vec![own], ..asked.clone() }, never()), ended);

    // What a child needs outlives the parent; without children it is removed with the rest.
    let parent = assignment(&payload, vec![begun]);
    assert!(matches!(run(home.path(), &Assignment { lent: vec![begun], ..parent }, never()), Ended::Succeeded(_)));
    assert!(store.get_checkpoint(begun.digest).is_ok(), "another trial goes on from it");
    std::fs::remove_file(home.path().join("store/checkpoints").join(begun.digest.to_string())).unwrap();
    let failed = Trial::new(home.path(), store, "test").run(&asked, &mut Reporter::detached(never())).unwrap_err();
    assert_eq!(failed.class, FailureClass::Data, "a child never begins anew: {failed}");
}

/// The short trial with changes to its task, as JSON, and to the end of its validation split.
fn changed(payload: &[u8], task: serde_json::Value, until: &str) -> Vec<u8> {
    let mut trial: serde_json::Value = serde_json::from_slice(payload).unwrap();
    let supervised = trial["task"]["supervised"].as_object_mut().unwrap();
    supervised.extend(task.as_object().unwrap().clone());
    trial["data"]["split"]["validation"][1] = until.into();
    canonical_json(&trial)
}

#[test]
fn a_trial_that_asks_for_a_calibration_hands_in_a_bundle_that_carries_it() {
    let (home, payload) = home_and_payload();
    let never = || Arc::new(AtomicBool::new(false));
    let task = serde_json::json!({"epochs": 3, "calibration": {"coverage": 0.8}});
    let asked = changed(&payload, task, "2020-12-31");
    let ended = run(home.path(), &assignment(&asked, Vec::new()), never());
    let Ended::Succeeded(bytes) = &ended else { panic!("it did not end well: {ended:?}") };
    let outcome: TrialOutcome = serde_json::from_slice(bytes).unwrap();
    let store = Store::open(home.path().join("store").to_str().unwrap()).unwrap();
    let bundle = store.get_bundle(outcome.bundle).unwrap();
    let calibration: serde_json::Value = serde_json::from_slice(bundle.calibration().unwrap()).unwrap();
    assert_eq!((&calibration["coverage"], &calibration["horizon"]), (&0.8.into(), &5.into()));
    // Two years of sessions less the purge; a window of 12 is full before.
    assert_eq!(calibration["scores"].as_array().unwrap().len(), 500);
    let metric = |metric| outcome.metrics[&metric];
    assert!((0.0..0.2).contains(&metric(Metric::ValidationEce)), "{:?}", outcome.metrics);
    assert!((0.3..0.9).contains(&metric(Metric::ValidationBrier)) && metric(Metric::ValidationCrps) > 0.0);
    assert_eq!(run(home.path(), &assignment(&asked, Vec::new()), never()), ended, "the same bytes again");

    let plain = changed(&payload, serde_json::json!({"epochs": 3}), "2020-12-31");
    let Ended::Succeeded(bytes) = run(home.path(), &assignment(&plain, Vec::new()), never()) else { panic!() };
    let outcome: TrialOutcome = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(store.get_bundle(outcome.bundle).unwrap().calibration(), None);
}

#[test]
fn a_calibration_that_is_not_possible_is_told_by_name_before_training_and_nothing_is_written() {
    let (home, payload) = home_and_payload();
    let told = |task: serde_json::Value, until: &str| {
        let asked = assignment(&changed(&payload, task, until), Vec::new());
        let store = Store::open(home.path().join("store").to_str().unwrap()).unwrap();
        let mut reporter = Reporter::detached(Arc::new(AtomicBool::new(false)));
        let failure = Trial::new(home.path(), store, "test").run(&asked, &mut reporter).unwrap_err();
        assert_eq!(failure.class, FailureClass::Data, "a retry meets the same: {failure}");
        let bundles = std::fs::read_dir(home.path().join("store/bundles")).map_or(0, Iterator::count);
        assert_eq!((bundles, checkpoints(home.path())), (0, 0), "nothing is written");
        failure.to_string()
    };
    let few = told(serde_json::json!({"calibration": {}}), "2019-03-29");
    assert!(few.contains("calibration: validation keeps 56 rows with an outcome, 100 are needed"), "{few}");
    let absent = told(serde_json::json!({"calibration": {}, "flat_band": 0.0}), "2020-12-31");
    assert!(absent.contains("calibration: none of 500 validation rows goes flat"), "{absent}");
}

#[test]
fn a_trial_with_folds_says_what_each_came_to_and_ends_in_the_same_bytes_after_a_stop_among_them() {
    let task = serde_json::json!({
        "epochs": 20, "patience": 20, "cross_validation": {"walk_forward": {"folds": 2}}
    });
    let never = || Arc::new(AtomicBool::new(false));
    let (undisturbed, payload) = home_and_payload();
    let payload = changed(&payload, task.clone(), "2020-12-31");
    let expected = run(undisturbed.path(), &assignment(&payload, Vec::new()), never());
    let Ended::Succeeded(bytes) = &expected else { panic!("it did not end well: {expected:?}") };
    let outcome: TrialOutcome = serde_json::from_slice(bytes).unwrap();
    let [first, second] = outcome.folds.as_slice() else { panic!("there are two folds: {:?}", outcome.folds) };
    assert!(first.tested[0].to < second.tested[0].from && first.fit_rows < second.fit_rows, "{first:?} {second:?}");
    let mean = |of: fn(&spec::FoldScore) -> f64| (of(first) + of(second)) / 2.0;
    let metric = |metric| outcome.metrics[&metric];
    assert_eq!(metric(Metric::CrossValidationLoss), mean(|fold| fold.loss));
    assert_eq!(metric(Metric::CrossValidationSharpe), mean(|fold| fold.sharpe.expect("a worker trades folds")));
    let store = Store::open(undisturbed.path().join("store").to_str().unwrap()).unwrap();
    assert_eq!(store.get_bundle(outcome.bundle).unwrap().manifest().metrics, outcome.metrics);

    let (home, payload) = home_and_payload();
    let payload = changed(&payload, task, "2020-12-31");
    let kept = interrupted(home.path(), &payload);
    assert_eq!(run(home.path(), &assignment(&payload, kept), never()), expected);
}
