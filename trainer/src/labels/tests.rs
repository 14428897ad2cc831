//! Labels against closes whose outcome is known.

use market::Bar;
use spec::{LabelSpec, SupervisedSpec, TaskSpec};

use crate::fixtures::{self, bars, dataset};
use crate::{TrainingData, prepare};

const COUNT: usize = 200;

fn prepared(bars: Vec<Bar>) -> TrainingData {
    let data = dataset(bars);
    let task = TaskSpec::Supervised(fixtures::supervised());
    prepare(&fixtures::trial(&data, task, fixtures::cnn_lstm(0.0)), &data).unwrap()
}

fn over(horizon: u32, flat_band: f64) -> SupervisedSpec {
    SupervisedSpec { horizon, flat_band, ..fixtures::supervised() }
}

#[test]
fn labels_are_in_the_unit_that_a_network_carries_so_that_calibration_and_live_sessions_read_the_same() {
    let data = prepared(bars(COUNT, 0.5, 1));
    for labels in [LabelSpec::Horizon, LabelSpec::TripleBarrier { width: 0.5, bars: 10 }] {
        let task = SupervisedSpec { labels, ..over(3, 0.3) };
        let made = data.labels(&task).unwrap();
        let (scales, bars) = (made.scales(), &data.dataset.bars);
        let carried = (f64::from(scales.returns), f64::from(scales.volatility));
        assert_eq!((made.scale, made.volatility_scale), carried);
        for label in made.train.iter().chain(&made.validation) {
            let value = dataset::outcome::log_return(bars, label.bar, label.bar + 3);
            assert_eq!(label.standardised_return, (value / carried.0) as f32);
            assert_eq!(label.class, dataset::outcome::direction(bars, label.bar, &task, carried.0));
        }
    }
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
    let labels = data.labels(&over(1, 0.3)).unwrap();
    assert!((labels.scale - 1.0).abs() < 1e-3, "{}", labels.scale);
    for label in labels.train.iter().chain(&labels.validation) {
        let (sign, class) = if label.bar % 2 == 0 { (1.0, 2) } else { (-1.0, 0) };
        assert!((f64::from(label.standardised_return) - sign / labels.scale).abs() < 1e-6, "{label:?}");
        assert_eq!(label.class, class);
    }
    let wide = data.labels(&over(1, 2.0)).unwrap();
    assert!(wide.train.iter().all(|label| label.class == 1), "within two deviations all is flat");
    let even = data.labels(&over(2, 0.3)).unwrap();
    assert!(even.train.iter().all(|label| label.class == 1 && label.standardised_return == 0.0));
}

#[test]
fn labels_end_inside_their_split_even_where_the_purge_is_shorter_than_the_horizon() {
    let data = prepared(bars(COUNT, 0.5, 1));
    // 200 bars: train ends with bar 119, validation with 159; one bar is purged.
    for horizon in [1_usize, 2, 5] {
        let labels = data.labels(&over(horizon as u32, 0.3)).unwrap();
        assert_eq!(labels.train.last().unwrap().bar + horizon, 119);
        assert_eq!(labels.validation.first().unwrap().bar, 120);
        assert_eq!(labels.validation.last().unwrap().bar + horizon, 159);
        assert_eq!(labels.train.first().unwrap().bar, data.first_window());
    }
}

#[test]
fn a_split_too_short_for_its_labels_is_named() {
    let data = prepared(bars(COUNT, 0.5, 1));
    let error = data.labels(&over(35, 0.3)).unwrap_err();
    assert!(error.to_string().starts_with("split validation keeps 5 rows"), "{error}");
}

/// Bars whose closes are 100 times e^(`path` of each bar).
fn following(path: impl Fn(usize) -> f64) -> Vec<Bar> {
    let mut all = bars(COUNT, 0.5, 3);
    for (index, bar) in all.iter_mut().enumerate() {
        let close = 100.0 * path(index).exp();
        (bar.open, bar.close, bar.low, bar.high) = (close, close, close * 0.5, close * 2.0);
    }
    all
}

#[test]
fn the_barrier_that_is_touched_first_decides_and_neither_is_flat() {
    // One-bar returns of ±1 %, so barriers of horizon 4 and width 1 lie near ±2 %. Bar 59 stands at 0; what follows is set.
    let zigzag = |index: usize| if index % 2 == 1 { 0.0 } else { 0.01 };
    let class = |after: [f64; 4]| {
        let path = |index: usize| index.checked_sub(60).and_then(|at| after.get(at)).copied();
        let data = prepared(following(|index| path(index).unwrap_or_else(|| zigzag(index))));
        let labels = LabelSpec::TripleBarrier { width: 1.0, bars: 20 };
        let labels = data.labels(&SupervisedSpec { labels, ..over(4, 0.3) }).unwrap();
        labels.train.iter().find(|label| label.bar == 59).unwrap().class
    };
    assert_eq!(class([0.01, 0.03, -0.05, -0.05]), 2, "up before it fell");
    assert_eq!(class([-0.03, 0.05, 0.05, 0.05]), 0, "down before it rose");
    assert_eq!(class([0.015, -0.015, 0.01, 0.015]), 1, "neither");
    assert_eq!(class([0.0, 0.0, 0.0, 0.03]), 2, "at the last moment");
}

#[test]
fn prices_that_do_not_move_touch_no_barrier() {
    let data = prepared(following(|_| 0.0));
    let labels = LabelSpec::TripleBarrier { width: 1.0, bars: 20 };
    let labels = data.labels(&SupervisedSpec { labels, ..over(4, 0.3) }).unwrap();
    assert!(labels.train.iter().all(|label| label.class == 1 && label.variance == 0.0));
}

#[test]
fn a_barrier_label_reads_nothing_behind_its_horizon_and_its_unit_nothing_behind_its_bar() {
    let original = bars(COUNT, 0.5, 1);
    let mut changed = original.clone();
    changed[90..].iter_mut().for_each(|bar| {
        bar.close *= 1.5;
        bar.high *= 1.6;
    });
    let labels = |bars: Vec<Bar>| {
        let labels = LabelSpec::TripleBarrier { width: 0.5, bars: 10 };
        prepared(bars).labels(&SupervisedSpec { labels, ..over(5, 0.3) }).unwrap()
    };
    let (one, other) = (labels(original), labels(changed));
    for (one, other) in one.train.iter().zip(&other.train).filter(|(label, _)| label.bar + 5 < 90) {
        assert_eq!((one.bar, one.class), (other.bar, other.class));
    }
    assert_ne!(one.train, other.train);
}

#[test]
fn variances_are_in_units_of_their_training_mean() {
    let data = prepared(bars(COUNT, 0.5, 1));
    let labels = data.labels(&over(5, 0.3)).unwrap();
    let mean = labels.train.iter().map(|label| f64::from(label.variance)).sum::<f64>() / labels.train.len() as f64;
    assert!((mean - 1.0).abs() < 1e-5, "{mean}");
    let bars = &data.dataset.bars;
    let square = |at: usize| (bars[at + 1].close / bars[at].close).ln().powi(2);
    let label = labels.validation[3];
    let wanted = (label.bar..label.bar + 5).map(square).sum::<f64>() / 5.0 / labels.volatility_scale.powi(2);
    assert!((f64::from(label.variance) - wanted).abs() < 1e-5 * wanted);
}
