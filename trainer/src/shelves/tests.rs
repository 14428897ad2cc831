//! What lies on disk is to the bit what memory would hold, and so is what is learned from it.

use std::cell::Cell;

use dataset::Dataset;
use envs::Rows;
use spec::{
    CrossValidationSpec, FailureClass, FeatureSpec, HeadSpec, LabelSpec, RateSchedule, ReturnHead, TaskWeights,
    VolatilityHead,
};
use tempfile::TempDir;

use super::*;
use crate::fixtures::{self, Recorder, assert_same, bars, finished, set, trial_of};
use crate::lessons::Lessons;
use crate::{ScratchError, Start, prepare_among, train};

/// More bars than are read, set aside or labelled at a time: each is cut within the training split and within validation.
const MANY: usize = 45_000;

/// The sets in a file, and their series in the trial's order.
fn at_rest(sets: &[Dataset]) -> (TempDir, Vec<Series>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bars.parquet");
    dataset::write_parquet(&path, sets).unwrap();
    let symbols: Vec<_> = sets.iter().map(|set| set.symbol.clone()).collect();
    let series = dataset::series(&path, &symbols, &[]).unwrap();
    (folder, series)
}

fn shelved(spec: &TrialSpec, sets: &[Dataset]) -> Result<Shelves, TrainError> {
    let (folder, series) = at_rest(sets);
    Ok(shelve(spec, &series, (folder.path(), &|| false))?.expect("nobody asks it to stop"))
}

/// Barriers that look back and ahead, and all heads.
fn everything() -> SupervisedSpec {
    SupervisedSpec {
        labels: LabelSpec::TripleBarrier { width: 0.7, bars: 10 },
        heads: HeadSpec { returns: ReturnHead::Gaussian, volatility: VolatilityHead::QuasiLikelihood },
        task_weights: TaskWeights::Uncertainty,
        schedule: RateSchedule::WarmUpCosine { warm_up: 0.2, floor: 0.1 },
        horizon: 3,
        ..fixtures::supervised()
    }
}

/// Holds a split on disk against the same in memory.
fn assert_shelved(shelf: &Shelf, split: Split, (rows, labels): (&Rows, &[Label])) {
    let (whole, on_disk) = (Lessons::Whole(rows, labels), Lessons::Shelved(shelf, split));
    assert_eq!(on_disk.len(), whole.len());
    let window = || vec![0.0; rows.window * rows.width];
    let (mut expected, mut actual, mut bytes) = (window(), window(), Vec::new());
    for row in 0..whole.len() {
        let label = whole.read(row, &mut expected, &mut bytes).unwrap();
        assert_eq!(on_disk.read(row, &mut actual, &mut bytes).unwrap(), label, "label {row} of {split:?}");
        assert_eq!(actual, expected, "window {row} of {split:?}");
    }
}

#[test]
fn windows_labels_units_and_feature_state_are_those_of_memory_wherever_the_bars_were_cut() {
    let sets = [set("OWN", bars(MANY, 0.6, 1)), set("ONE", bars(MANY, 0.4, 2))];
    for task in [everything(), fixtures::supervised()] {
        let mut spec = trial_of(&sets, task.clone());
        spec.features = vec![FeatureSpec::LogReturn { bars: 3 }, FeatureSpec::Sma { bars: 50 }];
        // Rows stand before the first that is fitted on, and bars before the first that is decided on.
        spec.data.split.train.from = sets[0].bars[200].time;
        let whole = prepare_among(&spec, &sets[0], &sets[1..]).unwrap();
        let shelves = shelved(&spec, &sets).unwrap();
        assert_eq!((&shelves.split, &shelves.feature_state), (&whole.split, &whole.feature_state));
        let labels = whole.labels(&task).unwrap();
        assert_shelved(&shelves.traded, Split::Train, (&whole.rows, &labels.train));
        assert_shelved(&shelves.traded, Split::Validation, (&whole.rows, &labels.validation));
        let (companion, beside) = (&whole.companions[0], whole.companions[0].labels(&task).unwrap());
        assert_shelved(&shelves.companions[0], Split::Train, (&companion.rows, &beside.train));
        for (shelf, labels) in [(&shelves.traded, &labels), (&shelves.companions[0], &beside)] {
            assert_eq!((shelf.scales(), shelf.directions()), (labels.scales(), labels.directions()));
        }
        let outcomes = labels.validation.iter().map(|label| (f64::from(label.standardised_return), label.class));
        assert_eq!(shelves.validation_outcomes().unwrap(), outcomes.collect::<Vec<_>>());
    }
}

