//! Tree-structured Parzen estimators (Bergstra et al. 2011; Watanabe 2023, arXiv:2304.11127), multivariate.
//!
//! Departs from them in the better part: its kernels weigh by rank, and may be four times as narrow.
//!
//! Observations are split into the better and the others, each part becomes a mixture of kernels, and of some draws
//! from the better one's mixture the one with the largest ratio of densities is suggested. Axes that are active
//! together are estimated together; a group of conditional axes is split among the observations in which it was
//! active, so that a branch that is mostly bad still learns where it is best.
//! Pending points count as the worst (constant liar), so that points asked for at once spread out.

mod parzen;

use parzen::{Coordinate, Parzen, WidthFloor};
use serde::{Deserialize, Serialize};

use crate::draws::{Draws, Use};
use crate::history::{Standing, best_first};
use crate::{Ask, Domain, History, Observation, Point, Space, Value, qmc};

/// Settings. The defaults are those of the comparison in `docs/results/search.md`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tpe {
    /// Points told before the estimate is used; until then points are of the scrambled Sobol sequence. Default: 10.
    pub startup: u32,
    /// Draws of which one is suggested. Default: 24.
    pub candidates: u32,
}

impl Default for Tpe {
    fn default() -> Self {
        Self { startup: 10, candidates: 24 }
    }
}

/// Most kernels of the better part (Optuna's and hyperopt's bound).
const BETTER_MAX: usize = 25;
/// Most kernels of the other part, the newest: bounds the cost of a suggestion.
const OTHERS_MAX: usize = 400;
/// How much narrower the kernels of the better part may be than its number alone would let them: few kernels that stay
/// wide would find a valley and never its floor.
const GOOD_FINENESS: f64 = 4.0;

impl Tpe {
    /// Points for the indices of `ask`, each of which sees those before it as pending.
    #[must_use]
    pub fn suggest(&self, space: &Space, history: &History, ask: Ask) -> Vec<Point> {
        let mut history = history.clone();
        let mut points = Vec::new();
        for index in ask.indices() {
            let point = if history.told().len() < self.startup as usize {
                qmc::point(space, &ask.key, index)
            } else {
                self.fill(space, &history, &ask.key, (index, Point(vec![None; space.axes().len()])))
            };
            history.ask(index, point.clone());
            points.push(point);
        }
        points
    }

    /// Completes a point: estimates each group over its axes that `begun` leaves open, given those before it.
    pub(crate) fn fill(&self, space: &Space, history: &History, key: &[u8; 32], begun: (u32, Point)) -> Point {
        let (index, mut point) = begun;
        let mut draws = Draws::new(key, Use::Candidates, index);
        for group in space.groups() {
            let open: Vec<usize> = group.iter().copied().filter(|place| point.0[*place].is_none()).collect();
            if open.first().is_some_and(|first| space.is_active(*first, &point)) {
                let chosen = self.choose(space, &open, history, &mut draws);
                for (place, value) in open.iter().zip(chosen) {
                    point.0[*place] = Some(value);
                }
            }
        }
        point
    }

    /// Values for the axes of one group.
    fn choose(&self, space: &Space, axes: &[usize], history: &History, draws: &mut Draws) -> Vec<Value> {
        let domains: Vec<Domain> = axes.iter().map(|place| *space.domain(*place)).collect();
        let seen: Vec<&Observation> = (history.observations().iter())
            .filter(|seen| axes.iter().all(|place| seen.point.0[*place].is_some()))
            .collect();
        let Split { better, others } = Split::of(&seen);
        let estimate = |part: &[&Observation], weights: &[f64], floor: WidthFloor| {
            let rows: Vec<Vec<Coordinate>> = part.iter().map(|seen| coordinates(&domains, axes, seen)).collect();
            let rows: Vec<&[Coordinate]> = rows.iter().map(Vec::as_slice).collect();
            Parzen::new(&domains, &rows, weights, floor)
        };
        let good = estimate(&better, &rank_weights(better.len()), WidthFloor::of(GOOD_FINENESS, better.len()));
        let bad = estimate(&others, &age_weights(others.len()), WidthFloor::of(1.0, others.len()));
        let mut scratch = Vec::new();
        let mut best: Option<(f64, Vec<Value>)> = None;
        for _ in 0..self.candidates.max(1) {
            let drawn = good.draw(draws);
            let values: Vec<Value> = domains.iter().zip(&drawn).map(|(domain, at)| value(domain, *at)).collect();
            let rounded: Vec<Coordinate> =
                domains.iter().zip(&values).map(|(domain, at)| coordinate(domain, at)).collect();
            let ratio = good.log_density(&rounded, &mut scratch) - bad.log_density(&rounded, &mut scratch);
            if best.as_ref().is_none_or(|(most, _)| ratio > *most) {
                best = Some((ratio, values));
            }
        }
        best.expect("at least one candidate").1
    }
}

