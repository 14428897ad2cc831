//! The predictor in every company: the same bits.

use std::sync::OnceLock;

use artifacts::BundleKind;
use market::Timestamp;
use neural::Vectors;
use proptest::prelude::*;
use spec::{BundleId, Digest, Output, ReturnHead, Spread};

use super::{Predictor, TILE, first_largest, row_digest};
use crate::calibration::tests::calibration;
use crate::fixtures::{bundle, cnn_lstm, drawn, forecaster, heads, mlp, plain_cnn_lstm, policy, predictor, rich, row};
use crate::{Calibration, ModelError, NetworkSpec, PolicyHead, SpreadFit};

fn bits(output: &Output) -> Vec<u32> {
    let values = match output {
        Output::Forecast { probabilities, expected_return, spread, volatility } => {
            let spread = match spread {
                None => Vec::new(),
                Some(Spread::Deviation(deviation)) => vec![*deviation],
                Some(Spread::Quantiles(quantiles)) => quantiles.to_vec(),
            };
            [&probabilities[..], &[*expected_return], &spread, volatility.as_slice()].concat()
        }
        Output::Policy { probabilities, .. } => probabilities.clone(),
        Output::Values { values, .. } => values.clone(),
        Output::Control { action } => action.clone(),
    };
    values.iter().map(|value| value.to_bits()).collect()
}

const SHAPES: usize = 16;

/// Each network with each encoder.
fn shapes() -> [NetworkSpec; SHAPES] {
    let models = [cnn_lstm(), mlp()];
    let policies = heads().into_iter().flat_map(|head| models.clone().map(|model| policy(head, model)));
    let rich = [ReturnHead::Gaussian, ReturnHead::Quantiles].map(rich);
    let all: Vec<_> = models.clone().map(forecaster).into_iter().chain(rich).chain(policies).collect();
    all.try_into().expect("two of each")
}

/// Rows with what a predictor says of each alone.
type Answered = (Vec<Vec<f32>>, Vec<Vec<u32>>);

/// The shapes' networks cannot be shared between threads, their bytes and answers can.
fn alone(shape: usize) -> &'static (Vec<u8>, Answered) {
    static ALONE: [OnceLock<(Vec<u8>, Answered)>; SHAPES] = [const { OnceLock::new() }; SHAPES];
    ALONE[shape].get_or_init(|| {
        let spec = &shapes()[shape];
        let bytes = drawn(spec);
        let predictor = Predictor::from_parts(spec, &bytes, BundleId(Digest::of(b"any"))).unwrap();
        let rows: Vec<Vec<f32>> = (0..40).map(|seed| row(spec.input_width(), seed)).collect();
        let answers = rows.iter().map(|row| bits(&predictor.predict(&[row]).unwrap()[0])).collect();
        (bytes, (rows, answers))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]

    #[test]
    fn a_row_has_the_same_bits_in_every_batch(picked in prop::collection::vec(0usize..40, 0..70)) {
        for (shape, spec) in shapes().iter().enumerate() {
            let (bytes, (rows, answers)) = alone(shape);
            let predictor = Predictor::from_parts(spec, bytes, BundleId(Digest::of(b"any"))).unwrap();
            let batch: Vec<&[f32]> = picked.iter().map(|&index| rows[index].as_slice()).collect();
            let outputs = predictor.predict(&batch).unwrap();
            prop_assert_eq!(outputs.len(), batch.len());
            for (output, index) in outputs.iter().zip(&picked) {
                prop_assert_eq!(&bits(output), &answers[*index], "row {} of shape {}", index, shape);
            }
        }
    }
}

#[test]
fn a_forecast_has_the_same_bits_on_avx2_and_on_wider_vectors() {
    let Some(narrow) = Vectors::avx2() else { return };
    for (shape, spec) in shapes().iter().enumerate().filter(|(_, spec)| !spec.observes_position()) {
        let (bytes, (rows, answers)) = alone(shape);
        let predictor = Predictor::on(spec, bytes, BundleId(Digest::of(b"any")), narrow).unwrap();
        let batch: Vec<&[f32]> = rows.iter().map(Vec::as_slice).collect();
        let outputs = predictor.predict(&batch).unwrap();
        let alike = outputs.iter().zip(answers).all(|(output, answer)| bits(output) == *answer);
        assert!(alike, "shape {shape}: {} and {} differ", narrow.name(), Vectors::default().name());
    }
}

