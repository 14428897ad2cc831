//! Supervised training: learns what is there, and resumes to the same bytes.

use models::weights::unpack;
use models::{Forecaster, NetworkKind, NetworkSpec, Predictor};
use neural::Layout;
use neural::sequence::Purpose;
use spec::{
    BundleId, DegradeSpec, Digest, Directions, FailureClass, HeadSpec, Imbalance, LabelSpec, Metric, ModelSpec,
    Normalisation, Output, Precision, RateSchedule, ReturnHead, Shortcut, Spread, SupervisedSpec, TaskSpec,
    TaskWeights, TrialSpec, VolatilityHead,
};

use super::losses::Weighing;
use super::pool::Pool;
use crate::fixtures::{self, Recorder, assert_resumes_exactly, bars, cnn_lstm, finished};
use crate::{CheckpointError, MicroBatch, Start, TrainError, TrainingData, prepare, train, train_in};

mod folds;

fn setting(turning: f64, dropout: f64, task: SupervisedSpec) -> (TrialSpec, TrainingData) {
    setting_of(400, (turning, dropout), task)
}

fn setting_of(count: usize, (turning, dropout): (f64, f64), task: SupervisedSpec) -> (TrialSpec, TrainingData) {
    let data = fixtures::dataset(bars(count, turning, 1));
    let spec = fixtures::trial(&data, TaskSpec::Supervised(task), cnn_lstm(dropout));
    let data = prepare(&spec, &data).unwrap();
    (spec, data)
}

#[test]
fn a_planted_signal_is_learned_and_noise_is_not() {
    let task = SupervisedSpec { epochs: 40, ..fixtures::supervised() };
    let accuracy = |turning: f64| {
        let (spec, data) = setting(turning, 0.0, task.clone());
        finished(train(&spec, &data, Start::Anew, &mut Recorder::default())).metrics[&Metric::ValidationAccuracy]
    };
    let (signal, noise) = (accuracy(0.9), accuracy(0.5));
    assert!(signal > 0.8, "the direction turns nine times of ten: {signal}");
    assert!(noise < 0.7, "nothing can be known of noise: {noise}");
}

#[test]
fn training_with_dropout_resumes_bit_for_bit_from_every_checkpoint_and_stop() {
    let (spec, data) = setting(0.8, 0.3, fixtures::supervised());
    assert_resumes_exactly(&spec, &data, &[1, 5, 8, 13, 20]);
}

#[test]
fn training_in_mixed_precision_resumes_bit_for_bit_and_is_near_that_in_f32() {
    // Batches of 32 rows, and of 13: the last is smaller.
    for batch in [32, 13] {
        let (spec, data) =
            setting(0.8, 0.3, SupervisedSpec { batch, precision: Precision::Mixed, ..fixtures::supervised() });
        assert_resumes_exactly(&spec, &data, &[1, 5, 8, 13, 20]);
        let (single, _) = setting(0.8, 0.3, SupervisedSpec { batch, ..fixtures::supervised() });
        let [mixed, single] =
            [&spec, &single].map(|spec| finished(train(spec, &data, Start::Anew, &mut Recorder::default())));
        assert_ne!(mixed.weights, single.weights, "eight bits of mantissa are not 24");
        for ((_, mixed), (_, single)) in mixed.curve.iter().zip(&single.curve) {
            let off = (mixed[&Metric::ValidationLoss] / single[&Metric::ValidationLoss] - 1.0).abs();
            assert!(off < 0.02, "validation losses {mixed:?} {single:?}");
        }
    }
}

/// Everything that a forecaster may be asked for.
fn everything(returns: ReturnHead) -> (TrialSpec, TrainingData) {
    let task = SupervisedSpec {
        labels: LabelSpec::TripleBarrier { width: 0.7, bars: 10 },
        heads: HeadSpec { returns, volatility: VolatilityHead::QuasiLikelihood },
        task_weights: TaskWeights::Uncertainty,
        imbalance: Imbalance::Focal { gamma: 1.0 },
        schedule: RateSchedule::WarmUpCosine { warm_up: 0.2, floor: 0.1 },
        accumulate: 2,
        horizon: 3,
        ..fixtures::supervised()
    };
    let data = fixtures::dataset(bars(400, 0.8, 1));
    let model = ModelSpec::CnnLstm {
        channels: 8,
        kernel: 3,
        hidden: 6,
        layers: 2,
        dropout: 0.2,
        burn_in: 0,
        dilations: vec![1, 2],
        normalisation: Normalisation::Layer,
        shortcut: Shortcut::Residual,
        directions: Directions::Both,
    };
    let spec = fixtures::trial(&data, TaskSpec::Supervised(task), model);
    let data = prepare(&spec, &data).unwrap();
    (spec, data)
}

