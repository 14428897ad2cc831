//! PPO: one update is that of stable-baselines3; golden losses, probes it must solve, and resuming to the same bits.

use envs::probe::Kind as Probe;
use models::PolicyHead;
use spec::{Algorithm, Metric, ModelSpec, RlSpec, Schedule, TaskSpec, TrialSpec};

use super::*;
use crate::fixtures::{self, Recorder, assert_resumes_exactly, bars, finished};
use crate::probing::{learned, resumes_exactly};
use crate::reference::{Reference, agent};
use crate::{Start, TrainingData, prepare, train};

fn spec() -> PpoSpec {
    PpoSpec {
        envs: 4,
        rollout: 32,
        epochs: 4,
        minibatches: 4,
        gamma: 0.99,
        lambda: 0.95,
        clip: 0.2,
        clip_schedule: Schedule::Constant,
        value_clip: None,
        entropy: 0.01,
        value: 1.0,
        learning_rate: 0.01,
        schedule: Schedule::Linear,
        gradient_norm_max: 0.5,
        target_kl: None,
        log_deviation: 0.0,
    }
}

fn names(name: &str) -> Vec<String> {
    vec![if name == "actor.log_deviation" { "log_std".to_owned() } else { name.to_owned() }]
}

/// The recorded batch of an update.
fn minibatch(reference: &Reference) -> Minibatch {
    let mut minibatch = Minibatch {
        observations: reference.get("batch.observations").to_vec(),
        actions: reference.get("batch.actions").to_vec(),
        log_probabilities: reference.f64s("batch.old_log_probabilities"),
        advantages: reference.f64s("batch.advantages"),
        returns: reference.f64s("batch.returns"),
        values: reference.f64s("batch.old_values"),
    };
    normalise(&mut minibatch.advantages);
    minibatch
}

/// An agent that is to learn a probe in 40 rollouts.
fn beginning(spec: &PpoSpec, probe: Probe, actions: usize) -> (Ppo<'_>, World) {
    let env = envs::probe::Probe::new(probe, spec.envs as usize);
    let steps = 40 * u64::from(spec.rollout * spec.envs);
    let world = World::new(Box::new(env), (3, steps), (spec::Normalise::None, spec.gamma));
    (Ppo::new(spec, agent(PolicyHead::Categorical { actions }, 1), &world), world)
}

#[test]
fn one_update_is_that_of_the_reference() {
    let categorical = PolicyHead::Categorical { actions: 2 };
    let gaussian = PolicyHead::Gaussian { width: 1 };
    for (file, head, width) in [("ppo_discrete", categorical, 4), ("ppo_gaussian", gaussian, 3)] {
        for (variant, value_clip, entropy) in [("", None, 0.0), ("_value_clip", Some(0.2), 0.01)] {
            let reference = Reference::read(&format!("{file}{variant}"));
            let spec = PpoSpec { envs: 1, minibatches: 1, value_clip, entropy, ..spec() };
            let mut ppo = Ppo::with_layers(&spec, agent(head, width), 1);
            ppo.agent.weights = reference.weights("before", &ppo.agent.layout, names);
            ppo.backward(&minibatch(&reference), 0.2);
            reference.assert_close("gradient1", (&ppo.agent.layout, names), &ppo.gradient);
            ppo.apply(3e-4).unwrap();
            reference.assert_close("after1", (&ppo.agent.layout, names), &ppo.agent.weights);
        }
    }
}

#[test]
fn losses_have_their_golden_values() {
    let close = |actual: f64, expected: f64| assert!((actual - expected).abs() < 1e-12, "{actual} is not {expected}");
    let mut advantages = vec![1.0, -1.0, 2.0, 1.5, -0.5];
    normalise(&mut advantages);
    let (log_probabilities, returns) = (vec![-1.0; 5], vec![0.0; 5]);
    let minibatch = Minibatch { log_probabilities, advantages, returns, ..Minibatch::default() };
    let objective = Objective { minibatch: &minibatch, clip: 0.2, entropy: 0.0 };
    let mut measured = Measured::default();
    for (row, log_ratio) in [0.0, 0.1, -0.3, 0.5, -0.05].into_iter().enumerate() {
        objective.row(row, log_ratio - 1.0, &mut measured);
    }
    close(measured.policy_loss, 0.045_970_670_347_381_38);
    close(measured.kl, 0.039_187_966_791_641_56);
    close(measured.clipped, 0.4);
    close(value_loss(1.0, 0.5, 3.0, None).0, 2.0);
}

#[test]
fn the_value_loss_counts_by_its_weight() {
    let critic = |value: f64| {
        let (reference, spec) = (Reference::read("ppo_discrete"), PpoSpec { minibatches: 1, value, ..spec() });
        let mut ppo = Ppo::with_layers(&spec, agent(PolicyHead::Categorical { actions: 2 }, 4), 1);
        ppo.agent.weights = reference.weights("before", &ppo.agent.layout, names);
        ppo.backward(&minibatch(&reference), 0.2);
        ppo.gradient[ppo.agent.network.own().end..].to_vec()
    };
    let (half, whole) = (critic(0.5), critic(1.0));
    assert!(whole.iter().any(|gradient| *gradient != 0.0));
    assert!(half.iter().zip(&whole).all(|(half, whole)| (half - whole / 2.0).abs() <= 1e-6 * whole.abs()));
}

