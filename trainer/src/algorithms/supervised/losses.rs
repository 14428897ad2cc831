//! The losses of a forecaster's heads on one row, and their gradients by what the heads put out.
//!
//! Returns and variances are in the units of the training labels.

use models::{CLASSES, Forecaster, Scales, ascending, bounded_exp, softmax};
use spec::{Imbalance, Output, QUANTILES, ReturnHead, Spread, SupervisedSpec, TaskWeights, VolatilityHead};

use crate::labels::Label;

/// Where the return loss turns from square to linear, in standard deviations: returns have fat tails.
const HUBER_BETA: f64 = 1.0;

/// Logarithms of uncertainties stay within ±: a likelihood may fall below zero, and no weight would be large enough then.
pub(super) const UNCERTAINTY_MAX: f32 = 3.0;

/// Direction, return, volatility.
pub(super) const TASKS: usize = 3;

/// How rows and tasks count.
#[derive(Clone, Debug)]
pub(super) struct Weighing {
    returns: ReturnHead,
    volatility: VolatilityHead,
    imbalance: Imbalance,
    /// Of each direction, mean 1 over the training rows.
    classes: [f32; CLASSES],
    return_weight: f32,
    tasks: TaskWeights,
}

impl Weighing {
    /// `directions`: training rows of each.
    pub(super) fn new(network: &Forecaster, task: &SupervisedSpec, directions: [usize; CLASSES]) -> Self {
        let rows: usize = directions.iter().sum();
        let present = directions.iter().filter(|count| **count > 0).count();
        let balanced = directions.map(|count| rows as f32 / (present * count.max(1)) as f32);
        Self {
            returns: network.heads().returns,
            volatility: network.heads().volatility,
            imbalance: task.imbalance,
            classes: match task.imbalance {
                Imbalance::Balanced => balanced,
                Imbalance::Off | Imbalance::Focal { .. } => [1.0; CLASSES],
            },
            return_weight: task.return_weight as f32,
            tasks: task.task_weights,
        }
    }

    /// Whether uncertainties of the tasks are learned.
    pub(super) const fn learns_uncertainties(&self) -> bool {
        matches!(self.tasks, TaskWeights::Uncertainty)
    }

    /// What each task's loss is multiplied with, from the logarithms of their uncertainties (Kendall et al. 2018, eq. 10):
    /// 1/σ² of a classification, 1/(2σ²) of a regression.
    pub(super) fn factors(&self, uncertainties: &[f32; TASKS]) -> [f32; TASKS] {
        match self.tasks {
            TaskWeights::Fixed => [1.0, self.return_weight, 1.0],
            TaskWeights::Uncertainty => {
                let precision = uncertainties.map(|log| (-log).exp());
                [precision[0], precision[1] / 2.0, precision[2] / 2.0]
            }
        }
    }

    /// Gradients of the logarithms: of Σ factor·loss + log/2.
    pub(super) fn uncertainty_gradients(&self, factors: [f32; TASKS], losses: [f64; TASKS]) -> [f32; TASKS] {
        let used = [true, true, self.volatility.outputs() > 0];
        std::array::from_fn(|task| if used[task] { 0.5 - factors[task] * losses[task] as f32 } else { 0.0 })
    }

    /// The losses of a row, and their gradient: that of each task times its factor, over `rows`.
    pub(super) fn row(
        &self,
        label: &Label,
        outputs: &[f32],
        (factors, rows): ([f32; TASKS], usize),
        gradient: &mut [f32],
    ) -> [f64; TASKS] {
        let (directions, rest) = outputs.split_at(CLASSES);
        let (d_directions, d_rest) = gradient.split_at_mut(CLASSES);
        let (returns, volatility) = rest.split_at(self.returns.outputs());
        let (d_returns, d_volatility) = d_rest.split_at_mut(self.returns.outputs());
        let losses = [
            self.direction(label, directions, d_directions),
            self.value(label.standardised_return, returns, d_returns),
            volatility.first().map_or(0.0, |log| quasi_likelihood(label.variance, *log, &mut d_volatility[0])),
        ];
        let scaled = [(d_directions, factors[0]), (d_returns, factors[1]), (d_volatility, factors[2])];
        for (gradient, factor) in scaled {
            gradient.iter_mut().for_each(|value| *value *= factor / rows as f32);
        }
        losses
    }

