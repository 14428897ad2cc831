//! Checkpoints: whole or refused.

use models::weights::Named;
use proptest::prelude::*;
use spec::{Digest, Parent, Share, TaskSpec, TrialId, TrialSpec, canonical_json};
use tch::Tensor;

use super::{CheckpointError, Saved, Start, put, under, write};
use crate::fixtures;

fn trial() -> TrialSpec {
    let data = fixtures::dataset(fixtures::bars(40, 0.5, 1));
    fixtures::trial(&data, TaskSpec::Supervised(fixtures::supervised()), fixtures::cnn_lstm(0.0))
}

fn identity(trial: &TrialSpec) -> Digest {
    Digest::of(&canonical_json(trial))
}

fn read<S: serde::de::DeserializeOwned>(of: Digest, bytes: &[u8]) -> Result<(S, Named), CheckpointError> {
    super::read(Saved { bytes, of })
}

fn bytes(trial: &TrialSpec) -> Vec<u8> {
    let mut tensors = Named::new();
    put(&mut tensors, "weights", [("a".to_owned(), Tensor::from_slice(&[1.0f32, -2.5]))].into());
    put(&mut tensors, "best", [("a".to_owned(), Tensor::from_slice(&[0.1f32]))].into());
    write(identity(trial), &vec![0.1f64, 1e-300], &tensors)
}

#[test]
fn what_is_written_is_read_and_written_the_same() {
    let trial = trial();
    let (state, tensors): (Vec<f64>, Named) = read(identity(&trial), &bytes(&trial)).unwrap();
    assert_eq!(state, [0.1, 1e-300]);
    let weights = under(&tensors, "weights");
    assert_eq!(Vec::<f32>::try_from(&weights["a"]).unwrap(), [1.0, -2.5]);
    assert_eq!(under(&tensors, "best").len(), 1);
    assert_eq!(write(identity(&trial), &state, &tensors), bytes(&trial));
}

#[test]
fn every_cut_is_refused() {
    let (trial, bytes) = (trial(), bytes(&trial()));
    for length in 0..bytes.len() {
        let error = read::<Vec<f64>>(identity(&trial), &bytes[..length]).unwrap_err();
        assert!(
            matches!(error, CheckpointError::CutShort { .. } | CheckpointError::Changed { .. }),
            "{length}: {error}"
        );
    }
}

proptest! {
    #[test]
    fn every_edit_is_refused(at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let (trial, mut bytes) = (trial(), bytes(&trial()));
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let error = read::<Vec<f64>>(identity(&trial), &bytes).unwrap_err();
        prop_assert!(matches!(error, CheckpointError::Foreign | CheckpointError::Changed { .. }), "{}", error);
    }
}

#[test]
fn a_checkpoint_of_another_trial_is_refused() {
    let (trial, bytes) = (trial(), bytes(&trial()));
    let other = TrialSpec { seed: trial.seed + 1, ..trial };
    assert!(matches!(read::<Vec<f64>>(identity(&other), &bytes), Err(CheckpointError::OtherTrial { .. })));
}

#[test]
fn a_state_of_another_shape_is_refused() {
    let (trial, bytes) = (trial(), bytes(&trial()));
    assert!(matches!(read::<String>(identity(&trial), &bytes), Err(CheckpointError::Content { .. })));
}

#[test]
fn a_child_branches_from_its_parent_alone_and_resumes_from_itself_alone() {
    let (parent, other) = (trial(), TrialSpec { seed: 99, ..trial() });
    let name = |index: u32| TrialId { experiment: "test-1".parse().unwrap(), index };
    let link = Parent { trial: name(0), spec: parent.identity(), share: Share::of(0.5), checkpoint: None };
    let child = TrialSpec { trial: name(1), parent: Some(link), ..trial() };
    let begins = |start: Start<'_>, trial: &TrialSpec| {
        start.saved(trial).and_then(|saved| super::read::<Vec<f64>>(saved.expect("a checkpoint was given")))
    };
    let (own, inherited, foreign) = (bytes(&child), bytes(&parent), bytes(&other));
    assert!(begins(Start::Branch(&inherited), &child).is_ok());
    assert!(begins(Start::Resume(&own), &child).is_ok());
    for refused in [Start::Resume(&inherited), Start::Branch(&own), Start::Branch(&foreign), Start::Resume(&foreign)] {
        let error = begins(refused, &child).unwrap_err();
        assert!(matches!(error, CheckpointError::OtherTrial { .. }), "{error}");
    }
    assert!(matches!(begins(Start::Branch(&own), &parent), Err(CheckpointError::NoParent { .. })));
}
