//! Which points of a space to try next, from what was seen; which trials to stop early; which axes mattered.
//!
//! Pure: every answer is a function of the arguments, and randomness comes from the key among them. No I/O, no clock.

#[cfg(test)]
mod cases;
mod cma;
mod draws;
mod gp;
mod history;
mod importance;
mod linear;
mod nsga2;
mod pareto;
mod point;
mod population;
mod qmc;
mod random;
mod rung;
mod sampler;
mod space;
mod tpe;

pub use cma::Cma;
pub use gp::Gp;
pub use history::{History, HistoryError, OBJECTIVES_MAX, Observation, Outcome};
pub use importance::{Importance, Spread, importance};
pub use nsga2::Nsga2;
pub use pareto::{dominates, pareto_front};
pub use point::{Point, Value};
pub use population::{Member, Population, Step};
pub use rung::{Bracket, Halving, Median, MedianAt, Rungs, Stage, Verdict};
pub use sampler::{Ask, Sampler};
pub use space::{AXES_MAX, Axis, Condition, Domain, LEVELS_MAX, Scale, Space, SpaceError};
pub use tpe::Tpe;
