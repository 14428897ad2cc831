//! Folds: what is tested is seen by nothing that was learned.

use dataset::Dataset;
use market::Bar;
use spec::{FailureClass, TaskSpec};

use super::*;
use crate::fixtures::{self, bars, dataset};
use crate::prepare;

const HORIZON: usize = 5;
const EMBARGO: usize = 4;

const WALK: CrossValidationSpec = CrossValidationSpec::WalkForward { folds: 4, window: FoldWindow::Expanding };
const BLOCKS: CrossValidationSpec = CrossValidationSpec::Blocks { folds: 5 };
const CHOICES: CrossValidationSpec = CrossValidationSpec::Combinatorial { groups: 5, tested: 2 };

fn task() -> SupervisedSpec {
    SupervisedSpec { horizon: HORIZON as u32, ..fixtures::supervised() }
}

/// A trial over these bars whose splits purge the horizon, and its data.
fn prepared(bars: Vec<Bar>) -> (TrialSpec, TrainingData) {
    let data: Dataset = dataset(bars);
    let mut trial = fixtures::trial(&data, TaskSpec::Supervised(task()), fixtures::cnn_lstm(0.0));
    trial.data.split = fixtures::split(data.bars.len(), HORIZON as u32);
    trial.data.split.embargo = EMBARGO as u32;
    let data = prepare(&trial, &data).unwrap();
    (trial, data)
}

