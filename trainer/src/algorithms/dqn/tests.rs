//! DQN: one update is that of stable-baselines3; probes it must solve.

use envs::probe::Kind as Probe;
use models::PolicyHead;
use spec::{Algorithm, Bootstrap, DqnSpec, EpsilonSpec, PrioritySpec, QHead, ReplaySpec, TargetUpdate};

use super::*;
use crate::probing::{learned, resumes_exactly};
use crate::reference::{ROWS, Reference, agent};

fn spec(bootstrap: Bootstrap) -> DqnSpec {
    DqnSpec {
        envs: 1,
        replay: ReplaySpec { batch: ROWS as u32, ..ReplaySpec::default() },
        gamma: 0.99,
        learning_rate: 1e-4,
        schedule: spec::Schedule::Constant,
        gradient_norm_max: 10.0,
        bootstrap,
        head: QHead::Plain,
        target: TargetUpdate::Every(1_000_000),
        epsilon: EpsilonSpec::default(),
    }
}

fn online(name: &str) -> Vec<String> {
    vec![name.replace("actor", "critic")]
}

fn target(name: &str) -> Vec<String> {
    vec![name.replace("actor", "critic_target")]
}

#[test]
fn one_update_is_that_of_the_reference() {
    for (file, bootstrap) in [("dqn", Bootstrap::Max), ("dqn_double", Bootstrap::Double)] {
        let (reference, spec) = (Reference::read(file), spec(bootstrap));
        let mut agent = agent(PolicyHead::Values { actions: 2, layer: QHead::Plain }, 4);
        agent.weights = reference.weights("before", &agent.layout, online);
        let mut dqn = Dqn::with_weights(&spec, agent, 1);
        dqn.target = reference.weights("before", &dqn.agent.layout, target);
        let (batch, mut errors) = (reference.batch(), Vec::new());
        dqn.backward(&batch, &mut errors);
        reference.assert_close("gradient1", (&dqn.agent.layout, online), &dqn.gradient);
        dqn.gradient.fill(0.0);
        let clock = Clock { seed: 0, update: 0, progress: 0.0 };
        dqn.update(&batch, clock, &mut errors).unwrap();
        reference.assert_close("after1", (&dqn.agent.layout, online), &dqn.agent.weights);
        reference.assert_close("after1", (&dqn.agent.layout, target), &dqn.target);
    }
}

fn probing() -> DqnSpec {
    DqnSpec {
        replay: ReplaySpec { capacity: 2_000, batch: 32, starts: 64, ..ReplaySpec::default() },
        learning_rate: 0.005,
        target: TargetUpdate::Every(50),
        epsilon: EpsilonSpec { start: 1.0, end: 0.2, fraction: 0.5 },
        ..spec(Bootstrap::Double)
    }
}

#[test]
fn probes_are_solved_within_two_thousand_steps_with_every_option() {
    let options = [
        probing(),
        DqnSpec { head: QHead::Dueling, ..probing() },
        DqnSpec { bootstrap: Bootstrap::Max, target: TargetUpdate::Polyak(0.02), ..probing() },
        DqnSpec {
            replay: ReplaySpec { prioritised: Some(PrioritySpec::default()), n_step: 3, ..probing().replay },
            ..probing()
        },
    ];
    for dqn in options {
        for probe in [Probe::ActionReward, Probe::MatchingAction] {
            let score = learned(Algorithm::Dqn(dqn.clone()), probe, 2_000).best.unwrap().1;
            assert!(score > 0.99, "{probe:?}: {score} with {dqn:?}");
        }
    }
}

#[test]
fn training_resumes_bit_for_bit() {
    let replay = ReplaySpec { prioritised: Some(PrioritySpec::default()), n_step: 3, ..probing().replay };
    resumes_exactly(Algorithm::Dqn(DqnSpec { replay, envs: 2, ..probing() }), Probe::EndlessReward);
}

fn zeros(layer: QHead) -> Agent {
    let mut agent = agent(PolicyHead::Values { actions: 2, layer }, 4);
    agent.weights = vec![0.0; agent.layout.len()];
    agent
}

#[test]
fn a_target_is_copied_at_multiples_of_its_interval_alone() {
    let spec = DqnSpec { target: TargetUpdate::Every(10), ..spec(Bootstrap::Max) };
    let mut dqn = Dqn::with_weights(&spec, zeros(QHead::Plain), 1);
    dqn.agent.weights.fill(1.0);
    (1..10).for_each(|step| dqn.stepped(step));
    assert!(dqn.target.iter().all(|weight| *weight == 0.0));
    dqn.stepped(10);
    assert!(dqn.target.iter().all(|weight| *weight == 1.0));
}

#[test]
fn an_action_of_a_duel_moves_its_state_and_every_advantage() {
    let spec = DqnSpec { replay: ReplaySpec { batch: 1, ..ReplaySpec::default() }, ..spec(Bootstrap::Max) };
    let mut dqn = Dqn::with_weights(&spec, zeros(QHead::Dueling), 1);
    let batch = Batch {
        observations: vec![1.0; 4],
        actions: vec![0.0],
        rewards: vec![1.0],
        next_observations: vec![1.0; 4],
        discounts: vec![0.0],
        weights: vec![1.0],
        indices: vec![0],
    };
    dqn.backward(&batch, &mut Vec::new());
    let last = dqn.agent.layout.places().iter().find(|place| place.name == "actor.layer2.bias").unwrap();
    // An error of −1 through V + A₀ − (A₀ + A₁)/2: Wang et al. 2016, eq. 9.
    assert_eq!(dqn.gradient[last.range.clone()], [-1.0, -0.5, 0.5]);
}

#[test]
fn huber_is_square_near_zero_and_straight_beyond_one() {
    assert_eq!([0.5, -0.5, 1.0, -3.0].map(huber), [0.125, 0.125, 0.5, 2.5]);
}
