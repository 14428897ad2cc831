//! A trial whose bars are too many for memory: the same bundle, from rows that lie on disk while they are learned from.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use artifacts::Store;
use dataset::{Adjustment, ImportOptions};
use market::{Interval, Symbol};
use serde_json::{Value, json};
use spec::{FailureClass, canonical_json};
use worker::{Ended, Reporter, Runner as _, Trial};

use crate::trial::{assignment, home, payload};

/// A home with AAPL and IBM imported, and a trial that trades the first and learns from both.
fn pair() -> (tempfile::TempDir, Value) {
    let folder = tempfile::tempdir().unwrap();
    let csv = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/us_daily_unadjusted_2000_2013.csv");
    let options = ImportOptions { symbol: None, interval: Interval::Day, adjustment: Adjustment::AdjustedClose };
    let sets = dataset::import_csv(&csv, &options).unwrap().sets;
    let path = folder.path().join("data/pair.parquet");
    dataset::write_parquet(&path, &sets).unwrap();
    let symbols: Vec<&Symbol> = sets.iter().map(|set| &set.symbol).collect();
    let trial = json!({
        "trial": "quick-1.0", "params": {}, "seed": 7, "device": "cpu", "threads": 1,
        "data": {
            "source": "pair", "symbols": symbols, "interval": "1d",
            "split": {
                "train": ["2000-03-01", "2007-12-31"], "validation": ["2008-01-02", "2009-12-31"],
                "test": ["2010-01-04", "2013-03-01"], "purge": 5, "embargo": 5
            }
        },
        "data_digest": sets[0].digest, "companion_digests": [sets[1].digest],
        "features": [{"log_return": {"bars": 1}}, {"rsi": {"bars": 14}}],
        "task": {"supervised": {
            "window": 12, "horizon": 5, "epochs": 2, "learning_rate": 0.003,
            "labels": {"triple_barrier": {"width": 0.7, "bars": 20}}
        }},
        "model": {"cnn_lstm": {"channels": 8, "hidden": 8, "dropout": 0.3}},
        "env": {}, "strategy": {}
    });
    (folder, trial)
}

/// The short trial on AAPL alone, with changes to its task.
fn alone(home: &Path, changes: &Value) -> Value {
    let mut trial: Value = serde_json::from_slice(&payload(home)).unwrap();
    let task = trial["task"]["supervised"].as_object_mut().unwrap();
    task.extend(changes.as_object().unwrap().clone());
    trial
}

fn runner(home: &Path) -> Trial {
    Trial::new(home, Store::open(home.join("store").to_str().unwrap()).unwrap(), "test")
}

fn run(mut runner: Trial, trial: &Value) -> Ended {
    let mut reporter = Reporter::detached(Arc::new(AtomicBool::new(false)));
    let ended = runner.run(&assignment(&canonical_json(trial), Vec::new()), &mut reporter).unwrap();
    assert!(matches!(ended, Ended::Succeeded(_)), "{ended:?}");
    ended
}

#[test]
fn bars_that_do_not_fit_into_memory_give_the_bundle_that_they_give_in_memory() {
    let home = home();
    let calibrated = alone(home.path(), &json!({"epochs": 3, "calibration": {"coverage": 0.8}}));
    assert_eq!(run(runner(home.path()).holding_at_most(0), &calibrated), run(runner(home.path()), &calibrated));
    let (home, trial) = pair();
    assert_eq!(run(runner(home.path()).holding_at_most(0), &trial), run(runner(home.path()), &trial));
    let left: Vec<_> = std::fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| ["data", "store"].iter().any(|known| name == known)), "{left:?}");
}

#[test]
fn an_attempt_that_is_to_stop_does_so_before_all_bars_are_read() {
    let home = home();
    let asked = assignment(&canonical_json(&alone(home.path(), &json!({}))), Vec::new());
    let mut reporter = Reporter::detached(Arc::new(AtomicBool::new(true)));
    let ended = runner(home.path()).holding_at_most(0).run(&asked, &mut reporter).unwrap();
    assert_eq!(ended, Ended::Stopped);
    let kept = std::fs::read_dir(home.path().join("store/checkpoints")).map_or(0, Iterator::count);
    assert_eq!(kept, 0, "it has learned nothing yet");
}

#[test]
fn folds_hold_their_bars_in_memory_however_many_there_are() {
    let home = home();
    let folds = json!({"epochs": 2, "cross_validation": {"walk_forward": {"folds": 2}}});
    let folded = alone(home.path(), &folds);
    assert_eq!(run(runner(home.path()).holding_at_most(0), &folded), run(runner(home.path()), &folded));
}

#[test]
fn bars_that_are_not_those_of_the_trial_are_refused_from_disk_as_well() {
    let home = home();
    let mut trial = alone(home.path(), &json!({"epochs": 1}));
    trial["data_digest"] = json!("0".repeat(64));
    let asked = assignment(&canonical_json(&trial), Vec::new());
    let mut reporter = Reporter::detached(Arc::new(AtomicBool::new(false)));
    let refused = runner(home.path()).holding_at_most(0).run(&asked, &mut reporter).unwrap_err();
    assert_eq!(refused.class, FailureClass::Data);
    assert!(refused.message.contains("import the same source again"), "{refused}");
}
