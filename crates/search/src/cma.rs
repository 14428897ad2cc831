//! CMA-ES with active update and restarts of growing population (Hansen 2016, arXiv:1604.00772; Auger and Hansen 2005,
//! IPOP), whose draws come in mirrored pairs along orthogonal directions (Wang, Emmerich and Bäck 2019, "Mirrored
//! orthogonal sampling for covariance matrix adaptation evolution strategies").
//!
//! It moves over the unit cube of the numeric axes that are always active. Categorical and conditional axes follow TPE,
//! given the numeric ones; without a numeric axis, all do.
//!
//! The state is rebuilt from the history at each call: told points are taken in the order of their indices, λ at a
//! time, and a generation whose point is still pending waits, with all that came after it. So the state does not depend
//! on the order in which points are told. Points that were not drawn from the state, as of another sampler or asked
//! for while a generation waited, count as injected and their steps are clipped (Hansen 2011, arXiv:1110.4181).

mod state;

use serde::{Deserialize, Serialize};
use state::{Berth, State};

use crate::draws::{Draws, Use};
use crate::history::best_first;
use crate::{Ask, History, Observation, Point, Space, Tpe, Value};

/// Settings. The defaults are those of the tutorial.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cma {
    /// First step length, as a share of each range. Default: 1/6. Range: above 0, at most 1.
    pub step: f64,
    /// Points of a generation. Default: 4 + 3 ln(axes), rounded down. Range: 4 to 10000.
    pub population: Option<u32>,
}

impl Default for Cma {
    fn default() -> Self {
        Self { step: 1.0 / 6.0, population: None }
    }
}

/// What the history comes to.
struct Replay {
    /// After all complete generations.
    state: State,
    /// Indices of the points after them, in order.
    waiting: Vec<u32>,
}

impl Cma {
    /// Points for the indices of `ask`, all from the distribution after the last complete generation.
    #[must_use]
    pub fn suggest(&self, space: &Space, history: &History, ask: Ask) -> Vec<Point> {
        let axes: Vec<usize> = (0..space.axes().len())
            .filter(|place| !space.is_conditional(*place) && !space.domain(*place).is_categorical())
            .collect();
        let rest = axes.len() < space.axes().len();
        if axes.is_empty() {
            return Tpe::default().suggest(space, history, ask);
        }
        let Replay { state, mut waiting } = self.replay(space, &axes, history, &ask.key);
        let mut history = history.clone();
        let mut points = Vec::new();
        for index in ask.indices() {
            let mut draws = Draws::new(&ask.key, Use::Mutation, index);
            let place = waiting.partition_point(|other| *other < index);
            waiting.insert(place, index);
            let drawn = state.draw(Berth { key: &ask.key, generation: waiting[0], place }, &mut draws);
            let mut point = Point(vec![None; space.axes().len()]);
            for (at, place) in axes.iter().enumerate() {
                let floor = 1.0 / (state.population() * axes.len()) as f64;
                point.0[*place] = Some(whole_step(space, *place, (drawn[at], state.mean(at)), floor, &mut draws));
            }
            if rest {
                point = Tpe::default().fill(space, &history, &ask.key, (index, point));
                history.ask(index, point.clone());
            }
            points.push(point);
        }
        points
    }

    /// The state after all complete generations.
    fn replay(&self, space: &Space, axes: &[usize], history: &History, key: &[u8; 32]) -> Replay {
        let standard = 4 + (3.0 * libm::log(axes.len() as f64)) as usize;
        let population = self.population.map_or(standard, |population| population as usize).clamp(4, 10_000);
        let mut state = State::new(vec![0.5; axes.len()], self.step.clamp(1e-6, 1.0), population);
        let mut rest: &[Observation] = history.observations();
        let mut restarts = 0;
        while rest.len() >= state.population() {
            let (generation, after) = rest.split_at(state.population());
            if generation.iter().any(Observation::is_pending) {
                break;
            }
            rest = after;
            let generation: Vec<&Observation> = generation.iter().collect();
            // A generation without a value says nothing about where to go.
            if generation.iter().all(|seen| seen.measured().is_none()) {
                continue;
            }
            let places =
                |seen: &Observation| -> Vec<f64> { axes.iter().map(|axis| place(space, *axis, seen)).collect() };
            let order = best_first(&generation);
            let ranked: Vec<Vec<f64>> = order.iter().map(|seen| places(generation[*seen])).collect();
            state.update(&ranked);
            let values = order.iter().filter_map(|seen| generation[*seen].measured()).map(|values| values[0]);
            if state.is_spent(&values.collect::<Vec<_>>()) {
                restarts += 1;
                let mut draws = Draws::new(key, Use::Restart, restarts);
                let mean = axes.iter().map(|_| draws.unit()).collect();
                state = State::new(mean, self.step.clamp(1e-6, 1.0), (2 * state.population()).min(10_000));
            }
        }
        Replay { state, waiting: rest.iter().map(|seen| seen.index).collect() }
    }
}

fn place(space: &Space, axis: usize, seen: &Observation) -> f64 {
    let value = seen.point.0[axis].as_ref().expect("an axis without a condition always has a value");
    space.domain(axis).place(value)
}

/// The value at a place. Where whole numbers lie so far apart that all draws round to the mean's, one in `1 / floor`
/// draws goes one further (a simple form of the margin of Hamano et al. 2022, arXiv:2205.13482).
fn whole_step(space: &Space, axis: usize, at: (f64, f64), floor: f64, draws: &mut Draws) -> Value {
    let (drawn, mean) = at;
    let domain = space.domain(axis);
    let value = domain.at(drawn);
    let cell = domain.cell(drawn);
    if cell == 0.0 || value != domain.at(mean) || draws.unit() >= floor {
        return value;
    }
    let side = if draws.unit() < 0.5 { -cell } else { cell };
    let middle = domain.place(&value);
    domain.at(if (0.0..=1.0).contains(&(middle + side)) { middle + side } else { middle - side })
}

#[cfg(test)]
mod tests;
