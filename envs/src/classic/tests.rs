//! Golden trajectories, computed with Gymnasium 1.4.0.

use super::*;
use crate::Buffers;

/// States, summed reward and outcome of running `actions` from `start`.
fn run(
    kind: ClassicKind,
    start: &[f64],
    steps: usize,
    mut act: impl FnMut(usize, &[f64]) -> f32,
) -> (Vec<f64>, f64, usize) {
    let mut env = Classic::new(kind, 1, Autoreset::NextStep);
    env.set_state(0, start);
    let mut buffers = Buffers::new(&env);
    let mut sum = 0.0;
    for step in 0..steps {
        let action = act(step, &env.state_of(0));
        match kind.space() {
            ActionSpace::Discrete(_) => env.step(Actions::Discrete(&[action as u32]), buffers.lend()),
            ActionSpace::Continuous(_) => env.step(Actions::Continuous(&[action]), buffers.lend()),
        }
        sum += f64::from(buffers.rewards[0]);
        if buffers.outcomes[0].is_end() {
            return (env.state_of(0), sum, step + 1);
        }
    }
    (env.state_of(0), sum, steps)
}

fn close(actual: &[f64], expected: &[f64], within: f64) {
    assert_eq!(actual.len(), expected.len());
    for (actual, expected) in actual.iter().zip(expected) {
        assert!((actual - expected).abs() <= within, "{actual} is not {expected}");
    }
}

const CART: [f64; 4] = [0.01, -0.02, 0.03, 0.04];

#[test]
fn a_cart_pole_goes_its_golden_ways() {
    let kind = ClassicKind::CartPole;
    let (state, ..) = run(kind, &CART, 1, |_, _| 1.0);
    close(&state, &[0.0096, 0.174_679_195_747_555_25, 0.0308, -0.243_068_717_960_008_1], 1e-15);
    let (state, ..) = run(kind, &CART, 20, |step, _| if step % 2 == 0 { 1.0 } else { 0.0 });
    let wanted =
        [0.039_785_561_735_233_79, -0.025_745_801_299_905_002, 0.014_776_890_028_732_531, 0.166_748_306_733_189_83];
    close(&state, &wanted, 1e-12);
    let (state, reward, steps) = run(kind, &CART, 500, |_, _| 1.0);
    assert_eq!((steps, reward), (10, 10.0));
    close(&state[2..3], &[-0.223_569_180_824_754_8], 1e-12);
    let (state, _, steps) = run(kind, &CART, 500, |_, _| 0.0);
    assert_eq!(steps, 9);
    close(&state[2..3], &[0.259_414_379_156_204_13], 1e-12);
    let balance = |_: usize, s: &[f64]| if s[2] + s[3] > 0.0 { 1.0 } else { 0.0 };
    let (state, reward, _) = run(kind, &CART, 500, balance);
    assert_eq!(reward, 500.0);
    close(&state[..1], &[1.626_25], 1e-3);
}

#[test]
fn a_pendulum_goes_its_golden_ways() {
    use std::f64::consts::PI;
    let kind = ClassicKind::Pendulum;
    let (state, reward, _) = run(kind, &[PI, 1.0], 1, |_, _| 2.0);
    close(&state, &[3.206_592_653_589_793, 1.3], 1e-15);
    close(&[reward], &[-9.973_604_401_089_357], 1e-6);
    let (state, reward, steps) = run(kind, &[PI, 1.0], 200, |step, _| 2.0 * (0.1 * step as f32).sin());
    assert_eq!(steps, 200);
    close(&[reward], &[-1_560.953_431_807_208_5], 1e-3);
    close(&state, &[3.692_463_537_863_192, 0.350_675_522_563_047_74], 1e-5);
    let (_, reward, _) = run(kind, &[0.5, 0.0], 200, |_, _| 0.0);
    close(&[reward], &[-862.994_838_077_532], 1e-4);
}

const LINKS: [f64; 4] = [0.05, -0.05, 0.02, 0.01];