/// Does `look` for all folds dealt over these bars.
fn with_folds<T>(bars: Vec<Bar>, wanted: CrossValidationSpec, look: impl FnOnce(&Folds<'_>) -> T) -> T {
    let ((trial, data), task) = (prepared(bars), task());
    look(&Folds::deal(wanted, (&trial, &task), &data).unwrap())
}

/// The same bars with other prices where `touched`.
fn repriced(bars: &[Bar], touched: impl Fn(usize) -> bool) -> Vec<Bar> {
    let mut bars = bars.to_vec();
    for (index, bar) in bars.iter_mut().enumerate().filter(|(index, _)| touched(*index)) {
        // Not all by the same, or returns between them would stay.
        bar.close *= 1.4 + 0.02 * (index % 7) as f64;
        bar.high *= 1.6;
    }
    bars
}

#[test]
fn no_price_of_a_tested_label_reaches_a_label_that_is_learned_from() {
    let original = bars(400, 0.5, 1);
    for wanted in [WALK, BLOCKS, CHOICES] {
        for index in 0..wanted.folds() as usize {
            let fold = with_folds(original.clone(), wanted, |folds| folds.open(index)).unwrap();
            let is_tested = |bar: usize| fold.tested.iter().any(|run| (run.start..run.end + HORIZON).contains(&bar));
            let other = with_folds(repriced(&original, is_tested), wanted, |folds| folds.open(index)).unwrap();
            assert_eq!(fold.labels, other.labels, "{wanted:?}, fold {index}");
            assert_ne!(fold.test, other.test, "the change is one");
        }
    }
}

#[test]
fn the_normaliser_and_the_units_of_a_fold_are_those_of_the_rows_it_is_fitted_on() {
    let original = bars(400, 0.5, 1);
    for index in 0..4 {
        let open = |bars: Vec<Bar>| with_folds(bars, WALK, |folds| folds.open(index)).unwrap();
        let fold = open(original.clone());
        let fitted = fold.labels.train.last().unwrap().bar;
        // Features of the last fitted row are known at its close, its label a horizon later.
        let other = open(repriced(&original, |bar| bar > fitted + HORIZON));
        assert_eq!(fold.features.normaliser, other.features.normaliser, "fold {index}");
        assert_eq!((fold.labels.scale, &fold.labels.train), (other.labels.scale, &other.labels.train));
        assert_ne!(fold.labels.validation, other.labels.validation, "what it stops by is later");
        let touched = open(repriced(&original, |bar| bar == fitted));
        assert_ne!(fold.features.normaliser, touched.features.normaliser, "and it sees all of them");
    }
}

#[test]
fn rows_after_a_tested_block_wait_for_its_labels_and_the_embargo_and_a_walk_sees_none_of_them() {
    with_folds(bars(400, 0.5, 1), BLOCKS, |folds| {
        let learned = |index: usize| folds.dealt[index].fit.iter().chain(&folds.dealt[index].stop);
        let last = *folds.dealt[1].test.last().unwrap();
        assert_eq!(learned(1).find(|bar| **bar > last), Some(&(last + HORIZON + EMBARGO + 1)));
    });
    with_folds(bars(400, 0.5, 1), WALK, |folds| {
        for fold in &folds.dealt {
            assert!(fold.fit.iter().chain(&fold.stop).all(|bar| bar + HORIZON < fold.test[0]));
        }
    });
}

#[test]
fn what_stops_a_fold_is_later_than_what_it_is_fitted_on_and_as_large_a_share_as_validation_is() {
    for wanted in [WALK, BLOCKS, CHOICES] {
        with_folds(bars(400, 0.5, 1), wanted, |folds| {
            for Bars { fit, stop, test } in &folds.dealt {
                assert!(fit.iter().all(|bar| bar + HORIZON < stop[0]), "{wanted:?}");
                assert!(fit.iter().chain(stop).all(|bar| !test.contains(bar)));
                // The splits hold 80 and 240 bars, less purge, embargo and warm-up.
                let share = stop.len() as f64 / (fit.len() + stop.len()) as f64;
                assert!((0.2..0.4).contains(&share), "{wanted:?}: {share}");
            }
        });
    }
}

#[test]
fn no_row_of_the_test_split_is_dealt_and_every_other_is_tested() {
    let (_, data) = prepared(bars(400, 0.5, 1));
    let [train, validation] = [&data.split.train, &data.split.validation].map(|split| data.labelled(split, HORIZON));
    let all: Vec<usize> = train.chain(validation).collect();
    let tested = with_folds(bars(400, 0.5, 1), BLOCKS, |folds| {
        folds.dealt.iter().flat_map(|fold| fold.test.clone()).collect::<Vec<_>>()
    });
    assert_eq!(tested, all);
    assert!(all.iter().all(|bar| bar + HORIZON < data.split.test.start));
}

#[test]
fn folds_that_keep_too_little_are_refused_by_number_and_way_out() {
    let ((trial, data), task) = (prepared(bars(400, 0.5, 1)), task());
    let refused = |wanted| Folds::deal(wanted, (&trial, &task), &data).err().unwrap();
    let error = refused(CrossValidationSpec::WalkForward { folds: 20, window: FoldWindow::Expanding });
    assert!(error.to_string().starts_with("fold 0 of the cross-validation keeps "), "{error}");
    assert!(error.to_string().ends_with("use fewer folds, a shorter horizon or longer splits"), "{error}");
    assert_eq!(error.class(), FailureClass::Data, "a retry meets the same rows");
    let error = refused(CrossValidationSpec::Blocks { folds: 1_000 });
    assert!(matches!(error, TrainError::Folds(dataset::FoldError::Count { .. })), "{error}");
}

#[test]
fn figures_are_the_mean_and_the_sample_deviation_of_the_folds() {
    let score = |loss: f64, sharpe: Option<f64>| FoldScore {
        tested: Vec::new(),
        fit_rows: 8,
        stop_rows: 8,
        test_rows: 8,
        loss,
        sharpe,
    };
    let folds = [score(1.0, Some(0.5)), score(2.0, Some(-0.5)), score(3.0, Some(0.0))];
    let expected = BTreeMap::from([
        (Metric::CrossValidationFolds, 3.0),
        (Metric::CrossValidationLoss, 2.0),
        (Metric::CrossValidationLossDeviation, 1.0),
        (Metric::CrossValidationSharpe, 0.0),
        (Metric::CrossValidationSharpeDeviation, 0.5),
    ]);
    assert_eq!(metrics(&folds), expected);
    let untraded = metrics(&[score(1.0, None), score(2.0, Some(1.0))]);
    assert_eq!(untraded.get(&Metric::CrossValidationSharpe), None, "a mean of some folds is none of all");
    assert!(metrics(&[]).is_empty());
}