    fn direction(&self, label: &Label, logits: &[f32], gradient: &mut [f32]) -> f64 {
        let class = usize::from(label.class);
        let probabilities = softmax(logits);
        let (right, weight) = (probabilities[class].max(f32::MIN_POSITIVE), self.classes[class]);
        // dL/dz_j = slope · (1[j = class] − p_j).
        let (loss, slope) = match self.imbalance {
            Imbalance::Off | Imbalance::Balanced => (-right.ln() * weight, -weight),
            Imbalance::Focal { gamma } => {
                let (gamma, wrong) = (gamma as f32, (1.0 - right).max(f32::EPSILON));
                let easy = wrong.powf(gamma);
                (-easy * right.ln(), gamma * right * (easy / wrong) * right.ln() - easy)
            }
        };
        for (index, (d, probability)) in gradient.iter_mut().zip(probabilities).enumerate() {
            *d = slope * (f32::from(u8::from(index == class)) - probability);
        }
        f64::from(loss)
    }

    fn value(&self, wanted: f32, said: &[f32], gradient: &mut [f32]) -> f64 {
        match self.returns {
            ReturnHead::Point => {
                let miss = said[0] - wanted;
                gradient[0] = miss.clamp(-HUBER_BETA as f32, HUBER_BETA as f32);
                huber(f64::from(miss).abs())
            }
            ReturnHead::Gaussian => {
                let (mean, log) = (said[0], said[1]);
                let score = (wanted - mean) / bounded_exp(log);
                gradient[0] = -score / bounded_exp(log);
                gradient[1] = 1.0 - score * score;
                gaussian(f64::from(log), f64::from(score))
            }
            ReturnHead::Quantiles => {
                let quantiles = ascending(said);
                let slopes: [f32; 5] = std::array::from_fn(|index| {
                    (f32::from(u8::from(wanted < quantiles[index])) - QUANTILES[index]) / 5.0
                });
                // The steps are ln(1 + e^x), whose slope is a sigmoid.
                let sigmoid = |x: f32| 1.0 / (1.0 + (-x).exp());
                gradient[0] = slopes.iter().sum();
                gradient[1] = -(slopes[0] + slopes[1]) * sigmoid(said[1]);
                gradient[2] = -slopes[0] * sigmoid(said[2]);
                gradient[3] = (slopes[3] + slopes[4]) * sigmoid(said[3]);
                gradient[4] = slopes[4] * sigmoid(said[4]);
                pinball(f64::from(wanted), quantiles.map(f64::from))
            }
        }
    }

    /// The fixed sum of the losses of one served output: what epochs and trials are compared by.
    pub(super) fn served(&self, label: &Label, output: &Output, scales: Scales) -> f64 {
        let Output::Forecast { probabilities, expected_return, spread, volatility } = output else {
            return f64::NAN;
        };
        let direction = -f64::from(probabilities[usize::from(label.class)]).max(f64::from(f32::MIN_POSITIVE)).ln();
        let (wanted, unit) = (f64::from(label.standardised_return), f64::from(scales.returns));
        let standardised = f64::from(*expected_return) / unit;
        let value = match spread {
            None => huber((standardised - wanted).abs()),
            Some(Spread::Deviation(deviation)) => {
                let deviation = f64::from(*deviation) / unit;
                gaussian(deviation.ln(), (wanted - standardised) / deviation)
            }
            Some(Spread::Quantiles(quantiles)) => pinball(wanted, quantiles.map(|quantile| f64::from(quantile) / unit)),
        };
        let volatility = volatility.map_or(0.0, |volatility| {
            let volatility = f64::from(volatility) / f64::from(scales.volatility);
            volatility.ln() + 0.5 * f64::from(label.variance) / (volatility * volatility)
        });
        direction + f64::from(self.return_weight) * value + volatility
    }
}

fn huber(miss: f64) -> f64 {
    if miss < HUBER_BETA { 0.5 * miss * miss / HUBER_BETA } else { miss - 0.5 * HUBER_BETA }
}

/// −ln of a Gaussian's density, constants apart.
fn gaussian(log_deviation: f64, score: f64) -> f64 {
    log_deviation + 0.5 * score * score
}

/// Mean over the levels.
fn pinball(wanted: f64, quantiles: [f64; 5]) -> f64 {
    let loss = |(quantile, level): (f64, f32)| {
        let (miss, level) = (wanted - quantile, f64::from(level));
        if miss < 0.0 { (level - 1.0) * miss } else { level * miss }
    };
    quantiles.into_iter().zip(QUANTILES).map(loss).sum::<f64>() / 5.0
}

/// ln σ + v / (2σ²), least where σ² is the mean of v, whatever the distribution (Patton 2011).
fn quasi_likelihood(variance: f32, log: f32, gradient: &mut f32) -> f64 {
    let deviation = bounded_exp(log);
    let ratio = variance / (deviation * deviation);
    *gradient = 1.0 - ratio;
    f64::from(log) + 0.5 * f64::from(ratio)
}

#[cfg(test)]
mod tests;