#[test]
fn with_every_choice_made_training_resumes_bit_for_bit() {
    for returns in [ReturnHead::Gaussian, ReturnHead::Quantiles] {
        let (spec, data) = everything(returns);
        assert_resumes_exactly(&spec, &data, &[1, 4, 7]);
        let trained = finished(train(&spec, &data, Start::Anew, &mut Recorder::default()));
        let (first, last) = (&trained.curve[0].1, &trained.curve[trained.curve.len() - 1].1);
        assert!(last[&Metric::Loss] < first[&Metric::Loss], "it learns what it is shown: {first:?} {last:?}");
    }
}

#[test]
fn a_volatility_that_is_known_is_forecast_and_so_is_a_deviation() {
    // One-bar moves are uniform within 0.5 to 1.5 %, up or down by a coin: their root mean square is 1.04 %.
    let heads = HeadSpec { returns: ReturnHead::Gaussian, volatility: VolatilityHead::QuasiLikelihood };
    let (spec, data) = setting(0.5, 0.0, SupervisedSpec { heads, epochs: 12, patience: 12, ..fixtures::supervised() });
    let trained = finished(train(&spec, &data, Start::Anew, &mut Recorder::default()));
    let served = Predictor::from_parts(&trained.network, &trained.weights, BundleId(Digest::of(b"any"))).unwrap();
    let labels = data.labels(task_of(&spec)).unwrap();
    let rows: Vec<&[f32]> = labels.validation.iter().map(|label| data.window(label.bar).unwrap()).collect();
    let (mut deviations, mut volatilities) = (0.0, 0.0);
    for output in served.predict(&rows).unwrap() {
        let Output::Forecast { spread: Some(Spread::Deviation(deviation)), volatility: Some(volatility), .. } = output
        else {
            panic!("it says both: {output:?}")
        };
        deviations += f64::from(deviation) / rows.len() as f64;
        volatilities += f64::from(volatility) / rows.len() as f64;
    }
    assert!((0.0085..0.0125).contains(&deviations), "{deviations}");
    assert!((0.0085..0.0125).contains(&volatilities), "{volatilities}");
}

#[test]
fn the_rate_rises_to_its_peak_and_falls_to_its_floor() {
    let schedule = RateSchedule::WarmUpCosine { warm_up: 0.25, floor: 0.1 };
    let task = SupervisedSpec { schedule, epochs: 5, learning_rate: 0.01, ..fixtures::supervised() };
    let (spec, data) = setting(0.5, 0.0, task);
    let labels = data.labels(task_of(&spec)).unwrap();
    let asked = (&spec, task_of(&spec), MicroBatch::Whole);
    let run = super::Run::start(asked, Pool::new((&data.rows, &labels), &[]), super::Past::default()).unwrap();
    let steps = run.pool.len().div_ceil(32) as u64 * 5;
    let rates: Vec<f64> = (0..steps).map(|step| run.rate(step)).collect();
    let peak = (0.25 * steps as f64).floor() as usize;
    assert!(rates[..peak].is_sorted() && rates[0] < 0.01 / peak as f64 * 1.1, "{rates:?}");
    assert!(rates[peak..].iter().rev().is_sorted());
    assert!((rates[peak - 1] - 0.01).abs() < 1e-3 && (rates[rates.len() - 1] - 0.001).abs() < 1e-9, "{rates:?}");
}

#[test]
fn accumulated_batches_are_one_larger_batch() {
    let weights = |batch: u32, accumulate: u32| {
        let (spec, data) = setting(0.8, 0.3, SupervisedSpec { batch, accumulate, ..fixtures::supervised() });
        finished(train(&spec, &data, Start::Anew, &mut Recorder::default())).weights
    };
    assert_eq!(weights(16, 4), weights(64, 1));
    assert_ne!(weights(16, 4), weights(16, 1));
}

#[test]
fn another_seed_is_another_training_and_dropout_is_at_work() {
    let weights = |dropout: f64, seed: u64| {
        let (spec, data) = setting(0.8, dropout, fixtures::supervised());
        let spec = TrialSpec { seed, ..spec };
        finished(train(&spec, &data, Start::Anew, &mut Recorder::default())).weights
    };
    assert_eq!(weights(0.3, 1), weights(0.3, 1));
    assert_ne!(weights(0.3, 1), weights(0.3, 2));
    assert_ne!(weights(0.3, 1), weights(0.0, 1));
}

#[test]
fn what_training_reports_is_to_the_bit_what_the_served_network_says() {
    reports_what_is_served(setting(0.8, 0.3, fixtures::supervised()));
    // More rows to compare by than are held at a time.
    let task = SupervisedSpec { epochs: 1, ..fixtures::supervised() };
    reports_what_is_served(setting_of(6_000, (0.8, 0.3), task));
}

