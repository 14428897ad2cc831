//! Against golden values, and sampled ones against exact ones.

use super::{PLAYERS_MAX, exact, sampled, weight};
use crate::fixtures::{Formula, Golden, close};
use crate::{ExplainError, Grain, Players};

const ALL: [usize; 4] = [0, 1, 2, 3];

#[test]
fn exact_values_are_those_of_the_reference_by_cell_by_feature_and_by_bar() {
    let golden = Golden::read();
    for (grain, wanted) in [
        (Grain::Cell, &golden.shapley_cell),
        (Grain::Feature, &golden.shapley_feature),
        (Grain::Bar, &golden.shapley_bar),
    ] {
        let players = Players::of(grain, (golden.window, golden.width), &ALL);
        let found = exact(&mut golden.model(), golden.pair(), &players).unwrap();
        close(&found.values, wanted, 1e-12);
        close(&[found.score, found.baseline], &[golden.score, golden.baseline_score], 1e-12);
        assert!(found.residual().abs() < 1e-12);
    }
}

/// Twelve players: the standard errors have to be right, neither too small nor so large that anything would agree.
#[test]
fn sampled_values_agree_with_exact_ones_within_their_standard_errors() {
    let golden = Golden::read();
    let players = Players::of(Grain::Cell, (golden.window, golden.width), &ALL);
    let (mut far, mut squares, mut count) = (0, 0.0, 0);
    for seed in 0..40 {
        let found = sampled(&mut golden.model(), golden.pair(), &players, (300, seed)).unwrap();
        assert!(found.residual().abs() < 1e-12, "orders add up one by one");
        for ((value, error), wanted) in found.values.iter().zip(found.errors.unwrap()).zip(&golden.shapley_cell) {
            let z = (value - wanted) / error;
            far += u32::from(z.abs() > 3.0);
            squares += z * z;
            count += 1;
        }
    }
    assert_eq!(count, 480);
    // Of 480 normal deviations, 1.3 lie beyond 3; more than 6 with a probability below 0.001.
    assert!(far <= 6, "{far} of {count} are beyond 3 standard errors");
    let mean = squares / f64::from(count);
    assert!((0.8..1.25).contains(&mean), "mean square of the deviations is {mean}");
}

#[test]
fn four_times_the_orders_halve_the_standard_errors() {
    let golden = Golden::read();
    let players = Players::of(Grain::Cell, (golden.window, golden.width), &ALL);
    let mean = |orders: u32| {
        let found = sampled(&mut golden.model(), golden.pair(), &players, (orders, 5)).unwrap();
        found.errors.unwrap().iter().sum::<f64>()
    };
    let ratio = mean(400) / mean(1_600);
    assert!((1.8..2.2).contains(&ratio), "{ratio}");
}

#[test]
fn a_player_that_changes_nothing_gets_nothing_and_a_linear_model_needs_no_luck() {
    let players = Players::of(Grain::Cell, (1, 3), &[0, 1, 2]);
    let pair: (&[f32], &[f32]) = (&[2.0, 5.0, -1.0], &[1.0, 5.0, 1.0]);
    let found = sampled(&mut Formula::linear(&[3.0, 7.0, 0.5]), pair, &players, (10, 1)).unwrap();
    close(&found.values, &[3.0, 0.0, -1.0], 1e-12);
    assert!(found.errors.unwrap().iter().all(|error| *error < 1e-12));
}

#[test]
fn features_that_do_not_take_part_stay_as_they_are() {
    let golden = Golden::read();
    let players = Players::of(Grain::Feature, (golden.window, golden.width), &[1, 3]);
    let found = exact(&mut golden.model(), golden.pair(), &players).unwrap();
    let mut row = golden.baseline.clone();
    (0..players.count()).for_each(|player| players.join(player, &golden.row, &mut row));
    let mut model = golden.model();
    close(&[found.score], &crate::Scored::scores(&mut model, &row).unwrap(), 0.0);
    assert_ne!(found.score, golden.score);
}

#[test]
fn too_many_players_and_too_few_orders_are_refused() {
    let players = Players::of(Grain::Cell, (1, PLAYERS_MAX + 1), &(0..=PLAYERS_MAX).collect::<Vec<_>>());
    let (row, baseline) = (vec![1.0; PLAYERS_MAX + 1], vec![0.0; PLAYERS_MAX + 1]);
    let mut model = Formula::linear(&[1.0; PLAYERS_MAX + 1]);
    let error = exact(&mut model, (&row, &baseline), &players).unwrap_err();
    assert!(error.to_string().contains("17 players: 16 at most"), "{error}");
    let error = sampled(&mut model, (&row, &baseline), &players, (1, 1)).unwrap_err();
    assert!(matches!(error, ExplainError::Permutations { permutations: 1 }));
}

#[test]
fn the_weights_of_all_coalitions_without_a_player_add_up_to_one() {
    for count in 1..=PLAYERS_MAX {
        let choose = |size: usize| (0..size).fold(1.0, |ways, k| ways * (count - 1 - k) as f64 / (k + 1) as f64);
        let sum: f64 = (0..count).map(|size| choose(size) * weight(size, count)).sum();
        assert!((sum - 1.0).abs() < 1e-12, "{count}: {sum}");
    }
    // 1!·2!/4!
    assert!((weight(1, 4) - 2.0 / 24.0).abs() < 1e-15);
}
