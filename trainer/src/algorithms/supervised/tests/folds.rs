//! A trial with folds: each a training like its own, from the same seed, and all of them survive a stop.

use dataset::SplitIndices;
use spec::{CrossValidationSpec, FoldWindow};

use super::*;
use crate::folds::Folds;

const WALK: CrossValidationSpec = CrossValidationSpec::WalkForward { folds: 3, window: FoldWindow::Expanding };

fn folded(wanted: CrossValidationSpec, dropout: f64) -> (TrialSpec, TrainingData) {
    setting(0.8, dropout, SupervisedSpec { cross_validation: Some(wanted), ..fixtures::supervised() })
}

#[test]
fn a_trial_with_folds_resumes_bit_for_bit_from_every_checkpoint_and_stop() {
    for wanted in [WALK, CrossValidationSpec::Combinatorial { groups: 3, tested: 1 }] {
        let (spec, data) = folded(wanted, 0.3);
        let mut whole = Recorder::default();
        let trained = finished(train(&spec, &data, Start::Anew, &mut whole));
        let steps: Vec<u64> = whole.checkpoints.iter().map(|(step, _)| *step).collect();
        assert!(steps.is_sorted() && trained.folds.len() == 3, "{steps:?}");
        // Some stops in each fold, and in the training after them.
        assert_resumes_exactly(&spec, &data, &[1, 4, 9, 14, 20, 30, 50]);
    }
}

#[test]
fn the_objective_is_the_mean_of_what_the_folds_came_to() {
    let (spec, data) = folded(CrossValidationSpec::Blocks { folds: 4 }, 0.0);
    let trained = finished(train(&spec, &data, Start::Anew, &mut Recorder::default()));
    let losses: Vec<f64> = trained.folds.iter().map(|fold| fold.loss).collect();
    let mean = losses.iter().sum::<f64>() / 4.0;
    let square = losses.iter().map(|loss| (loss - mean).powi(2)).sum::<f64>() / 3.0;
    let metric = |metric| trained.metrics[&metric];
    assert_eq!(metric(Metric::CrossValidationLoss), mean);
    assert!((metric(Metric::CrossValidationLossDeviation) - square.sqrt()).abs() < 1e-12);
    assert_eq!(metric(Metric::CrossValidationFolds), 4.0);
    assert!(losses.windows(2).all(|pair| pair[0] != pair[1]), "each has rows of its own: {losses:?}");
}

#[test]
fn a_fold_is_to_the_bit_a_trial_on_its_rows_judged_where_that_never_looked() {
    // Two folds: what trains for either lies in the training split, without a gap.
    let wanted = CrossValidationSpec::WalkForward { folds: 2, window: FoldWindow::Expanding };
    let (spec, data) = folded(wanted, 0.3);
    let trained = finished(train(&spec, &data, Start::Anew, &mut Recorder::default()));
    let folds = Folds::deal(wanted, (&spec, task_of(&spec)), &data).unwrap();
    let alone = TaskSpec::Supervised(SupervisedSpec { cross_validation: None, ..task_of(&spec).clone() });
    let alone = TrialSpec { task: alone, ..spec.clone() };
    for (index, score) in trained.folds.iter().enumerate() {
        let fold = folds.open(index).unwrap();
        let range = |labels: &[crate::Label]| labels[0].bar..labels.last().unwrap().bar + 1;
        let (train_rows, validation) = (range(&fold.labels.train), range(&fold.labels.validation));
        let split = SplitIndices { train: train_rows, validation, test: data.split.test.clone() };
        let own = TrainingData { split, rows: fold.rows.clone(), ..data.clone() };
        let twin = finished(train(&alone, &own, Start::Anew, &mut Recorder::default()));
        let served = Predictor::from_parts(&twin.network, &twin.weights, BundleId(Digest::of(b"any"))).unwrap();
        let network = Forecaster::new(&mut Layout::default(), &twin.network).unwrap();
        let weighing = Weighing::new(&network, task_of(&spec), fold.labels.directions());
        let mut loss = 0.0;
        for label in &fold.test {
            let output = served.predict(&[fold.rows.ending(label.bar).unwrap()]).unwrap().remove(0);
            loss += weighing.served(label, &output, fold.labels.scales());
        }
        assert_eq!((loss / fold.test.len() as f64).to_bits(), score.loss.to_bits(), "fold {index}");
        assert_eq!(score.test_rows, fold.test.len() as u64);
    }
}

#[test]
fn folds_change_nothing_of_the_network_that_is_handed_in() {
    let (with, data) = folded(WALK, 0.3);
    let (without, _) = setting(0.8, 0.3, fixtures::supervised());
    let [with, without] =
        [with, without].map(|spec| finished(train(&spec, &data, Start::Anew, &mut Recorder::default())));
    assert_eq!((&with.weights, &with.curve), (&without.weights, &without.curve));
    assert!(without.folds.is_empty() && !without.metrics.contains_key(&Metric::CrossValidationFolds));
    assert!(without.metrics.iter().all(|(metric, value)| with.metrics[metric] == *value));
}

#[test]
fn progress_counts_the_epochs_of_all_trainings_and_the_folds_behind() {
    let (spec, data) = folded(WALK, 0.0);
    let mut sink = Recorder::default();
    finished(train(&spec, &data, Start::Anew, &mut sink));
    let told: Vec<_> = sink.progress.iter().map(|said| (said.step, said.steps)).collect();
    let folds: Vec<f64> = sink.progress.iter().map(|said| said.metrics[&Metric::CrossValidationFolds]).collect();
    assert_eq!(
        told,
        (1..=12).map(|step| (step, 12)).collect::<Vec<_>>(),
        "three epochs of three folds and the trial's"
    );
    assert_eq!(folds, [0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 3.0, 3.0, 3.0]);
    let compared = sink.progress.iter().filter(|said| said.metrics.contains_key(&Metric::ValidationLoss));
    assert_eq!(compared.count(), 3, "what a fold stops by is no validation loss");
}

#[test]
fn folds_that_cannot_be_dealt_are_refused_before_anything_is_trained() {
    let (spec, data) = folded(CrossValidationSpec::Blocks { folds: 60 }, 0.0);
    let mut sink = Recorder::default();
    let error = train(&spec, &data, Start::Anew, &mut sink).unwrap_err();
    assert!(matches!(error, TrainError::FoldTooSmall { fold: 0, .. }), "{error}");
    assert!(sink.progress.is_empty() && sink.checkpoints.is_empty());
}