fn reports_what_is_served((spec, data): (TrialSpec, TrainingData)) {
    let trained = finished(train(&spec, &data, Start::Anew, &mut Recorder::default()));
    let bundle = BundleId(Digest::of(b"any"));
    let served = Predictor::from_parts(&trained.network, &trained.weights, bundle).unwrap();
    let labels = data.labels(task_of(&spec)).unwrap();
    let network = Forecaster::new(&mut Layout::default(), &trained.network).unwrap();
    let weighing = Weighing::new(&network, task_of(&spec), labels.directions());
    let mut loss = 0.0;
    for label in &labels.validation {
        // One row at a time, as live does; training asked for many at once.
        let output = served.predict(&[data.window(label.bar).unwrap()]).unwrap().remove(0);
        let Output::Forecast { probabilities, .. } = output else { panic!("a forecaster forecasts") };
        assert!((probabilities.iter().sum::<f32>() - 1.0).abs() < 1e-5);
        loss += weighing.served(label, &output, labels.scales());
    }
    let loss = loss / labels.validation.len() as f64;
    assert_eq!(loss.to_bits(), trained.metrics[&Metric::ValidationLoss].to_bits());
}

#[test]
fn the_best_weights_are_kept_and_patience_ends_training() {
    let task = SupervisedSpec { epochs: 60, patience: 2, learning_rate: 0.05, ..fixtures::supervised() };
    let (spec, data) = setting(0.5, 0.0, task);
    let mut sink = Recorder::default();
    let trained = finished(train(&spec, &data, Start::Anew, &mut sink));
    let losses: Vec<f64> = trained.curve.iter().map(|(_, metrics)| metrics[&Metric::ValidationLoss]).collect();
    assert!(losses.len() < 60, "noise cannot improve for sixty epochs");
    let best = losses.iter().copied().fold(f64::INFINITY, f64::min);
    assert_eq!(trained.metrics[&Metric::ValidationLoss], best);
    assert_eq!(losses.iter().position(|loss| *loss == best), Some(losses.len() - 3), "two epochs without a better one");
    assert_eq!(sink.progress.len(), losses.len());
}

#[test]
fn the_expected_return_is_in_log_returns() {
    let task = SupervisedSpec { epochs: 40, ..fixtures::supervised() };
    let (spec, data) = setting(1.0, 0.0, task);
    let trained = finished(train(&spec, &data, Start::Anew, &mut Recorder::default()));
    let served = Predictor::from_parts(&trained.network, &trained.weights, BundleId(Digest::of(b"any"))).unwrap();
    let labels = data.labels(task_of(&spec)).unwrap();
    let mut miss = 0.0;
    for label in &labels.validation {
        let output = served.predict(&[data.window(label.bar).unwrap()]).unwrap().remove(0);
        let Output::Forecast { expected_return, .. } = output else { panic!("a forecaster forecasts") };
        miss += (f64::from(expected_return) - f64::from(label.standardised_return) * labels.scale).abs();
    }
    let miss = miss / labels.validation.len() as f64;
    // Moves are 0.5 to 1.5 % in a direction that can be known, so the best guess misses by 0.25 % on average.
    assert!((0.002..0.004).contains(&miss), "{miss}");
}

#[test]
fn a_loss_that_is_no_number_ends_the_attempt_as_nan() {
    let task = SupervisedSpec { return_weight: f64::INFINITY, ..fixtures::supervised() };
    let (spec, data) = setting(0.5, 0.0, task);
    let whole = MicroBatch::Whole;
    let asked = (&spec, task_of(&spec), whole);
    let error = super::train(asked, (&data).into(), None, &mut Recorder::default()).unwrap_err();
    assert!(matches!(error, TrainError::NotFinite { step: 0, .. }), "{error}");
    assert_eq!(error.class(), FailureClass::Nan);
}

fn task_of(spec: &TrialSpec) -> &SupervisedSpec {
    match &spec.task {
        TaskSpec::Supervised(task) => task,
        TaskSpec::Rl(_) => panic!("these trials are supervised"),
    }
}

fn rows(micro_batch: u32) -> MicroBatch {
    MicroBatch::of(Some(DegradeSpec { micro_batch }))
}

