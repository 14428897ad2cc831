//! Golden trajectories of Gymnasium 1.4, both ways to begin anew, and the contract.

use super::dynamics::Rules as _;
use super::*;
use crate::{Buffers, conformance};

/// One copy at `start`; the next step begins a new episode, so the end can be read.
fn at(kind: ClassicKind, start: &[f64]) -> (Classic, Buffers) {
    let mut classic = Classic::new(kind, 1, Autoreset::NextStep);
    classic.set_state(0, start);
    let buffers = Buffers::new(&classic);
    (classic, buffers)
}

/// Steps with what `policy` answers to (step, state), until the end or `steps`: how many, the return, the outcome, the state.
fn follow(
    kind: ClassicKind,
    start: &[f64],
    steps: usize,
    policy: impl Fn(usize, &[f64]) -> f32,
) -> (usize, f64, StepOutcome, Vec<f64>) {
    let (mut classic, mut buffers) = at(kind, start);
    let mut total = 0.0;
    for step in 0..steps {
        let action = policy(step, &classic.state_of(0));
        match classic.action_space().actions() {
            Some(_) => classic.step(Actions::Discrete(&[action as u32]), buffers.lend()),
            None => classic.step(Actions::Continuous(&[action]), buffers.lend()),
        }
        total += f64::from(buffers.rewards[0]);
        if buffers.outcomes[0].is_end() {
            return (step + 1, total, buffers.outcomes[0], classic.state_of(0));
        }
    }
    (steps, total, StepOutcome::Continues, classic.state_of(0))
}

fn close(got: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(got.len(), expected.len());
    for (got, expected) in got.iter().zip(expected) {
        assert!((got - expected).abs() <= tolerance, "{got} for {expected}");
    }
}

#[test]
fn cartpole_follows_its_golden_trajectories() {
    let start = [0.01, -0.02, 0.03, 0.04];
    let run = |steps, policy: fn(usize, &[f64]) -> f32| follow(ClassicKind::CartPole, &start, steps, policy);
    close(&run(1, |_, _| 1.0).3, &[0.0096, 0.17467919574755525, 0.0308, -0.2430687179600081], 1e-15);
    let expected = [0.03978556173523379, -0.025745801299905002, 0.014776890028732531, 0.16674830673318983];
    close(&run(20, |step, _| (1 - step % 2) as f32).3, &expected, 1e-12);
    let (steps, total, outcome, state) = run(99, |_, _| 1.0);
    assert_eq!((steps, total, outcome), (10, 10.0, StepOutcome::Terminated));
    close(&state[2..3], &[-0.2235691808247548], 1e-12);
    let (steps, _, outcome, state) = run(99, |_, _| 0.0);
    assert_eq!((steps, outcome), (9, StepOutcome::Terminated));
    close(&state[2..3], &[0.25941437915620413], 1e-12);
    let (steps, total, outcome, state) = run(501, |_, state| f32::from(state[2] + state[3] > 0.0));
    assert_eq!((steps, total, outcome), (500, 500.0, StepOutcome::Truncated));
    close(&state[..1], &[1.62625], 1e-3);
}

#[test]
fn pendulum_follows_its_golden_trajectories() {
    use std::f64::consts::PI;
    let (_, reward, _, state) = follow(ClassicKind::Pendulum, &[PI, 1.0], 1, |_, _| 2.0);
    assert_eq!(reward as f32, -9.973_604_f32);
    close(&state, &[3.206592653589793, 1.3], 1e-15);

    // The torques of this one are 64-bit numbers, which an action is not.
    let (mut state, mut total) = ([PI, 1.0], 0.0);
    for step in 0..200 {
        let moved = pendulum::Pendulum::advance(state, 2.0 * (0.1 * f64::from(step)).sin());
        (state, total) = (moved.state, total + moved.reward);
    }
    close(&state, &[3.692463537863192, 0.35067552256304774], 1e-9);
    close(&[total], &[-1560.9534318072085], 1e-9);

    let (steps, total, outcome, _) = follow(ClassicKind::Pendulum, &[0.5, 0.0], 300, |_, _| 0.0);
    assert_eq!((steps, outcome), (200, StepOutcome::Truncated));
    // Rewards are summed in 32 bits each.
    close(&[total], &[-862.994838077532], 1e-4);
    let least = pendulum::Pendulum::advance([PI, 8.0], 2.0).reward;
    close(&[least], &[-16.2736044], 1e-7);
}

