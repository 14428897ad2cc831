//! The search distribution and its update, in the notation of the tutorial (Hansen 2016, table 1 and figure 6).

use crate::draws::{Draws, Use};
use crate::linear::{Eigen, Square, dot, norm};

/// Weights and rates, fixed by dimension and population.
#[derive(Clone, Debug)]
struct Rates {
    /// wᵢ, the first half positive, the rest not.
    weights: Vec<f64>,
    mu_eff: f64,
    c_sigma: f64,
    d_sigma: f64,
    c_c: f64,
    c_1: f64,
    c_mu: f64,
    /// E‖N(0, I)‖.
    chi: f64,
}

impl Rates {
    fn new(axes: usize, population: usize) -> Self {
        let (n, lambda) = (axes as f64, population as f64);
        let raw: Vec<f64> = (1..=population).map(|i| libm::log((lambda + 1.0) / 2.0) - libm::log(i as f64)).collect();
        let effective = |part: &[f64]| {
            let sum: f64 = part.iter().sum();
            sum * sum / part.iter().map(|weight| weight * weight).sum::<f64>()
        };
        let mu = population / 2;
        let (mu_eff, mu_eff_negative) = (effective(&raw[..mu]), effective(&raw[mu..]));
        let c_1 = 2.0 / ((n + 1.3) * (n + 1.3) + mu_eff);
        let c_mu = (2.0 * (0.25 + mu_eff + 1.0 / mu_eff - 2.0) / ((n + 2.0) * (n + 2.0) + mu_eff)).min(1.0 - c_1);
        let c_sigma = (mu_eff + 2.0) / (n + mu_eff + 5.0);
        let alpha =
            (1.0 + c_1 / c_mu).min(1.0 + 2.0 * mu_eff_negative / (mu_eff + 2.0)).min((1.0 - c_1 - c_mu) / (n * c_mu));
        let positive: f64 = raw.iter().filter(|weight| **weight > 0.0).sum();
        let negative: f64 = -raw.iter().filter(|weight| **weight < 0.0).sum::<f64>();
        let weight = |raw: f64| if raw >= 0.0 { raw / positive } else { alpha * raw / negative };
        Self {
            weights: raw.into_iter().map(weight).collect(),
            mu_eff,
            c_sigma,
            d_sigma: 1.0 + 2.0 * (((mu_eff - 1.0) / (n + 1.0)).sqrt() - 1.0).max(0.0) + c_sigma,
            c_c: (4.0 + mu_eff / n) / (n + 4.0 + 2.0 * mu_eff / n),
            c_1,
            c_mu,
            chi: n.sqrt() * (1.0 - 1.0 / (4.0 * n) + 1.0 / (21.0 * n * n)),
        }
    }
}

/// The distribution N(mean, sigma² C) and the two evolution paths.
#[derive(Clone, Debug)]
pub(super) struct State {
    rates: Rates,
    mean: Vec<f64>,
    sigma: f64,
    first_sigma: f64,
    covariance: Square,
    eigen: Eigen,
    path_sigma: Vec<f64>,
    path_c: Vec<f64>,
    generations: u32,
    /// Best value of each generation.
    bests: Vec<f64>,
}

/// Draws outside the cube are drawn again so often before they are moved to its edge.
const REDRAWS_MAX: usize = 100;

impl State {
    pub(super) fn new(mean: Vec<f64>, sigma: f64, population: usize) -> Self {
        let axes = mean.len();
        Self {
            rates: Rates::new(axes, population),
            mean,
            sigma,
            first_sigma: sigma,
            covariance: Square::identity(axes),
            eigen: Eigen::identity(axes),
            path_sigma: vec![0.0; axes],
            path_c: vec![0.0; axes],
            generations: 0,
            bests: Vec::new(),
        }
    }

    /// λ.
    pub(super) const fn population(&self) -> usize {
        self.rates.weights.len()
    }

    pub(super) fn mean(&self, axis: usize) -> f64 {
        self.mean[axis].clamp(0.0, 1.0)
    }