#[test]
fn passes_with_dropout_are_a_function_of_bundle_row_and_pass() {
    let spec = rich(ReturnHead::Quantiles);
    let (bytes, rows) = (drawn(&spec), [row(140, 1), row(140, 2)]);
    let ask = |bundle: &[u8], row: &[f32], passes: usize| -> Vec<Vec<u32>> {
        let predictor = Predictor::from_parts(&spec, &bytes, BundleId(Digest::of(bundle))).unwrap();
        predictor.sample(row, passes).unwrap().iter().map(bits).collect()
    };
    let many = ask(b"one", &rows[0], 70);
    assert_eq!(many[..5], ask(b"one", &rows[0], 5), "a pass does not know how many follow");
    assert!((1..70).all(|pass| many[pass] != many[0]), "each has a mask of its own");
    assert_ne!(many[..5], ask(b"other", &rows[0], 5));
    assert_ne!(many[..5], ask(b"one", &rows[1], 5));
    assert!(predictor(&policy(PolicyHead::Deterministic { width: 2 }, mlp())).sample(&row(142, 1), 2).is_err());
}

#[test]
fn quantiles_ascend_and_deviations_are_positive() {
    for seed in 0..20 {
        for head in [ReturnHead::Gaussian, ReturnHead::Quantiles] {
            let output = predictor(&rich(head)).predict(&[&row(140, seed)]).unwrap().remove(0);
            let Output::Forecast { expected_return, spread, volatility, .. } = output else { panic!("it forecasts") };
            assert!(volatility.unwrap() > 0.0);
            match spread.unwrap() {
                Spread::Deviation(deviation) => assert!(deviation > 0.0),
                Spread::Quantiles(levels) => {
                    assert!(levels.is_sorted() && levels[0] < levels[4] && levels[2] == expected_return, "{levels:?}");
                }
            }
        }
    }
}

#[test]
fn rows_differ_so_equal_bits_mean_something() {
    for shape in 0..SHAPES {
        let (_, (_, answers)) = alone(shape);
        assert!((1..answers.len()).all(|index| answers[index] != answers[0]));
    }
}

#[test]
fn probabilities_sum_to_one_and_a_policy_takes_the_most_probable() {
    let output = predictor(&forecaster(cnn_lstm())).predict(&[&row(140, 1)]).unwrap().remove(0);
    let Output::Forecast { probabilities, expected_return, .. } = output else { panic!("a forecaster forecasts") };
    assert!((probabilities.iter().sum::<f32>() - 1.0).abs() < 1e-6 && expected_return.is_finite());
    let output =
        predictor(&policy(PolicyHead::Categorical { actions: 3 }, mlp())).predict(&[&row(142, 1)]).unwrap().remove(0);
    let Output::Policy { action, probabilities } = output else { panic!("a policy chooses") };
    assert!((probabilities.iter().sum::<f32>() - 1.0).abs() < 1e-6);
    assert!(probabilities.iter().all(|other| *other <= probabilities[action as usize]));
    assert_eq!(first_largest(&[0.25, 0.375, 0.375]), 1);
}

#[test]
fn a_prediction_names_bundle_bar_and_row() {
    let predictor = predictor(&forecaster(mlp()));
    let row = row(140, 1);
    let output = predictor.predict(&[&row]).unwrap().remove(0);
    let prediction = predictor.prediction(Timestamp::from_micros(5), &row, output);
    assert_eq!((prediction.bundle, prediction.bar), (predictor.bundle(), Timestamp::from_micros(5)));
    assert_eq!(prediction.row, row_digest(&row));
    // printf '\x00\x00\x80\x3f\x00\x00\x00\xc0' | sha256sum
    let golden = "ee4ac73c2bd27756ab82780f27c73a7bc4d3f0bb6acb37e008bc27eccd7e588b";
    assert_eq!(row_digest(&[1.0, -2.0]).to_string(), golden);
}