/// The observations in two parts: the better ones, best first, and the others in the order of their indices.
struct Split<'a> {
    better: Vec<&'a Observation>,
    others: Vec<&'a Observation>,
}

impl<'a> Split<'a> {
    fn of(seen: &[&'a Observation]) -> Self {
        let order = best_first(seen);
        let told = seen.iter().filter(|seen| !seen.is_pending()).count();
        // What failed is nowhere good, however few there are beside it; nor is what was pruned, once something was not.
        let with = |able: fn(&Standing<'_>) -> bool| seen.iter().filter(|seen| able(&seen.standing())).count();
        let able = match with(|standing| matches!(standing, Standing::Measured(_))) {
            0 => with(|standing| matches!(standing, Standing::Pruned(..))),
            measured => measured,
        };
        let (better, worse) = order.split_at(told.div_ceil(10).min(BETTER_MAX).min(able));
        let mut others = worse.to_vec();
        others.sort_unstable();
        others.drain(..others.len().saturating_sub(OTHERS_MAX));
        let part = |places: &[usize]| places.iter().map(|place| seen[*place]).collect();
        Self { better: part(better), others: part(&others) }
    }
}

fn coordinates(domains: &[Domain], axes: &[usize], seen: &Observation) -> Vec<Coordinate> {
    let at = |(domain, place): (&Domain, &usize)| {
        coordinate(domain, seen.point.0[*place].as_ref().expect("only observations with these axes are used"))
    };
    domains.iter().zip(axes).map(at).collect()
}

fn coordinate(domain: &Domain, value: &Value) -> Coordinate {
    match *value {
        Value::Level(level) => Coordinate::Level(level),
        Value::Real(_) | Value::Integer(_) => Coordinate::Place(domain.place(value)),
    }
}

fn value(domain: &Domain, coordinate: Coordinate) -> Value {
    match coordinate {
        Coordinate::Level(level) => Value::Level(level),
        Coordinate::Place(place) => domain.at(place),
    }
}

/// The better a point, the more often its kernel is drawn from: the logarithmic weights of CMA-ES (Hansen 2016, eq. 49),
/// 1 in the mean. Even weights, as in the paper, learn more slowly where each step is small.
fn rank_weights(count: usize) -> Vec<f64> {
    let raw: Vec<f64> = (1..=count).map(|rank| libm::log((count + 1) as f64) - libm::log(rank as f64)).collect();
    let mean = raw.iter().sum::<f64>() / count.max(1) as f64;
    raw.iter().map(|weight| weight / mean).collect()
}

/// Old observations fade: the newest 25 weigh 1, those before rise evenly from 1 / count (Bergstra et al. 2013).
fn age_weights(count: usize) -> Vec<f64> {
    const FULL: usize = 25;
    let ramp = count.saturating_sub(FULL);
    let low = 1.0 / count.max(1) as f64;
    let weight = |age: usize| if ramp < 2 { 1.0 } else { low + (1.0 - low) * age as f64 / (ramp - 1) as f64 };
    (0..count).map(|place| if place < ramp { weight(place) } else { 1.0 }).collect()
}

#[cfg(test)]
mod tests;