#[test]
fn acrobot_follows_its_golden_trajectories() {
    let start = [0.05, -0.05, 0.02, 0.01];
    let run = |steps, policy: fn(usize, &[f64]) -> f32| follow(ClassicKind::Acrobot, &start, steps, policy);
    let expected = [0.033599617806295515, -0.003920232959004989, -0.17898775015058901, 0.4398506165487704];
    close(&run(1, |_, _| 2.0).3, &expected, 1e-15);
    let expected = [-0.035645662766787864, 0.13165760567685642, -0.26683188548945763, 0.28174821055661886];
    close(&run(50, |step, _| if step % 6 < 3 { 0.0 } else { 2.0 }).3, &expected, 1e-12);
    let (steps, total, outcome, _) = run(500, |_, state| if state[3] > 0.0 { 2.0 } else { 0.0 });
    assert_eq!((steps, total, outcome), (73, -72.0, StepOutcome::Terminated));

    let (steps, _, _, state) = follow(ClassicKind::Acrobot, &[1.0, -0.5, 0.0, 0.0], 100, |_, _| 1.0);
    assert_eq!(steps, 100);
    let expected = [0.42950684955847185, -1.6458269394695235, -1.4065336878410766, 0.546697750912233];
    close(&state, &expected, 1e-12);
}

#[test]
fn mountain_cars_follow_their_golden_trajectories() {
    let rock = |low: f32, high: f32| move |_: usize, state: &[f64]| if state[1] >= 0.0 { high } else { low };
    let (steps, total, outcome, state) = follow(ClassicKind::MountainCar, &[-0.5, 0.0], 200, rock(0.0, 2.0));
    assert_eq!((steps, total, outcome), (124, -124.0, StepOutcome::Terminated));
    close(&state, &[0.5349499825655736, 0.04819097792866707], 1e-12);
    let (steps, _, outcome, _) = follow(ClassicKind::MountainCar, &[-0.5, 0.0], 300, |_, _| 1.0);
    assert_eq!((steps, outcome), (200, StepOutcome::Truncated));

    let continuous = ClassicKind::MountainCarContinuous;
    let (steps, total, outcome, state) = follow(continuous, &[-0.5, 0.0], 999, rock(-1.0, 1.0));
    assert_eq!((steps, outcome), (106, StepOutcome::Terminated));
    close(&[total], &[89.4], 1e-5);
    close(&state, &[0.5020865797996521, 0.0640476644039154], f64::from(f32::EPSILON));
    let (steps, total, outcome, _) = follow(continuous, &[-0.5, 0.0], 2_000, |_, _| 1.0);
    assert_eq!((steps, outcome), (999, StepOutcome::Truncated));
    close(&[total], &[-99.9], 1e-4);
    let (_, total, _, _) = follow(continuous, &[-0.5, 0.0], 1, |_, _| 3.0);
    close(&[total], &[-0.9], 1e-7);
}

#[test]
fn every_problem_conforms_in_both_modes_and_at_any_number_of_lanes() {
    for kind in ClassicKind::ALL {
        assert_eq!(kind.name().parse(), Ok(kind));
        for autoreset in [Autoreset::SameStep, Autoreset::NextStep] {
            for envs in [1, BLOCK, BLOCK + 3] {
                conformance::check(|| Classic::new(kind, envs, autoreset));
            }
        }
    }
    assert!("CartPole-v0".parse::<ClassicKind>().unwrap_err().to_string().contains("CartPole-v1"));
}

