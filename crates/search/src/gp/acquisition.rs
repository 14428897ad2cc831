//! Where the expected improvement is largest: many candidates, of which the best are refined.

use argmin::core::{CostFunction, Error, Gradient};

use super::kernel::features;
use super::process::{Prediction, Process, minimise};
use crate::draws::{Draws, Use};
use crate::history::best_first;
use crate::qmc::Sobol;
use crate::{Domain, Observation, Point, Space, Value, random};

/// Candidates spread over the whole space.
const SPREAD: u32 = 512;
/// Candidates near the best observations.
const NEAR: usize = 128;
/// How many of the best observations have candidates near them.
const CENTRES: usize = 4;
/// Candidates that are refined.
const REFINED: usize = 4;
/// Steps of each refinement.
const REFINE_STEPS_MAX: u64 = 25;

pub(super) struct Acquisition<'a> {
    pub(super) space: &'a Space,
    pub(super) process: &'a Process<'a>,
    pub(super) seen: &'a [&'a Observation],
    pub(super) pending: &'a [Point],
}

impl Acquisition<'_> {
    /// The point with the largest expected improvement that was found and not seen before; where all were seen, the
    /// largest of all.
    pub(super) fn best(&self, key: &[u8; 32], index: u32) -> Point {
        let mut draws = Draws::new(key, Use::Candidates, index);
        let least = self.process.best_mean();
        let value = |point: &Point| log_improvement(&self.process.predict(&features(self.space, point)), least).0;
        let mut candidates = self.spread(&mut draws);
        candidates.extend(self.near(&mut draws));
        let mut ranked: Vec<(f64, Point)> = candidates.into_iter().map(|point| (value(&point), point)).collect();
        ranked.sort_by(|left, right| right.0.total_cmp(&left.0));
        let refined: Vec<Point> =
            ranked.iter().take(REFINED).filter_map(|(_, point)| self.refine(point, least)).collect();
        ranked.extend(refined.into_iter().map(|point| (value(&point), point)));
        ranked.sort_by(|left, right| right.0.total_cmp(&left.0));
        let is_new =
            |point: &Point| !self.seen.iter().any(|seen| seen.point == *point) && !self.pending.contains(point);
        let place = ranked.iter().position(|(_, point)| is_new(point)).unwrap_or(0);
        ranked.swap_remove(place).1
    }

    fn spread(&self, draws: &mut Draws) -> Vec<Point> {
        let sobol = Sobol::scrambled(self.space.axes().len(), draws);
        let point = |index: u32| {
            self.space.walk(|place| {
                let at = if place < sobol.dimensions() { sobol.coordinate(place, index) } else { draws.unit() };
                self.space.domain(place).at(at)
            })
        };
        (0..SPREAD).map(point).collect()
    }

    /// Steps of several lengths from the best observations, along some of their axes.
    fn near(&self, draws: &mut Draws) -> Vec<Point> {
        const LENGTHS: [f64; 3] = [0.02, 0.07, 0.2];
        /// How many axes are moved at once, in the mean, where there are more.
        const MOVED: f64 = 8.0;
        let share = (MOVED / self.space.axes().len().max(1) as f64).min(1.0);
        let order = best_first(self.seen);
        let mut points = Vec::with_capacity(NEAR);
        for round in 0..NEAR {
            let from = &self.seen[order[round % CENTRES.min(order.len())]].point;
            let length = LENGTHS[round % LENGTHS.len()];
            points.push(self.space.walk(|place| {
                let domain = self.space.domain(place);
                match from.0[place] {
                    None => random::value(domain, draws),
                    Some(Value::Level(level)) => {
                        if draws.unit() < length {
                            random::value(domain, draws)
                        } else {
                            Value::Level(level)
                        }
                    }
                    Some(value @ (Value::Real(_) | Value::Integer(_))) => {
                        if draws.unit() >= share {
                            return value;
                        }
                        let step = length.max(domain.cell(domain.place(&value))) * draws.normal();
                        domain.at(domain.place(&value) + step)
                    }
                }
            }));
        }
        points
    }

    /// Climbs from a point along its numeric axes, its levels kept.
    fn refine(&self, point: &Point, least: f64) -> Option<Point> {
        let is_number = |place: &usize| {
            point.0[*place].is_some()
                && matches!(self.space.domain(*place), Domain::Real { .. } | Domain::Integer { .. })
        };
        let axes: Vec<usize> = (0..point.0.len()).filter(is_number).collect();
        if axes.is_empty() {
            return None;
        }
        let row = features(self.space, point);
        // Away from the ends, where the sine is flat.
        let begin = axes.iter().map(|axis| angle(row[*axis].unwrap_or(0.5).clamp(0.01, 0.99))).collect();
        let climb = Climb { process: self.process, row, axes: axes.clone(), least };
        let angles = minimise(climb, begin, REFINE_STEPS_MAX)?;
        let mut refined = point.clone();
        for (axis, angle) in axes.iter().zip(angles) {
            refined.0[*axis] = Some(self.space.domain(*axis).at(place(angle)));
        }
        Some(refined)
    }
}

