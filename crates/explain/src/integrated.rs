//! Integrated gradients (Sundararajan et al. 2017, arXiv:1703.01365, eq. 1).
//!
//! A value's attribution is its difference from the baseline's, times the mean of its gradient on the straight way from one
//! to the other. They sum up to the difference of the scores, exactly but for the sum that stands for the integral: midpoints
//! of equal steps, since a network with ReLUs has kinks that a rule of higher order gains nothing on.

use std::num::NonZeroU32;

use models::ModelError;

use crate::{Attribution, Players, Scored};

/// Points of the way that are computed at once.
const BATCH: u32 = 32;

/// Attributions of a row's score by integrated gradients, of each player the sum over its values. Values that belong to
/// nobody must be the same in row and baseline.
///
/// # Shapes
/// `row`, `baseline`: `[width]`.
///
/// # Errors
/// The model's own.
pub fn integrated_gradients(
    model: &mut impl Scored,
    (row, baseline): (&[f32], &[f32]),
    players: &Players,
    steps: NonZeroU32,
) -> Result<Attribution, ModelError> {
    let (width, steps) = (model.width(), steps.get());
    let mut sums = vec![0.0; width];
    let mut points = Vec::with_capacity(BATCH as usize * width);
    for first in (0..steps).step_by(BATCH as usize) {
        points.clear();
        for step in first..(first + BATCH).min(steps) {
            let share = (f64::from(step) + 0.5) / f64::from(steps);
            let between = |(to, from): (&f32, &f32)| f64::from(*from) + share * (f64::from(*to) - f64::from(*from));
            points.extend(row.iter().zip(baseline).map(|pair| between(pair) as f32));
        }
        for gradient in model.gradients(&points)?.chunks_exact(width) {
            sums.iter_mut().zip(gradient).for_each(|(sum, slope)| *sum += f64::from(*slope));
        }
    }
    let way = row.iter().zip(baseline).map(|(to, from)| f64::from(*to) - f64::from(*from));
    let cells: Vec<f64> = sums.iter().zip(way).map(|(sum, way)| way * sum / f64::from(steps)).collect();
    let scores = model.scores(&[row, baseline].concat())?;
    Ok(Attribution { values: players.sums(&cells), errors: None, score: scores[0], baseline: scores[1] })
}

#[cfg(test)]
mod tests;
