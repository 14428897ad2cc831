//! Parzen estimators over a group of axes: a mixture of one product kernel for each observation and one for the prior.

use crate::Domain;
use crate::draws::Draws;

/// A value of an axis as the estimator sees it: its place on [0, 1], or its level.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Coordinate {
    Place(f64),
    Level(usize),
}

/// How wide kernels are at least, as a share of the range.
#[derive(Clone, Copy, Debug)]
pub(super) struct WidthFloor(f64);

impl WidthFloor {
    /// One over the number of kernels, times how fine they may be, and at least a hundredth.
    pub(super) fn of(fineness: f64, kernels: usize) -> Self {
        Self(1.0 / (2.0 + fineness * kernels as f64).min(100.0))
    }
}

/// The kernels of all observations along one axis. The last one belongs to the prior.
#[derive(Debug)]
enum Marginal {
    /// Normal, cut off at the ends of [0, 1].
    Place { centres: Vec<f64>, widths: Vec<f64>, inverse: Vec<f64>, log_scale: Vec<f64> },
    /// The level seen and a share for each of the others.
    Level { seen: Vec<usize>, levels: usize, log_hit: f64, log_miss: f64, log_prior: f64 },
}

/// The mixture.
#[derive(Debug)]
pub(super) struct Parzen {
    marginals: Vec<Marginal>,
    weights: Vec<f64>,
    log_weights: Vec<f64>,
}

impl Parzen {
    /// The mixture for `rows`, one coordinate for each of `domains`, with their `weights`; the prior weighs 1.
    pub(super) fn new(domains: &[Domain], rows: &[&[Coordinate]], weights: &[f64], floor: WidthFloor) -> Self {
        let mut weights = weights.to_vec();
        weights.push(1.0);
        let total: f64 = weights.iter().sum();
        weights.iter_mut().for_each(|weight| *weight /= total);
        let log_weights = weights.iter().map(|weight| libm::log(*weight)).collect();
        let marginal = |(axis, domain): (usize, &Domain)| match *domain {
            Domain::Categorical { levels } => level_marginal(levels, rows, axis),
            Domain::Real { .. } | Domain::Integer { .. } => place_marginal(domain, rows, axis, floor),
        };
        Self { marginals: domains.iter().enumerate().map(marginal).collect(), weights, log_weights }
    }

    /// One draw from the mixture.
    pub(super) fn draw(&self, draws: &mut Draws) -> Vec<Coordinate> {
        let kernel = draws.weighted(&self.weights);
        let coordinate = |marginal: &Marginal| match marginal {
            Marginal::Place { centres, widths, .. } => {
                Coordinate::Place(truncated_normal(centres[kernel], widths[kernel], draws))
            }
            Marginal::Level { seen, levels, log_hit, .. } => {
                let hit = kernel < seen.len() && draws.unit() < hit_share(*levels, *log_hit);
                Coordinate::Level(if hit { seen[kernel] } else { draws.pick(*levels) })
            }
        };
        self.marginals.iter().map(coordinate).collect()
    }

    /// The logarithm of the density, up to a constant that is the same for all mixtures of one group. `scratch` is
    /// overwritten.
    pub(super) fn log_density(&self, point: &[Coordinate], scratch: &mut Vec<f64>) -> f64 {
        scratch.clear();
        scratch.extend_from_slice(&self.log_weights);
        for (marginal, coordinate) in self.marginals.iter().zip(point) {
            match (marginal, *coordinate) {
                (Marginal::Place { centres, inverse, log_scale, .. }, Coordinate::Place(place)) => {
                    let kernels = centres.iter().zip(inverse).zip(log_scale);
                    for (sum, ((centre, inverse), scale)) in scratch.iter_mut().zip(kernels) {
                        let z = (place - centre) * inverse;
                        *sum -= 0.5 * z * z + scale;
                    }
                }
                (Marginal::Level { seen, log_hit, log_miss, log_prior, .. }, Coordinate::Level(level)) => {
                    let (prior, observed) = scratch.split_last_mut().expect("the prior is always there");
                    *prior += log_prior;
                    for (sum, seen) in observed.iter_mut().zip(seen) {
                        *sum += if *seen == level { log_hit } else { log_miss };
                    }
                }
                (Marginal::Place { .. } | Marginal::Level { .. }, _) => {}
            }
        }
        let top = scratch.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        top + libm::log(scratch.iter().map(|sum| libm::exp(sum - top)).sum())
    }
}