#[test]
fn the_advantages_of_a_mini_batch_have_mean_zero_and_deviation_one() {
    let spec = spec();
    let (mut ppo, mut world) = beginning(&spec, Probe::MatchingAction, 2);
    ppo.advance(&mut world).unwrap();
    let (advantages, count) = (&ppo.minibatch.advantages, ppo.minibatch.advantages.len() as f64);
    let mean = advantages.iter().sum::<f64>() / count;
    let variance = advantages.iter().map(|advantage| (advantage - mean).powi(2)).sum::<f64>() / (count - 1.0);
    assert_eq!(count, 32.0, "the last of four");
    assert!(mean.abs() < 1e-9 && (variance - 1.0).abs() < 1e-6, "mean {mean}, variance {variance}");
}

#[test]
fn the_learned_value_of_an_endless_reward_looks_beyond_the_time_limit() {
    let spec = PpoSpec { gamma: 0.9, ..spec() };
    let (mut ppo, mut world) = beginning(&spec, Probe::EndlessReward, 1);
    for _ in 0..40 {
        ppo.advance(&mut world).unwrap();
    }
    // 1/(1 − γ), as in stable-baselines3's `test_infinite_horizon`; the four rewards up to the limit are worth 3.4.
    let values = &ppo.rollout.values;
    assert!(values.iter().all(|value| (value - 10.0).abs() < 0.5), "{}", values[0]);
}

#[test]
fn a_ratio_beyond_the_clip_has_no_slope_where_that_would_gain() {
    assert_eq!(surrogate(0.5, 1.0, 0.2).slope, 0.0);
    assert_eq!(surrogate(-0.5, -1.0, 0.2).slope, 0.0);
    assert!(surrogate(-0.5, 1.0, 0.2).slope < 0.0 && surrogate(0.5, -1.0, 0.2).slope > 0.0);
}

#[test]
fn a_value_beyond_its_clip_is_cut_and_has_no_slope() {
    assert_eq!(value_loss(2.0, 1.0, 0.0, Some(0.5)), (1.125, 0.0));
    assert_eq!(value_loss(1.25, 1.0, 0.0, Some(0.5)), (0.781_25, 1.25));
}

#[test]
fn probes_are_solved_within_two_thousand_steps() {
    for probe in [Probe::ActionReward, Probe::MatchingAction] {
        let score = learned(Algorithm::Ppo(spec()), probe, 2_000).best.unwrap().1;
        assert!(score > 0.99, "{probe:?}: {score}");
    }
    for probe in [Probe::TargetAction, Probe::MatchingTarget] {
        let ppo = PpoSpec { entropy: 0.0, log_deviation: -1.0, ..spec() };
        let score = learned(Algorithm::Ppo(ppo), probe, 2_000).best.unwrap().1;
        assert!(score > -0.03, "{probe:?}: {score}");
    }
}

#[test]
fn training_resumes_bit_for_bit() {
    resumes_exactly(Algorithm::Ppo(PpoSpec { rollout: 16, ..spec() }), Probe::EndlessReward);
    resumes_exactly(Algorithm::Ppo(PpoSpec { rollout: 16, ..spec() }), Probe::MatchingTarget);
}

fn setting(algorithm: Algorithm, steps: u64, model: ModelSpec) -> (TrialSpec, TrainingData) {
    let data = fixtures::dataset(bars(400, 0.9, 1));
    let task = RlSpec {
        window: 3,
        steps,
        algorithm,
        normalise: spec::Normalise::Both,
        evaluation: spec::EvaluationSpec { times: 4, ..spec::EvaluationSpec::default() },
    };
    let mut spec = fixtures::trial(&data, TaskSpec::Rl(task), model);
    spec.env.episode_bars = 20;
    let data = prepare(&spec, &data).unwrap();
    (spec, data)
}

#[test]
fn a_trading_agent_with_a_torso_resumes_bit_for_bit() {
    let (spec, data) = setting(Algorithm::Ppo(spec()), 128 * 9, fixtures::cnn_lstm(0.0));
    assert_resumes_exactly(&spec, &data, &[2]);
}

#[test]
fn a_pattern_that_pays_is_traded() {
    let ppo = PpoSpec { envs: 8, rollout: 64, learning_rate: 0.003, gamma: 0.5, ..spec() };
    let (spec, data) = setting(Algorithm::Ppo(ppo), 15_000, ModelSpec::Mlp { hidden: vec![16, 16], activation: None });
    let trained = finished(train(&spec, &data, Start::Anew, &mut Recorder::default()));
    // Orders fill at the next open, which is this close: being long after each fall earns most rises.
    let earned = trained.metrics[&Metric::EvaluationReturn];
    assert!(earned > 0.1, "{earned}");
}

#[test]
fn passes_stop_once_the_policy_moved_too_far() {
    let updates = |target_kl: Option<f64>| {
        let ppo = PpoSpec { target_kl, learning_rate: 0.02, ..spec() };
        learned(Algorithm::Ppo(ppo), Probe::MatchingAction, 1_024).updates
    };
    assert_eq!(updates(None), 8 * 4 * 4);
    assert!(updates(Some(1e-6)) < 8 * 4 * 4);
}
