//! The classic problems against Gymnasium's own steps. `GYMNASIUM_STEPS` names another file than the committed one, made by
//! `scripts/fixtures/gymnasium_steps.py`; `--no-capture` shows the largest differences.

#![allow(clippy::unwrap_used, reason = "a fixture that cannot be read fails the test")]

use std::path::Path;

use envs::{ActionSpace, Actions, Autoreset, Buffers, Classic, ClassicKind, VectorEnv};
use serde::Deserialize;

#[derive(Deserialize)]
struct Problem {
    problem: String,
    steps: Vec<Step>,
    trajectories: Vec<Trajectory>,
}

/// State, action, next state, reward, terminated, observation.
#[derive(Deserialize)]
struct Step(Vec<f64>, f64, Vec<f64>, f64, bool, Vec<f32>);

#[derive(Deserialize)]
struct Trajectory {
    start: Vec<f64>,
    actions: Vec<f64>,
    end: Vec<f64>,
    reward: f64,
}

fn problems() -> Vec<(ClassicKind, Problem)> {
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/gymnasium_steps.json");
    let path = std::env::var_os("GYMNASIUM_STEPS").map_or(committed, Into::into);
    let problems: Vec<Problem> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    problems.into_iter().map(|problem| (problem.problem.parse().unwrap(), problem)).collect()
}

fn step(classic: &mut Classic, actions: &[f64], buffers: &mut Buffers) {
    match classic.action_space() {
        ActionSpace::Discrete(_) => {
            let actions: Vec<u32> = actions.iter().map(|action| *action as u32).collect();
            classic.step(Actions::Discrete(&actions), buffers.lend());
        }
        ActionSpace::Continuous(_) => {
            let actions: Vec<f32> = actions.iter().map(|action| *action as f32).collect();
            classic.step(Actions::Continuous(&actions), buffers.lend());
        }
    }
}

fn largest(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

#[test]
fn one_step_from_any_state_is_gymnasiums_to_a_millionth_of_a_millionth() {
    for (kind, problem) in problems() {
        // The next step begins the new episode, so the state that ended the old one can still be read.
        let mut classic = Classic::new(kind, problem.steps.len(), Autoreset::NextStep);
        let mut buffers = Buffers::new(&classic);
        for (env, step) in problem.steps.iter().enumerate() {
            classic.set_state(env, &step.0);
        }
        let actions: Vec<f64> = problem.steps.iter().map(|step| step.1).collect();
        step(&mut classic, &actions, &mut buffers);
        let (mut worst, mut worst_reward, mut worst_shown) = (0.0_f64, 0.0_f64, 0.0_f32);
        for (env, Step(_, _, next, reward, terminated, shown)) in problem.steps.iter().enumerate() {
            worst = worst.max(largest(&classic.state_of(env), next));
            worst_reward = worst_reward.max((f64::from(buffers.rewards[env]) - reward).abs() / reward.abs().max(1.0));
            assert_eq!(buffers.outcomes[env].is_end(), *terminated, "{kind} from {:?}", problem.steps[env].0);
            let row = &buffers.observations[env * shown.len()..];
            let off = shown.iter().zip(row).map(|(a, b)| (a - b).abs() / a.abs().max(1.0));
            worst_shown = off.fold(worst_shown, f32::max);
        }
        eprintln!(
            "{kind}: {} steps, state off by {worst:e}, reward by {worst_reward:e}, observation by {worst_shown:e}",
            problem.steps.len()
        );
        let tolerance = if kind == ClassicKind::MountainCarContinuous { f64::from(f32::EPSILON) } else { 1e-12 };
        assert!(worst <= tolerance, "{kind}: state off by {worst:e}");
        assert!(worst_reward <= f64::from(f32::EPSILON), "{kind}: reward off by {worst_reward:e}");
        assert!(worst_shown <= f32::EPSILON, "{kind}: observation off by {worst_shown:e}");
    }
}

#[test]
fn two_hundred_steps_stay_within_a_millionth_of_gymnasiums() {
    for (kind, problem) in problems() {
        for trajectory in problem.trajectories {
            let mut classic = Classic::new(kind, 1, Autoreset::NextStep);
            let mut buffers = Buffers::new(&classic);
            classic.set_state(0, &trajectory.start);
            let mut reward = 0.0;
            for action in &trajectory.actions {
                assert!(!buffers.outcomes[0].is_end(), "{kind}: ended early");
                step(&mut classic, &[*action], &mut buffers);
                reward += f64::from(buffers.rewards[0]);
            }
            let off = largest(&classic.state_of(0), &trajectory.end);
            eprintln!("{kind}: {} steps, state off by {off:e}", trajectory.actions.len());
            assert!(off <= 1e-6, "{kind}: {off:e} off after {} steps", trajectory.actions.len());
            assert!((reward - trajectory.reward).abs() <= 1e-4, "{kind}: {reward} for {}", trajectory.reward);
        }
    }
}
