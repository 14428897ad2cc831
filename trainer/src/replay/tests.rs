//! Rows in, rows out: the ring, the draws and the bytes.

use proptest::prelude::*;
use rand_chacha::rand_core::SeedableRng as _;

use super::*;

const WIDTHS: Widths = Widths { observation: 3, action: 1 };

fn replay(capacity: usize, prioritised: Option<PrioritySpec>) -> Replay {
    Replay::new(&ReplaySpec { prioritised, ..ReplaySpec::default() }, WIDTHS, capacity)
}

/// A transition that its number can be told from.
fn push(replay: &mut Replay, number: usize) {
    let n = number as f32;
    let (observation, next_observation) = ([n, n + 0.25, n + 0.5], [n + 1.0, n + 1.25, n + 1.5]);
    let (action, reward, discount) = (&[-n], 2.0 * n, 0.5);
    replay.push(&Transition {
        observation: &observation,
        action,
        reward,
        next_observation: &next_observation,
        discount,
    });
}

proptest! {
    #[test]
    fn the_newest_transitions_are_kept_whole(capacity in 1_usize..40, pushes in 1_usize..150, seed in 0_u64..1000) {
        let mut replay = replay(capacity, None);
        (0..pushes).for_each(|number| push(&mut replay, number));
        prop_assert_eq!(replay.len(), capacity.min(pushes));
        let mut batch = Batch::default();
        replay.sample(&mut ChaCha8Rng::seed_from_u64(seed), 64, 0.0, &mut batch);
        for row in 0..64 {
            let n = batch.observations[row * 3];
            prop_assert!(n >= (pushes - replay.len()) as f32 && n < pushes as f32, "{} is long gone", n);
            prop_assert_eq!(&batch.observations[row * 3..row * 3 + 3], &[n, n + 0.25, n + 0.5]);
            prop_assert_eq!(&batch.next_observations[row * 3..row * 3 + 3], &[n + 1.0, n + 1.25, n + 1.5]);
            prop_assert_eq!((batch.actions[row], batch.rewards[row], batch.discounts[row]), (-n, 2.0 * n, 0.5));
        }
    }
}

#[test]
fn draws_are_uniform_by_the_chi_square_test() {
    let mut replay = replay(100, None);
    (0..250).for_each(|number| push(&mut replay, number));
    let mut batch = Batch::default();
    replay.sample(&mut ChaCha8Rng::seed_from_u64(9), 100_000, 0.0, &mut batch);
    let mut counts = [0_u32; 100];
    batch.indices.iter().for_each(|at| counts[*at] += 1);
    let chi_square: f64 = counts.iter().map(|count| (f64::from(*count) - 1000.0).powi(2) / 1000.0).sum();
    // The 99.9 % point with 99 degrees of freedom.
    assert!(chi_square < 148.23, "{chi_square}");
}

#[test]
fn priorities_decide_how_often_a_transition_is_drawn_and_weights_undo_it() {
    let mut replay = replay(4, Some(PrioritySpec { alpha: 1.0, beta: 0.4 }));
    (0..4).for_each(|number| push(&mut replay, number));
    replay.reprioritise(&[0, 1, 2, 3], &[1.0, -2.0, 3.0, 4.0]);
    let mut batch = Batch::default();
    replay.sample(&mut ChaCha8Rng::seed_from_u64(2), 10_000, 1.0, &mut batch);
    let mut counts = [0_usize; 4];
    batch.indices.iter().for_each(|at| counts[*at] += 1);
    for (index, count) in counts.into_iter().enumerate() {
        let wanted = 1000 * (index + 1);
        assert!(count.abs_diff(wanted) <= 2, "{count} of {wanted}: one is drawn from each share");
    }
    for (at, weight) in batch.indices.iter().zip(&batch.weights) {
        assert!((weight * (*at as f32 + 1.0) - 1.0).abs() < 1e-4, "the rarest weighs 1, the others less");
    }
    push(&mut replay, 4);
    assert_eq!(replay.priorities.as_ref().unwrap().get(0), replay.priorities.as_ref().unwrap().largest());
}

#[test]
fn a_priority_is_a_power_of_the_error() {
    let mut replay = replay(4, Some(PrioritySpec { alpha: 0.5, beta: 0.4 }));
    (0..3).for_each(|number| push(&mut replay, number));
    replay.reprioritise(&[0, 1, 2], &[1.0, -4.0, 9.0]);
    let priorities = replay.priorities.unwrap();
    let close = |(at, wanted): (usize, f64)| (priorities.get(at) - wanted).abs() < 1e-6;
    assert!([1.0, 2.0, 3.0].into_iter().enumerate().all(close), "{priorities:?}");
}

#[test]
fn a_million_pendulum_transitions_take_no_more_than_their_columns() {
    let replay = Replay::new(&ReplaySpec::default(), WIDTHS, 1_000_000);
    let raw = 1_000_000 * (3 + 1 + 1 + 3 + 1) * 4;
    assert!(replay.bytes()[1] as f64 <= 1.1 * raw as f64, "{:?}", replay.bytes());
    assert_eq!(Replay::wanted_bytes(&ReplaySpec::default(), WIDTHS, 1_000_000), raw);
}

#[test]
fn a_saved_memory_of_another_size_is_refused() {
    let mut full = replay(5, None);
    (0..7).for_each(|number| push(&mut full, number));
    let mut other = replay(5, None);
    other.restore(full.columns.clone(), full.cursor).unwrap();
    assert_eq!((other.columns, other.cursor), (full.columns.clone(), 2));
    assert!(replay(4, None).restore(full.columns.clone(), 2).is_err());
    assert!(replay(6, None).restore(full.columns.clone(), 2).is_err());
    let mut torn = full.columns;
    torn[0].pop();
    assert!(replay(5, None).restore(torn, 2).is_err());
}
