//! Regression trees whose leaves are boxes of the unit cube, and the exact variance of what they say along each axis.

use crate::draws::Draws;
use crate::{Domain, Space};

/// Leaves of a tree, each a value over a box.
#[derive(Debug)]
pub(super) struct Tree {
    axes: usize,
    leaves: Vec<Leaf>,
}

/// A box of the cube: of a numeric axis the places from the first to the second; of a categorical axis, its levels as
/// cells, so that every box is a product of intervals or sets of cells.
#[derive(Clone, Debug)]
struct Leaf {
    sides: Vec<Side>,
    value: f64,
}

/// The part of one axis that a box covers.
#[derive(Clone, Debug, PartialEq)]
enum Side {
    Between(f64, f64),
    Levels(Vec<bool>),
}

impl Side {
    fn whole(domain: &Domain) -> Self {
        match *domain {
            Domain::Categorical { levels } => Self::Levels(vec![true; levels]),
            Domain::Real { .. } | Domain::Integer { .. } => Self::Between(0.0, 1.0),
        }
    }

    fn width(&self) -> f64 {
        match self {
            Self::Between(low, high) => high - low,
            Self::Levels(levels) => levels.iter().filter(|is_in| **is_in).count() as f64 / levels.len() as f64,
        }
    }

    fn level(place: f64, levels: usize) -> usize {
        ((place * levels as f64) as usize).min(levels - 1)
    }

    fn holds(&self, place: f64) -> bool {
        match self {
            Self::Between(low, high) => *low <= place && place < *high,
            Self::Levels(levels) => levels[Self::level(place, levels.len())],
        }
    }
}

/// What a split asks.
#[derive(Clone, Debug)]
struct Cut {
    axis: usize,
    /// The parts of the axis on both sides.
    parts: (Side, Side),
    /// Sum of squares that it removes.
    gain: f64,
}

impl Tree {
    /// Grows a tree on a sample of the rows, each split over a random half of the axes, down to single values.
    pub(super) fn grow(
        space: &Space,
        (rows, values): (&[Vec<f64>], &[f64]),
        sample: Vec<usize>,
        draws: &mut Draws,
    ) -> Self {
        let sides: Vec<Side> = (0..space.axes().len()).map(|axis| Side::whole(space.domain(axis))).collect();
        let mut open = vec![(sample, sides)];
        let mut leaves = Vec::new();
        while let Some((sample, sides)) = open.pop() {
            let data = Sample { rows, values, members: &sample };
            match data.best_cut(&sides, draws) {
                None => leaves.push(Leaf { value: data.mean(), sides }),
                Some(Cut { axis, parts: (left, right), .. }) => {
                    for part in [left, right] {
                        let members = sample.iter().copied().filter(|row| part.holds(rows[*row][axis])).collect();
                        let mut sides: Vec<Side> = sides.clone();
                        sides[axis] = part;
                        open.push((members, sides));
                    }
                }
            }
        }
        Self { axes: space.axes().len(), leaves }
    }

    /// The share of the variance that each axis explains alone; None where the tree says the same everywhere.
    pub(super) fn shares(&self) -> Option<Vec<f64>> {
        let volume = |leaf: &Leaf| leaf.sides.iter().map(Side::width).product::<f64>();
        let volumes: Vec<f64> = self.leaves.iter().map(volume).collect();
        let mean: f64 = self.leaves.iter().zip(&volumes).map(|(leaf, volume)| leaf.value * volume).sum();
        let squares = self.leaves.iter().zip(&volumes).map(|(leaf, v)| (leaf.value - mean) * (leaf.value - mean) * v);
        let total: f64 = squares.sum();
        if !(total > 1e-300 && total.is_finite()) {
            return None;
        }
        Some((0..self.axes).map(|axis| (self.marginal_variance(axis, mean, &volumes) / total).min(1.0)).collect())
    }