    /// A point of the unit cube. The first try is that of the berth; those after it come from `draws`.
    pub(super) fn draw(&self, berth: Berth<'_>, draws: &mut Draws) -> Vec<f64> {
        let mut normal = berth.normal(self.mean.len());
        let mut point = self.shifted(&normal);
        for _ in 0..REDRAWS_MAX {
            if point.iter().all(|place| (0.0..=1.0).contains(place)) {
                break;
            }
            normal.iter_mut().for_each(|normal| *normal = draws.normal());
            point = self.shifted(&normal);
        }
        point.iter().map(|place| place.clamp(0.0, 1.0)).collect()
    }

    /// mean + sigma B D z.
    fn shifted(&self, normal: &[f64]) -> Vec<f64> {
        let scaled: Vec<f64> = self.eigen.values.iter().zip(normal).map(|(value, z)| value.sqrt() * z).collect();
        let step = self.eigen.vectors.transposed_times(&scaled);
        self.mean.iter().zip(step).map(|(mean, step)| mean + self.sigma * step).collect()
    }

    /// C^(-1/2) times a vector.
    fn whiten(&self, vector: &[f64]) -> Vec<f64> {
        let mut along = self.eigen.vectors.times(vector);
        along.iter_mut().zip(&self.eigen.values).for_each(|(along, value)| *along /= value.sqrt());
        self.eigen.vectors.transposed_times(&along)
    }

    /// Learns from one generation, best first.
    pub(super) fn update(&mut self, ranked: &[Vec<f64>]) {
        let n = self.mean.len() as f64;
        let Rates { mu_eff, c_sigma, d_sigma, c_c, c_1, c_mu, chi, .. } = self.rates;
        // Own draws rarely reach this length, injected ones may (Hansen 2011, eq. 3).
        let longest = n.sqrt() + 2.0 * n / (n + 2.0);
        let mut steps = Vec::with_capacity(ranked.len());
        for point in ranked {
            let mut step: Vec<f64> = point.iter().zip(&self.mean).map(|(x, m)| (x - m) / self.sigma).collect();
            let length = norm(&self.whiten(&step));
            if length > longest {
                step.iter_mut().for_each(|step| *step *= longest / length);
            }
            steps.push((step, length.min(longest)));
        }
        let mut mean_step = vec![0.0; self.mean.len()];
        for (weight, (step, _)) in self.rates.weights.iter().zip(&steps).filter(|(weight, _)| **weight > 0.0) {
            mean_step.iter_mut().zip(step).for_each(|(sum, step)| *sum += weight * step);
        }
        let white = self.whiten(&mean_step);
        self.mean.iter_mut().zip(&mean_step).for_each(|(mean, step)| *mean += self.sigma * step);
        self.generations += 1;

        let gain = (c_sigma * (2.0 - c_sigma) * mu_eff).sqrt();
        self.path_sigma.iter_mut().zip(&white).for_each(|(path, step)| *path = (1.0 - c_sigma) * *path + gain * step);
        let length = norm(&self.path_sigma);
        self.sigma *= libm::exp((c_sigma / d_sigma * (length / chi - 1.0)).min(1.0));

        let warm = (1.0 - libm::pow(1.0 - c_sigma, 2.0 * f64::from(self.generations))).sqrt();
        let is_steady = length / warm < (1.4 + 2.0 / (n + 1.0)) * chi;
        let gain = if is_steady { (c_c * (2.0 - c_c) * mu_eff).sqrt() } else { 0.0 };
        self.path_c.iter_mut().zip(&mean_step).for_each(|(path, step)| *path = (1.0 - c_c) * *path + gain * step);

        let lost = if is_steady { 0.0 } else { c_c * (2.0 - c_c) };
        let kept = 1.0 + c_1 * lost - c_1 - c_mu * self.rates.weights.iter().sum::<f64>();
        self.covariance.cells.iter_mut().for_each(|cell| *cell *= kept);
        add_outer(&mut self.covariance, c_1, &self.path_c);
        for (weight, (step, length)) in self.rates.weights.iter().zip(&steps) {
            let weight = if *weight >= 0.0 { *weight } else { weight * n / (length * length).max(1e-300) };
            add_outer(&mut self.covariance, c_mu * weight, step);
        }
        self.eigen.update(&self.covariance);
        let largest = self.eigen.values.iter().copied().fold(0.0, f64::max);
        // The active update keeps C positive definite but for rounding.
        self.eigen.values.iter_mut().for_each(|value| *value = value.max(1e-20 * largest).max(f64::MIN_POSITIVE));
    }

