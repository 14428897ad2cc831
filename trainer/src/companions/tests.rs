//! Several symbols: what one has too few rows to teach is learned from others, and no symbol is taken for another.

use dataset::Dataset;
use market::Bar;
use models::Predictor;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;
use spec::{BundleId, Digest, FailureClass, FeatureSpec, Metric, SupervisedSpec, TaskSpec, TrialSpec};

use crate::fixtures::{self, Recorder, assert_resumes_exactly, bars, finished, set, trial_of};
use crate::{Start, TrainError, Trained, TrainingData, prepare, prepare_among, train};

fn setting(sets: &[Dataset], task: SupervisedSpec) -> (TrialSpec, TrainingData) {
    let trial = trial_of(sets, task);
    let data = prepare_among(&trial, &sets[0], &sets[1..]).unwrap();
    (trial, data)
}

fn trained(sets: &[Dataset], task: SupervisedSpec) -> Trained {
    let (trial, data) = setting(sets, task);
    finished(train(&trial, &data, Start::Anew, &mut Recorder::default()))
}

/// A traded symbol whose direction turns with probability 0.9, and companions with one of their own.
fn among(companions: u64, (count, turning): (usize, f64)) -> Vec<Dataset> {
    let companion = |seed: u64| set(&format!("S{seed}"), bars(count, turning, seed));
    let own = set("OWN", bars(count, 0.9, 1));
    std::iter::once(own).chain((2..2 + companions).map(companion)).collect()
}

fn accuracy(sets: &[Dataset], epochs: u32) -> f64 {
    let task = SupervisedSpec { epochs, patience: epochs, ..fixtures::supervised() };
    trained(sets, task).metrics[&Metric::ValidationAccuracy]
}

#[test]
fn with_companions_training_resumes_bit_for_bit_and_hands_in_the_network_of_one_symbol() {
    let sets = [set("OWN", bars(400, 0.8, 1)), set("ONE", bars(400, 0.8, 2)), set("TWO", bars(300, 0.2, 3))];
    let (trial, data) = setting(&sets, fixtures::supervised());
    assert_resumes_exactly(&trial, &data, &[1, 9, 20]);
    let (many, alone) = (trained(&sets, fixtures::supervised()), trained(&sets[..1], fixtures::supervised()));
    assert_ne!(many.weights, alone.weights);
    assert_eq!(many.network, alone.network);
    let names = |weights: &[u8]| -> Vec<String> { models::weights::unpack(weights).unwrap().into_keys().collect() };
    assert_eq!(names(&many.weights), names(&alone.weights), "embeddings of the others are not handed in");
}

#[test]
fn a_rule_that_symbols_share_is_learned_from_all_of_them() {
    // 65 rows of its own are too few within three epochs; those of twenty show the rule.
    let (alone, together) = (accuracy(&among(0, (120, 0.9)), 3), accuracy(&among(19, (120, 0.9)), 3));
    assert!(alone < 0.7 && together > 0.8, "alone {alone}, together {together}");
}

/// Bars that rise by one percent with probability `up` and else fall by as much, whatever came before, at any volume.
fn drifting(up: f64, seed: u64) -> Vec<Bar> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut bars = bars(1_000, 0.5, seed);
    let mut close = 100.0;
    for bar in &mut bars {
        bar.open = close;
        close *= f64::exp(if fixtures::uniform(&mut rng) < up { 0.01 } else { -0.01 });
        (bar.high, bar.low, bar.close) = (bar.open.max(close), bar.open.min(close), close);
    }
    bars
}

