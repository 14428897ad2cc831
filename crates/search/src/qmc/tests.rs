//! The sequence against published numbers and against random points.

use super::*;
use crate::cases::{branches, key, numbers, reals};

#[test]
fn coordinates_before_scrambling_are_those_of_joe_and_kuo() {
    // Dimensions 1, 2, 3, 10, 50, 100 and 128, as SciPy 1.17 has them, whose points come in the order of the Gray code.
    let golden = [
        (0, [0.0; 7]),
        (1, [0.5; 7]),
        (2, [0.25, 0.75, 0.75, 0.25, 0.25, 0.25, 0.75]),
        (5, [0.625, 0.125, 0.875, 0.375, 0.625, 0.125, 0.875]),
        (77, [0.6953125, 0.4765625, 0.9921875, 0.3515625, 0.8828125, 0.1640625, 0.4296875]),
        (700, [0.2392578125, 0.1708984375, 0.1162109375, 0.8701171875, 0.4052734375, 0.3076171875, 0.0712890625]),
    ];
    for (index, wanted) in golden {
        let found = [0, 1, 2, 9, 49, 99, 127]
            .map(|dimension| f64::from(digits(&super::directions(dimension), index)) / (1_u64 << BITS) as f64);
        assert_eq!(found, wanted, "point {index}");
    }
}

/// Whether each of `cells` equal cells of [0, 1) holds one of the places.
fn is_even(places: &[f64], cells: usize) -> bool {
    let mut held = vec![0; cells];
    places.iter().for_each(|place| held[(place * cells as f64) as usize] += 1);
    held.iter().all(|count| *count == 1)
}

#[test]
fn scrambled_points_stay_a_net() {
    let sobol = Sobol::new(128, &key(3));
    for dimension in 0..128 {
        let places: Vec<f64> = (0..256).map(|index| sobol.coordinate(dimension, index)).collect();
        assert!(is_even(&places, 256), "dimension {dimension}");
    }
    // The first two dimensions are a (0, 2)-sequence: each box of area 1/64 holds one of 64 points.
    for split in 0..=6 {
        let (columns, rows) = (1 << split, 64 >> split);
        let cell = |index| {
            let (x, y) = (sobol.coordinate(0, index), sobol.coordinate(1, index));
            ((x * f64::from(columns)).floor() * f64::from(rows) + (y * f64::from(rows)).floor() + 0.5) / 64.0
        };
        assert!(is_even(&(0..64).map(cell).collect::<Vec<_>>(), 64), "boxes of 1/{columns} by 1/{rows}");
    }
}

/// The squared L2-star discrepancy (Warnock 1972).
fn discrepancy(points: &[Vec<f64>]) -> f64 {
    let (n, axes) = (points.len() as f64, points[0].len() as i32);
    let alone: f64 = points.iter().map(|point| point.iter().map(|x| 1.0 - x * x).product::<f64>()).sum();
    let pair =
        |left: &Vec<f64>, right: &Vec<f64>| left.iter().zip(right).map(|(x, y)| 1.0 - x.max(*y)).product::<f64>();
    let pairs: f64 = points.iter().map(|left| points.iter().map(|right| pair(left, right)).sum::<f64>()).sum();
    3.0_f64.powi(-axes) - 2.0_f64.powi(1 - axes) * alone / n + pairs / (n * n)
}

#[test]
fn discrepancy_is_less_than_half_of_that_of_random_points() {
    let space = reals(5, 0.0, 1.0);
    for seed in 0..5 {
        let ours: Vec<Vec<f64>> = points(&space, &key(seed), 0, 256).iter().map(numbers).collect();
        let random: Vec<Vec<f64>> = (0..256).map(|index| numbers(&random::point(&space, &key(seed), index))).collect();
        let (ours, random) = (discrepancy(&ours), discrepancy(&random));
        assert!(ours < 0.5 * random, "{ours} against {random}");
    }
}

#[test]
fn the_mean_over_seeds_of_a_scrambled_coordinate_is_a_half() {
    // Of Hartmann's kind: a function that is large at one place only, met by the first points of many keys.
    for dimension in [0, 1, 7, 63] {
        let at = |seed: u32| {
            let mut key = [7; 32];
            key[..4].copy_from_slice(&seed.to_le_bytes());
            Sobol::new(64, &key).coordinate(dimension, 0)
        };
        let places: Vec<f64> = (0..600).map(at).collect();
        let mean = places.iter().sum::<f64>() / 600.0;
        assert!((mean - 0.5).abs() < 0.05, "dimension {dimension}: {mean}");
        let low = places.iter().filter(|place| **place < 0.1).count();
        assert!((35..=90).contains(&low), "dimension {dimension}: {low} of 600 lie below 0.1");
    }
}

#[test]
fn axes_beyond_the_last_dimension_are_drawn_and_branches_are_kept() {
    let space = reals(140, 0.0, 1.0);
    let (one, other) = (point(&space, &key(1), 5), point(&space, &key(1), 6));
    assert!(space.contains(&one) && one.0[139] != other.0[139]);
    assert_eq!(points(&branches(), &key(1), 3, 4)[2], point(&branches(), &key(1), 5));
}
