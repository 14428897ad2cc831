//! PPO: golden losses, probes it must solve, and resuming to the same bytes.

use envs::VectorEnv;
use envs::probe::{Kind as ProbeKind, Probe};
use models::{Mode, NetworkKind, NetworkSpec, Predictor};
use spec::{Algorithm, BundleId, Digest, Metric, ModelSpec, Output, PpoSpec, RlSpec, TaskSpec, TrialSpec};
use tch::{Kind, Tensor};

use super::{Done, Problem, Run, entropy, learn, normalised, surrogate, value_loss};
use crate::fixtures::{self, Recorder, assert_resumes_exactly, bars, finished};
use crate::{TrainingData, prepare, train};

fn ppo() -> PpoSpec {
    PpoSpec {
        envs: 4,
        rollout: 32,
        epochs: 4,
        minibatches: 4,
        gamma: 0.99,
        lambda: 0.95,
        clip: 0.2,
        entropy: 0.01,
        value: 0.5,
        learning_rate: 0.003,
        gradient_norm_max: 0.5,
        target_kl: None,
    }
}

fn setting(algorithm: PpoSpec, steps: u64, model: ModelSpec) -> (TrialSpec, TrainingData) {
    let data = fixtures::dataset(bars(400, 0.9, 1));
    let task = TaskSpec::Rl(RlSpec { window: 3, steps, algorithm: Algorithm::Ppo(algorithm) });
    let mut spec = fixtures::trial(&data, task, model);
    spec.env.episode_bars = 20;
    let data = prepare(&spec, &data).unwrap();
    (spec, data)
}

fn mlp() -> ModelSpec {
    ModelSpec::Mlp { hidden: vec![16, 16], activation: None }
}

#[test]
fn losses_are_those_of_the_reference_to_seven_digits() {
    let tensor = |values: &[f32]| Tensor::from_slice(values);
    let log_ratio = tensor(&[0.0, 0.1, -0.3, 0.5, -0.05]);
    let moved = surrogate(&log_ratio, &normalised(&tensor(&[1.0, -1.0, 2.0, 1.5, -0.5])), 0.2);
    let close = |tensor: &Tensor, expected: f64| {
        let actual = tensor.double_value(&[]);
        assert!((actual - expected).abs() < 2e-7, "{actual} is not {expected}");
    };
    close(&moved.loss, 0.045_970_670_347_381_38);
    close(&moved.kl, 0.039_187_966_791_641_56);
    close(&value_loss(&tensor(&[1.0, 2.0]), &tensor(&[0.0, 5.0])), 2.5);
    let halves = tensor(&[0.5, 0.5, 0.25, 0.75]).log().view([2, 2]);
    close(&entropy(&halves), (std::f64::consts::LN_2 + 0.562_335_144_6) / 2.0);
    let advantages = normalised(&tensor(&[1.0, 2.0, 3.0, 4.0]));
    close(&advantages.mean(Kind::Float), 0.0);
    close(&advantages.get(3), 1.161_895_003_862_2);
}

/// Learns a probe with a small MLP; returns what is learned to be asked.
struct Learned<'a>(Run<'a>);

impl Learned<'_> {
    fn value(&self, observation: f32) -> f64 {
        let input = Tensor::from_slice(&[observation]).view([1, 1]);
        tch::no_grad(|| self.0.network.forward(&input, Mode::Inference).values.double_value(&[0]))
    }

    /// Probability of action 1.
    fn second(&self, observation: f32) -> f64 {
        let input = Tensor::from_slice(&[observation]).view([1, 1]);
        let logits = tch::no_grad(|| self.0.network.forward(&input, Mode::Inference).logits);
        logits.softmax(1, Kind::Float).double_value(&[0, 1])
    }
}

fn learned<'a>(kind: ProbeKind, steps: u64, trial: &'a TrialSpec, ppo: &'a PpoSpec) -> Learned<'a> {
    models::single_threaded();
    let env = Probe::new(kind, ppo.envs as usize);
    let network = NetworkKind::Policy {
        actions: env.action_space().actions().expect("its actions are discrete"),
        observation_width: 1,
    };
    let spec = NetworkSpec { kind: network, model: mlp(), window: 1, width: 1 };
    let problem = Problem { trial, ppo, steps, spec, env: Box::new(env), validation: None };
    let mut run = Run::start(problem).unwrap();
    assert_eq!(learn(&mut run, &mut Recorder::default()).unwrap(), Done::Finished);
    Learned(run)
}

