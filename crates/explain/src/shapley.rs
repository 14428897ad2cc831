//! Shapley values (Shapley 1953): what a player adds, averaged over all orders in which players may join a baseline.
//!
//! [`sampled`] draws orders at random (Castro et al. 2009; Štrumbelj and Kononenko 2010), one model pass a player and order,
//! and says how sure each mean is. [`exact`] goes through all coalitions, 2^players of them.

use models::ModelError;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;

use crate::{Attribution, ExplainError, Players, Scored};

/// Most players whose coalitions are gone through: 65,536 of them, some seconds of a small network.
pub const PLAYERS_MAX: usize = 16;

/// Fewest orders that have a standard error.
pub const PERMUTATIONS_MIN: u32 = 2;

/// Coalitions that are computed at once.
const BATCH: usize = 256;

/// Attributions of a row's score by sampled Shapley values, with the standard error of each. The additivity holds order by
/// order: what all players add is (score − baseline), whatever the sample.
///
/// # Shapes
/// `row`, `baseline`: `[width]`.
///
/// # Errors
/// [`ExplainError::Permutations`] for fewer than [`PERMUTATIONS_MIN`]; the model's own.
pub fn sampled(
    model: &mut impl Scored,
    (row, baseline): (&[f32], &[f32]),
    players: &Players,
    (permutations, seed): (u32, u64),
) -> Result<Attribution, ExplainError> {
    if permutations < PERMUTATIONS_MIN {
        return Err(ExplainError::Permutations { permutations });
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let ends = model.scores(&[row, baseline].concat())?;
    let mut order: Vec<usize> = (0..players.count()).collect();
    // Welford 1962: the mean and the sum of squares around it.
    let (mut means, mut squares) = (vec![0.0; order.len()], vec![0.0; order.len()]);
    for count in 1..=permutations {
        order.shuffle(&mut rng);
        let scores = joining(model, (row, baseline), players, &order)?;
        let mut before = ends[1];
        for (player, score) in order.iter().zip(scores) {
            let added = score - before;
            let off = added - means[*player];
            means[*player] += off / f64::from(count);
            squares[*player] += off * (added - means[*player]);
            before = score;
        }
    }
    let degrees = f64::from(permutations - 1) * f64::from(permutations);
    let errors = squares.into_iter().map(|square: f64| (square / degrees).sqrt()).collect();
    Ok(Attribution { values: means, errors: Some(errors), score: ends[0], baseline: ends[1] })
}

/// The score after each player has joined, in this order.
fn joining(
    model: &mut impl Scored,
    (row, baseline): (&[f32], &[f32]),
    players: &Players,
    order: &[usize],
) -> Result<Vec<f64>, ModelError> {
    let mut rows = Vec::with_capacity(order.len().min(BATCH) * row.len());
    let mut coalition = baseline.to_vec();
    let mut scores = Vec::with_capacity(order.len());
    for some in order.chunks(BATCH) {
        rows.clear();
        for player in some {
            players.join(*player, row, &mut coalition);
            rows.extend_from_slice(&coalition);
        }
        scores.extend(model.scores(&rows)?);
    }
    Ok(scores)
}

/// Attributions of a row's score by exact Shapley values: Σ |S|!·(n − |S| − 1)!/n! · (v(S ∪ i) − v(S)) over all coalitions S
/// without i.
///
/// # Shapes
/// `row`, `baseline`: `[width]`.
///
/// # Errors
/// [`ExplainError::Players`] for more than [`PLAYERS_MAX`]; the model's own.
pub fn exact(
    model: &mut impl Scored,
    (row, baseline): (&[f32], &[f32]),
    players: &Players,
) -> Result<Attribution, ExplainError> {
    let count = players.count();
    if count > PLAYERS_MAX {
        return Err(ExplainError::Players { players: count });
    }
    let coalitions: Vec<usize> = (0..1 << count).collect();
    let mut scores = Vec::with_capacity(coalitions.len());
    for some in coalitions.chunks(BATCH) {
        let mut rows = Vec::with_capacity(some.len() * row.len());
        for members in some {
            let start = rows.len();
            rows.extend_from_slice(baseline);
            let inside = (0..count).filter(|player| (members >> player) & 1 == 1);
            inside.for_each(|player| players.join(player, row, &mut rows[start..]));
        }
        scores.extend(model.scores(&rows)?);
    }
    let weights: Vec<f64> = (0..count).map(|size| weight(size, count)).collect();
    let added = |player: usize| -> f64 {
        let without = coalitions.iter().filter(|members| (*members >> player) & 1 == 0);
        without.map(|s| weights[s.count_ones() as usize] * (scores[s | (1 << player)] - scores[*s])).sum()
    };
    let (score, baseline) = (scores[coalitions.len() - 1], scores[0]);
    Ok(Attribution { values: (0..count).map(added).collect(), errors: None, score, baseline })
}

/// size!·(count − size − 1)!/count!: one over count times the number of coalitions of this size among the others.
fn weight(size: usize, count: usize) -> f64 {
    let choose = (0..size).fold(1.0, |ways, taken| ways * (count - 1 - taken) as f64 / (taken + 1) as f64);
    1.0 / (count as f64 * choose)
}

#[cfg(test)]
mod tests;