#[test]
fn a_lane_moves_the_same_alone_and_among_others() {
    for kind in ClassicKind::ALL {
        let mut many = Classic::new(kind, 70, Autoreset::SameStep);
        let mut rows = Buffers::new(&many);
        many.reset(4, &mut rows.observations);
        let mut singles: Vec<_> = (0..70).map(|env| at(kind, &many.state_of(env))).collect();
        for step in 0..8 {
            let indices: Vec<u32> = (0..70).map(|env| (env + step) % 2).collect();
            let pushes: Vec<f32> = indices.iter().map(|index| *index as f32 - 0.25).collect();
            let discrete = kind.space().actions().is_some();
            let actions = |env: std::ops::Range<usize>| match discrete {
                true => Actions::Discrete(&indices[env]),
                false => Actions::Continuous(&pushes[env]),
            };
            many.step(actions(0..70), rows.lend());
            for (env, (single, buffers)) in singles.iter_mut().enumerate() {
                single.step(actions(env..env + 1), buffers.lend());
                assert_eq!(single.state_of(0), many.state_of(env), "{kind}, lane {env}");
            }
        }
    }
}

#[test]
fn in_same_step_mode_the_ending_step_shows_the_new_episode() {
    let mut classic = Classic::new(ClassicKind::CartPole, 2, Autoreset::SameStep);
    let mut buffers = Buffers::new(&classic);
    classic.reset(1, &mut buffers.observations);
    classic.set_state(1, &[2.39, 3.0, 0.0, 0.0]);
    classic.step(Actions::Discrete(&[1, 1]), buffers.lend());
    assert_eq!(buffers.outcomes, [StepOutcome::Continues, StepOutcome::Terminated]);
    assert_eq!(buffers.rewards, [1.0, 1.0]);
    assert!((buffers.final_observations[4] - 2.45).abs() < 1e-6);
    assert!(buffers.observations[4..].iter().all(|value| value.abs() <= 0.05), "a fresh start is shown");
}

#[test]
fn in_next_step_mode_the_row_after_an_end_is_no_transition() {
    let mut classic = Classic::new(ClassicKind::CartPole, 2, Autoreset::NextStep);
    let mut buffers = Buffers::new(&classic);
    classic.reset(1, &mut buffers.observations);
    classic.set_state(1, &[2.39, 3.0, 0.0, 0.0]);
    classic.step(Actions::Discrete(&[1, 1]), buffers.lend());
    assert_eq!(buffers.outcomes[1], StepOutcome::Terminated);
    assert_eq!(buffers.observations[4..], buffers.final_observations[4..], "the true end is shown");

    let mut other = classic.clone();
    let mut others = buffers.clone();
    classic.step(Actions::Discrete(&[1, 0]), buffers.lend());
    other.step(Actions::Discrete(&[1, u32::MAX]), others.lend());
    assert_eq!(buffers, others, "the action is ignored");
    assert_eq!(other.clamped(), 0, "and not counted");
    assert_eq!((buffers.rewards[1], buffers.outcomes[1]), (0.0, StepOutcome::Continues));
    assert!(buffers.observations[4..].iter().all(|value| value.abs() <= 0.05), "a fresh start is shown");
    let state = classic.state_of(1);
    classic.step(Actions::Discrete(&[1, 1]), buffers.lend());
    assert_eq!(buffers.rewards[1], 1.0);
    close(&classic.state_of(1)[..1], &[state[0] + 0.02 * state[1]], 1e-15);
}

#[test]
fn senseless_actions_are_brought_inside_and_counted() {
    for kind in [ClassicKind::Pendulum, ClassicKind::MountainCarContinuous] {
        let mut classic = Classic::new(kind, 4, Autoreset::SameStep);
        let mut buffers = Buffers::new(&classic);
        classic.step(Actions::Continuous(&[f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX]), buffers.lend());
        assert_eq!(classic.clamped(), 4);
        assert!(buffers.rewards.iter().chain(&buffers.observations).all(|value| value.is_finite()));
        for env in 0..4 {
            assert!(classic.state_of(env).iter().all(|value| value.is_finite()));
        }
    }
}