    /// Whether the search has converged or can no longer move, so that it should start again (Hansen 2016, B.3:
    /// TolFun, TolX, TolXUp, ConditionCov, NoEffectCoord).
    pub(super) fn is_spent(&mut self, values: &[f64]) -> bool {
        const TOLERANCE: f64 = 1e-12;
        const CONDITION_MAX: f64 = 1e14;
        self.bests.push(values.first().copied().unwrap_or(f64::INFINITY));
        let span = |values: &[f64]| {
            let low = values.iter().copied().fold(f64::INFINITY, f64::min);
            values.iter().copied().fold(f64::NEG_INFINITY, f64::max) - low
        };
        let memory = 10 + 30 * self.mean.len() / self.population();
        let is_flat = self.bests.len() >= memory
            && span(&self.bests[self.bests.len() - memory..]) < TOLERANCE
            && span(values) < TOLERANCE;
        let deviations: Vec<f64> =
            (0..self.mean.len()).map(|axis| self.sigma * self.covariance.at(axis, axis).max(0.0).sqrt()).collect();
        let small = TOLERANCE * self.first_sigma;
        let is_narrow = deviations.iter().all(|deviation| *deviation < small)
            && self.path_c.iter().all(|path| (self.sigma * path).abs() < small);
        let largest = self.eigen.values.iter().copied().fold(0.0, f64::max);
        let smallest = self.eigen.values.iter().copied().fold(f64::INFINITY, f64::min);
        let is_stuck = self.mean.iter().zip(&deviations).any(|(mean, deviation)| *mean == mean + 0.2 * deviation);
        let is_in_reach = self.sigma * largest.sqrt() < 1e4;
        is_flat || is_narrow || is_stuck || largest > CONDITION_MAX * smallest || !is_in_reach
    }
}

fn add_outer(matrix: &mut Square, weight: f64, vector: &[f64]) {
    for (row, left) in vector.iter().enumerate() {
        let scaled = weight * left;
        let cells = &mut matrix.cells[row * vector.len()..(row + 1) * vector.len()];
        cells.iter_mut().zip(vector).for_each(|(cell, right)| *cell += scaled * right);
    }
}

/// The place of a draw in its generation.
#[derive(Clone, Copy)]
pub(super) struct Berth<'a> {
    pub(super) key: &'a [u8; 32],
    /// Index of the generation's first point.
    pub(super) generation: u32,
    /// How many points of the generation come before this one.
    pub(super) place: usize,
}

impl Berth<'_> {
    /// A standard normal vector: the second of each pair is the first one turned about, and the pairs of a block, as
    /// many as there are axes, are orthogonal, each with the length that it was drawn with.
    fn normal(self, axes: usize) -> Vec<f64> {
        let pair = self.place / 2;
        let block = u32::try_from(pair / axes).expect("a generation has at most 10000 points");
        let mut draws = Draws::new(self.key, Use::Generation, self.generation.wrapping_add(block));
        let mut directions: Vec<Vec<f64>> = Vec::new();
        loop {
            let mut vector: Vec<f64> = (0..axes).map(|_| draws.normal()).collect();
            let length = norm(&vector);
            for direction in &directions {
                let along = dot(&vector, direction);
                vector.iter_mut().zip(direction).for_each(|(cell, other)| *cell -= along * other);
            }
            // A draw that lies in the span of those before it to the last bit has no direction left, and stays 0.
            let rest = norm(&vector).max(f64::MIN_POSITIVE);
            vector.iter_mut().for_each(|cell| *cell /= rest);
            if directions.len() == pair % axes {
                let length = if self.place % 2 == 1 { -length } else { length };
                return vector.iter().map(|cell| cell * length).collect();
            }
            directions.push(vector);
        }
    }
}