/// A place on [0, 1] as an angle without ends, (1 + sin) / 2, so that the solver knows no bounds.
fn place(angle: f64) -> f64 {
    0.5 * (1.0 + libm::sin(angle))
}

fn angle(place: f64) -> f64 {
    libm::asin(2.0 * place - 1.0)
}

/// −log EI over the angles of the numeric axes.
struct Climb<'a> {
    process: &'a Process<'a>,
    row: Vec<Option<f64>>,
    axes: Vec<usize>,
    least: f64,
}

impl Climb<'_> {
    fn row(&self, angles: &[f64]) -> Vec<Option<f64>> {
        let mut row = self.row.clone();
        for (axis, angle) in self.axes.iter().zip(angles) {
            row[*axis] = Some(place(*angle));
        }
        row
    }
}

impl CostFunction for Climb<'_> {
    type Param = Vec<f64>;
    type Output = f64;
    fn cost(&self, angles: &Vec<f64>) -> Result<f64, Error> {
        Ok(-log_improvement(&self.process.predict(&self.row(angles)), self.least).0)
    }
}

impl Gradient for Climb<'_> {
    type Param = Vec<f64>;
    type Gradient = Vec<f64>;
    fn gradient(&self, angles: &Vec<f64>) -> Result<Vec<f64>, Error> {
        let (prediction, slopes) = self.process.predict_with_slopes(&self.row(angles), &self.axes);
        let (_, by_mean, by_deviation) = log_improvement(&prediction, self.least);
        let slope = |([mean, deviation], angle): (&[f64; 2], &f64)| {
            -(by_mean * mean + by_deviation * deviation) * 0.5 * libm::cos(*angle)
        };
        Ok(slopes.iter().zip(angles).map(slope).collect())
    }
}

/// The logarithm of the expected improvement below `least`, and its slopes by mean and deviation.
///
/// EI = σ h(z) with z = (least − μ) / σ and h(z) = φ(z) + z Φ(z), whose slope is Φ(z).
fn log_improvement(prediction: &Prediction, least: f64) -> (f64, f64, f64) {
    let Prediction { mean, deviation } = *prediction;
    let z = (least - mean) / deviation;
    let (log_h, ratio) = log_h(z);
    (libm::log(deviation) + log_h, -ratio / deviation, (1.0 - ratio * z) / deviation)
}

/// log h(z) and Φ(z) / h(z), without cancellation in the tail (Ament et al. 2023, equation 9 and its appendix).
fn log_h(z: f64) -> (f64, f64) {
    /// Below this, erfc nears the smallest doubles, and the series of Mills' ratio is exact to 1e-8.
    const FAR: f64 = -25.0;
    const LOG_ROOT_TAU: f64 = 0.918_938_533_204_672_7;
    let log_phi = -0.5 * z * z - LOG_ROOT_TAU;
    let square = z * z;
    // Φ(z) / φ(z), by the complementary error function.
    let mills = if z < FAR {
        -(1.0 - (1.0 - 3.0 / square) / square) / z
    } else {
        libm::exp(-log_phi) * 0.5 * libm::erfc(-z * core::f64::consts::FRAC_1_SQRT_2)
    };
    if z > -1.0 {
        let below = 0.5 * libm::erfc(-z * core::f64::consts::FRAC_1_SQRT_2);
        let h = libm::exp(log_phi) + z * below;
        return (libm::log(h), below / h);
    }
    // 1 + z Φ/φ loses digits as z falls; its series is 1/z² − 3/z⁴ + 15/z⁶ − 105/z⁸.
    let gap = if z < FAR {
        (1.0 - 3.0 / square * (1.0 - 5.0 / square * (1.0 - 7.0 / square))) / square
    } else {
        1.0 + z * mills
    };
    (log_phi + libm::log(gap), mills / gap)
}

#[cfg(test)]
mod tests;
