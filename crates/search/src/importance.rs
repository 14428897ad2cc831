//! Which axes mattered: functional analysis of variance over a random forest (Hutter et al. 2014, "An efficient approach
//! for assessing hyperparameter importance").

mod forest;

use forest::Tree;

use crate::draws::{Draws, Use};
use crate::{Domain, History, Observation, Space, Value};

/// Trees of the forest.
const TREES: u32 = 64;
/// Forests grown on other draws of the same trials.
const RESAMPLES: u32 = 20;
/// Trees of each of those: their spread is that of the trials, not of the trees.
const RESAMPLE_TREES: u32 = 24;
/// Rows that a tree is grown on: its cost grows with their square.
const TREE_ROWS_MAX: usize = 256;

/// A share of a variance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// As the forest over all trials says.
    pub value: f64,
    /// The lower end of the middle 80 % of what forests say that are grown on as many trials drawn from these with
    /// replacement: how much of the value is the luck of which points were tried.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

/// How much of the variance of the objective over the whole space each axis explains.
#[derive(Clone, Debug, PartialEq)]
pub struct Importance {
    /// The share of each axis alone, in the order of the space. Their sum is at most 1.
    pub shares: Vec<Spread>,
    /// What is left: axes acting together.
    pub interactions: Spread,
}

/// The importance of each axis for the first objective. None with fewer than two different measurements.
///
/// An inactive axis counts as if it stood in the middle. The forests are a function of the history and `key`.
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
    let all: Vec<usize> = (0..rows.len()).collect();
    let forest = Forest { space, rows: &rows, values: &values, key };
    let said = forest.shares(&all, 0..TREES)?;
    let resampled: Vec<Vec<f64>> = (0..RESAMPLES).filter_map(|again| forest.resampled(again)).collect();
    let spread = |place: usize| {
        let mut others: Vec<f64> = resampled.iter().map(|shares| shares[place]).collect();
        others.sort_by(f64::total_cmp);
        let at = |share: f64| others.get((share * others.len() as f64) as usize).copied();
        let (low, high) = (at(0.1).unwrap_or(said[place]), at(0.9).unwrap_or(said[place]));
        Spread { value: said[place], low: low.min(said[place]), high: high.max(said[place]) }
    };
    let axes = space.axes().len();
    Some(Importance { shares: (0..axes).map(spread).collect(), interactions: spread(axes) })
}

struct Forest<'a> {
    space: &'a Space,
    rows: &'a [Vec<f64>],
    values: &'a [f64],
    key: &'a [u8; 32],
}

impl Forest<'_> {
    /// Share of each axis, and last of what is left, over the trees of these streams, each grown on a draw from `among`.
    /// None where every tree says the same everywhere.
    fn shares(&self, among: &[usize], trees: std::ops::Range<u32>) -> Option<Vec<f64>> {
        let axes = self.space.axes().len();
        let (mut shares, mut told) = (vec![0.0; axes], 0.0);
        for tree in trees {
            let mut draws = Draws::new(self.key, Use::Forest, tree);
            let sample: Vec<usize> =
                (0..among.len().min(TREE_ROWS_MAX)).map(|_| among[draws.pick(among.len())]).collect();
            if let Some(explained) = Tree::grow(self.space, (self.rows, self.values), sample, &mut draws).shares() {
                shares.iter_mut().zip(explained).for_each(|(sum, share)| *sum += share);
                told += 1.0;
            }
        }
        if told == 0.0 {
            return None;
        }
        shares.iter_mut().for_each(|share| *share /= told);
        shares.push((1.0 - shares.iter().sum::<f64>()).max(0.0));
        Some(shares)
    }

    /// The same for as many rows drawn with replacement.
    fn resampled(&self, again: u32) -> Option<Vec<f64>> {
        let mut draws = Draws::new(self.key, Use::Resample, again);
        let among: Vec<usize> = self.rows.iter().map(|_| draws.pick(self.rows.len())).collect();
        let first = TREES + again * RESAMPLE_TREES;
        self.shares(&among, first..first + RESAMPLE_TREES)
    }
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
