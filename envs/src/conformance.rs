//! What every environment must pass, whatever its action space and autoreset mode: one seed is one trace, a saved state goes
//! on bit for bit, nothing is undefined.

use crate::batch::Batch;
use crate::{Autoreset, Buffers, StepOutcome, VectorEnv};

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
    actions_outside_the_space_are_brought_inside_and_counted(&make);
    an_action_after_an_end_is_ignored_in_next_step_mode(&make);
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
        let before = buffers.outcomes.clone();
        buffers.final_observations.fill(UNTOUCHED);
        env.step(actions(env, step).lend(), buffers.lend());
        check_step(env, buffers);
        check_autoreset(env, &before, buffers);
        let floats = [&buffers.observations, &buffers.rewards, &buffers.final_observations];
        let bits = floats.into_iter().flatten().map(|value| value.to_bits());
        rows.push(bits.chain(buffers.outcomes.iter().map(|outcome| *outcome as u32)).collect());
    }
    Trace(rows)
}

/// Each action is held for three steps, so that episodes go somewhere.
fn actions<E: VectorEnv>(env: &E, step: usize) -> Batch {
    Batch::varied(env.action_space(), env.envs(), step / 3)
}

/// What the mode says of the rows at and after an end; `before` are the outcomes of the step before.
fn check_autoreset<E: VectorEnv>(env: &E, before: &[StepOutcome], buffers: &Buffers) {
    if env.autoreset() == Autoreset::SameStep {
        return;
    }
    let width = env.observation_width();
    for (copy, before) in before.iter().enumerate() {
        let row = copy * width..(copy + 1) * width;
        if before.is_end() {
            let got = (buffers.rewards[copy], buffers.outcomes[copy]);
            assert_eq!(got, (0.0, StepOutcome::Continues), "{env}: the row after an end is no transition");
        }
        if buffers.outcomes[copy].is_end() {
            let (shown, last) = (&buffers.observations[row.clone()], &buffers.final_observations[row]);
            assert_eq!(shown, last, "{env}: an ending step shows the true end");
        }
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
        let (state, mut again) = (original.state(), buffers.clone());
        let expected = drive(&mut original, &mut buffers, at..STEPS);

        let mut resumed = make();
        run(&mut resumed, 6);
        resumed.restore(&state).unwrap_or_else(|error| panic!("{resumed}: takes up its own state: {error}"));
        assert_eq!(resumed.state(), state, "{resumed}: a restored state saves as itself");
        let mut shown = vec![0.0; again.observations.len()];
        resumed.observe(&mut shown);
        assert_eq!(shown, again.observations, "{resumed}: a restored state shows what it did");
        let trace = drive(&mut resumed, &mut again, at..STEPS);
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

fn actions_outside_the_space_are_brought_inside_and_counted<E: VectorEnv>(make: &impl Fn() -> E) {
    let (mut inside, mut outside) = (make(), make());
    let (mut expected, mut got) = (Buffers::new(&inside), Buffers::new(&outside));
    inside.reset(3, &mut expected.observations);
    outside.reset(3, &mut got.observations);
    let mut count = 0;
    for (beyond, nearest) in Batch::outside(inside.action_space(), inside.envs()) {
        let ignored = |outcome: &&StepOutcome| outcome.is_end() && inside.autoreset() == Autoreset::NextStep;
        let taken = inside.envs() - expected.outcomes.iter().filter(ignored).count();
        count += taken * inside.action_space().width();
        inside.step(nearest.lend(), expected.lend());
        outside.step(beyond.lend(), got.lend());
        assert_eq!(got, expected, "{outside}: an action outside the space is the nearest inside");
    }
    assert_eq!((inside.clamped(), outside.clamped()), (0, count as u64), "{outside}: counts them");
}

fn an_action_after_an_end_is_ignored_in_next_step_mode<E: VectorEnv>(make: &impl Fn() -> E) {
    let (mut one, mut other) = (make(), make());
    if one.autoreset() == Autoreset::SameStep {
        return;
    }
    let (mut expected, mut got) = (Buffers::new(&one), Buffers::new(&other));
    one.reset(9, &mut expected.observations);
    other.reset(9, &mut got.observations);
    let (_, edge) = Batch::outside(one.action_space(), one.envs()).swap_remove(0);
    for step in 0..STEPS {
        let usual = actions(&one, step);
        let mut changed = usual.clone();
        for (copy, _) in expected.outcomes.iter().enumerate().filter(|(_, outcome)| outcome.is_end()) {
            changed.exchange(&edge, copy, one.action_space().width());
        }
        one.step(usual.lend(), expected.lend());
        other.step(changed.lend(), got.lend());
        assert_eq!(got, expected, "{one}: the action after an end is ignored");
    }
}