/// Largest difference of two weights, after `epochs` of training in parts of a mini-batch of 32 and in one.
fn apart(micro_batch: MicroBatch) -> (f64, f64) {
    let (spec, data) = setting(0.8, 0.0, fixtures::supervised());
    let whole = finished(train(&spec, &data, Start::Anew, &mut Recorder::default()));
    let parts = finished(train_in(micro_batch, (&spec, &data), Start::Anew, &mut Recorder::default()));
    let losses = whole.curve.iter().zip(&parts.curve).map(|((_, whole), (_, parts))| {
        (whole[&Metric::Loss] - parts[&Metric::Loss])
            .abs()
            .max((whole[&Metric::ValidationLoss] - parts[&Metric::ValidationLoss]).abs())
    });
    let (whole_weights, parts_weights) = (unpack(&whole.weights).unwrap(), unpack(&parts.weights).unwrap());
    let weights =
        whole_weights.iter().map(|(name, tensor)| (tensor - &parts_weights[name]).abs().max().double_value(&[]));
    (losses.fold(0.0, f64::max), weights.fold(0.0, f64::max))
}

#[test]
fn a_mini_batch_in_parts_gives_the_same_updates_up_to_rounding() {
    // Three epochs of eight updates each. Parts of 5 do not divide 32: the last is smaller and weighs less.
    for micro_batch in [1, 5, 8, 31] {
        let (losses, weights) = apart(rows(micro_batch));
        assert!(losses < 1e-5 && weights < 1e-4, "parts of {micro_batch}: losses {losses:e}, weights {weights:e}");
    }
    assert_eq!(apart(rows(32)), (0.0, 0.0), "a part of all is the whole, to the bit");
}

#[test]
fn a_step_down_takes_less_memory_and_a_tape_takes_what_was_counted() {
    let (spec, data) = setting(0.8, 0.3, fixtures::supervised());
    let mut layout = Layout::default();
    let network = Forecaster::new(&mut layout, &shape_of(&spec, &data)).unwrap();
    let bytes = |rows| network.tape_bytes(rows, Purpose::Learning);
    assert_eq!(bytes(32), 32 * bytes(1), "as much for each row");
    let mixed = Forecaster::new(&mut Layout::default(), &shape_of(&spec, &data)).unwrap().learning_in(Precision::Mixed);
    let mixed = |rows| mixed.tape_bytes(rows, Purpose::Learning);
    assert_eq!(mixed(32) - mixed(31), mixed(2) - mixed(1), "as much for each further row");
    assert!(mixed(1) > bytes(1), "what is multiplied is kept, too");
    // At least what the recurrent layer keeps of a window: four gates, states, cells and their tanh.
    let ModelSpec::CnnLstm { hidden, .. } = spec.model else { panic!("it is one") };
    let least = data.rows.window * 7 * hidden as usize * size_of::<f32>();
    assert!((least..20 * least).contains(&bytes(1)), "{} of {least}", bytes(1));
    assert!(network.tape_bytes(1, Purpose::Asking) < bytes(1), "nothing is kept for a way back");
}

/// The shape of what is trained.
fn shape_of(spec: &TrialSpec, data: &TrainingData) -> NetworkSpec {
    NetworkSpec {
        kind: NetworkKind::Forecaster,
        model: spec.model.clone(),
        window: data.rows.window,
        width: data.rows.width,
    }
}

#[test]
fn training_in_parts_resumes_bit_for_bit_and_goes_on_from_where_the_whole_ran_out_of_memory() {
    let (spec, data) = setting(0.8, 0.3, fixtures::supervised());
    let mut sink = Recorder::default();
    let expected = finished(train_in(rows(8), (&spec, &data), Start::Anew, &mut sink));
    for (step, bytes) in &sink.checkpoints {
        let resumed = finished(train_in(rows(8), (&spec, &data), Start::Resume(bytes), &mut Recorder::default()));
        fixtures::assert_same(&resumed, &expected, &format!("resumed after step {step}"));
    }
    let mut before = Recorder { stop_at: Some(5), ..Recorder::default() };
    train(&spec, &data, Start::Anew, &mut before).unwrap();
    let (_, bytes) = before.checkpoints.last().unwrap();
    let after = finished(train_in(rows(8), (&spec, &data), Start::Resume(bytes), &mut Recorder::default()));
    assert_eq!(after.curve.len(), expected.curve.len());
}

#[test]
fn a_broken_checkpoint_is_refused_before_anything_is_trained() {
    let (spec, data) = setting(0.5, 0.0, SupervisedSpec { epochs: 1, ..fixtures::supervised() });
    let mut sink = Recorder::default();
    finished(train(&spec, &data, Start::Anew, &mut sink));
    let (_, bytes) = sink.checkpoints.last().unwrap();
    let mut after = Recorder::default();
    let error = train(&spec, &data, Start::Resume(&bytes[..bytes.len() / 2]), &mut after).unwrap_err();
    assert!(matches!(error, TrainError::Checkpoint(CheckpointError::Changed { .. })), "{error}");
    assert!(after.progress.is_empty());
}