#[test]
fn an_acrobot_goes_its_golden_ways() {
    let kind = ClassicKind::Acrobot;
    let (state, reward, _) = run(kind, &LINKS, 1, |_, _| 2.0);
    let wanted =
        [0.033_599_617_806_295_515, -0.003_920_232_959_004_989, -0.178_987_750_150_589_01, 0.439_850_616_548_770_4];
    close(&state, &wanted, 1e-15);
    assert_eq!(reward, -1.0);
    let (state, ..) = run(kind, &LINKS, 50, |step, _| if step % 6 < 3 { 0.0 } else { 2.0 });
    let wanted =
        [-0.035_645_662_766_787_864, 0.131_657_605_676_856_42, -0.266_831_885_489_457_63, 0.281_748_210_556_618_86];
    close(&state, &wanted, 1e-12);
    let (_, reward, steps) = run(kind, &LINKS, 500, |_, s| if s[3] > 0.0 { 2.0 } else { 0.0 });
    assert_eq!((steps, reward), (73, -72.0));
    let (state, ..) = run(kind, &[1.0, -0.5, 0.0, 0.0], 100, |_, _| 1.0);
    let wanted = [0.429_506_849_558_471_85, -1.645_826_939_469_523_5, -1.406_533_687_841_076_6, 0.546_697_750_912_233];
    close(&state, &wanted, 1e-12);
}

#[test]
fn mountain_cars_go_their_golden_ways() {
    let (state, reward, steps) =
        run(ClassicKind::MountainCar, &[-0.5, 0.0], 200, |_, s| if s[1] >= 0.0 { 2.0 } else { 0.0 });
    assert_eq!((steps, reward), (124, -124.0));
    close(&state, &[0.534_949_982_565_573_6, 0.048_190_977_928_667_07], 1e-12);
    let kind = ClassicKind::MountainCarContinuous;
    let (state, reward, steps) = run(kind, &[-0.5, 0.0], 999, |_, s| if s[1] >= 0.0 { 1.0 } else { -1.0 });
    assert_eq!(steps, 106);
    close(&[reward], &[89.40], 1e-3);
    close(&state, &[0.502_086_758_613_586_4, 0.064_047_686_755_657_2], 6e-8);
    let (_, reward, steps) = run(kind, &[-0.5, 0.0], 999, |_, _| 1.0);
    assert_eq!(steps, 999);
    close(&[reward], &[-99.9], 1e-3);
}

#[test]
fn after_an_end_the_next_step_shows_a_new_episode_and_is_no_transition() {
    let mut env = Classic::new(ClassicKind::CartPole, 1, Autoreset::NextStep);
    env.set_state(0, &[2.39, 5.0, 0.0, 0.0]);
    let mut buffers = Buffers::new(&env);
    env.step(Actions::Discrete(&[1]), buffers.lend());
    assert_eq!((buffers.outcomes[0], buffers.rewards[0]), (StepOutcome::Terminated, 1.0));
    assert!(buffers.observations[0] > 2.4 && buffers.observations == buffers.final_observations);
    env.step(Actions::Discrete(&[1]), buffers.lend());
    assert_eq!((buffers.outcomes[0], buffers.rewards[0]), (StepOutcome::Continues, 0.0));
    assert!(buffers.observations.iter().all(|value| value.abs() <= 0.05));

    let mut env = Classic::new(ClassicKind::CartPole, 1, Autoreset::SameStep);
    env.set_state(0, &[2.39, 5.0, 0.0, 0.0]);
    env.step(Actions::Discrete(&[1]), buffers.lend());
    assert!(buffers.final_observations[0] > 2.4 && buffers.observations[0].abs() <= 0.05);
}

#[test]
fn starts_fill_their_ranges() {
    let mut env = Classic::new(ClassicKind::Pendulum, 2000, Autoreset::SameStep);
    let mut buffers = Buffers::new(&env);
    env.reset(5, &mut buffers.observations);
    let angles: Vec<f64> = (0..2000).map(|lane| env.state_of(lane)[0]).collect();
    assert!(angles.iter().all(|angle| angle.abs() <= std::f64::consts::PI));
    let mean = angles.iter().sum::<f64>() / 2000.0;
    let square = angles.iter().map(|angle| angle * angle).sum::<f64>() / 2000.0;
    assert!(mean.abs() < 0.2 && (square - std::f64::consts::PI.powi(2) / 3.0).abs() < 0.3, "{mean} {square}");
}
