//! TD3: two updates are those of stable-baselines3; probes it must solve.

use envs::probe::Kind as Probe;
use models::PolicyHead;
use spec::{Algorithm, Exploration, ReplaySpec};

use super::*;
use crate::probing::{learned, resumes_exactly};
use crate::reference::{ROWS, Reference, agent, same, target};

fn spec() -> Td3Spec {
    Td3Spec {
        envs: 1,
        replay: ReplaySpec { batch: ROWS as u32, ..ReplaySpec::default() },
        gamma: 0.99,
        learning_rate: 1e-3,
        schedule: spec::Schedule::Constant,
        tau: 0.005,
        policy_delay: 2,
        target_noise: 0.2,
        target_noise_max: 0.5,
        exploration: Exploration::Gaussian { deviation: 0.1 },
    }
}

/// Standard normal draws from recorded ones that are scaled already.
fn replay(noise: &[f32]) -> impl FnMut() -> f32 + '_ {
    let mut noise = noise.iter();
    move || noise.next().unwrap() / 0.2
}

#[test]
fn two_updates_are_those_of_the_reference() {
    let (reference, spec) = (Reference::read("td3"), spec());
    let mut td3 = Td3::with_weights(&spec, agent(PolicyHead::Deterministic { width: 2 }, 3), 1);
    td3.agent.weights = reference.weights("before", &td3.agent.layout, same);
    td3.target = reference.weights("before", &td3.agent.layout, target);
    let (batch, mut errors) = (reference.batch(), Vec::new());
    for round in 1..=2 {
        let noise = reference.get(&format!("noise{round}.target_policy"));
        td3.critic_backward(&batch, replay(noise), &mut errors);
        let mut gradient = td3.gradient.clone();
        td3.critic_step(1e-3).unwrap();
        if round == 2 {
            td3.policy_backward(&batch);
            let own = td3.agent.network.own();
            gradient[own.clone()].copy_from_slice(&td3.gradient[own]);
            td3.policy_step(1e-3).unwrap();
        }
        reference.assert_close(&format!("gradient{round}"), (&td3.agent.layout, same), &gradient);
        reference.assert_close(&format!("after{round}"), (&td3.agent.layout, same), &td3.agent.weights);
        reference.assert_close(&format!("after{round}"), (&td3.agent.layout, target), &td3.target);
    }
}

/// Smoothed actions of a target whose last bias is its only weight, by noise of one sign, then the other.
fn smoothed(bias: f32) -> Vec<f32> {
    let (reference, spec) = (Reference::read("td3"), Td3Spec { target_noise: 100.0, ..spec() });
    let mut td3 = Td3::with_weights(&spec, agent(PolicyHead::Deterministic { width: 2 }, 3), 1);
    td3.begin_at(vec![0.0; td3.agent.layout.len()]);
    let last = td3.agent.layout.places().iter().find(|place| place.name == "actor.layer2.bias").unwrap();
    td3.target[last.range.clone()].fill(bias);
    let mut sign = 1.0;
    td3.bootstrap(&reference.batch(), || {
        sign = -sign;
        sign
    });
    td3.actions
}

#[test]
fn the_target_smooths_its_action_within_bounds() {
    assert!(smoothed(0.0).chunks(2).all(|pair| pair == [-0.5, 0.5]), "the noise is cut at ± 0.5");
    let at_the_edge = |pair: &[f32]| (pair[0] - 0.5).abs() < 1e-6 && pair[1] == 1.0;
    assert!(smoothed(10.0).chunks(2).all(at_the_edge), "and the action at its range: tanh 10 is 1");
}

#[test]
fn the_policy_moves_every_second_update() {
    let (reference, spec) = (Reference::read("td3"), spec());
    let mut td3 = Td3::with_weights(&spec, agent(PolicyHead::Deterministic { width: 2 }, 3), 1);
    td3.begin_at(reference.weights("before", &td3.agent.layout, same));
    let (batch, mut errors) = (reference.batch(), Vec::new());
    for update in 0..10 {
        td3.update(&batch, Clock { seed: 1, update, progress: 0.0 }, &mut errors).unwrap();
    }
    assert_eq!((td3.policy_adam.steps, td3.critic_adam.steps), (5, 10));
}

fn probing(exploration: Exploration) -> Algorithm {
    let replay = ReplaySpec { capacity: 2_000, batch: 32, starts: 100, ..ReplaySpec::default() };
    Algorithm::Td3(Td3Spec { replay, learning_rate: 0.003, tau: 0.02, exploration, ..spec() })
}

#[test]
fn probes_are_solved_within_two_thousand_steps_with_every_noise() {
    let noises = [
        Exploration::Gaussian { deviation: 0.2 },
        Exploration::OrnsteinUhlenbeck { deviation: 0.2, reversion: 0.15 },
        Exploration::StateDependent { deviation: 0.1, every: 8 },
    ];
    for noise in noises {
        for probe in [Probe::TargetAction, Probe::MatchingTarget] {
            let score = learned(probing(noise), probe, 2_000).best.unwrap().1;
            assert!(score > -0.01, "{probe:?}: {score} with {noise:?}");
        }
    }
}

#[test]
fn training_resumes_bit_for_bit() {
    let noise = Exploration::OrnsteinUhlenbeck { deviation: 0.2, reversion: 0.15 };
    resumes_exactly(probing(noise), Probe::MatchingTarget);
}
