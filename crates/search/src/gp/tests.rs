//! What the process says, and that it searches better than chance.

use argmin::core::{CostFunction, Gradient};

use super::*;
use crate::cases::{best, branches, branin, key, not_lower, numbers, reals, search};
use crate::{Outcome, Sampler};

#[test]
fn it_finds_better_points_of_branin_than_random_draws() {
    let space = reals(2, 0.0, 1.0);
    let bests = |sampler: Sampler, seeds| -> Vec<f64> {
        (0..seeds).map(|seed| best(&search((&sampler, &space), branin, (30, 1), seed))).collect()
    };
    let (ours, random) = (bests(Sampler::Gp(Gp::default()), 5), bests(Sampler::Random, 10));
    let p = not_lower(&ours, &random);
    assert!(p < 0.01, "p {p}: {ours:?} against {random:?}");
}

#[test]
fn it_passes_near_what_was_seen_and_is_unsure_far_away() {
    let space = reals(1, 0.0, 1.0);
    let rows: Vec<Vec<Option<f64>>> = [0.1, 0.2, 0.3, 0.4].iter().map(|x| vec![Some(*x)]).collect();
    let targets = [-1.2, -0.4, 0.4, 1.2];
    let hyper = Hyper::fit(&space, &rows, &targets);
    let process = Process::new(&hyper, rows.clone(), targets.to_vec());
    for (row, target) in rows.iter().zip(targets) {
        let said = process.predict(row);
        assert!((said.mean - target).abs() < 0.05 && said.deviation < 0.1, "{} {}", said.mean, said.deviation);
    }
    assert!(process.predict(&[Some(1.0)]).deviation > 5.0 * process.predict(&[Some(0.25)]).deviation);
}

#[test]
fn slopes_of_a_prediction_are_those_of_differences() {
    let space = branches();
    let seen: Vec<Observation> = (0..15)
        .map(|index| Observation {
            index,
            point: qmc::point(&space, &key(1), index),
            outcome: Outcome::Measured(vec![f64::from(index % 5) - f64::from(index % 3)]),
        })
        .collect();
    let told: Vec<&Observation> = seen.iter().collect();
    let rows: Vec<Vec<Option<f64>>> = told.iter().map(|seen| kernel::features(&space, &seen.point)).collect();
    let targets = targets(&told, &[1.0]);
    let hyper = Hyper::fit(&space, &rows, &targets);
    let process = Process::new(&hyper, rows, targets);
    let row = kernel::features(&space, &qmc::point(&space, &key(2), 3));
    let (_, slopes) = process.predict_with_slopes(&row, &[3, 6]);
    for (slope, axis) in slopes.iter().zip([3, 6]) {
        let at = |step: f64| {
            let mut row = row.clone();
            row[axis] = row[axis].map(|place| place + step);
            process.predict(&row)
        };
        let (low, high) = (at(-1e-6), at(1e-6));
        assert!((slope[0] - (high.mean - low.mean) / 2e-6).abs() < 1e-5, "mean along {axis}");
        assert!((slope[1] - (high.deviation - low.deviation) / 2e-6).abs() < 1e-5, "deviation along {axis}");
    }
}

#[test]
fn the_slope_of_the_posterior_is_that_of_differences() {
    let space = reals(2, 0.0, 1.0);
    let rows: Vec<Vec<Option<f64>>> =
        (0..9).map(|index| kernel::features(&space, &qmc::point(&space, &key(1), index))).collect();
    let targets: Vec<f64> = rows.iter().map(|row| libm::sin(5.0 * row[0].unwrap()) + row[1].unwrap()).collect();
    let posterior = process::Posterior::new(&space, &rows, &targets);
    let theta = vec![-0.7, 0.3, 0.2, -2.0];
    let slope = posterior.gradient(&theta).unwrap();
    for entry in 0..theta.len() {
        let at = |step: f64| {
            let mut theta = theta.clone();
            theta[entry] += step;
            posterior.cost(&theta).unwrap()
        };
        let wanted = (at(1e-5) - at(-1e-5)) / 2e-5;
        assert!((slope[entry] - wanted).abs() < 1e-5 * wanted.abs().max(1.0), "{entry}: {} {wanted}", slope[entry]);
    }
}

#[test]
fn several_objectives_are_searched_along_the_front() {
    let space = reals(2, 0.0, 1.0);
    let value = |point: &Point| {
        let x = numbers(point);
        vec![x[0] * x[0] + x[1], (x[0] - 1.0) * (x[0] - 1.0) + x[1]]
    };
    let history = search((&Sampler::Gp(Gp::default()), &space), value, (30, 5), 1);
    let late: Vec<Vec<f64>> = history.observations()[15..].iter().map(|seen| numbers(&seen.point)).collect();
    let near = late.iter().filter(|x| x[1] < 0.1).count();
    assert!(near >= 10, "{near} of 15 late points lie near the front");
    let ends = late.iter().map(|x| x[0]);
    assert!(ends.clone().fold(1.0, f64::min) < 0.35 && ends.fold(0.0, f64::max) > 0.65, "{late:?}");
}

#[test]
fn a_cliff_is_cut_off_and_what_has_no_value_counts_as_the_worst() {
    let values = standardised(&[Some(1.0), Some(2.0), None, Some(3.0), Some(1e30)]);
    assert!(values.iter().all(|value| value.abs() < 3.0), "{values:?}");
    assert!(values[0] < values[1] && values[1] < values[3] && values[3] < values[4]);
    assert_eq!(values[2], values[4]);
    assert_eq!(standardised(&[Some(5.0), Some(5.0), None]), [0.0; 3]);
}
