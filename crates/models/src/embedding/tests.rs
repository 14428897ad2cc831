//! Features are the encoder's, whoever asks and whatever is remembered.

use std::num::NonZeroUsize;

use spec::{BundleId, Digest, Output, ReturnHead};

use super::{Embedding, Remembered};
use crate::fixtures::{cnn_lstm, drawn, forecaster, heads, mlp, policy, predictor, rich, row};
use crate::{NetworkSpec, Predictor, weights};

fn embedding(spec: &NetworkSpec, rows_max: usize) -> Embedding {
    Embedding::new(predictor(spec), NonZeroUsize::new(rows_max).unwrap()).unwrap()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

fn counts(hits: u64, misses: u64, forgotten: u64) -> Remembered {
    Remembered { hits, misses, forgotten }
}

#[test]
fn features_of_a_history_are_those_of_its_rows_one_by_one() {
    for (spec, width) in [(forecaster(cnn_lstm()), 24), (forecaster(mlp()), 64), (rich(ReturnHead::Gaussian), 40)] {
        let rows: Vec<Vec<f32>> = (0..75).map(|seed| row(spec.input_width(), seed)).collect();
        let all: Vec<&[f32]> = rows.iter().map(Vec::as_slice).collect();
        let (offline, online) = (embedding(&spec, 100), embedding(&spec, 1));
        assert_eq!((offline.width(), offline.input_width()), (width, 140));
        let together = offline.of(&all).unwrap();
        let alone: Vec<f32> = all.iter().flat_map(|row| online.of(&[row]).unwrap()).collect();
        assert_eq!(bits(&together), bits(&alone));
        assert_eq!(bits(&together), bits(&offline.of(&all).unwrap()), "what is remembered is what was computed");
        assert_eq!((offline.remembered(), online.remembered()), (counts(75, 75, 0), counts(0, 75, 74)));
        assert_eq!(offline.remembered().share(), Some(0.5));
    }
}

#[test]
fn the_return_head_makes_of_features_what_the_predictor_says_of_the_row() {
    for spec in [forecaster(cnn_lstm()), forecaster(mlp())] {
        let tensors = weights::unpack(&drawn(&spec)).unwrap();
        let values = |name: &str| Vec::<f32>::try_from(tensors[name].view(-1)).unwrap();
        let (weight, bias) = (values("return.weight"), values("return.bias")[0]);
        let row = row(140, 1);
        let features = embedding(&spec, 4).of(&[&row]).unwrap();
        let said: f32 = features.iter().zip(&weight).map(|(feature, weight)| feature * weight).sum::<f32>() + bias;
        let Output::Forecast { expected_return, .. } = predictor(&spec).predict(&[&row]).unwrap()[0] else { panic!() };
        assert!((said - expected_return).abs() < 1e-6, "{said} is not {expected_return}");
    }
}

#[test]
fn no_more_rows_are_remembered_than_may_be_and_the_oldest_are_forgotten() {
    let embedding = embedding(&forecaster(mlp()), 3);
    let rows: Vec<Vec<f32>> = (0..5).map(|seed| row(140, seed)).collect();
    let ask = |index: usize| embedding.of(&[&rows[index]]).unwrap();
    (0..5).for_each(|index| drop(ask(index)));
    assert_eq!(embedding.remembered(), counts(0, 5, 2));
    (2..5).for_each(|index| drop(ask(index)));
    assert_eq!(embedding.remembered(), counts(3, 5, 2), "the last three are there");
    ask(0);
    assert_eq!(embedding.remembered(), counts(3, 6, 3));
    // A row that comes twice in one question is computed twice and remembered once.
    embedding.of(&[&rows[1], &rows[1]]).unwrap();
    assert_eq!(embedding.remembered(), counts(3, 8, 4));
    assert_eq!(embedding.memory.lock().unwrap().features.len(), 3);
}

#[test]
fn a_version_is_the_digest_of_the_encoder_and_an_agent_has_none() {
    let spec = forecaster(mlp());
    let id = BundleId(Digest::of(b"encoder"));
    let encoder = Predictor::from_parts(&spec, &drawn(&spec), id).unwrap();
    assert_eq!(Embedding::new(encoder, NonZeroUsize::MIN).unwrap().version(), id);
    let agent = predictor(&policy(heads()[0], mlp()));
    let error = Embedding::new(agent, NonZeroUsize::MIN).unwrap_err();
    assert!(error.to_string().contains("a forecaster"), "{error}");
    let embedding = embedding(&spec, 1);
    assert_eq!(embedding.remembered().share(), None);
    let mut bad = row(140, 1);
    bad[3] = f32::NAN;
    assert!(embedding.of(&[&bad]).is_err());
}
