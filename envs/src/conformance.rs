//! What every environment must pass: one seed is one trace, a saved state goes on bit for bit, nothing is undefined.

use crate::{ActionSpace, Actions, Buffers, VectorEnv};

/// Steps driven in each check; enough for several episodes of a probe and for one of most others.
const STEPS: usize = 200;

/// A value that no environment shows, to see what is written.
const UNTOUCHED: f32 = -12_345.678;

/// Puts environments through the contract. `make` builds a fresh one, equal each time.
///
/// # Panics
/// With a sentence, when the environment breaks the contract.
pub fn check<E: VectorEnv>(make: impl Fn() -> E) {
    one_seed_is_one_trace(&make);
    a_saved_state_goes_on(&make);
    a_strange_state_is_refused(&make);
    actions_outside_the_space_are_the_last_and_counted(&make);
}

/// All that came of some steps, floats as bits.
#[derive(Debug, PartialEq)]
struct Trace(Vec<Vec<u32>>);

fn one_seed_is_one_trace<E: VectorEnv>(make: &impl Fn() -> E) {
    let (mut one, mut other) = (make(), make());
    let trace = run(&mut one, 11);
    assert_eq!(trace, run(&mut other, 11), "{one}: the same seed and actions give the same bits");
    assert_eq!(trace, run(&mut one, 11), "{one}: a reset forgets what was before");
}

fn run<E: VectorEnv>(env: &mut E, seed: u64) -> Trace {
    let mut buffers = Buffers::new(env);
    env.reset(seed, &mut buffers.observations);
    drive(env, &mut buffers, 0..STEPS)
}

fn drive<E: VectorEnv>(env: &mut E, buffers: &mut Buffers, steps: std::ops::Range<usize>) -> Trace {
    let mut rows = Vec::new();
    for step in steps {
        buffers.final_observations.fill(UNTOUCHED);
        env.step(Actions::Discrete(&actions(env, step)), buffers.lend());
        check_step(env, buffers);
        let floats = [&buffers.observations, &buffers.rewards, &buffers.final_observations];
        let bits = floats.into_iter().flatten().map(|value| value.to_bits());
        rows.push(bits.chain(buffers.outcomes.iter().map(|outcome| *outcome as u32)).collect());
    }
    Trace(rows)
}

/// Varied but fixed: a multiplicative hash of step and copy.
fn actions<E: VectorEnv>(env: &E, step: usize) -> Vec<u32> {
    let hash = |copy: usize| ((step / 3 * 31 + copy) as u32).wrapping_mul(2_654_435_769) >> 16;
    (0..env.envs()).map(|copy| hash(copy) % count(env)).collect()
}

fn count<E: VectorEnv>(env: &E) -> u32 {
    match env.action_space() {
        ActionSpace::Discrete(actions) => *actions as u32,
        ActionSpace::Continuous(_) => panic!("{env}: only discrete actions are checked"),
    }
}

fn check_step<E: VectorEnv>(env: &E, buffers: &Buffers) {
    let width = env.observation_width();
    assert!(buffers.observations.iter().all(|value| value.is_finite()), "{env}: observations are finite");
    assert!(buffers.rewards.iter().all(|value| value.is_finite()), "{env}: rewards are finite");
    for (outcome, last) in buffers.outcomes.iter().zip(buffers.final_observations.chunks_exact(width)) {
        let written = last.iter().filter(|value| **value != UNTOUCHED).count();
        let expected = if outcome.is_end() { width } else { 0 };
        assert_eq!(written, expected, "{env}: a final observation is written whole at an end, and only there");
        assert!(last.iter().all(|value| value.is_finite()), "{env}: final observations are finite");
    }
    let mut shown = vec![0.0; buffers.observations.len()];
    env.observe(&mut shown);
    assert_eq!(shown, buffers.observations, "{env}: what is shown is what the step wrote");
}

fn a_saved_state_goes_on<E: VectorEnv>(make: &impl Fn() -> E) {
    for at in [0, 1, STEPS / 3, STEPS / 2] {
        let mut original = make();
        let mut buffers = Buffers::new(&original);
        original.reset(5, &mut buffers.observations);
        drive(&mut original, &mut buffers, 0..at);
        let state = original.state();
        let expected = drive(&mut original, &mut buffers, at..STEPS);

        let mut resumed = make();
        run(&mut resumed, 6);
        resumed.restore(&state).unwrap_or_else(|error| panic!("{resumed}: takes up its own state: {error}"));
        assert_eq!(resumed.state(), state, "{resumed}: a restored state saves as itself");
        let mut buffers = Buffers::new(&resumed);
        resumed.observe(&mut buffers.observations);
        let trace = drive(&mut resumed, &mut buffers, at..STEPS);
        assert_eq!(trace, expected, "{resumed}: goes on bit for bit after {at} steps");
    }
}

fn a_strange_state_is_refused<E: VectorEnv>(make: &impl Fn() -> E) {
    let mut env = make();
    run(&mut env, 7);
    let state = env.state();
    for strange in [&state[..state.len() / 2], b"{}".as_slice(), b"".as_slice()] {
        assert!(env.restore(strange).is_err(), "{env}: refuses a state that is none");
        assert_eq!(env.state(), state, "{env}: a refused state changes nothing");
    }
}

fn actions_outside_the_space_are_the_last_and_counted<E: VectorEnv>(make: &impl Fn() -> E) {
    let (mut inside, mut outside) = (make(), make());
    let last = count(&inside) - 1;
    let (mut expected, mut got) = (Buffers::new(&inside), Buffers::new(&outside));
    inside.reset(3, &mut expected.observations);
    outside.reset(3, &mut got.observations);
    for beyond in [last + 1, u32::MAX] {
        inside.step(Actions::Discrete(&vec![last; inside.envs()]), expected.lend());
        outside.step(Actions::Discrete(&vec![beyond; outside.envs()]), got.lend());
        assert_eq!(got, expected, "{outside}: an action beyond the last is the last");
    }
    assert_eq!((inside.clamped(), outside.clamped()), (0, 2 * outside.envs() as u64), "{outside}: counts them");
}
