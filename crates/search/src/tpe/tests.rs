//! What the estimators learn, and how points asked for at once keep apart.

use super::*;
use crate::cases::{axis, best, branches, branin, key, not_lower, numbers, real, reals, search, under};
use crate::{Outcome, Sampler};

#[test]
fn it_finds_better_points_of_branin_than_random_draws() {
    let space = reals(2, 0.0, 1.0);
    let bests = |sampler: Sampler| -> Vec<f64> {
        (0..12).map(|seed| best(&search((&sampler, &space), branin, (60, 1), seed))).collect()
    };
    let (ours, random) = (bests(Sampler::Tpe(Tpe::default())), bests(Sampler::Random));
    let p = not_lower(&ours, &random);
    assert!(p < 0.001, "p {p}: {ours:?} against {random:?}");
}

#[test]
fn it_learns_the_best_branch_and_its_own_axis() {
    let space = Space::new(vec![
        axis("model", Domain::Categorical { levels: 4 }),
        under("first", real(0.0, 1.0), "model", &[1]),
        under("second", real(0.0, 1.0), "model", &[2]),
    ])
    .unwrap();
    let value = |point: &Point| match (point.0[0], point.0[1], point.0[2]) {
        (_, Some(Value::Real(at)), _) => vec![0.1 + (at - 0.2).abs()],
        (_, _, Some(Value::Real(at))) => vec![(at - 0.7).abs()],
        _ => vec![2.0],
    };
    let mut second = 0;
    for seed in 0..5 {
        let history = search((&Sampler::Tpe(Tpe::default()), &space), value, (80, 4), seed);
        assert!(best(&history) < 0.08, "seed {seed}: {}", best(&history));
        let late = &history.observations()[40..];
        second += late.iter().filter(|seen| seen.point.0[2].is_some()).count();
    }
    assert!(second > 90, "{second} of 200 late points are of the best of four branches");
}

#[test]
fn points_asked_for_at_once_keep_apart() {
    let space = reals(2, 0.0, 1.0);
    let history = search((&Sampler::Tpe(Tpe::default()), &space), branin, (60, 1), 1);
    let gap = |points: &[Point]| {
        let at: Vec<Vec<f64>> = points.iter().map(numbers).collect();
        let distance = |left: &[f64], right: &[f64]| (left[0] - right[0]).hypot(left[1] - right[1]);
        let nearest = |place: usize| {
            let others = (0..at.len()).filter(|other| *other != place).map(|other| distance(&at[place], &at[other]));
            others.fold(f64::INFINITY, f64::min)
        };
        (0..at.len()).map(nearest).sum::<f64>() / at.len() as f64
    };
    let mut wider = 0;
    for seed in 0..10 {
        let ask = Ask { key: key(seed), first: 60, count: 12 };
        let together = Tpe::default().suggest(&space, &history, ask);
        let blind: Vec<Point> = (ask.indices())
            .flat_map(|first| Tpe::default().suggest(&space, &history, Ask { first, count: 1, ..ask }))
            .collect();
        wider += usize::from(gap(&together) > gap(&blind));
    }
    assert!(wider >= 7, "the liar spread points in {wider} of 10 cases");
}

#[test]
fn estimators_integrate_to_one() {
    let domains = [real(0.0, 1.0), Domain::Categorical { levels: 3 }];
    let row = |place, level| vec![Coordinate::Place(place), Coordinate::Level(level)];
    let rows = [row(0.1, 2), row(0.95, 2), row(0.4, 0)];
    let rows: Vec<&[Coordinate]> = rows.iter().map(Vec::as_slice).collect();
    let estimate = Parzen::new(&domains, &rows, &[1.0, 0.5, 1.0], WidthFloor::of(6.0, 3));
    let mut scratch = Vec::new();
    let mut total = 0.0;
    for level in 0..3 {
        for step in 0..1000 {
            total += libm::exp(estimate.log_density(&row((f64::from(step) + 0.5) / 1000.0, level), &mut scratch));
        }
    }
    // The density leaves out 1 / √(2π).
    let total = total / 1000.0 / core::f64::consts::TAU.sqrt();
    assert!((total - 1.0).abs() < 1e-4, "{total}");

    let mut draws = Draws::new(&key(1), Use::Candidates, 0);
    let drawn: Vec<Vec<Coordinate>> = (0..4000).map(|_| estimate.draw(&mut draws)).collect();
    let share = |wanted: &dyn Fn(&[Coordinate]) -> bool| drawn.iter().filter(|row| wanted(row)).count() as f64 / 4000.0;
    for level in 0..3 {
        let mass: f64 = (0..1000)
            .map(|step| libm::exp(estimate.log_density(&row((f64::from(step) + 0.5) / 1000.0, level), &mut scratch)))
            .sum();
        let mass = mass / 1000.0 / core::f64::consts::TAU.sqrt();
        let found = share(&|row| row[1] == Coordinate::Level(level));
        assert!((found - mass).abs() < 0.03, "level {level}: drawn {found}, estimated {mass}");
    }
}

#[test]
fn better_points_weigh_more_and_old_ones_fade() {
    let weights = rank_weights(3);
    assert!((weights.iter().sum::<f64>() - 3.0).abs() < 1e-12 && weights.windows(2).all(|pair| pair[0] > pair[1]));
    assert_eq!((rank_weights(0), rank_weights(1)), (vec![], vec![1.0]));

    assert_eq!(age_weights(25), [1.0; 25]);
    let weights = age_weights(30);
    assert_eq!(weights[..2], [1.0 / 30.0, 1.0 / 30.0 + (29.0 / 30.0) / 4.0]);
    assert_eq!(weights[4..], [1.0; 26]);
}

#[test]
fn what_is_pruned_or_failed_is_never_among_the_better_while_something_is_measured() {
    let space = branches();
    let better = |outcome: &dyn Fn(u32) -> Outcome| -> Vec<u32> {
        let point = |index| qmc::point(&space, &key(0), index);
        let seen = (0..40).map(|index| Observation { index, point: point(index), outcome: outcome(index) });
        let history = History::new(&space, seen.collect()).unwrap();
        Split::of(&history.told()).better.iter().map(|seen| seen.index).collect()
    };
    let pruned = |rung| Outcome::Pruned { rung, value: -1e9 };
    let mixed = |index: u32| match index % 4 {
        0 => Outcome::Measured(vec![100.0 - f64::from(index)]),
        1 => pruned(index % 3),
        2 => Outcome::Measured(vec![f64::NAN]),
        _ => Outcome::Failed,
    };
    assert_eq!(better(&mixed), [36, 32, 28, 24]);
    assert_eq!(better(&|index| if index == 7 { Outcome::Measured(vec![1.0]) } else { mixed(index | 1) }), [7]);
    assert_eq!(better(&|index| if index < 3 { pruned(index) } else { Outcome::Failed }), [2, 1, 0]);
    assert_eq!(better(&|_| Outcome::Failed), Vec::<u32>::new());
}
