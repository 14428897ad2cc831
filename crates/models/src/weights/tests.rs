//! Weights out and in: deterministic, checked, refused by name.

use proptest::prelude::*;
use tch::Tensor;

use super::{Named, pack, unpack};
use crate::Predictor;
use crate::fixtures::{cnn_lstm, drawn, forecaster};
use spec::{BundleId, Digest};

fn refusal(change: impl FnOnce(&mut Named)) -> String {
    let spec = forecaster(cnn_lstm());
    let mut tensors = unpack(&drawn(&spec)).unwrap();
    change(&mut tensors);
    Predictor::from_parts(&spec, &pack(&tensors), BundleId(Digest::of(b"any"))).unwrap_err().to_string()
}

#[test]
fn weights_survive_their_bytes_and_the_bytes_are_always_the_same() {
    let bytes = drawn(&forecaster(cnn_lstm()));
    assert_eq!(pack(&unpack(&bytes).unwrap()), bytes);
    assert_eq!(bytes, drawn(&forecaster(cnn_lstm())));
}

#[test]
fn a_tensor_missing_superfluous_misshapen_or_broken_is_named() {
    let name = "direction.weight";
    assert_eq!(refusal(|all| drop(all.remove(name))), "weights: tensor direction.weight is missing");
    let extra = refusal(|all| drop(all.insert("zeta".to_owned(), Tensor::from_slice(&[1.0f32]))));
    assert_eq!(extra, "weights: tensor zeta is none of the network's");
    let shape = refusal(|all| drop(all.insert(name.to_owned(), Tensor::from_slice(&[1.0f32]))));
    assert_eq!(shape, "weights: tensor direction.weight has shape [1], the network needs [3, 24]");
    let broken = refusal(|all| {
        let _ = all.get_mut(name).unwrap().fill_(f64::NAN);
    });
    assert_eq!(broken, "weights: tensor direction.weight holds NaN or infinity");
}

#[test]
fn a_header_that_claims_too_much_and_another_kind_of_number_are_refused() {
    let claim = [u64::MAX.to_le_bytes().as_slice(), b"{}"].concat();
    assert!(unpack(&claim).unwrap_err().to_string().contains("the header claims"));
    let half = br#"{"a":{"dtype":"F16","shape":[1],"data_offsets":[0,2]}}"#;
    let bytes = [(half.len() as u64).to_le_bytes().as_slice(), half, &[0, 0]].concat();
    assert_eq!(unpack(&bytes).unwrap_err().to_string(), "weights: tensor a is F16, not F32");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn weights_cut_anywhere_are_refused(at in any::<prop::sample::Index>()) {
        let bytes = drawn(&forecaster(cnn_lstm()));
        let cut = at.index(bytes.len());
        prop_assert!(unpack(&bytes[..cut]).is_err());
    }
}
