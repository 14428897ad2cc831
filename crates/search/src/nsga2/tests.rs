//! A known front, and what crossing and mutation do to one axis.

use super::*;
use crate::cases::{branches, key, numbers, real, reals, search, whole};
use crate::pareto::{crowding, fronts, rank_and_crowding};
use crate::{Outcome, Sampler, dominates, pareto_front};

#[test]
fn fronts_and_crowding_of_a_small_set() {
    let values: [&[f64]; 6] = [&[1.0, 5.0], &[2.0, 3.0], &[5.0, 1.0], &[3.0, 4.0], &[5.0, 5.0], &[2.0, 3.0]];
    assert_eq!(fronts(&values), [vec![0, 1, 2, 5], vec![3], vec![4]]);
    // In the first objective 1, 2, 2, 5 and in the second 1, 3, 3, 5.
    assert_eq!(crowding(&values, &[0, 1, 2, 5]), [f64::INFINITY, 0.25 + 0.5, f64::INFINITY, 0.75 + 0.5]);
    assert_eq!(rank_and_crowding(&values)[3], (1, f64::NEG_INFINITY));
    assert!(dominates(&[1.0, 1.0], &[1.0, 2.0]) && !dominates(&[1.0, 1.0], &[1.0, 1.0]));
    let mut owned: Vec<Vec<f64>> = values.iter().map(|value| value.to_vec()).collect();
    owned.push(vec![f64::NEG_INFINITY, f64::NAN]);
    assert_eq!(pareto_front(&owned), [0, 1, 2, 5]);
}

#[test]
fn it_covers_the_front_of_zdt1() {
    let space = reals(12, 0.0, 1.0);
    let zdt1 = |point: &Point| {
        let x = numbers(point);
        let g = 1.0 + 9.0 * x[1..].iter().sum::<f64>() / 11.0;
        vec![x[0], g * (1.0 - (x[0] / g).sqrt())]
    };
    let history = search((&Sampler::Nsga2(Nsga2 { population: 40 }), &space), zdt1, (4000, 40), 1);
    let values: Vec<Vec<f64>> = history.observations().iter().map(|seen| seen.measured().unwrap().to_vec()).collect();
    let front: Vec<&Vec<f64>> = pareto_front(&values).into_iter().map(|place| &values[place]).collect();
    let off = front.iter().map(|value| value[1] - (1.0 - value[0].sqrt())).sum::<f64>() / front.len() as f64;
    assert!(off < 0.02, "the front lies {off} above the true one");
    for tenth in 0..10 {
        let low = f64::from(tenth) / 10.0;
        assert!(front.iter().any(|value| (low..=low + 0.1).contains(&value[0])), "nothing near {low}");
    }
}

#[test]
fn children_stay_between_and_about_their_parents() {
    let domain = real(0.0, 1.0);
    let mut draws = Draws::new(&key(1), Use::Offspring, 0);
    let children: Vec<f64> =
        (0..4000).map(|_| domain.place(&cross(&domain, Value::Real(0.2), Value::Real(0.6), &mut draws))).collect();
    let mean = children.iter().sum::<f64>() / 4000.0;
    assert!((mean - 0.3).abs() < 0.01, "half are the first parent, half centre on the middle: {mean}");
    assert!(children.iter().all(|place| (0.1..0.7).contains(place)));
    let mutants: Vec<f64> = (0..4000).map(|_| domain.place(&mutate(&domain, Value::Real(0.02), &mut draws))).collect();
    assert!(mutants.iter().all(|place| (0.0..=1.0).contains(place)));
    let mean = mutants.iter().sum::<f64>() / 4000.0;
    assert!((mean - 0.02).abs() < 0.03, "{mean}");
}

#[test]
fn a_mutated_whole_number_moves() {
    let domain = whole(0, 3);
    let mut draws = Draws::new(&key(1), Use::Offspring, 0);
    for value in 1..3 {
        assert!((0..50).all(|_| mutate(&domain, Value::Integer(value), &mut draws) != Value::Integer(value)));
    }
}

#[test]
fn what_has_no_value_is_no_parent() {
    let space = branches();
    let seen = (0..48).map(|index| Observation {
        index,
        point: qmc::point(&space, &key(0), index),
        outcome: if index % 5 == 0 { Outcome::Measured(vec![1.0, f64::from(index)]) } else { Outcome::Failed },
    });
    let history = History::new(&space, seen.collect()).unwrap();
    let parents: Vec<u32> = Nsga2::default().survivors(&history).iter().map(|seen| seen.index).collect();
    assert_eq!(parents, [0, 5, 10, 15, 20, 25, 30, 35, 40, 45]);
}