fn any_trial() -> TrialSpec {
    setting(ppo(), 1, mlp()).0
}

#[test]
fn policies_of_the_probes_are_found_within_two_thousand_steps() {
    let (trial, ppo) = (any_trial(), PpoSpec { learning_rate: 0.01, ..ppo() });
    let always = learned(ProbeKind::ActionReward, 2_000, &trial, &ppo);
    assert!(always.second(0.0) > 0.95, "{}", always.second(0.0));
    let matching = learned(ProbeKind::MatchingAction, 2_000, &trial, &ppo);
    assert!(matching.second(1.0) > 0.95 && matching.second(-1.0) < 0.05);
    let mean = matching.0.state.episodes.mean_return().unwrap();
    assert!(mean > 0.9, "{mean}");
}

#[test]
fn values_of_the_probes_are_found() {
    let (trial, ppo) = (any_trial(), PpoSpec { learning_rate: 0.01, ..ppo() });
    let close = |actual: f64, expected: f64| assert!((actual - expected).abs() < 0.05, "{actual} is not {expected}");
    close(learned(ProbeKind::ConstantReward, 3_000, &trial, &ppo).value(0.0), 1.0);
    let observed = learned(ProbeKind::ObservedReward, 4_000, &trial, &ppo);
    close(observed.value(1.0), 1.0);
    close(observed.value(-1.0), -1.0);
    let halving = PpoSpec { gamma: 0.5, ..ppo.clone() };
    let delayed = learned(ProbeKind::DelayedReward, 5_000, &trial, &halving);
    close(delayed.value(0.0), 0.5);
    close(delayed.value(1.0), 1.0);
}

#[test]
fn a_truncated_episode_bootstraps_so_an_endless_reward_is_worth_its_sum() {
    let trial = any_trial();
    let ppo = PpoSpec { learning_rate: 0.02, gamma: 0.8, value: 1.0, gradient_norm_max: 5.0, ..ppo() };
    let value = learned(ProbeKind::EndlessReward, 5_000, &trial, &ppo).value(0.0);
    // 1 / (1 − γ) = 5; ended after four steps it would be at most 2.95.
    assert!((value - 5.0).abs() < 0.25, "{value}");
}

#[test]
fn training_resumes_bit_for_bit_from_every_checkpoint_and_stop() {
    let (spec, data) = setting(ppo(), 128 * 20, mlp());
    assert_resumes_exactly(&spec, &data, &[1, 3, 10]);
}

#[test]
fn a_recurrent_policy_resumes_bit_for_bit() {
    let (spec, data) = setting(ppo(), 128 * 9, fixtures::cnn_lstm(0.2));
    assert_resumes_exactly(&spec, &data, &[2]);
}

#[test]
fn a_pattern_that_pays_is_traded() {
    let ppo = PpoSpec { envs: 8, rollout: 64, learning_rate: 0.003, gamma: 0.5, ..ppo() };
    let (spec, data) = setting(ppo, 15_000, mlp());
    let mut sink = Recorder::default();
    let trained = finished(train(&spec, &data, None, &mut sink));
    // Orders fill at the next open, which is this close: being long after each fall earns most rises.
    let earned = trained.metrics[&Metric::ValidationReturn];
    assert!(earned > 0.1, "{earned}");
    assert_eq!(sink.progress.last().map(|progress| progress.step), Some(15_360));

    let served = Predictor::from_parts(&trained.network, &trained.weights, BundleId(Digest::of(b"any"))).unwrap();
    let row = vec![0.0; served.input_width()];
    let Output::Policy { probabilities, .. } = served.predict(&[&row]).unwrap().remove(0) else {
        panic!("a policy chooses")
    };
    assert_eq!(probabilities.len(), 2);
}

#[test]
fn passes_stop_once_the_policy_moved_too_far() {
    let steps = |target_kl: Option<f64>| {
        let spec = PpoSpec { target_kl, learning_rate: 0.02, ..ppo() };
        let trial = any_trial();
        learned(ProbeKind::MatchingAction, 1_024, &trial, &spec).0.state.steps.0
    };
    assert_eq!(steps(None), 8 * 4 * 4);
    assert!(steps(Some(1e-6)) < 8 * 4 * 4);
}
