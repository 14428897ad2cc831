//! Convergence, restarts, and what a generation waits for.

use super::*;
use crate::cases::{axis, best, branches, key, numbers, real, reals, search, whole};
use crate::{Domain, Outcome, Sampler};

const CMA: Sampler = Sampler::Cma(Cma { step: 1.0 / 6.0, population: None });

#[test]
fn it_converges_on_a_sphere_and_along_a_bent_valley() {
    let sphere = |point: &Point| vec![numbers(point).iter().map(|x| (x - 0.7) * (x - 0.7)).sum()];
    let history = search((&CMA, &reals(5, -2.0, 2.0)), sphere, (1000, 8), 1);
    assert!(best(&history) < 1e-10, "sphere: {}", best(&history));
    let rosenbrock = |point: &Point| {
        let x = numbers(point);
        vec![
            x.windows(2)
                .map(|x| 100.0 * (x[1] - x[0] * x[0]) * (x[1] - x[0] * x[0]) + (1.0 - x[0]) * (1.0 - x[0]))
                .sum(),
        ]
    };
    let history = search((&CMA, &reals(4, -2.0, 2.0)), rosenbrock, (3200, 8), 2);
    assert!(best(&history) < 1e-10, "Rosenbrock: {}", best(&history));
}

#[test]
fn a_search_that_converged_starts_again_with_a_larger_population() {
    let space = reals(2, 0.0, 1.0);
    let axes = [0, 1];
    let sphere = |point: &Point| vec![numbers(point).iter().map(|x| (x - 0.3) * (x - 0.3)).sum()];
    let history = search((&CMA, &space), sphere, (600, 6), 1);
    let state = Cma::default().replay(&space, &axes, &history, &key(1)).state;
    assert_eq!(state.population(), 12);
    // A flat function says nothing, and the search gives up on it as well.
    let history = search((&CMA, &space), |_| vec![1.0], (300, 6), 1);
    assert!(Cma::default().replay(&space, &axes, &history, &key(1)).state.population() >= 12);
}

#[test]
fn a_generation_waits_for_its_last_point_and_then_counts_whole() {
    let space = reals(3, 0.0, 1.0);
    let sphere = |point: &Point| vec![numbers(point).iter().map(|x| x * x).sum::<f64>()];
    let history = search((&CMA, &space), sphere, (21, 7), 4);
    let mean = |history: &History| {
        let state = Cma::default().replay(&space, &[0, 1, 2], history, &key(4)).state;
        (0..3).map(|axis| state.mean(axis)).collect::<Vec<_>>()
    };
    let mut late = history.observations().to_vec();
    late[9].outcome = Outcome::Pending;
    let late = History::new(&space, late).unwrap();
    let first = History::new(&space, history.observations()[..7].to_vec()).unwrap();
    assert_eq!(mean(&late), mean(&first));
    assert_ne!(mean(&history), mean(&first));
}

#[test]
fn failures_rank_last_and_a_generation_of_nothing_else_changes_nothing() {
    let space = reals(2, 0.0, 1.0);
    let history = search((&CMA, &space), |_| vec![f64::NAN], (36, 6), 4);
    let state = Cma::default().replay(&space, &[0, 1], &history, &key(4)).state;
    assert_eq!((state.mean(0), state.mean(1)), (0.5, 0.5));
    // The left half fails, so the search goes right although values fall to the left.
    let wall = |point: &Point| {
        let x = numbers(point);
        vec![if x[0] < 0.5 { f64::INFINITY } else { x[0] + (x[1] - 0.5).abs() }]
    };
    let history = search((&CMA, &space), wall, (240, 6), 5);
    assert!((0.5..0.51).contains(&best(&history)), "{}", best(&history));
}

#[test]
fn whole_numbers_do_not_get_stuck_and_branches_follow() {
    let space = Space::new(vec![axis("x", real(-1.0, 1.0)), axis("units", whole(0, 9))]).unwrap();
    let value = |point: &Point| {
        let x = numbers(point);
        vec![x[0] * x[0] + (x[1] - 8.0) * (x[1] - 8.0)]
    };
    for seed in 0..5 {
        let found = best(&search((&CMA, &space), value, (300, 6), seed));
        assert!(found < 1e-6, "seed {seed}: {found}");
    }
    let history = search((&CMA, &branches()), |point| vec![if point.0[0].is_some() { 0.0 } else { 1.0 }], (60, 3), 1);
    let late = history.observations()[30..].iter().filter(|seen| seen.point.0[0].is_some()).count();
    assert!(late > 15, "{late} of 30 late points are of the best branch");
}

#[test]
fn a_space_without_numbers_is_left_to_tpe() {
    let levels = |name: &str| axis(name, Domain::Categorical { levels: 3 });
    let space = Space::new(vec![levels("a"), levels("b")]).unwrap();
    let history = search((&CMA, &space), |point| vec![numbers(point).iter().sum()], (20, 1), 1);
    let ask = Ask { key: key(2), first: 20, count: 3 };
    assert_eq!(CMA.suggest(&space, &history, ask), Tpe::default().suggest(&space, &history, ask));
}
