//! Scenarios: what an ensemble makes of what its members say.

use std::collections::BTreeMap;

use artifacts::BundleKind;
use spec::{QHead, ReturnHead};

use super::*;
use crate::calibration::tests::calibration;
use crate::fixtures::{bundle, drawn, forecaster, mlp, policy, rich, row};
use crate::{Calibration, NetworkSpec, moments};

const THREE: PolicyHead = PolicyHead::Categorical { actions: 3 };
const VALUES: PolicyHead = PolicyHead::Values { actions: 3, layer: QHead::Plain };
const ONE: PolicyHead = PolicyHead::Deterministic { width: 1 };

fn member(head: PolicyHead) -> Bundle {
    let spec = policy(head, mlp());
    bundle(BundleKind::Policy, serde_json::to_value(&spec).unwrap(), drawn(&spec))
}

fn ensemble(members: &[(&Bundle, f64)], combine: Combination) -> Result<Predictor, ModelError> {
    Predictor::load(&Bundle::ensemble(members, combine, BTreeMap::new()).unwrap())
}

fn chosen(action: u32) -> Output {
    Output::Policy { action, probabilities: vec![0.0; 3] }
}

fn control(action: f32) -> Output {
    Output::Control { action: vec![action] }
}

#[test]
fn the_mean_is_taken_of_exposures_whatever_names_them() {
    let values = Output::Values { action: 2, values: vec![0.0; 3] };
    let said = [(&chosen(0), 0.25), (&values, 0.25), (&control(0.5), 0.5)];
    assert_eq!(mean(said.into_iter()), control(0.25), "¼ · −1 + ¼ · 1 + ½ · ½");
    assert_eq!(mean([(&control(7.0), 1.0)].into_iter()), control(1.0), "a member cannot say more than all");
    assert_eq!(mean([(&chosen(1), 1.0)].into_iter()), control(0.0), "the middle of three is the middle of the range");
}

#[test]
fn votes_are_weighed_and_a_continuous_action_votes_for_the_nearest() {
    let said = [(&chosen(0), 0.4), (&control(0.9), 0.35), (&control(0.4), 0.25)];
    let Output::Policy { action, probabilities } = vote(said.into_iter(), 3) else { panic!("it is a choice") };
    assert_eq!((action, probabilities), (0, vec![0.4, 0.25, 0.35]));
    let Output::Policy { action, .. } = vote([(&chosen(2), 0.5), (&chosen(1), 0.5)].into_iter(), 3) else { panic!() };
    assert_eq!(action, 1, "a tie goes to the lowest");
}

#[test]
fn an_ensemble_of_one_voice_says_what_its_member_says() {
    let (a, b) = (member(THREE), member(VALUES));
    let rows: Vec<Vec<f32>> = (0..11).map(|seed| row(142, seed)).collect();
    let rows: Vec<&[f32]> = rows.iter().map(Vec::as_slice).collect();
    let alone = Predictor::load(&b).unwrap().predict(&rows).unwrap();
    let together = ensemble(&[(&a, 0.0), (&b, 1.0)], Combination::Argmax).unwrap();
    let action = |output: &Output| match output {
        Output::Policy { action, .. } | Output::Values { action, .. } => *action,
        Output::Forecast { .. } | Output::Control { .. } => panic!("it chooses"),
    };
    let said = together.predict(&rows).unwrap();
    assert_eq!(said.iter().map(action).collect::<Vec<_>>(), alone.iter().map(action).collect::<Vec<_>>());
    assert!(said.iter().any(|output| action(output) != action(&said[0])), "rows differ in what is chosen");
}

#[test]
fn a_rows_bits_do_not_depend_on_its_company() {
    let members = [member(THREE), member(ONE)];
    let together = ensemble(&[(&members[0], 0.3), (&members[1], 0.7)], Combination::Mean).unwrap();
    let rows: Vec<Vec<f32>> = (0..19).map(|seed| row(142, seed)).collect();
    let all: Vec<&[f32]> = rows.iter().map(Vec::as_slice).collect();
    let batch = together.predict(&all).unwrap();
    for (row, output) in all.iter().zip(&batch) {
        assert_eq!(&together.predict(&[row]).unwrap()[0], output);
    }
    assert!(together.spec().observes_position());
    let error = together.predict(&[&all[0][1..]]).unwrap_err();
    assert_eq!(error.to_string(), "row 0 has 141 values, the network takes 142");
}

