//! Losses against finite differences of themselves, and against what is served.

use models::{NetworkKind, NetworkSpec};
use neural::Layout;
use spec::HeadSpec;

use super::*;
use crate::fixtures;
use crate::labels::Labels;

fn labels() -> Labels {
    let label = |index: usize| Label {
        bar: index,
        standardised_return: (index as f32 * 1.7).sin() * 2.0,
        class: [0, 1, 1, 2, 1][index % 5],
        variance: 0.2 + (index % 4) as f32,
    };
    let all: Vec<Label> = (0..20).map(label).collect();
    Labels { scale: 0.02, volatility_scale: 0.01, train: all.clone(), validation: all }
}

fn weighing(heads: HeadSpec, task: &SupervisedSpec) -> (Forecaster, Weighing) {
    let kind = NetworkKind::MultiTask { heads };
    let spec = NetworkSpec { kind, model: fixtures::cnn_lstm(0.0), window: 6, width: 2 };
    let network = Forecaster::new(&mut Layout::default(), &spec).unwrap();
    let weighing = Weighing::new(&network, task, labels().directions());
    (network, weighing)
}

fn kinds() -> Vec<HeadSpec> {
    let volatility = VolatilityHead::QuasiLikelihood;
    [ReturnHead::Point, ReturnHead::Gaussian, ReturnHead::Quantiles]
        .map(|returns| HeadSpec { returns, volatility })
        .to_vec()
}

fn outputs(count: usize) -> Vec<f32> {
    (0..count).map(|index| (index as f32 * 2.3 + 0.4).sin()).collect()
}

#[test]
fn gradients_are_those_of_finite_differences() {
    for imbalance in [Imbalance::Off, Imbalance::Balanced, Imbalance::Focal { gamma: 2.0 }] {
        for heads in kinds() {
            let task = SupervisedSpec { imbalance, return_weight: 0.7, ..fixtures::supervised() };
            let (network, weighing) = weighing(heads, &task);
            let factors = weighing.factors(&[0.0; TASKS]);
            assert_eq!(factors, [1.0, 0.7, 1.0]);
            for label in &labels().train[..5] {
                let at = outputs(network.outputs());
                let sum = |outputs: &[f32]| {
                    let losses = weighing.row(label, outputs, (factors, 1), &mut vec![0.0; outputs.len()]);
                    losses.iter().zip(factors).map(|(loss, factor)| loss * f64::from(factor)).sum::<f64>()
                };
                let mut gradient = vec![0.0; at.len()];
                weighing.row(label, &at, (factors, 4), &mut gradient);
                for index in 0..at.len() {
                    let moved = |by: f32| {
                        let mut moved = at.clone();
                        moved[index] += by;
                        sum(&moved)
                    };
                    let slope = (moved(1e-3) - moved(-1e-3)) / 2e-3 / 4.0;
                    let off = (slope - f64::from(gradient[index])).abs();
                    assert!(
                        off < 2e-4,
                        "{heads:?} {imbalance:?}: output {index} slopes {slope}, not {}",
                        gradient[index]
                    );
                }
            }
        }
    }
}

#[test]
fn what_is_learned_by_is_what_is_served_by() {
    for heads in kinds() {
        let task = SupervisedSpec { return_weight: 0.7, ..fixtures::supervised() };
        let ((network, weighing), labels) = (weighing(heads, &task), labels());
        let at = outputs(network.outputs());
        for label in &labels.train {
            let losses = weighing.row(label, &at, ([1.0; TASKS], 1), &mut vec![0.0; at.len()]);
            let wanted = losses[0] + 0.7 * losses[1] + losses[2];
            let served = weighing.served(label, &network.read(&at, labels.scales()), labels.scales());
            // The weight is 0.7 in f32.
            assert!((served - wanted).abs() < 1e-5 * wanted.abs().max(1.0), "{heads:?}: {served} is not {wanted}");
        }
    }
}

#[test]
fn balanced_classes_count_alike_and_a_class_without_rows_does_no_harm() {
    let task = SupervisedSpec { imbalance: Imbalance::Balanced, ..fixtures::supervised() };
    let (network, weighing) = weighing(HeadSpec::default(), &task);
    // 4, 12 and 4 of 20 rows.
    let totals: Vec<f32> = weighing.classes.iter().zip([4.0, 12.0, 4.0]).map(|(weight, rows)| weight * rows).collect();
    assert!(totals.iter().all(|total| (total - 20.0 / 3.0).abs() < 1e-4), "{totals:?}");
    let mut without = labels();
    without.train.retain(|label| label.class != 0);
    let weighing = Weighing::new(&network, &task, without.directions());
    assert!(weighing.classes.iter().all(|weight| weight.is_finite()));
    assert!((weighing.classes[1] * 12.0 - 8.0).abs() < 1e-4 && (weighing.classes[2] * 4.0 - 8.0).abs() < 1e-4);
}

#[test]
fn focal_loss_counts_what_is_right_already_less() {
    let share = |imbalance: Imbalance| {
        let task = SupervisedSpec { imbalance, ..fixtures::supervised() };
        let (network, weighing) = weighing(HeadSpec::default(), &task);
        let label = labels().train[0];
        let loss = |logit: f32| {
            let mut outputs = vec![0.0; network.outputs()];
            outputs[0] = logit;
            weighing.row(&label, &outputs, ([1.0; TASKS], 1), &mut vec![0.0; network.outputs()])[0]
        };
        loss(3.0) / loss(-1.0)
    };
    assert!(share(Imbalance::Focal { gamma: 2.0 }) < 0.05 * share(Imbalance::Off));
}

#[test]
fn an_uncertainty_settles_where_its_task_loses_as_much() {
    let task = SupervisedSpec { task_weights: TaskWeights::Uncertainty, ..fixtures::supervised() };
    let (_, weighing) = weighing(kinds()[0], &task);
    let (losses, mut logs) = ([0.8, 0.1, 2.0], [0.0_f32; TASKS]);
    for _ in 0..4000 {
        let gradients = weighing.uncertainty_gradients(weighing.factors(&logs), losses);
        logs.iter_mut().zip(gradients).for_each(|(log, gradient)| *log -= 0.02 * gradient);
    }
    // d/ds of e^(−s)·L + s/2 is zero at s = ln 2L, with the half of a regression at ln L.
    for (log, wanted) in logs.iter().zip([1.6_f64.ln(), 0.1_f64.ln(), 2.0_f64.ln()]) {
        assert!((f64::from(*log) - wanted).abs() < 1e-2, "{log} is not {wanted}");
    }
}
