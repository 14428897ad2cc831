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

mod learned {
    use std::num::NonZeroUsize;

    use artifacts::{Bundle, BundleKind, Kernel, Parts};
    use models::{Encoder, NetworkKind, NetworkSpec};
    use spec::{RlSpec, TrialEncoder};

    use super::*;
    use crate::prepare::prepare_seeing;

    /// The encoder of an untrained forecaster of these bars: 8 features of each window of 6.
    fn encoder(bars: Vec<Bar>) -> Encoder {
        let (trial, data) = trial_of(bars);
        let state = prepare(&trial, &data).unwrap().feature_state;
        let (model, width) = (trial.model.clone(), state.pipeline.width());
        let network = NetworkSpec { kind: NetworkKind::Forecaster, model, window: state.window, width };
        let bundle = Bundle::build(Parts {
            kind: BundleKind::Forecaster,
            weights: models::drawn(&network, 3).unwrap(),
            network: serde_json::to_value(network).unwrap(),
            features: serde_json::to_vec(&state).unwrap(),
            trial,
            code_version: "0.1.0".to_owned(),
            kernel: Kernel { cpu: "any".to_owned(), threads: 1, library: "any".to_owned(), degrade: 0 },
            metrics: [].into(),
        });
        Encoder::load(&bundle, NonZeroUsize::new(COUNT).unwrap()).unwrap()
    }

    /// An agent over these bars that sees them through `encoder`.
    fn agent(bars: Vec<Bar>, encoder: &Encoder) -> (TrialSpec, dataset::Dataset) {
        let (trial, data) = trial_of(bars);
        let text = r#"{"window": 3, "steps": 100, "algorithm": {"ppo": {"learning_rate": 0.01}}}"#;
        let task: RlSpec = serde_json::from_str(text).unwrap();
        let wanted = TrialEncoder { bundle: encoder.version(), memory_rows: COUNT as u32 };
        (TrialSpec { task: TaskSpec::Rl(task), encoder: Some(wanted), ..trial }, data)
    }

    fn seen(bars: Vec<Bar>, encoder: &Encoder) -> TrainingData {
        let (trial, data) = agent(bars, encoder);
        prepare_seeing(&trial, &data, encoder).unwrap()
    }

    #[test]
    fn learned_features_stand_behind_indicators_in_the_units_of_the_training_split() {
        let encoder = encoder(bars(COUNT, 0.5, 1));
        let data = seen(bars(COUNT, 0.5, 1), &encoder);
        assert_eq!((data.rows.width, data.rows.first), (2 + 8, 5 + 5));
        let train: Vec<&[f32]> = data.rows.values.chunks_exact(10).take(data.split.train.end - 10).collect();
        for column in 2..10 {
            let mean = train.iter().map(|row| f64::from(row[column])).sum::<f64>() / train.len() as f64;
            assert!(mean.abs() < 1e-5, "column {column} has mean {mean}");
        }
        let (trial, set) = trial_of(bars(COUNT, 0.5, 1));
        let plain = prepare(&trial, &set).unwrap();
        let own: Vec<f32> = data.rows.values.chunks_exact(10).flat_map(|row| row[..2].to_vec()).collect();
        assert_eq!(own, plain.rows.values[(10 - plain.rows.first) * 2..]);
    }

    #[test]
    fn what_comes_after_the_training_split_changes_nothing_that_was_learned_of_it() {
        let original = bars(COUNT, 0.5, 1);
        let mut changed = original.clone();
        changed[120..].iter_mut().for_each(|bar| (bar.close, bar.high) = (1.01 * bar.close, 1.2 * bar.high));
        let encoder = encoder(original.clone());
        let (one, other) = (seen(original, &encoder), seen(changed, &encoder));
        for bar in one.first_window()..120 {
            assert_eq!(one.window(bar), other.window(bar));
        }
        assert_ne!(one.window(130), other.window(130));
        assert_eq!(one.learned.unwrap().normaliser, other.learned.unwrap().normaliser);
    }

    #[test]
    fn an_encoder_that_is_missing_another_or_of_other_bars_is_refused() {
        let encoder = encoder(bars(COUNT, 0.5, 1));
        let (trial, data) = agent(bars(COUNT, 0.5, 1), &encoder);
        let (plain, _) = trial_of(bars(COUNT, 0.5, 1));
        let blind = prepare(&trial, &data).unwrap_err();
        assert!(blind.to_string().contains("but is given no encoder"), "{blind}");
        let superfluous = prepare_seeing(&plain, &data, &encoder).unwrap_err();
        assert!(superfluous.to_string().contains("the trial sees bars through no encoder"), "{superfluous}");
        let later = bars(COUNT + 1, 0.5, 1).split_off(1);
        let (trial, data) = agent(later, &encoder);
        let elsewhere = prepare_seeing(&trial, &data, &encoder).unwrap_err();
        assert!(matches!(elsewhere, TrainError::OtherStart { .. }), "{elsewhere}");
        assert_eq!(elsewhere.class(), FailureClass::Data);
    }
}