#[test]
fn members_that_cannot_be_combined_are_refused() {
    let said = |members: &[(&Bundle, f64)], combine| ensemble(members, combine).unwrap_err().to_string();
    let (one, two) = (member(ONE), member(PolicyHead::Gaussian { width: 2 }));
    assert!(said(&[(&one, 0.5), (&two, 0.5)], Combination::Mean).contains("different numbers of components"));
    let other = member(PolicyHead::SquashedGaussian { width: 1 });
    assert!(said(&[(&one, 0.5), (&other, 0.5)], Combination::Argmax).contains("combine by `mean`"));
    let (three, four) = (member(THREE), member(PolicyHead::Categorical { actions: 4 }));
    assert!(said(&[(&three, 0.5), (&four, 0.5)], Combination::Mean).contains("different actions"));
    let forecasts = forecaster(mlp());
    let crossed = bundle(BundleKind::Policy, serde_json::to_value(&forecasts).unwrap(), drawn(&forecasts));
    assert!(said(&[(&crossed, 0.5), (&one, 0.5)], Combination::Mean).contains("forecasts"));
}

/// A forecaster with drawn weights, its return's bias moved.
fn forecasting(spec: &NetworkSpec, bias: f32) -> Bundle {
    let mut tensors = crate::weights::unpack(&drawn(spec)).unwrap();
    tensors.get_mut("return.bias").unwrap().get(0).copy_(&tch::Tensor::from(bias));
    bundle(BundleKind::Forecaster, serde_json::to_value(spec).unwrap(), crate::weights::pack(&tensors))
}

#[test]
fn forecasters_are_averaged_and_the_mixture_is_as_wide_as_its_members_and_what_parts_them() {
    let spec = rich(ReturnHead::Gaussian);
    let (low, high) = (forecasting(&spec, 0.0), forecasting(&spec, 1.0));
    let row = row(140, 1);
    let alone = [&low, &high].map(|bundle| Predictor::load(bundle).unwrap().predict(&[&row]).unwrap().remove(0));
    let [(m1, d1), (m2, d2)] = [0, 1].map(|index| moments(&alone[index]).unwrap());
    assert!((m2 - m1 - 1.0).abs() < 1e-5, "{m1} {m2}");
    let together = ensemble(&[(&low, 0.25), (&high, 0.75)], Combination::Mean).unwrap();
    let (mean, deviation) = moments(&together.predict(&[&row]).unwrap()[0]).unwrap();
    let centre = 0.25 * m1 + 0.75 * m2;
    let variance = 0.25 * (d1 * d1 + (m1 - centre).powi(2)) + 0.75 * (d2 * d2 + (m2 - centre).powi(2));
    assert!((mean - centre).abs() < 1e-6 && (deviation - variance.sqrt()).abs() < 1e-6, "{mean} {deviation}");
    assert_eq!(together.return_unit(), Some(1.0));
    assert!(together.forecasts());
}

#[test]
fn a_calibrated_ensemble_tells_noise_from_doubt_by_its_members() {
    let spec = rich(ReturnHead::Gaussian);
    let (low, high) = (forecasting(&spec, 0.0), forecasting(&spec, 1.0));
    let row = row(140, 1);
    let fitted = Calibration { spread: crate::SpreadFit::Factor(2.0), ..calibration() };
    let whole = Bundle::ensemble(&[(&low, 0.5), (&high, 0.5)], Combination::Mean, BTreeMap::new()).unwrap();
    let bare = Predictor::load(&whole).unwrap();
    let raw = bare.predict(&[&row]).unwrap().remove(0);
    assert!(bare.uncertainty(&row, &raw).unwrap().is_none(), "nothing is said uncalibrated");
    let whole = Predictor::load(&whole.calibrated(serde_json::to_vec(&fitted).unwrap())).unwrap();
    let said = whole.predict(&[&row]).unwrap().remove(0);
    let parts = whole.uncertainty(&row, &said).unwrap().unwrap();
    let (_, own) = moments(&Predictor::load(&low).unwrap().predict(&[&row]).unwrap()[0]).unwrap();
    assert!((parts.epistemic - 1.0).abs() < 1e-5, "two that are one apart, twice as wide: {parts:?}");
    assert!((f64::from(parts.aleatoric) - 2.0 * own).abs() < 1e-5, "{parts:?} {own}");
    let (_, calibrated) = moments(&said).unwrap();
    assert!((f64::from(parts.aleatoric.hypot(parts.epistemic)) - calibrated).abs() < 1e-5, "{parts:?} {calibrated}");
}

#[test]
fn forecasters_of_different_things_are_not_averaged() {
    let (wide, fan) = (forecasting(&rich(ReturnHead::Gaussian), 0.0), forecasting(&rich(ReturnHead::Quantiles), 0.0));
    let error = ensemble(&[(&wide, 0.5), (&fan, 0.5)], Combination::Mean).unwrap_err();
    assert!(error.to_string().contains("forecasts something else"), "{error}");
}