#[test]
fn bad_rows_are_refused_by_number() {
    let predictor = predictor(&forecaster(mlp()));
    let (good, short) = (row(140, 1), row(139, 1));
    let error = predictor.predict(&[&good, &short]).unwrap_err();
    assert_eq!(error.to_string(), "row 1 has 139 values, the network takes 140");
    let mut broken = good.clone();
    broken[7] = f32::NAN;
    let error = predictor.predict(&[&good, &good, &broken]).unwrap_err();
    assert!(matches!(error, ModelError::NotFinite { row: 2, index: 7 }), "{error}");
    broken[7] = f32::MAX;
    let outcome = predictor.predict(&[&good, &broken]);
    assert!(outcome.is_ok(), "tanh takes any finite value: {outcome:?}");
}

#[test]
fn an_output_that_is_not_finite_is_an_error_and_no_forecast() {
    let spec = forecaster(mlp());
    let mut tensors = crate::weights::unpack(&drawn(&spec)).unwrap();
    tensors.insert("return.bias".to_owned(), tch::Tensor::from_slice(&[f32::MAX]));
    tensors.insert("return_scale".to_owned(), tch::Tensor::from_slice(&[f32::MAX]));
    let bytes = crate::weights::pack(&tensors);
    let predictor = Predictor::from_parts(&spec, &bytes, BundleId(Digest::of(b"any"))).unwrap();
    let rows: Vec<Vec<f32>> = (0..TILE as u64).map(|seed| row(140, seed)).collect();
    let rows: Vec<&[f32]> = rows.iter().map(Vec::as_slice).collect();
    assert!(matches!(predictor.predict(&rows), Err(ModelError::Output { row: 0 })));
}

#[test]
fn a_bundle_is_loaded_with_its_id_and_an_unknown_network_is_not() {
    let spec = forecaster(mlp());
    let weights = drawn(&spec);
    let whole = bundle(BundleKind::Forecaster, serde_json::to_value(&spec).unwrap(), weights.clone());
    let predictor = Predictor::load(&whole).unwrap();
    assert_eq!((predictor.bundle(), predictor.spec()), (whole.id(), &spec));

    let strange = bundle(BundleKind::Forecaster, serde_json::json!({"kind": "oracle"}), weights.clone());
    assert!(matches!(Predictor::load(&strange), Err(ModelError::Unknown { .. })));
    let crossed = bundle(BundleKind::Policy, serde_json::to_value(&spec).unwrap(), weights);
    assert!(matches!(Predictor::load(&crossed), Err(ModelError::Kind { network: "forecaster", .. })));
}

/// A forecaster's bundle, and the same with a calibration.
fn calibrated(spec: &NetworkSpec, fitted: &Calibration) -> [Predictor; 2] {
    let plain = bundle(BundleKind::Forecaster, serde_json::to_value(spec).unwrap(), drawn(spec));
    let file = serde_json::to_vec(fitted).unwrap();
    [plain.clone(), plain.calibrated(file)].map(|bundle| Predictor::load(&bundle).unwrap())
}

#[test]
fn a_calibrated_bundle_says_the_calibrated_output_of_the_same_network_in_any_company() {
    let point = Calibration { spread: SpreadFit::Deviation(0.02), ..calibration() };
    for (spec, file) in [
        (rich(ReturnHead::Gaussian), calibration()),
        (rich(ReturnHead::Quantiles), calibration()),
        (forecaster(cnn_lstm()), point),
    ] {
        let [plain, fitted] = calibrated(&spec, &file);
        let rows: Vec<Vec<f32>> = (0..9).map(|seed| row(140, seed)).collect();
        let all: Vec<&[f32]> = rows.iter().map(Vec::as_slice).collect();
        let raw = plain.predict(&all).unwrap();
        assert_eq!(fitted.outputs(&all).unwrap(), raw, "the network itself says what it said");
        let said = fitted.predict(&all).unwrap();
        for (index, row) in all.iter().enumerate() {
            assert_eq!(bits(&said[index]), bits(&file.apply(raw[index].clone())));
            assert_eq!(bits(&said[index]), bits(&fitted.predict(&[row]).unwrap()[0]));
            assert_ne!(bits(&said[index]), bits(&raw[index]));
        }
        assert!(plain.calibration().is_none() && plain.uncertainty(all[0], &raw[0]).unwrap().is_none());
    }
}

