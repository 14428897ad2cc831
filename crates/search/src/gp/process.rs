//! The Gaussian process: hyper-parameters by maximum a posteriori, then means and variances (Rasmussen and Williams 2006,
//! algorithm 2.1 and equation 5.9).

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use argmin::core::{CostFunction, Error, Executor, Gradient};
use argmin::solver::linesearch::MoreThuenteLineSearch;
use argmin::solver::quasinewton::LBFGS;

use super::kernel::{Rule, matern, matern_slope, rules, square};
use crate::Space;
use crate::linear::{Cholesky, Square, dot};

/// Weights of the axes (one over the squared length), variance of the process and of the noise.
#[derive(Clone, Debug)]
pub(super) struct Hyper {
    rules: Vec<Rule>,
    weights: Vec<f64>,
    variance: f64,
    noise: f64,
}

/// Steps of a fit: enough to converge in practice, and a bound on the cost.
const FIT_STEPS_MAX: u64 = 40;
/// Added to the noise, so that equal points do not make the matrix singular.
const JITTER: f64 = 1e-8;

impl Hyper {
    /// The most probable ones given the data.
    pub(super) fn fit(space: &Space, rows: &[Vec<Option<f64>>], targets: &[f64]) -> Self {
        let rules = rules(space);
        let posterior = Posterior::new(space, rows, targets);
        let begin = posterior.means();
        let theta = minimise(posterior, begin.clone(), FIT_STEPS_MAX).unwrap_or(begin);
        Self::of(rules, &theta)
    }

    fn of(rules: Vec<Rule>, theta: &[f64]) -> Self {
        let axes = rules.len();
        Self {
            weights: theta[..axes].iter().map(|log_length| libm::exp(-2.0 * log_length)).collect(),
            variance: libm::exp(theta[axes]),
            noise: libm::exp(theta[axes + 1]) + JITTER,
            rules,
        }
    }

    fn distance(&self, left: &[Option<f64>], right: &[Option<f64>]) -> f64 {
        let parts = left.iter().zip(right).zip(&self.rules).zip(&self.weights);
        parts.map(|(((left, right), rule), weight)| weight * square(*left, *right, *rule)).sum()
    }
}

/// A cost and where.
type Priced = (f64, Vec<f64>);

/// Costs asked for in one minimisation: the line search of the solver has no bound of its own.
const ASKED_MAX: u32 = 150;

/// A problem that remembers the cheapest point at which it was asked, for a line search that gives up must not lose it,
/// and that ends the search at a cost that is no number or after too many of them.
struct Remembered<P> {
    problem: P,
    asked: Cell<u32>,
    cheapest: Rc<RefCell<Option<Priced>>>,
}

impl<P: CostFunction<Param = Vec<f64>, Output = f64>> CostFunction for Remembered<P> {
    type Param = Vec<f64>;
    type Output = f64;
    fn cost(&self, at: &Vec<f64>) -> Result<f64, Error> {
        let cost = self.problem.cost(at)?;
        self.asked.set(self.asked.get() + 1);
        if !cost.is_finite() || self.asked.get() > ASKED_MAX {
            return Err(Error::msg("the search is over"));
        }
        let mut cheapest = self.cheapest.borrow_mut();
        if cheapest.as_ref().is_none_or(|(least, _)| cost < *least) {
            *cheapest = Some((cost, at.clone()));
        }
        Ok(cost)
    }
}

impl<P: Gradient<Param = Vec<f64>, Gradient = Vec<f64>>> Gradient for Remembered<P> {
    type Param = Vec<f64>;
    type Gradient = Vec<f64>;
    fn gradient(&self, at: &Vec<f64>) -> Result<Vec<f64>, Error> {
        self.problem.gradient(at)
    }
}

/// Minimises by L-BFGS with the line search of Moré and Thuente, and gives the cheapest point that was met; None where
/// there was none.
pub(super) fn minimise<P>(problem: P, begin: Vec<f64>, steps_max: u64) -> Option<Vec<f64>>
where
    P: CostFunction<Param = Vec<f64>, Output = f64> + Gradient<Param = Vec<f64>, Gradient = Vec<f64>>,
{
    /// Pairs of steps and slopes that the solver keeps.
    const MEMORY: usize = 8;
    let cheapest: Rc<RefCell<Option<Priced>>> = Rc::default();
    let problem = Remembered { problem, asked: Cell::new(0), cheapest: Rc::clone(&cheapest) };
    let search = MoreThuenteLineSearch::new();
    let solver =
        LBFGS::new(search, MEMORY).with_tolerance_grad(1e-4).and_then(|solver| solver.with_tolerance_cost(1e-7));
    let solver = solver.expect("both tolerances are positive");
    // How it ended says nothing more: the cheapest point stands in any case.
    let _ended =
        Executor::new(problem, solver).configure(|state| state.param(begin).max_iters(steps_max)).timer(false).run();
    let found = cheapest.borrow_mut().take();
    found.map(|(_, at)| at).filter(|at| at.iter().all(|value| value.is_finite()))
}

