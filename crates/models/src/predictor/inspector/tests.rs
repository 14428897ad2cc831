//! Against finite differences of what the predictor says.

use spec::ReturnHead;

use super::Target;
use crate::fixtures::{cnn_lstm, forecaster, heads, mlp, policy, predictor, rich, row};
use crate::{ModelError, NetworkSpec, Predictor};

fn shapes() -> [NetworkSpec; 5] {
    let [gaussian, quantiles, point] = [ReturnHead::Gaussian, ReturnHead::Quantiles, ReturnHead::Point].map(rich);
    [forecaster(cnn_lstm()), forecaster(mlp()), gaussian, quantiles, point]
}

/// The targets a network says.
fn targets(predictor: &Predictor) -> impl Iterator<Item = Target> + '_ {
    Target::ALL.into_iter().filter(move |target| predictor.inspector(*target).is_ok())
}

#[test]
fn gradients_are_those_of_finite_differences() {
    // Small enough that few kinks are crossed; answers in f32 tell slopes apart by NOISE then, over a row of 140.
    const STEP: f32 = 1e-2;
    const NOISE: f64 = 5e-5;
    for (shape, spec) in shapes().iter().enumerate() {
        let predictor = predictor(spec);
        let row = row(spec.input_width(), 3);
        for target in targets(&predictor) {
            let mut inspector = predictor.inspector(target).unwrap();
            let gradient = inspector.gradients(&[&row]).unwrap();
            let norm = gradient.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
            assert!(norm > 0.0, "shape {shape}: {target} hangs on nothing");
            let slope = |at: usize| {
                let moved = |step: f32| {
                    let mut row = row.clone();
                    row[at] += step;
                    f64::from(inspector.values(&[&row]).unwrap()[0])
                };
                (moved(STEP) - moved(-STEP)) / (2.0 * f64::from(STEP))
            };
            let off: f64 = (0..row.len()).map(|at| (slope(at) - f64::from(gradient[at])).powi(2)).sum();
            let (off, most) = (off.sqrt(), 0.01 * norm + NOISE);
            assert!(off < most, "shape {shape}: {target} is off by {off:e}, its norm is {norm:e}");
        }
    }
}

#[test]
fn a_number_and_its_gradient_are_the_same_in_every_company() {
    for spec in shapes() {
        let predictor = predictor(&spec);
        let rows: Vec<Vec<f32>> = (0..40).map(|seed| row(spec.input_width(), seed)).collect();
        let all: Vec<&[f32]> = rows.iter().map(Vec::as_slice).collect();
        for target in targets(&predictor) {
            let mut inspector = predictor.inspector(target).unwrap();
            let (values, gradients) = (inspector.values(&all).unwrap(), inspector.gradients(&all).unwrap());
            let said = predictor.predict(&all).unwrap();
            for (index, row) in all.iter().enumerate() {
                assert_eq!(Some(values[index]), target.of(&said[index]));
                let alone = inspector.gradients(&[row]).unwrap();
                assert_eq!(alone, gradients[index * row.len()..][..row.len()], "{target} of row {index}");
            }
        }
    }
}

#[test]
fn attention_is_shared_among_the_bars_of_a_window() {
    let predictor = predictor(&forecaster(cnn_lstm()));
    let mut inspector = predictor.inspector(Target::Up).unwrap();
    let shares = inspector.attention(&row(140, 1)).unwrap().unwrap();
    assert_eq!(shares.len(), 20);
    assert!((shares.iter().sum::<f32>() - 1.0).abs() < 1e-5 && shares.iter().all(|share| *share > 0.0));
    // What was computed in between leaves no trace.
    inspector.gradients(&vec![row(140, 2).as_slice(); 32]).unwrap();
    assert_eq!(inspector.attention(&row(140, 1)).unwrap().unwrap(), shares);
    let plain = self::predictor(&forecaster(mlp()));
    assert_eq!(plain.inspector(Target::Up).unwrap().attention(&row(140, 1)).unwrap(), None);
}

#[test]
fn what_a_network_does_not_say_and_what_is_no_forecaster_is_refused() {
    let message = |error: ModelError| error.to_string();
    let error = message(predictor(&forecaster(mlp())).inspector(Target::Volatility).unwrap_err());
    assert!(error.contains("target is volatility") && error.contains("expected-return"), "{error}");
    let error = message(predictor(&policy(heads()[0], mlp())).inspector(Target::Up).unwrap_err());
    assert!(error.contains("a policy") && error.contains("a forecaster"), "{error}");
    let mut bad = row(140, 1);
    bad[17] = f32::NAN;
    let predictor = predictor(&forecaster(mlp()));
    let mut inspector = predictor.inspector(Target::Up).unwrap();
    let refused = inspector.gradients(&[&row(140, 2), &bad]).unwrap_err();
    assert!(matches!(refused, ModelError::NotFinite { row: 1, index: 17 }), "{refused}");
}