#[test]
fn symbols_that_drift_apart_are_told_apart_by_what_is_learned_of_each() {
    // Eight of ten bars rise, and eight of ten of each companion fall. Volume, all that is seen, tells nothing of either: who
    // takes all for one symbol is right in 20 % of rows, and who knows the symbol in 80 %.
    let companion = |seed: u64| set(&format!("S{seed}"), drifting(0.2, seed));
    let sets: Vec<Dataset> = std::iter::once(set("OWN", drifting(0.8, 1))).chain((2..6).map(companion)).collect();
    let mut trial = trial_of(&sets, SupervisedSpec { epochs: 10, patience: 10, ..fixtures::supervised() });
    trial.features = vec![FeatureSpec::VolumeZ { bars: 20 }];
    let data = prepare_among(&trial, &sets[0], &sets[1..]).unwrap();
    let trained = finished(train(&trial, &data, Start::Anew, &mut Recorder::default()));
    let accuracy = trained.metrics[&Metric::ValidationAccuracy];
    assert!(accuracy > 0.7, "{accuracy}");
}

#[test]
fn what_a_companion_does_after_the_training_split_changes_nothing() {
    let own = set("OWN", bars(200, 0.5, 1));
    let mut later = bars(200, 0.5, 2);
    later[120..].iter_mut().for_each(|bar| (bar.close, bar.high) = (1.01 * bar.close, 1.2 * bar.high));
    let task = SupervisedSpec { horizon: 5, flat_band: 0.3, ..fixtures::supervised() };
    let weights = |companion: Dataset| trained(&[own.clone(), companion], task.clone()).weights;
    assert_eq!(weights(set("ONE", bars(200, 0.5, 2))), weights(set("ONE", later)));
    let mut earlier = bars(200, 0.5, 2);
    earlier[119].close *= 1.001;
    assert_ne!(weights(set("ONE", bars(200, 0.5, 2))), weights(set("ONE", earlier)));
}

#[test]
fn what_is_measured_is_what_the_network_says_that_is_handed_in() {
    let sets = [set("OWN", bars(300, 0.8, 1)), set("ONE", bars(300, 0.2, 2))];
    let (trial, data) = setting(&sets, fixtures::supervised());
    let trained = finished(train(&trial, &data, Start::Anew, &mut Recorder::default()));
    let served = Predictor::from_parts(&trained.network, &trained.weights, BundleId(Digest::of(b"any"))).unwrap();
    let TaskSpec::Supervised(task) = &trial.task else { panic!("it is a forecaster") };
    let labels = data.labels(task).unwrap();
    let mut right = 0;
    for label in &labels.validation {
        let output = served.predict(&[data.window(label.bar).unwrap()]).unwrap().remove(0);
        let spec::Output::Forecast { probabilities, .. } = output else { panic!("a forecaster forecasts") };
        let most = probabilities.iter().copied().fold(f32::MIN, f32::max);
        right += u32::from(probabilities[usize::from(label.class)] == most);
    }
    let accuracy = f64::from(right) / labels.validation.len() as f64;
    assert_eq!(accuracy, trained.metrics[&Metric::ValidationAccuracy]);
}

#[test]
fn companions_that_are_not_the_trials_or_too_young_are_refused_by_name() {
    let sets = [set("OWN", bars(200, 0.5, 1)), set("ONE", bars(200, 0.5, 2))];
    let trial = trial_of(&sets, fixtures::supervised());
    let refused = |companions: &[Dataset]| {
        let error = prepare_among(&trial, &sets[0], companions).unwrap_err();
        assert_eq!(error.class(), FailureClass::Data);
        error
    };
    assert!(matches!(refused(&[]), TrainError::Companions { wanted: 1, given: 0 }));
    let alone = prepare(&trial, &sets[0]).unwrap_err();
    assert!(matches!(alone, TrainError::Companions { .. }), "they are not left out in silence: {alone}");
    let changed = refused(&[set("ONE", bars(200, 0.5, 3))]);
    assert!(changed.to_string().starts_with("ONE, which is learned from beside the traded symbol"), "{changed}");

    let young = set("ONE", bars(200, 0.5, 2).split_off(110));
    let of_young = TrialSpec { companion_digests: vec![young.digest], ..trial.clone() };
    let error = prepare_among(&of_young, &sets[0], &[young]).unwrap_err();
    let TrainError::Companion { source, .. } = &error else { panic!("it is too young: {error}") };
    assert!(matches!(**source, TrainError::TooFewRows { split: "train", .. }), "{source}");
}