/// For each axis, the squared distances of all pairs of rows.
fn squares(rules: &[Rule], rows: &[Vec<Option<f64>>]) -> Vec<Square> {
    let matrix = |(axis, rule): (usize, &Rule)| {
        let mut matrix = Square::zero(rows.len());
        for (row, left) in rows.iter().enumerate() {
            for (column, right) in rows.iter().enumerate() {
                matrix.cells[row * rows.len() + column] = square(left[axis], right[axis], *rule);
            }
        }
        matrix
    };
    rules.iter().enumerate().map(matrix).collect()
}

/// The negative logarithm of the posterior of θ: the logarithms of each length, the variance and the noise.
pub(super) struct Posterior {
    squares: Vec<Square>,
    targets: Vec<f64>,
    /// The last cost, its θ and the gradient: the solver asks for both in turn.
    known: RefCell<Option<(Priced, Vec<f64>)>>,
}

impl Posterior {
    pub(super) fn new(space: &Space, rows: &[Vec<Option<f64>>], targets: &[f64]) -> Self {
        Self { squares: squares(&rules(space), rows), targets: targets.to_vec(), known: RefCell::new(None) }
    }

    /// Mean and deviation of the normal prior of each entry of θ. Lengths grow with the dimension (Hvarfner et al. 2024,
    /// arXiv:2402.02229); the noise may be almost none, as of a repeatable trial, or a tenth of the variance.
    fn prior(&self, entry: usize) -> (f64, f64) {
        let axes = self.squares.len();
        if entry < axes {
            (0.5 * libm::log(axes as f64), 1.0)
        } else if entry == axes {
            (0.0, 1.0)
        } else {
            (-9.0, 3.0)
        }
    }

    fn means(&self) -> Vec<f64> {
        (0..self.squares.len() + 2).map(|entry| self.prior(entry).0).collect()
    }

    /// Cost and gradient. A θ whose matrix is not positive definite costs much and shows no way down.
    fn evaluate(&self, theta: &[f64]) -> (f64, Vec<f64>) {
        const REFUSED: f64 = 1e12;
        let (axes, size) = (self.squares.len(), self.targets.len());
        let refused = (REFUSED, vec![0.0; theta.len()]);
        // Beyond these the exponentials overflow, and no prior would go there.
        if !theta.iter().all(|entry| entry.abs() < 40.0) {
            return refused;
        }
        let weights: Vec<f64> = theta[..axes].iter().map(|log_length| libm::exp(-2.0 * log_length)).collect();
        let (variance, noise) = (libm::exp(theta[axes]), libm::exp(theta[axes + 1]));
        let mut distances = Square::zero(size);
        for (squares, weight) in self.squares.iter().zip(&weights) {
            distances.cells.iter_mut().zip(&squares.cells).for_each(|(sum, square)| *sum += weight * square);
        }
        let mut matrix = Square::zero(size);
        let mut slopes = Square::zero(size);
        for row in 0..size {
            for column in 0..=row {
                let (distance, place) = (distances.at(row, column), row * size + column);
                matrix.cells[place] = variance * matern(distance);
                slopes.cells[place] = variance * matern_slope(distance);
            }
            matrix.cells[row * size + row] += noise + JITTER;
        }
        let kernel = matrix.clone();
        let Some(cholesky) = Cholesky::new(matrix) else { return refused };
        let alpha = cholesky.solve(self.targets.clone());
        let inverse = cholesky.inverse();
        let mut cost = 0.5 * dot(&self.targets, &alpha) + 0.5 * cholesky.log_determinant();
        let mut gradient = vec![0.0; theta.len()];
        for row in 0..size {
            for column in 0..=row {
                let place = row * size + column;
                // −∂cost/∂K, twice off the diagonal, of which only the lower half is walked.
                let pull = (alpha[row] * alpha[column] - inverse.cells[place]) * if row == column { 0.5 } else { 1.0 };
                let own = if row == column { noise + JITTER } else { 0.0 };
                gradient[axes] -= pull * (kernel.cells[place] - own);
                gradient[axes + 1] -= if row == column { pull * noise } else { 0.0 };
                slopes.cells[place] *= pull;
            }
        }
        for (axis, weight) in weights.iter().enumerate() {
            // The upper half of the slopes is 0.
            gradient[axis] = 2.0 * weight * dot(&slopes.cells, &self.squares[axis].cells);
        }
        for (entry, value) in theta.iter().enumerate() {
            let (mean, deviation) = self.prior(entry);
            let z = (value - mean) / deviation;
            cost += 0.5 * z * z;
            gradient[entry] += z / deviation;
        }
        if cost.is_finite() && gradient.iter().all(|slope| slope.is_finite()) { (cost, gradient) } else { refused }
    }

