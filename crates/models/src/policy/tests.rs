//! What heads say, and that training and asking compute the same.

use neural::Layout;
use spec::QHead;

use super::*;
use crate::fixtures::{cnn_lstm, drawn, heads, mlp, policy, row};
use crate::weights::unpack;

#[test]
fn asked_and_taught_a_network_computes_the_same() {
    for (head, model) in heads().into_iter().flat_map(|head| [(head, cnn_lstm()), (head, mlp())]) {
        let spec = policy(head, model);
        let mut layout = Layout::default();
        let network = PolicyNetwork::new(&mut layout, &spec).unwrap();
        let weights = assign_flat(&layout, unpack(&drawn(&spec)).unwrap()).unwrap();
        let observations: Vec<f32> = (0..8).flat_map(|seed| row(142, seed)).collect();
        let (mut asked, mut taught) = (network.tape(8), network.tape(8));
        let mut responses = vec![0.0; 8 * head.size()];
        network.respond(&weights, &observations, &mut asked, &mut responses);

        let mut normalised = observations.clone();
        network.normalise(&weights, &mut normalised);
        assert_ne!(normalised, observations);
        let features = network.see(&weights, &normalised, 8, &mut taught.torso);
        assert_eq!(features.len(), 8 * network.features());
        network.mlp().forward(&weights, features, 8, &mut taught.head);
        assert_eq!(taught.head.output(8), asked.head.output(8), "{head:?}");
    }
}

#[test]
fn a_duel_centres_its_advantages() {
    let mut values = [0.0; 3];
    duel(&[10.0, 1.0, 2.0, 6.0], &mut values);
    assert_eq!(values, [8.0, 9.0, 13.0]);
}

#[test]
fn responses_are_what_their_heads_say() {
    let response = |head: PolicyHead, outputs: &[f32]| {
        let mut layout = Layout::default();
        let network = PolicyNetwork::new(&mut layout, &policy(head, mlp())).unwrap();
        let mut response = vec![0.0; head.size()];
        network.interpret(outputs, &mut response);
        response
    };
    let halves = response(PolicyHead::Categorical { actions: 2 }, &[3.0, 3.0]);
    assert_eq!(halves, [0.5, 0.5]);
    assert_eq!(response(PolicyHead::Gaussian { width: 3 }, &[0.5, 7.0, -7.0]), [0.5, 1.0, -1.0]);
    let squashed = response(PolicyHead::SquashedGaussian { width: 1 }, &[0.5, -9.0]);
    assert!((squashed[0] - 0.5_f32.tanh()).abs() < 1e-6, "its deviation plays no part");
    assert_eq!(response(PolicyHead::Values { actions: 2, layer: QHead::Plain }, &[-4.0, 9.0]), [-4.0, 9.0]);
}

#[test]
fn a_normalised_observation_is_cut_off() {
    let spec = policy(PolicyHead::Deterministic { width: 1 }, mlp());
    let mut layout = Layout::default();
    let network = PolicyNetwork::new(&mut layout, &spec).unwrap();
    let mut weights = vec![0.0; layout.len()];
    weights[network.normaliser().unwrap()[1].clone()].fill(2.0);
    let mut observations = vec![1e9; 142];
    network.normalise(&weights, &mut observations);
    assert!(observations.iter().all(|value| *value == OBSERVATION_MAX));
}

#[test]
fn what_a_learner_adds_behind_is_no_part_of_the_policy() {
    let spec = policy(PolicyHead::Deterministic { width: 1 }, mlp());
    let mut layout = Layout::default();
    let network = PolicyNetwork::new(&mut layout, &spec).unwrap();
    let alone = layout.len();
    let _critic = network.critic(&mut layout, "critic0", 1);
    let named = network.named(&layout, &vec![0.0; layout.len()]);
    assert!(layout.len() > alone && named.keys().all(|name| !name.starts_with("critic")));
    assert!(named.contains_key("normaliser.mean") && named.contains_key("actor.layer0.weight"));
}