#[test]
fn a_training_from_disk_ends_in_the_bytes_of_one_from_memory_and_goes_on_from_its_checkpoints() {
    let three = [set("OWN", bars(400, 0.8, 1)), set("ONE", bars(400, 0.8, 2)), set("TWO", bars(300, 0.2, 3))];
    for (sets, task) in [(&three[..1], everything()), (&three[..], fixtures::supervised())] {
        let spec = TrialSpec { model: fixtures::cnn_lstm(0.3), ..trial_of(sets, task) };
        let whole = prepare_among(&spec, &sets[0], &sets[1..]).unwrap();
        let shelves = shelved(&spec, sets).unwrap();
        let mut sink = Recorder::default();
        let expected = finished(train(&spec, &whole, Start::Anew, &mut sink));
        let actual = finished(train(&spec, &shelves, Start::Anew, &mut Recorder::default()));
        assert_same(&actual, &expected, "from disk");
        let (_, checkpoint) = &sink.checkpoints[1];
        let resumed = finished(train(&spec, &shelves, Start::Resume(checkpoint), &mut Recorder::default()));
        assert_same(&resumed, &expected, "resumed from disk");
        let stopping = || Recorder { stop_at: Some(5), ..Recorder::default() };
        let (mut before, mut twin) = (stopping(), stopping());
        train(&spec, &shelves, Start::Anew, &mut before).unwrap();
        train(&spec, &whole, Start::Anew, &mut twin).unwrap();
        assert_eq!(before.checkpoints, twin.checkpoints);
    }
}

#[test]
fn what_a_companion_does_after_the_training_split_changes_nothing_from_disk_either() {
    let own = set("OWN", bars(200, 0.5, 1));
    let mut later = bars(200, 0.5, 2);
    later[120..].iter_mut().for_each(|bar| (bar.close, bar.high) = (1.01 * bar.close, 1.2 * bar.high));
    let task = SupervisedSpec { horizon: 5, flat_band: 0.3, ..fixtures::supervised() };
    let weights = |companion: Dataset| {
        let sets = [own.clone(), companion];
        let spec = trial_of(&sets, task.clone());
        finished(train(&spec, &shelved(&spec, &sets).unwrap(), Start::Anew, &mut Recorder::default())).weights
    };
    assert_eq!(weights(set("ONE", bars(200, 0.5, 2))), weights(set("ONE", later)));
}

fn refusal(spec: &TrialSpec, sets: &[Dataset]) -> (String, FailureClass) {
    let error = shelved(spec, sets).unwrap_err();
    (crate::chain(&error), error.class())
}

#[test]
fn what_memory_refuses_is_refused_in_the_same_words() {
    let sets = [set("OWN", bars(200, 0.5, 1)), set("ONE", bars(200, 0.5, 2))];
    let spec = trial_of(&sets, fixtures::supervised());
    let whole = |spec: &TrialSpec, sets: &[Dataset]| {
        let error = prepare_among(spec, &sets[0], &sets[1..]).unwrap_err();
        (crate::chain(&error), error.class())
    };
    let changed = [sets[0].clone(), set("ONE", bars(200, 0.5, 3))];
    let other = [set("OWN", bars(200, 0.5, 3)), sets[1].clone()];
    let young = [sets[0].clone(), set("ONE", bars(200, 0.5, 2).split_off(112))];
    let mut of_young = spec.clone();
    of_young.companion_digests = vec![young[1].digest];
    let mut gap = bars(200, 0.5, 1);
    gap.drain(50..60);
    let gap = [set("OWN", gap)];
    let of_gap = trial_of(&gap, fixtures::supervised());
    let refused =
        [(&spec, &changed[..]), (&spec, &other[..]), (&spec, &sets[..1]), (&of_young, &young[..]), (&of_gap, &gap[..])];
    for (spec, sets) in refused {
        assert_eq!(refusal(spec, sets), whole(spec, sets));
    }
    // Labels are asked for when training begins, and on disk at once.
    let long = trial_of(&sets[..1], SupervisedSpec { horizon: 35, ..fixtures::supervised() });
    assert!(refusal(&long, &sets[..1]).0.starts_with("split validation keeps 5 rows"));
}

