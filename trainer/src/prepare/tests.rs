//! Rows and labels: fitted on the training split, blind to the future.

use features::Stream;
use market::Bar;
use spec::{FailureClass, TaskSpec, TrialSpec};

use super::prepare;
use crate::fixtures::{self, bars, dataset};
use crate::{TrainError, TrainingData};

const COUNT: usize = 200;

fn trial_of(bars: Vec<Bar>) -> (TrialSpec, dataset::Dataset) {
    let data = dataset(bars);
    let task = TaskSpec::Supervised(fixtures::supervised());
    (fixtures::trial(&data, task, fixtures::cnn_lstm(0.0)), data)
}

fn prepared(bars: Vec<Bar>) -> TrainingData {
    let (trial, data) = trial_of(bars);
    prepare(&trial, &data).unwrap()
}

#[test]
fn a_label_is_the_forward_log_return_in_training_deviations() {
    // Closes 1, e, 1, e, …: returns over one bar are ±1, their deviation is 1 where both signs are as frequent.
    let mut flat = bars(COUNT, 0.5, 3);
    for (index, bar) in flat.iter_mut().enumerate() {
        let close = if index % 2 == 1 { std::f64::consts::E } else { 1.0 };
        (bar.open, bar.close, bar.low, bar.high) = (close, close, 1.0, std::f64::consts::E);
    }
    let data = prepared(flat);
    let labels = data.labels(1, 0.3).unwrap();
    assert!((labels.scale - 1.0).abs() < 1e-3, "{}", labels.scale);
    for label in labels.train.iter().chain(&labels.validation) {
        let (sign, class) = if label.bar % 2 == 0 { (1.0, 2) } else { (-1.0, 0) };
        assert!((f64::from(label.standardised_return) - sign / labels.scale).abs() < 1e-6, "{label:?}");
        assert_eq!(label.class, class);
    }
    let wide = data.labels(1, 2.0).unwrap();
    assert!(wide.train.iter().all(|label| label.class == 1), "within two deviations all is flat");
    let even = data.labels(2, 0.3).unwrap();
    assert!(even.train.iter().all(|label| label.class == 1 && label.standardised_return == 0.0));
}

#[test]
fn labels_end_inside_their_split_even_where_the_purge_is_shorter_than_the_horizon() {
    let data = prepared(bars(COUNT, 0.5, 1));
    // 200 bars: train ends with bar 119, validation with 159; one bar is purged.
    for horizon in [1, 2, 5] {
        let labels = data.labels(horizon, 0.3).unwrap();
        assert_eq!(labels.train.last().unwrap().bar + horizon, 119);
        assert_eq!(labels.validation.first().unwrap().bar, 120);
        assert_eq!(labels.validation.last().unwrap().bar + horizon, 159);
        assert_eq!(labels.train.first().unwrap().bar, data.first_window());
    }
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
    assert_eq!(one.labels(5, 0.3).unwrap().train, other.labels(5, 0.3).unwrap().train);
    assert_ne!(one.labels(5, 0.3).unwrap().validation, other.labels(5, 0.3).unwrap().validation);
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

#[test]
fn a_split_too_short_for_its_labels_is_named() {
    let data = prepared(bars(COUNT, 0.5, 1));
    let error = data.labels(35, 0.3).unwrap_err();
    assert!(error.to_string().starts_with("split validation keeps 5 rows"), "{error}");
}
