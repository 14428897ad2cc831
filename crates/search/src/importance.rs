//! Which axes mattered: functional analysis of variance over a random forest (Hutter et al. 2014, "An efficient approach
//! for assessing hyperparameter importance").

mod forest;

use forest::Tree;

use crate::draws::{Draws, Use};
use crate::{Domain, History, Observation, Space, Value};

/// Trees of the forest.
const TREES: u32 = 64;

/// How much of the variance of the objective over the whole space each axis explains.
#[derive(Clone, Debug, PartialEq)]
pub struct Importance {
    /// The share of each axis alone, in the order of the space. Their sum is at most 1.
    pub shares: Vec<f64>,
    /// What is left: axes acting together.
    pub interactions: f64,
}

/// The importance of each axis for the first objective. None with fewer than two different measurements.
///
/// An inactive axis counts as if it stood in the middle. The forest is a function of the history and `key`.
#[must_use]
pub fn importance(space: &Space, history: &History, key: &[u8; 32]) -> Option<Importance> {
    let measured: Vec<(&Observation, f64)> =
        history.observations().iter().filter_map(|seen| seen.measured().map(|values| (seen, values[0]))).collect();
    if measured.iter().all(|(_, value)| *value == measured[0].1) {
        return None;
    }
    let rows: Vec<Vec<f64>> = measured.iter().map(|(seen, _)| row(space, seen)).collect();
    // To at most 1, so that no sum of squares overflows.
    let largest = measured.iter().fold(f64::MIN_POSITIVE, |largest, (_, value)| largest.max(value.abs()));
    let values: Vec<f64> = measured.iter().map(|(_, value)| value / largest).collect();
    let mut shares = vec![0.0; space.axes().len()];
    let mut trees = 0.0;
    for tree in 0..TREES {
        let mut draws = Draws::new(key, Use::Forest, tree);
        if let Some(explained) = Tree::grow(space, &rows, &values, &mut draws).shares() {
            shares.iter_mut().zip(explained).for_each(|(sum, share)| *sum += share);
            trees += 1.0;
        }
    }
    if trees == 0.0 {
        return None;
    }
    shares.iter_mut().for_each(|share| *share /= trees);
    let interactions = (1.0 - shares.iter().sum::<f64>()).max(0.0);
    Some(Importance { shares, interactions })
}

/// Places on [0, 1]; levels as the middle of their cells.
fn row(space: &Space, seen: &Observation) -> Vec<f64> {
    /// The upper end belongs to the last cell.
    const BELOW_ONE: f64 = 1.0 - f64::EPSILON;
    let place = |(axis, value): (usize, &Option<Value>)| {
        let domain: &Domain = space.domain(axis);
        value.as_ref().map_or_else(|| middle(domain), |value| domain.place(value)).min(BELOW_ONE)
    };
    seen.point.0.iter().enumerate().map(place).collect()
}

fn middle(domain: &Domain) -> f64 {
    domain.place(&domain.at(0.5))
}

#[cfg(test)]
mod tests;
