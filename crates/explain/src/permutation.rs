//! Permutation importance (Breiman 2001; Fisher et al. 2019): how much worse a model does over many rows once a player's
//! values are those of other rows. It speaks of the model over the rows, not of any one of them.

use models::ModelError;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;

use crate::{Players, Scored};

/// What a model loses without each player.
#[derive(Clone, Debug, PartialEq)]
pub struct Importance {
    /// With all players.
    pub loss: f64,
    /// Mean increase of the loss when this player's values are shuffled among the rows.
    pub increases: Vec<f64>,
    /// The standard error of each over the shuffles; 0 with one shuffle.
    pub errors: Vec<f64>,
}

/// The importance of each player. `loss` judges the scores of all rows, in their order.
///
/// # Shapes
/// `rows`: `[rows × width]`.
///
/// # Units
/// That of `loss`.
///
/// # Errors
/// The model's own.
pub fn importance(
    model: &mut impl Scored,
    rows: &[f32],
    players: &Players,
    loss: impl Fn(&[f64]) -> f64,
    (shuffles, seed): (u32, u64),
) -> Result<Importance, ModelError> {
    let width = model.width();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let whole = loss(&model.scores(rows)?);
    let mut order: Vec<usize> = (0..rows.len() / width).collect();
    let (mut increases, mut errors) = (Vec::new(), Vec::new());
    for player in 0..players.count() {
        let mut lost = Vec::new();
        for _ in 0..shuffles {
            order.shuffle(&mut rng);
            let mut shuffled = rows.to_vec();
            for (row, from) in shuffled.chunks_exact_mut(width).zip(&order) {
                players.join(player, &rows[from * width..(from + 1) * width], row);
            }
            lost.push(loss(&model.scores(&shuffled)?) - whole);
        }
        let count = lost.len() as f64;
        let mean = lost.iter().sum::<f64>() / count;
        let square: f64 = lost.iter().map(|value| (value - mean).powi(2)).sum();
        increases.push(mean);
        errors.push((square / (count - 1.0).max(1.0) / count).sqrt());
    }
    Ok(Importance { loss: whole, increases, errors })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Grain;
    use crate::fixtures::Formula;

    fn rows(count: usize) -> Vec<f32> {
        (0..count * 4).map(|i| 1.5 * (i as f32 * i as f32 * 0.7).sin()).collect()
    }

    /// The mean square of scores, less what they are with nothing shuffled.
    fn miss(wanted: &[f64]) -> impl Fn(&[f64]) -> f64 + '_ {
        move |said| said.iter().zip(wanted).map(|(a, b)| (a - b).powi(2)).sum::<f64>() / wanted.len() as f64
    }

    #[test]
    fn a_linear_model_loses_twice_the_variance_of_what_it_relies_on() {
        // Shuffled and own value are independent: E (w·x' − w·x)² = 2·w²·Var x.
        let mut model = Formula::linear(&[3.0, 0.0, -1.0, 0.5]);
        let (rows, players) = (rows(4_000), Players::of(Grain::Cell, (1, 4), &[0, 1, 2, 3]));
        let wanted = model.scores(&rows).unwrap();
        let found = importance(&mut model, &rows, &players, miss(&wanted), (8, 1)).unwrap();
        assert_eq!((found.loss, found.increases[1], found.errors[1]), (0.0, 0.0, 0.0));
        for (player, weight) in [(0, 3.0_f64), (2, -1.0), (3, 0.5)] {
            let column: Vec<f64> = rows.iter().skip(player).step_by(4).map(|value| f64::from(*value)).collect();
            let mean = column.iter().sum::<f64>() / 4_000.0;
            let variance = column.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / 4_000.0;
            let (increase, error) = (found.increases[player], found.errors[player]);
            assert!((increase - 2.0 * weight.powi(2) * variance).abs() < 4.0 * error, "{player}: {increase} ± {error}");
            assert!(error > 0.0 && error < 0.05 * increase);
        }
        // What a model misses anyway is no player's.
        let missed = importance(&mut model, &rows, &players, |said| 5.0 + miss(&wanted)(said), (8, 1)).unwrap();
        assert_eq!(missed.loss, 5.0);
        crate::fixtures::close(&missed.increases, &found.increases, 1e-12);
    }

    #[test]
    fn the_same_seed_shuffles_alike() {
        let mut model = Formula::linear(&[1.0, 2.0, 3.0, 4.0]);
        let (rows, players) = (rows(50), Players::of(Grain::Feature, (2, 2), &[0, 1]));
        let mut model_of = |seed| importance(&mut model, &rows, &players, miss(&[0.0; 50]), (2, seed)).unwrap();
        let first = model_of(1);
        assert_eq!(first, model_of(1));
        assert_ne!(first, model_of(2));
    }
}
