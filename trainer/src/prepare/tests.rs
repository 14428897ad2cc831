//! Rows: fitted on the training split, blind to the future.

use features::Stream;
use market::Bar;
use spec::{FailureClass, SupervisedSpec, TaskSpec, TrialSpec};

use super::prepare;
use crate::fixtures::{self, bars, dataset};
use crate::{TrainError, TrainingData};

const COUNT: usize = 200;

fn trial_of(bars: Vec<Bar>) -> (TrialSpec, dataset::Dataset) {
    let data = dataset(bars);
    let task = TaskSpec::Supervised(fixtures::supervised());
    (fixtures::trial(&data, task, fixtures::cnn_lstm(0.0)), data)
}

/// The task with another horizon.
fn over(horizon: u32) -> SupervisedSpec {
    SupervisedSpec { horizon, flat_band: 0.3, ..fixtures::supervised() }
}

fn prepared(bars: Vec<Bar>) -> TrainingData {
    let (trial, data) = trial_of(bars);
    prepare(&trial, &data).unwrap()
}

#[test]
fn what_comes_after_a_split_cannot_change_what_is_learned_from() {
    let original = bars(COUNT, 0.5, 1);
    let mut changed = original.clone();
    for (index, bar) in changed[120..].iter_mut().enumerate() {
        bar.close *= 1.0 + 0.01 * (index % 7) as f64;
        bar.high *= 1.2;
    }
    let (one, other) = (prepared(original), prepared(changed));
    assert_eq!(one.feature_state.normaliser, other.feature_state.normaliser);
    assert_eq!(one.labels(&over(5)).unwrap().train, other.labels(&over(5)).unwrap().train);
    assert_ne!(one.labels(&over(5)).unwrap().validation, other.labels(&over(5)).unwrap().validation);
    for bar in one.first_window()..120 {
        assert_eq!(one.window(bar), other.window(bar));
    }
}

#[test]
fn windows_are_bit_for_bit_what_the_online_stream_shows() {
    let data = prepared(bars(COUNT, 0.5, 1));
    let mut stream = Stream::from_anchor(&data.feature_state).unwrap();
    for (index, bar) in data.dataset.bars.iter().enumerate() {
        assert_eq!(stream.push(bar).unwrap(), data.window(index), "bar {index}");
    }
}

#[test]
fn the_feature_state_stands_right_before_the_test_split() {
    let data = prepared(bars(COUNT, 0.5, 1));
    assert_eq!(data.feature_state.at, Some(data.dataset.bars[data.split.test.start - 1].time));
    let mut stream = Stream::resume(data.feature_state.clone());
    let first = data.split.test.start;
    assert_eq!(stream.push(&data.dataset.bars[first]).unwrap(), data.window(first));
}

#[test]
fn other_bars_than_the_trial_names_are_refused() {
    let (trial, _) = trial_of(bars(COUNT, 0.5, 1));
    let error = prepare(&trial, &dataset(bars(COUNT, 0.5, 2))).unwrap_err();
    assert!(matches!(error, TrainError::OtherData { .. }));
    assert_eq!(error.class(), FailureClass::Data);
}