    /// The variance along one axis of the mean over all others.
    fn marginal_variance(&self, axis: usize, mean: f64, volumes: &[f64]) -> f64 {
        let mut edges = vec![0.0, 1.0];
        for leaf in &self.leaves {
            match &leaf.sides[axis] {
                Side::Between(low, high) => edges.extend([*low, *high]),
                Side::Levels(levels) => edges.extend((1..levels.len()).map(|at| at as f64 / levels.len() as f64)),
            }
        }
        edges.sort_by(f64::total_cmp);
        edges.dedup();
        let part = |edges: &[f64]| {
            let middle = 0.5 * (edges[0] + edges[1]);
            let here = self.leaves.iter().zip(volumes).filter(|(leaf, _)| leaf.sides[axis].holds(middle));
            let marginal: f64 = here.map(|(leaf, volume)| leaf.value * volume / leaf.sides[axis].width()).sum();
            (marginal - mean) * (marginal - mean) * (edges[1] - edges[0])
        };
        edges.windows(2).map(part).sum()
    }
}

/// Some rows of the data.
struct Sample<'a> {
    rows: &'a [Vec<f64>],
    values: &'a [f64],
    members: &'a [usize],
}

impl Sample<'_> {
    fn mean(&self) -> f64 {
        self.members.iter().map(|row| self.values[*row]).sum::<f64>() / self.members.len().max(1) as f64
    }

    /// The cut with the largest gain among a random half of the axes; of all, where none of the half has one.
    fn best_cut(&self, sides: &[Side], draws: &mut Draws) -> Option<Cut> {
        let first = self.values[*self.members.first()?];
        if self.members.iter().all(|row| self.values[*row] == first) {
            return None;
        }
        let mut axes: Vec<usize> = (0..sides.len()).collect();
        for place in (1..axes.len()).rev() {
            axes.swap(place, draws.pick(place + 1));
        }
        let half = axes.len().div_ceil(2);
        let best = |axes: &[usize]| {
            let cuts = axes.iter().filter_map(|axis| self.cut(*axis, &sides[*axis]));
            cuts.max_by(|left, right| left.gain.total_cmp(&right.gain))
        };
        best(&axes[..half]).or_else(|| best(&axes[half..]))
    }

    /// The best cut of one axis: levels are ordered by their mean first, which finds the best of all subsets (Fisher
    /// 1958).
    fn cut(&self, axis: usize, side: &Side) -> Option<Cut> {
        let place = |row: usize| self.rows[row][axis];
        let key: Box<dyn Fn(usize) -> f64> = match side {
            Side::Between(..) => Box::new(place),
            Side::Levels(levels) => {
                let means = self.level_means(axis, levels.len());
                Box::new(move |row| means[Side::level(place(row), means.len())])
            }
        };
        let mut order = self.members.to_vec();
        order.sort_by(|&left, &right| key(left).total_cmp(&key(right)).then(left.cmp(&right)));
        let mean = self.mean();
        let (mut sum, mut best) = (0.0, None);
        for (at, pair) in order.windows(2).enumerate() {
            sum += self.values[pair[0]] - mean;
            let (left, right) = ((at + 1) as f64, (order.len() - at - 1) as f64);
            let gain = sum * sum * (1.0 / left + 1.0 / right);
            if key(pair[0]) < key(pair[1]) && best.is_none_or(|(most, _)| gain > most) {
                best = Some((gain, at));
            }
        }
        let (gain, at) = best?;
        let parts = match side {
            Side::Between(low, high) => {
                let middle = 0.5 * (place(order[at]) + place(order[at + 1]));
                // Two neighbouring doubles have no middle; the upper one is the edge then.
                let middle = if middle > place(order[at]) { middle } else { place(order[at + 1]) };
                (Side::Between(*low, middle), Side::Between(middle, *high))
            }
            Side::Levels(levels) => {
                let mut left = vec![false; levels.len()];
                order[..=at].iter().for_each(|row| left[Side::level(place(*row), levels.len())] = true);
                let right = levels.iter().zip(&left).map(|(is_in, is_left)| *is_in && !is_left).collect();
                (Side::Levels(left), Side::Levels(right))
            }
        };
        Some(Cut { axis, parts, gain })
    }

    /// The mean value of each level; of one that has no row, 0, which is never asked for.
    fn level_means(&self, axis: usize, levels: usize) -> Vec<f64> {
        let mut sums = vec![(0.0, 0.0); levels];
        for &row in self.members {
            let (sum, count) = &mut sums[Side::level(self.rows[row][axis], levels)];
            *sum += self.values[row];
            *count += 1.0;
        }
        sums.iter().map(|(sum, count)| if *count > 0.0 { sum / count } else { 0.0 }).collect()
    }
}