#[test]
fn doubt_is_made_again_and_only_dropout_makes_it() {
    let row = row(140, 1);
    let doubt = |dropout: f64| {
        let network = NetworkSpec { model: plain_cnn_lstm((16, 24, 2), dropout), ..rich(ReturnHead::Gaussian) };
        let [_, fitted] = calibrated(&network, &calibration());
        let said = fitted.predict(&[&row]).unwrap().remove(0);
        (fitted.uncertainty(&row, &said).unwrap().unwrap(), fitted.uncertainty(&row, &said).unwrap().unwrap())
    };
    let (sure, _) = doubt(0.0);
    assert!(sure.aleatoric > 0.0 && sure.epistemic < 1e-6 * sure.aleatoric, "{sure:?}");
    let (unsure, again) = doubt(0.4);
    assert_eq!(unsure, again);
    assert!(unsure.epistemic > 1e-3 * unsure.aleatoric, "{unsure:?}");
}

#[test]
fn a_calibration_that_cannot_be_used_is_named() {
    let spec = forecaster(mlp());
    let network = serde_json::to_value(&spec).unwrap();
    let plain = bundle(BundleKind::Forecaster, network, drawn(&spec));
    for file in [&b"nothing"[..], b"{}", br#"{"format":1,"temperature":0}"#] {
        let error = Predictor::load(&plain.clone().calibrated(file.to_vec())).unwrap_err();
        assert!(matches!(error, ModelError::Calibration { .. }), "{error}");
    }
    let said = |spec: &NetworkSpec, fitted: &Calibration| {
        let bare = bundle(BundleKind::Forecaster, serde_json::to_value(spec).unwrap(), drawn(spec));
        Predictor::load(&bare.calibrated(serde_json::to_vec(fitted).unwrap())).unwrap_err().to_string()
    };
    let far = said(&rich(ReturnHead::Gaussian), &Calibration { horizon: 3, ..calibration() });
    assert!(far.contains("it was fitted 3 bars ahead, and the network looks 1 ahead"), "{far}");
    let none = said(&spec, &calibration());
    assert!(none.contains("it widens a spread, and the network says none"), "{none}");
    let own = Calibration { spread: SpreadFit::Deviation(0.02), ..calibration() };
    for returns in [ReturnHead::Gaussian, ReturnHead::Quantiles] {
        let own = said(&rich(returns), &own);
        assert!(own.contains("it brings a spread, and the network says its own"), "{own}");
    }
    let spec = policy(PolicyHead::Deterministic { width: 1 }, mlp());
    let acts = bundle(BundleKind::Policy, serde_json::to_value(&spec).unwrap(), drawn(&spec));
    let error = Predictor::load(&acts.calibrated(serde_json::to_vec(&calibration()).unwrap())).unwrap_err();
    assert!(error.to_string().contains("it is no forecaster's"), "{error}");
}

#[test]
fn a_shape_that_would_take_all_memory_is_refused_before_any_is_taken() {
    let spec = NetworkSpec { window: 1 << 40, ..forecaster(cnn_lstm()) };
    let error = Predictor::from_parts(&spec, &[], BundleId(Digest::of(b"any"))).unwrap_err();
    assert_eq!(error.to_string(), "network: window is 1099511627776: use 1 to 512 bars");
}

#[test]
fn a_predictor_can_move_to_a_thread_of_its_own() {
    let predictor = predictor(&forecaster(cnn_lstm()));
    let here = predictor.predict(&[&row(140, 1)]).unwrap();
    let there = std::thread::spawn(move || predictor.predict(&[&row(140, 1)]).unwrap()).join().unwrap();
    assert_eq!(here, there);
}
