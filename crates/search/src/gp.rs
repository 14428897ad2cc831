//! Bayesian optimisation with a Gaussian process: Matérn 5/2 with one length for each axis, fitted by its marginal
//! likelihood under priors; the logarithm of the expected improvement (Ament et al. 2023, arXiv:2310.20708) over the
//! best posterior mean is maximised from Sobol points, and refined by L-BFGS.
//!
//! Points pruned or failed count as the worst that was measured. Pending points count as if they had met their
//! posterior mean (Ginsbourger et al. 2010, "kriging believer"). Several objectives are joined by the augmented
//! Chebyshev norm under weights drawn for each index (Knowles 2006, ParEGO).

mod acquisition;
mod kernel;
mod process;

use acquisition::Acquisition;
use process::{Hyper, Process};
use serde::{Deserialize, Serialize};

use crate::draws::{Draws, Use};
use crate::history::best_first;
use crate::{Ask, History, Observation, Point, Space, qmc};

/// Settings.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Gp {
    /// Points told before the process is used; until then points are of the scrambled Sobol sequence. Default: 10.
    pub startup: u32,
    /// Most observations that the process is fitted to, half of them the best and half the newest of the others; the
    /// cost of a suggestion grows with the cube. Default: 128. Range: 2 to 1000.
    pub observations_max: u32,
}

impl Default for Gp {
    fn default() -> Self {
        Self { startup: 10, observations_max: 128 }
    }
}

impl Gp {
    /// Points for the indices of `ask`, each of which sees those before it as pending.
    #[must_use]
    pub fn suggest(&self, space: &Space, history: &History, ask: Ask) -> Vec<Point> {
        let told = self.chosen(history);
        let is_measured = told.iter().any(|seen| seen.measured().is_some());
        if history.told().len() < self.startup as usize || !is_measured {
            return qmc::points(space, &ask.key, ask.first, ask.count);
        }
        let objectives = told.iter().find_map(|seen| seen.measured()).map_or(1, <[f64]>::len);
        let rows: Vec<Vec<Option<f64>>> = told.iter().map(|seen| kernel::features(space, &seen.point)).collect();
        let mut pending: Vec<Point> =
            history.observations().iter().filter(|seen| seen.is_pending()).map(|seen| seen.point.clone()).collect();
        let mut fitted: Option<(Hyper, Vec<f64>)> = None;
        let mut points = Vec::new();
        for index in ask.indices() {
            let (hyper, targets) = match fitted.take() {
                Some(kept) if objectives == 1 => kept,
                Some(_) | None => {
                    let targets = targets(&told, &weights(objectives, &ask.key, index));
                    (Hyper::fit(space, &rows, &targets), targets)
                }
            };
            let mut process = Process::new(&hyper, rows.clone(), targets.clone());
            for point in &pending {
                process.believe(&kernel::features(space, point));
            }
            let point = Acquisition { space, process: &process, seen: &told, pending: &pending }.best(&ask.key, index);
            pending.push(point.clone());
            points.push(point);
            fitted = Some((hyper, targets));
        }
        points
    }

    /// The observations that are looked at, in the order of their indices.
    fn chosen<'a>(&self, history: &'a History) -> Vec<&'a Observation> {
        let told = history.told();
        let most = self.observations_max.clamp(2, 1000) as usize;
        if told.len() <= most {
            return told;
        }
        let order = best_first(&told);
        let mut places: Vec<usize> = order[..most / 2].to_vec();
        let mut others: Vec<usize> = order[most / 2..].to_vec();
        others.sort_unstable_by(|left, right| right.cmp(left));
        places.extend_from_slice(&others[..most - most / 2]);
        places.sort_unstable();
        places.into_iter().map(|place| told[place]).collect()
    }
}

/// Weights of the objectives, evenly from the simplex.
fn weights(objectives: usize, key: &[u8; 32], index: u32) -> Vec<f64> {
    if objectives == 1 {
        return vec![1.0];
    }
    let mut draws = Draws::new(key, Use::Weights, index);
    let parts: Vec<f64> = (0..objectives).map(|_| -libm::log(1.0 - draws.unit())).collect();
    let total: f64 = parts.iter().sum();
    parts.iter().map(|part| part / total.max(f64::MIN_POSITIVE)).collect()
}

/// What the process learns: one number for each observation, of mean 0 and deviation 1.
fn targets(told: &[&Observation], weights: &[f64]) -> Vec<f64> {
    let measured: Vec<&[f64]> = told.iter().filter_map(|seen| seen.measured()).collect();
    let range = |objective: usize| {
        // Halves, so that the widest range does not overflow.
        let values = measured.iter().map(|values| 0.5 * values[objective]);
        let low = values.clone().fold(f64::INFINITY, f64::min);
        (low, (values.fold(f64::NEG_INFINITY, f64::max) - low).max(f64::MIN_POSITIVE))
    };
    let ranges: Vec<(f64, f64)> = (0..weights.len()).map(range).collect();
    let joined = |values: &[f64]| {
        if weights.len() == 1 {
            return values[0];
        }
        let parts =
            values.iter().zip(&ranges).zip(weights).map(|((value, (low, range)), w)| w * (0.5 * value - low) / range);
        parts.clone().fold(f64::NEG_INFINITY, f64::max) + 0.05 * parts.sum::<f64>()
    };
    let values: Vec<Option<f64>> = told.iter().map(|seen| seen.measured().map(joined)).collect();
    standardised(&values)
}

/// Values beyond this many interquartile ranges above the median are cut off there: a cliff far away says nothing about
/// the valley, and would hide it.
const SPREADS_MAX: f64 = 3.0;

fn standardised(values: &[Option<f64>]) -> Vec<f64> {
    // To at most 1 first, so that no sum overflows.
    let largest = values.iter().flatten().fold(f64::MIN_POSITIVE, |largest, value| largest.max(value.abs()));
    let values: Vec<Option<f64>> = values.iter().map(|value| value.map(|value| value / largest)).collect();
    let mut known: Vec<f64> = values.iter().flatten().copied().collect();
    known.sort_by(f64::total_cmp);
    let quantile = |share: f64| known[((known.len() - 1) as f64 * share) as usize];
    let spread = quantile(0.75) - quantile(0.25);
    let worst = known[known.len() - 1];
    let cut = if spread > 0.0 { worst.min(quantile(0.5) + SPREADS_MAX * spread) } else { worst };
    let cut_off: Vec<f64> = values.iter().map(|value| value.unwrap_or(worst).min(cut)).collect();
    let count = cut_off.len() as f64;
    let mean = cut_off.iter().sum::<f64>() / count;
    let deviation = (cut_off.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / count).sqrt();
    let scale = if deviation > 0.0 && deviation.is_finite() { deviation } else { 1.0 };
    cut_off.iter().map(|value| ((value - mean) / scale).clamp(-1e6, 1e6)).collect()
}

#[cfg(test)]
mod tests;
