//! Against golden values, against what is promised, and where too few steps miss.

use std::num::NonZeroU32;

use super::integrated_gradients;
use crate::fixtures::{Formula, Golden, close};
use crate::{Attribution, ExplainError, Grain, Method, Players};

fn steps(count: u32) -> NonZeroU32 {
    NonZeroU32::new(count).unwrap()
}

fn golden(grain: Grain, count: u32) -> Attribution {
    let golden = Golden::read();
    let players = Players::of(grain, (golden.window, golden.width), &[0, 1, 2, 3]);
    integrated_gradients(&mut golden.model(), golden.pair(), &players, steps(count)).unwrap()
}

#[test]
fn attributions_are_those_of_the_reference() {
    let (wanted, found) = (Golden::read(), golden(Grain::Cell, 4_000));
    close(&found.values, &wanted.integrated_gradients, 1e-6);
    close(&[found.score, found.baseline], &[wanted.score, wanted.baseline_score], 1e-12);
    let features: Vec<f64> = (0..4).map(|at| wanted.integrated_gradients.iter().skip(at).step_by(4).sum()).collect();
    close(&golden(Grain::Feature, 4_000).values, &features, 1e-6);
}

#[test]
fn the_residual_falls_with_the_square_of_the_steps() {
    let residual = |count: u32| golden(Grain::Cell, count).residual().abs();
    let (coarse, fine) = (residual(10), residual(100));
    assert!(coarse > 1e-4 && fine < coarse / 50.0 && fine > coarse / 200.0, "{coarse:e} and {fine:e}");
    // 32 points are computed at once: an end that is no multiple counts as well.
    assert!(residual(33) < residual(31));
}

#[test]
fn a_linear_model_needs_one_step_and_a_value_that_does_not_move_gets_nothing() {
    let players = Players::of(Grain::Cell, (1, 3), &[0, 1, 2]);
    let pair: (&[f32], &[f32]) = (&[2.0, 5.0, -1.0], &[1.0, 5.0, 1.0]);
    let found = integrated_gradients(&mut Formula::linear(&[3.0, 7.0, 0.5]), pair, &players, steps(1)).unwrap();
    assert_eq!((found.values.as_slice(), found.residual()), (&[3.0, 0.0, -1.0][..], 0.0));
}

#[test]
fn what_does_not_add_up_is_refused_with_residual_tolerance_and_the_way_out() {
    // One step sees the slope in the middle alone, and a steep squash has next to none there.
    let players = Players::of(Grain::Cell, (1, 2), &[0, 1]);
    let pair: (&[f32], &[f32]) = (&[1.0, 1.0], &[0.0, 0.0]);
    let attribution = |count: u32| {
        let method = Method::IntegratedGradients { steps: steps(count) };
        let model = &mut Formula::squashed(&[9.0, 3.0]);
        integrated_gradients(model, pair, &players, steps(count)).unwrap().admitted(0.01, method)
    };
    let error = attribution(1).unwrap_err();
    assert!(matches!(error, ExplainError::Residual { residual, tolerance: 0.01, .. } if residual < -0.9), "{error}");
    let said = error.to_string();
    assert!(said.contains("-9.9") && said.contains("1.000e-2") && said.contains("use more than 1 steps"), "{said}");
    assert!(attribution(200).unwrap().residual().abs() <= 0.01);
    let broken = Attribution { values: vec![f64::NAN], errors: None, score: 1.0, baseline: 0.0 };
    assert!(broken.admitted(1.0, Method::ExactShapley {}).is_err(), "NaN is no residual");
}
