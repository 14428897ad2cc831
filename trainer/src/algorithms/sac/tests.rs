//! SAC: one update is that of stable-baselines3; probes it must solve.

use envs::probe::Kind as Probe;
use models::PolicyHead;
use spec::{Algorithm, ReplaySpec};

use super::*;
use crate::probing::{learned, resumes_exactly};
use crate::reference::{ROWS, Reference, agent};

fn spec() -> SacSpec {
    SacSpec {
        envs: 1,
        replay: ReplaySpec { batch: ROWS as u32, ..ReplaySpec::default() },
        gamma: 0.99,
        learning_rate: 3e-4,
        schedule: spec::Schedule::Constant,
        tau: 0.005,
        temperature: Temperature::Automatic { initial: 0.2, target_entropy: None },
        exploration: None,
    }
}

/// Our last layer is theirs for the mean, then theirs for the deviation.
fn online(name: &str) -> Vec<String> {
    match name.strip_prefix("actor.layer2.") {
        Some(part) => vec![format!("actor.mean.{part}"), format!("actor.log_std.{part}")],
        None => vec![name.to_owned()],
    }
}

/// The policy has no target.
fn target(name: &str) -> Vec<String> {
    if name.starts_with("actor") { Vec::new() } else { crate::reference::target(name) }
}

#[test]
fn one_update_is_that_of_the_reference() {
    let (reference, spec) = (Reference::read("sac_exact_log_probability"), spec());
    let mut sac = Sac::with_weights(&spec, agent(PolicyHead::SquashedGaussian { width: 2 }, 3), 1);
    sac.agent.weights = reference.weights("before", &sac.agent.layout, online);
    sac.target = reference.weights("before", &sac.agent.layout, target);
    sac.temperature.log = [reference.get("before.log_alpha")[0]];
    let (batch, alpha, mut errors) = (reference.batch(), sac.alpha(), Vec::new());
    let replay = |name: &str| {
        let mut noise = reference.get(name).to_vec().into_iter();
        move || noise.next().unwrap()
    };
    sac.critic_backward(&batch, (alpha, replay("noise1.next_observations")), &mut errors);
    let mut gradient = sac.gradient.clone();
    sac.critic_step(3e-4).unwrap();
    let (_, density) = sac.policy_backward(&batch, alpha, replay("noise1.observations"));
    let own = sac.agent.network.own();
    gradient[own.clone()].copy_from_slice(&sac.gradient[own]);
    sac.policy_step(3e-4).unwrap();
    sac.temperature.step(density, 3e-4).unwrap();
    sac.follow();
    reference.assert_close("gradient1", (&sac.agent.layout, online), &gradient);
    reference.assert_close("after1", (&sac.agent.layout, online), &sac.agent.weights);
    reference.assert_close("after1", (&sac.agent.layout, target), &sac.target);
    let wanted = reference.get("gradient1.log_alpha")[0];
    let actual = -(density + sac.temperature.target_entropy.unwrap()) as f32;
    assert!((actual / wanted - 1.0).abs() < 1e-5, "{actual} is not {wanted}");
    assert!((sac.temperature.log[0] - reference.get("after1.log_alpha")[0]).abs() < 1e-6);
}

#[test]
fn the_target_is_soft_and_ends_with_the_episode() {
    let batch = |discount: f32| Batch { rewards: vec![1.0], discounts: vec![discount], ..Batch::default() };
    let value = |_: usize| 9.5 - 0.2 * -1.2;
    let mut target = [0.0];
    bootstrap(&batch(0.99), value, &mut target);
    assert!((target[0] - 10.6426).abs() < 1e-5);
    bootstrap(&batch(0.0), value, &mut target);
    assert_eq!(target[0], 1.0);
}

#[test]
fn the_temperature_falls_while_the_policy_is_more_random_than_wanted() {
    let spec = spec();
    let mut sac = Sac::with_weights(&spec, agent(PolicyHead::SquashedGaussian { width: 2 }, 3), 1);
    let before = sac.alpha();
    // Entropy 1 nat where −2 are wanted.
    sac.temperature.step(-1.0, 0.01).unwrap();
    assert!(sac.alpha() < before);
    let fixed = SacSpec { temperature: Temperature::Fixed(0.3), ..spec };
    let mut sac = Sac::with_weights(&fixed, agent(PolicyHead::SquashedGaussian { width: 2 }, 3), 1);
    sac.temperature.step(-1.0, 0.01).unwrap();
    assert!((sac.alpha() - 0.3).abs() < 1e-6, "a fixed one stays");
}

fn probing() -> SacSpec {
    let replay = ReplaySpec { capacity: 2_000, batch: 32, starts: 100, ..ReplaySpec::default() };
    SacSpec { replay, learning_rate: 0.003, tau: 0.02, ..spec() }
}

#[test]
fn probes_are_solved_within_two_thousand_steps() {
    for probe in [Probe::TargetAction, Probe::MatchingTarget] {
        let score = learned(Algorithm::Sac(probing()), probe, 2_000).best.unwrap().1;
        assert!(score > -0.01, "{probe:?}: {score}");
    }
}

#[test]
fn training_resumes_bit_for_bit() {
    resumes_exactly(Algorithm::Sac(SacSpec { envs: 2, ..probing() }), Probe::MatchingTarget);
}