    fn at(&self, theta: &[f64]) -> (f64, Vec<f64>) {
        if let Some(((cost, known), gradient)) = &*self.known.borrow()
            && known == theta
        {
            return (*cost, gradient.clone());
        }
        let (cost, gradient) = self.evaluate(theta);
        *self.known.borrow_mut() = Some(((cost, theta.to_vec()), gradient.clone()));
        (cost, gradient)
    }
}

impl CostFunction for Posterior {
    type Param = Vec<f64>;
    type Output = f64;
    fn cost(&self, theta: &Vec<f64>) -> Result<f64, Error> {
        Ok(self.at(theta).0)
    }
}

impl Gradient for Posterior {
    type Param = Vec<f64>;
    type Gradient = Vec<f64>;
    fn gradient(&self, theta: &Vec<f64>) -> Result<Vec<f64>, Error> {
        Ok(self.at(theta).1)
    }
}

/// The process given observations.
pub(super) struct Process<'a> {
    hyper: &'a Hyper,
    rows: Vec<Vec<Option<f64>>>,
    targets: Vec<f64>,
    cholesky: Cholesky,
    alpha: Vec<f64>,
}

/// What the process says about a point.
pub(super) struct Prediction {
    pub(super) mean: f64,
    pub(super) deviation: f64,
}

impl<'a> Process<'a> {
    pub(super) fn new(hyper: &'a Hyper, rows: Vec<Vec<Option<f64>>>, targets: Vec<f64>) -> Self {
        let cholesky = factor(hyper, &rows);
        let alpha = cholesky.solve(targets.clone());
        Self { hyper, rows, targets, cholesky, alpha }
    }

    /// Adds a point as if it had met its mean.
    pub(super) fn believe(&mut self, row: &[Option<f64>]) {
        self.targets.push(self.predict(row).mean);
        self.rows.push(row.to_vec());
        self.cholesky = factor(self.hyper, &self.rows);
        self.alpha = self.cholesky.solve(self.targets.clone());
    }

    /// The smallest mean at a row.
    pub(super) fn best_mean(&self) -> f64 {
        self.rows.iter().map(|row| dot(&self.covariances(row), &self.alpha)).fold(f64::INFINITY, f64::min)
    }

    fn covariances(&self, row: &[Option<f64>]) -> Vec<f64> {
        let covariance = |other: &Vec<Option<f64>>| self.hyper.variance * matern(self.hyper.distance(row, other));
        self.rows.iter().map(covariance).collect()
    }

    pub(super) fn predict(&self, row: &[Option<f64>]) -> Prediction {
        let covariances = self.covariances(row);
        let mean = dot(&covariances, &self.alpha);
        let solved = self.cholesky.forward(covariances);
        Prediction { mean, deviation: self.deviation(dot(&solved, &solved)) }
    }

    fn deviation(&self, explained: f64) -> f64 {
        (self.hyper.variance - explained).max(1e-12 * self.hyper.variance).sqrt()
    }

    /// The prediction, and the slopes of mean and deviation along the numeric `axes`.
    pub(super) fn predict_with_slopes(&self, row: &[Option<f64>], axes: &[usize]) -> (Prediction, Vec<[f64; 2]>) {
        let covariances = self.covariances(row);
        let mean = dot(&covariances, &self.alpha);
        let solved = self.cholesky.forward(covariances);
        let deviation = self.deviation(dot(&solved, &solved));
        let pulled = self.cholesky.backward(solved);
        let mut slopes = vec![[0.0; 2]; axes.len()];
        for ((other, alpha), pulled) in self.rows.iter().zip(&self.alpha).zip(&pulled) {
            let by_square = self.hyper.variance * matern_slope(self.hyper.distance(row, other));
            for (slope, &axis) in slopes.iter_mut().zip(axes) {
                if let (Some(mine), Some(theirs)) = (row[axis], other[axis]) {
                    let by_place = by_square * self.hyper.weights[axis] * 2.0 * (mine - theirs);
                    slope[0] += alpha * by_place;
                    slope[1] -= pulled * by_place / deviation;
                }
            }
        }
        (Prediction { mean, deviation }, slopes)
    }
}

/// The factor of the covariance of the rows with the noise, which grows until the matrix has one.
fn factor(hyper: &Hyper, rows: &[Vec<Option<f64>>]) -> Cholesky {
    let mut noise = hyper.noise;
    loop {
        let mut matrix = Square::zero(rows.len());
        for (row, left) in rows.iter().enumerate() {
            for (column, right) in rows[..=row].iter().enumerate() {
                matrix.cells[row * rows.len() + column] = hyper.variance * matern(hyper.distance(left, right));
            }
            matrix.cells[row * rows.len() + row] += noise;
        }
        if let Some(cholesky) = Cholesky::new(matrix) {
            return cholesky;
        }
        // Ends: a matrix whose diagonal outweighs its rows is positive definite.
        noise = 10.0 * noise.max(JITTER);
    }
}
