//! Functions whose shares are known.

use super::*;
use crate::cases::{axis, branches, key, numbers, real, reals, search};
use crate::{Outcome, Point, Sampler, Space};

fn shares(space: &Space, value: impl Fn(&Point) -> f64) -> Importance {
    let history = search((&Sampler::Sobol, space), |point| vec![value(point)], (256, 256), 1);
    importance(space, &history, &key(9)).unwrap()
}

#[test]
fn shares_of_a_sum_are_those_of_its_variances() {
    // Variances: 9/12, 1/12, 0. So the shares are 0.9, 0.1 and 0.
    let found = shares(&reals(3, 0.0, 1.0), |point| 3.0 * numbers(point)[0] + numbers(point)[1]);
    assert!((found.shares[0].value - 0.9).abs() < 0.06, "{found:?}");
    assert!((found.shares[1].value - 0.1).abs() < 0.06, "{found:?}");
    assert!(found.shares[2].value < 0.02 && found.interactions.value < 0.1, "{found:?}");
}

#[test]
fn axes_that_act_only_together_have_no_share_of_their_own() {
    let found = shares(&reals(2, -1.0, 1.0), |point| (numbers(point)[0] * numbers(point)[1]).signum());
    assert!(found.interactions.value > 0.8, "{found:?}");
}

#[test]
fn levels_are_cut_into_sets() {
    let levels = crate::Domain::Categorical { levels: 5 };
    let space = Space::new(vec![axis("kind", levels), axis("x", real(0.0, 1.0))]).unwrap();
    let found = shares(&space, |point| f64::from(u8::from([1.0, 3.0].contains(&numbers(point)[0]))));
    assert!(found.shares[0].value > 0.95 && found.shares[1].value < 0.02, "{found:?}");
}

#[test]
fn it_is_a_function_of_its_arguments_and_says_nothing_about_nothing() {
    let space = branches();
    let value = |point: &Point| f64::from(u8::from(point.0[0].is_some()));
    assert_eq!(shares(&space, value), shares(&space, value));
    let flat = search((&Sampler::Sobol, &space), |_| vec![2.0], (20, 20), 1);
    assert_eq!(importance(&space, &flat, &key(1)), None);
    assert_eq!(importance(&space, &History::empty(), &key(1)), None);
    let mut seen = flat.observations().to_vec();
    seen[3].outcome = Outcome::Measured(vec![f64::NAN]);
    seen[4].outcome = Outcome::Failed;
    assert_eq!(importance(&space, &History::new(&space, seen).unwrap(), &key(1)), None);
}

#[test]
fn the_spread_holds_the_value_and_narrows_as_trials_come_in() {
    let space = reals(3, 0.0, 1.0);
    let width = |trials: u32| {
        let value = |point: &Point| vec![3.0 * numbers(point)[0] + numbers(point)[1]];
        let history = search((&Sampler::Sobol, &space), value, (trials, trials), 1);
        let found = importance(&space, &history, &key(9)).unwrap();
        let spreads = || found.shares.iter().chain([&found.interactions]);
        assert!(spreads().all(|share| share.low <= share.value && share.value <= share.high), "{found:?}");
        spreads().map(|share| share.high - share.low).sum::<f64>()
    };
    let (few, many) = (width(12), width(192));
    assert!(many < few / 2.0, "{few} with 12 trials, {many} with 192");
}