/// Widths by the larger gap to a neighbour, ends of the range not counted as neighbours, and never below the floor or
/// half a cell ("magic clipping", Bergstra et al. 2011).
fn place_marginal(domain: &Domain, rows: &[&[Coordinate]], axis: usize, floor: WidthFloor) -> Marginal {
    let place = |row: &&[Coordinate]| match row[axis] {
        Coordinate::Place(place) => place,
        Coordinate::Level(_) => 0.5,
    };
    let mut centres: Vec<f64> = rows.iter().map(place).collect();
    let mut order: Vec<usize> = (0..centres.len()).collect();
    order.sort_by(|&left, &right| centres[left].total_cmp(&centres[right]));
    let mut widths = vec![0.0; centres.len()];
    for (rank, &kernel) in order.iter().enumerate() {
        let gap = |other: usize| (centres[other] - centres[kernel]).abs();
        let left = rank.checked_sub(1).map(|rank| gap(order[rank]));
        let right = order.get(rank + 1).map(|other| gap(*other));
        let gap = match (left, right) {
            (Some(left), Some(right)) => left.max(right),
            (Some(gap), None) | (None, Some(gap)) => gap,
            (None, None) => centres[kernel].max(1.0 - centres[kernel]),
        };
        widths[kernel] = gap.clamp(floor.0.max(0.5 * domain.cell(centres[kernel])).min(1.0), 1.0);
    }
    centres.push(0.5);
    widths.push(1.0);
    let inverse = widths.iter().map(|width| 1.0 / width).collect::<Vec<_>>();
    let mass = |centre: f64, inverse: f64| normal_below((1.0 - centre) * inverse) - normal_below(-centre * inverse);
    let log_scale = centres.iter().zip(&inverse).map(|(c, i)| libm::log(mass(*c, *i) / i)).collect();
    Marginal::Place { centres, widths, inverse, log_scale }
}

fn level_marginal(levels: usize, rows: &[&[Coordinate]], axis: usize) -> Marginal {
    let level = |row: &&[Coordinate]| match row[axis] {
        Coordinate::Level(level) => level,
        Coordinate::Place(_) => 0,
    };
    let seen: Vec<usize> = rows.iter().map(level).collect();
    // The prior's weight of 1, shared by the kernels, goes to each level.
    let share = 1.0 / (seen.len() + 1) as f64;
    let total = 1.0 + levels as f64 * share;
    Marginal::Level {
        seen,
        levels,
        log_hit: libm::log((1.0 + share) / total),
        log_miss: libm::log(share / total),
        log_prior: -libm::log(levels as f64),
    }
}

/// The share of draws that take the kernel's own level before the others are drawn evenly.
fn hit_share(levels: usize, log_hit: f64) -> f64 {
    if levels == 1 {
        return 1.0;
    }
    let (hit, even) = (libm::exp(log_hit), 1.0 / levels as f64);
    (hit - even) / (1.0 - even)
}

/// The centre lies in [0, 1], so at least a third of the draws do as well.
fn truncated_normal(centre: f64, width: f64, draws: &mut Draws) -> f64 {
    const TRIES_MAX: usize = 64;
    for _ in 0..TRIES_MAX {
        let place = centre + width * draws.normal();
        if (0.0..=1.0).contains(&place) {
            return place;
        }
    }
    centre
}

/// Φ(z), exact to the last bits that matter beside 1.
fn normal_below(z: f64) -> f64 {
    const CERTAIN: f64 = 8.3;
    if z > CERTAIN {
        return 1.0;
    }
    if z < -CERTAIN {
        return 0.0;
    }
    0.5 * libm::erfc(-z * core::f64::consts::FRAC_1_SQRT_2)
}