#[test]
fn agents_folds_and_a_folder_that_is_not_there_are_refused_by_name() {
    let sets = [set("OWN", bars(200, 0.5, 1))];
    let folds = Some(CrossValidationSpec::Blocks { folds: 3 });
    let folded = trial_of(&sets, SupervisedSpec { cross_validation: folds, ..fixtures::supervised() });
    let mut agent = folded.clone();
    let text = r#"{"window": 3, "steps": 100, "algorithm": {"ppo": {"learning_rate": 0.01}}}"#;
    agent.task = TaskSpec::Rl(serde_json::from_str(text).unwrap());
    for spec in [&folded, &agent] {
        assert!(!can_be_shelved(spec));
        assert!(matches!(shelved(spec, &sets), Err(TrainError::Unshelvable)));
    }
    let spec = trial_of(&sets, fixtures::supervised());
    assert!(can_be_shelved(&spec));
    // What is shelved for one trial teaches no other kind.
    let shelves = shelved(&spec, &sets).unwrap();
    for other in [&folded, &agent] {
        let error = train(other, &shelves, Start::Anew, &mut Recorder::default()).unwrap_err();
        assert!(matches!(error, TrainError::Unshelvable), "{error}");
    }
    let (_folder, series) = at_rest(&sets);
    let error = shelve(&spec, &series, (Path::new("nowhere"), &|| false)).unwrap_err();
    assert!(matches!(error, TrainError::Scratch(ScratchError::Io { .. })), "{error}");
    assert_eq!(error.class(), FailureClass::Bug, "another machine may have the room");
}

/// Whether all was shelved where `stop` said true when it was asked that often, and how often it was asked.
fn stopped_at(spec: &TrialSpec, (folder, series): &(TempDir, Vec<Series>), stop_at: u32) -> (bool, u32) {
    let asked = Cell::new(0);
    let stop = || {
        asked.set(asked.get() + 1);
        asked.get() == stop_at
    };
    let shelves = shelve(spec, series, (folder.path(), &stop)).unwrap();
    (shelves.is_some(), asked.get())
}

#[test]
fn whoever_is_asked_to_stop_shelves_no_more() {
    let sets = [set("OWN", bars(200, 0.5, 1)), set("ONE", bars(200, 0.5, 2))];
    let (spec, at_rest) = (trial_of(&sets, fixtures::supervised()), at_rest(&sets));
    let shelved = |stop_at| stopped_at(&spec, &at_rest, stop_at);
    // A part and an end of each symbol, the companion first.
    assert_eq!([1, 2, 3, 4].map(shelved), [(false, 1), (false, 2), (false, 3), (false, 4)]);
    // Then between the blocks that a test split of its own makes of few bars too.
    let (whole, all) = shelved(u32::MAX);
    assert!(whole && all > 4, "{all}");
    assert_eq!(shelved(all), (false, all));
}

#[test]
fn whoever_is_asked_to_stop_with_all_bars_read_fits_normalises_and_labels_no_more_of_many() {
    let sets = [set("OWN", bars(MANY, 0.5, 1))];
    let (spec, at_rest) = (trial_of(&sets, fixtures::supervised()), at_rest(&sets));
    // Three parts and the end.
    let read = 4;
    let (whole, all) = stopped_at(&spec, &at_rest, u32::MAX);
    // The test split begins a block of its own: four blocks of each of two columns and of all rows; then two stretches of the
    // training split, twice for the units and once for the labels.
    assert_eq!((whole, all), (true, read + 2 * 3 + 3 + 2 + 1));
    for stop_at in read + 1..=all {
        assert_eq!(stopped_at(&spec, &at_rest, stop_at), (false, stop_at));
    }
}

#[test]
fn a_set_is_as_large_as_its_bars_rows_and_labels() {
    let sets = [set("OWN", bars(200, 0.5, 1))];
    let spec = trial_of(&sets, fixtures::supervised());
    // Six numbers of eight bytes, two features of four, and a label of 24.
    assert_eq!(whole_bytes(&spec, 1_000), 1_000 * (2 * 48 + 2 * 12 + 24));
    assert_eq!(whole_bytes(&spec, u64::MAX), u64::MAX);
}
