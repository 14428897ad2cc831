//! From a bundle and bars to an explanation, or to why there is none.

use std::num::NonZeroU32;

use artifacts::BundleKind;
use models::Target;
use spec::Output;

use super::{Explanation, Method, Question, explain};
use crate::fixtures::{bars, bundle, predictor, state};
use crate::{ExplainError, Grain, History};

fn gradients(steps: u32) -> Method {
    Method::IntegratedGradients { steps: NonZeroU32::new(steps).unwrap() }
}

fn question(method: Method, grain: Grain) -> Question {
    Question { target: Target::ExpectedReturn, method, grain, features: Vec::new(), tolerance: 0.01 }
}

fn history() -> History {
    let bars = bars(120);
    History::until(&state(6, &bars), &bars, None).unwrap()
}

fn ask(question: &Question) -> Result<Explanation, ExplainError> {
    Explanation::of(&predictor(), &history(), question)
}

#[test]
fn a_bundle_explains_what_it_forecasts_of_a_bar() {
    let bars = bars(120);
    let bundle = bundle(BundleKind::Forecaster, &bars);
    let at = bars[77].time;
    let found = explain(&bundle, &bars, Some(at), &question(gradients(64), Grain::Cell)).unwrap();
    assert_eq!((found.bundle, found.bar, found.values.len()), (bundle.id(), at, 18));
    assert_eq!(found.bars, bars[72..=77].iter().map(|bar| bar.time).collect::<Vec<_>>());
    assert!(found.residual.abs() <= found.tolerance && found.tolerance > 0.0);
    let residual = found.values.iter().sum::<f64>() - (found.score - found.baseline);
    assert_eq!(found.residual, residual);
    assert!(found.tolerance <= 0.01 * (found.range[1] - found.range[0]) * 1.000_001);
    // The number is the predictor's, of the very row that a prediction names.
    let history = History::until(&state(6, &bars), &bars, Some(at)).unwrap();
    let predictor = models::Predictor::load(&bundle).unwrap();
    let Output::Forecast { expected_return, .. } = predictor.predict(&[history.row()]).unwrap()[0] else { panic!() };
    assert_eq!((found.score, found.row), (f64::from(expected_return), models::row_digest(history.row())));
    // And as data it is the same again.
    let text = serde_json::to_string(&found).unwrap();
    assert_eq!(serde_json::from_str::<Explanation>(&text).unwrap(), found);
}

#[test]
fn all_methods_share_out_the_same_difference_at_every_grain() {
    let whole = ask(&question(gradients(64), Grain::Cell)).unwrap();
    assert!((whole.attention.as_ref().unwrap().iter().sum::<f32>() - 1.0).abs() < 1e-5);
    assert_eq!((whole.attention.as_ref().unwrap().len(), whole.reliance.len()), (6, 3));
    for method in [gradients(64), Method::Shapley { permutations: 20, seed: 1 }, Method::ExactShapley {}] {
        for grain in [Grain::Feature, Grain::Bar] {
            let found = ask(&question(method, grain)).unwrap();
            let (columns, rows) = found.shape();
            assert_eq!(found.values.len(), columns * rows);
            assert_eq!(found.errors.is_some(), matches!(method, Method::Shapley { .. }));
            let sum: f64 = found.values.iter().sum();
            assert!((sum - (whole.score - whole.baseline)).abs() <= whole.tolerance, "{method:?} by {grain}");
        }
    }
}

#[test]
fn integrated_gradients_by_feature_are_those_of_its_cells_together() {
    let (cells, features) = (ask(&question(gradients(64), Grain::Cell)), ask(&question(gradients(64), Grain::Feature)));
    let (cells, features) = (cells.unwrap(), features.unwrap());
    for row in 0..3 {
        let sum: f64 = (0..6).map(|column| cells.at(column, row)).sum();
        assert!((sum - features.at(0, row)).abs() < 1e-12);
    }
}

#[test]
fn only_named_features_take_part_and_the_others_stay() {
    let named = Question { features: vec!["rsi_4".to_owned()], ..question(gradients(64), Grain::Feature) };
    let found = ask(&named).unwrap();
    assert_eq!(
        (found.features.as_slice(), found.values.len(), found.reliance.len()),
        (&["rsi_4".to_owned()][..], 1, 1)
    );
    let mut row = history().row().to_vec();
    row.iter_mut().skip(2).step_by(3).for_each(|value| *value = 0.0);
    let Output::Forecast { expected_return, .. } = predictor().predict(&[&row]).unwrap()[0] else { panic!() };
    assert_eq!(found.baseline, f64::from(expected_return));
    let unknown = Question { features: vec!["rsi_5".to_owned()], ..named };
    assert!(matches!(ask(&unknown), Err(ExplainError::Unknown { name, .. }) if name == "rsi_5"));
}

#[test]
fn what_misses_more_than_is_tolerated_is_refused() {
    let strict = Question { tolerance: 1e-9, ..question(gradients(1), Grain::Cell) };
    let error = ask(&strict).unwrap_err();
    assert!(
        matches!(error, ExplainError::Residual { residual, tolerance, .. } if residual.abs() > tolerance),
        "{error}"
    );
    // The same steps are enough for whoever tolerates more, and more steps for whoever does not.
    assert!(ask(&Question { tolerance: 0.9, ..strict.clone() }).is_ok());
    assert!(ask(&Question { tolerance: 1e-3, method: gradients(512), ..strict }).is_ok());
}

#[test]
fn what_is_no_forecaster_and_what_is_not_said_is_refused() {
    let bars = bars(120);
    let any = question(gradients(8), Grain::Cell);
    let error = explain(&bundle(BundleKind::Policy, &bars), &bars, None, &any).unwrap_err();
    assert!(matches!(error, ExplainError::Kind { kind: BundleKind::Policy, .. }), "{error}");
    let error = ask(&Question { target: Target::Volatility, ..any.clone() }).unwrap_err().to_string();
    assert!(error.contains("volatility") && error.contains("expected-return"), "{error}");
    let mut history = history();
    let last = history.rows.len() - 1;
    history.rows[last] = f32::NAN;
    assert!(Explanation::of(&predictor(), &history, &any).is_err());
}
