//! NSGA-II (Deb et al. 2002): elitist evolution for several objectives, with simulated binary crossover and polynomial
//! mutation.
//!
//! The population is rebuilt from the history at each call: told points are taken in the order of their indices, one
//! generation at a time, and a generation whose point is still pending waits, with all that came after it. Numbers are
//! crossed along the scale of their axis; levels come from one of the parents; an axis that the child has and neither
//! parent had is drawn anew. With one objective it is a plain elitist evolution.

use serde::{Deserialize, Serialize};

use crate::draws::{Draws, Use};
use crate::history::best_first;
use crate::{Ask, Domain, History, Observation, Point, Space, Value, qmc, random};

/// Settings. Distribution indices and chances are those of the paper.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Nsga2 {
    /// Points of a generation; the first is of the scrambled Sobol sequence. Default: 24. Range: 4 to 10000.
    pub population: u32,
}

impl Default for Nsga2 {
    fn default() -> Self {
        Self { population: 24 }
    }
}

/// How close children stay to their parents; larger is closer.
const CROSSOVER_INDEX: f64 = 20.0;
/// How short mutations are; larger is shorter.
const MUTATION_INDEX: f64 = 20.0;
/// The chance that two parents are crossed at all.
const CROSSED: f64 = 0.9;

impl Nsga2 {
    /// Points for the indices of `ask`, all children of the last complete generation.
    #[must_use]
    pub fn suggest(&self, space: &Space, history: &History, ask: Ask) -> Vec<Point> {
        let parents = self.survivors(history);
        if parents.is_empty() {
            return qmc::points(space, &ask.key, ask.first, ask.count);
        }
        ask.indices().map(|index| child(space, &parents, &mut Draws::new(&ask.key, Use::Offspring, index))).collect()
    }

    /// The population after all complete generations, best first. Empty before the first.
    fn survivors<'a>(&self, history: &'a History) -> Vec<&'a Observation> {
        let size = self.population.clamp(4, 10_000) as usize;
        let mut population: Vec<&Observation> = Vec::new();
        for generation in history.observations().chunks_exact(size) {
            if generation.iter().any(Observation::is_pending) {
                break;
            }
            population.extend(generation);
            let order = best_first(&population);
            population = order.into_iter().take(size).map(|place| population[place]).collect();
        }
        // What has no value is no parent, unless nothing has one.
        let measured = population.iter().filter(|seen| seen.measured().is_some()).count();
        population.truncate(measured);
        population
    }
}

/// Binary tournament: of two members, the better, which is the one that stands first.
fn tournament<'a>(parents: &[&'a Observation], draws: &mut Draws) -> &'a Point {
    let (one, other) = (draws.pick(parents.len()), draws.pick(parents.len()));
    &parents[one.min(other)].point
}

fn child(space: &Space, parents: &[&Observation], draws: &mut Draws) -> Point {
    let (mother, father) = (tournament(parents, draws), tournament(parents, draws));
    let is_crossed = draws.unit() < CROSSED;
    let chance = 1.0 / space.axes().len().max(1) as f64;
    space.walk(|place| {
        let domain = space.domain(place);
        let (mine, theirs) = (mother.0[place], father.0[place]);
        let inherited = match (mine, theirs) {
            (Some(mine), Some(theirs)) if is_crossed => cross(domain, mine, theirs, draws),
            (Some(value), _) | (None, Some(value)) => value,
            (None, None) => return random::value(domain, draws),
        };
        if draws.unit() < chance { mutate(domain, inherited, draws) } else { inherited }
    })
}

/// One child of simulated binary crossover, bounded (Deb and Agrawal 1995; each axis is crossed with chance 1/2).
fn cross(domain: &Domain, mine: Value, theirs: Value, draws: &mut Draws) -> Value {
    let is_mixed = draws.unit() < 0.5;
    if domain.is_categorical() {
        return if is_mixed { theirs } else { mine };
    }
    let (left, right) = (domain.place(&mine), domain.place(&theirs));
    let gap = (left - right).abs();
    if !is_mixed || gap < 1e-14 {
        return mine;
    }
    let (low, high) = (left.min(right), left.max(right));
    let side = draws.unit();
    let edge = if side < 0.5 { low } else { 1.0 - high };
    let beta = 1.0 + 2.0 * edge / gap;
    let alpha = 2.0 - libm::pow(beta, -(CROSSOVER_INDEX + 1.0));
    let draw = draws.unit();
    let power = 1.0 / (CROSSOVER_INDEX + 1.0);
    let spread =
        if draw <= 1.0 / alpha { libm::pow(draw * alpha, power) } else { libm::pow(1.0 / (2.0 - draw * alpha), power) };
    let middle = 0.5 * (low + high);
    domain.at(if side < 0.5 { middle - 0.5 * spread * gap } else { middle + 0.5 * spread * gap })
}

/// Polynomial mutation, bounded (Deb and Goyal 1996); a level is drawn anew, and a whole number that stays where it is
/// goes one further.
fn mutate(domain: &Domain, value: Value, draws: &mut Draws) -> Value {
    if domain.is_categorical() {
        return random::value(domain, draws);
    }
    let place = domain.place(&value);
    let draw = draws.unit();
    let power = 1.0 / (MUTATION_INDEX + 1.0);
    let step = if draw < 0.5 {
        let rest = libm::pow(1.0 - place, MUTATION_INDEX + 1.0);
        libm::pow(2.0 * draw + (1.0 - 2.0 * draw) * rest, power) - 1.0
    } else {
        let rest = libm::pow(place, MUTATION_INDEX + 1.0);
        1.0 - libm::pow(2.0 * (1.0 - draw) + 2.0 * (draw - 0.5) * rest, power)
    };
    let mutated = domain.at(place + step);
    if mutated != value { mutated } else { domain.at(place + domain.cell(place).copysign(step)) }
}

#[cfg(test)]
mod tests;
