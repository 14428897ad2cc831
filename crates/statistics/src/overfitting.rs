//! How much of a Sharpe ratio is luck: of one series, and of the best of many.
//!
//! Bailey & Lopez de Prado, "The Sharpe Ratio Efficient Frontier" (2012) and "The Deflated Sharpe Ratio" (2014). All
//! ratios are per period, kurtosis is raw (3 for a normal): the two ways in which published examples go wrong.

use statrs::distribution::{ContinuousCDF as _, Normal};

use crate::{deviation, kurtosis, sharpe, skewness};

/// Trials below which the approximation of the expected maximum is replaced by its integral.
const EXACT_BELOW: u64 = 50;

/// Euler-Mascheroni.
const EULER: f64 = 0.577_215_664_901_532_9;

/// The shape of a return series, as far as it blurs its Sharpe ratio.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shape {
    /// Observations.
    pub count: f64,
    /// Third standardised moment.
    pub skewness: f64,
    /// Fourth standardised moment, raw.
    pub kurtosis: f64,
}

/// Probability that the true Sharpe ratio exceeds `benchmark`, given the one observed.
#[must_use]
pub fn probabilistic_sharpe(observed: f64, benchmark: f64, shape: &Shape) -> f64 {
    let blur = 1.0 - shape.skewness * observed + (shape.kurtosis - 1.0) / 4.0 * observed * observed;
    normal_cdf((observed - benchmark) * (shape.count - 1.0).sqrt() / blur.sqrt())
}

/// The expected largest of `trials` independent standard normals: the integral for few, Gumbel's limit for many. 0 for
/// one.
#[must_use]
pub fn expected_maximum(trials: u64) -> f64 {
    if trials <= 1 {
        return 0.0;
    }
    let n = trials as f64;
    if trials < EXACT_BELOW {
        return expected_maximum_exact(n);
    }
    (1.0 - EULER) * normal_quantile(1.0 - 1.0 / n) + EULER * normal_quantile(1.0 - 1.0 / (n * std::f64::consts::E))
}

/// ∫ x n φ(x) Φ(x)^(n−1) dx by the trapezoidal rule, which converges geometrically for such an integrand.
fn expected_maximum_exact(n: f64) -> f64 {
    const REACH: f64 = 9.0;
    const STEPS: i32 = 1_800;
    let step = 2.0 * REACH / f64::from(STEPS);
    let density = |x: f64| (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt();
    (0..=STEPS)
        .map(|index| {
            let x = f64::from(index).mul_add(step, -REACH);
            x * n * density(x) * normal_cdf(x).powf(n - 1.0) * step
        })
        .sum()
}

/// Sharpe ratio that the best of `trials` skill-less trials is expected to show, when their ratios have this `spread`
/// (standard deviation over trials).
#[must_use]
pub fn expected_best_sharpe(spread: f64, trials: u64) -> f64 {
    spread * expected_maximum(trials)
}

/// Probability that a series has skill beyond what the best of all trials would show by luck.
///
/// `trial_sharpes` are the ratios of all trials of the sweep and give the spread; `trials` is how many were ever run on the
/// data, at least as many. With one trial nothing was chosen, and this is the probabilistic Sharpe ratio against 0. NaN
/// where the spread or the series is undefined.
#[must_use]
pub fn deflated_sharpe(returns: &[f64], trial_sharpes: &[f64], trials: u64) -> f64 {
    let trials = trials.max(trial_sharpes.len() as u64);
    let benchmark = if trials <= 1 { 0.0 } else { expected_best_sharpe(spread(trial_sharpes, returns), trials) };
    let shape = Shape { count: returns.len() as f64, skewness: skewness(returns), kurtosis: kurtosis(returns) };
    probabilistic_sharpe(sharpe(returns), benchmark, &shape)
}

/// The spread of the trials' ratios; of a single known trial among several ever run, what chance alone gives a series of
/// this length.
fn spread(trial_sharpes: &[f64], returns: &[f64]) -> f64 {
    if trial_sharpes.len() >= 2 { deviation(trial_sharpes) } else { 1.0 / (returns.len() as f64).sqrt() }
}

fn normal_cdf(x: f64) -> f64 {
    Normal::standard().cdf(x)
}

fn normal_quantile(p: f64) -> f64 {
    Normal::standard().inverse_cdf(p)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(ours: f64, theirs: f64) {
        assert!((ours - theirs).abs() < 1e-9, "{ours} against {theirs}");
    }

    /// pypbo's test of PSR: 24 months, ratio 1.585 a year.
    #[test]
    fn the_probabilistic_sharpe_ratio_equals_pypbo() {
        let shape = Shape { count: 24.0, skewness: -2.448, kurtosis: 10.164 };
        close(probabilistic_sharpe(1.585 / 12f64.sqrt(), 0.0, &shape), 0.913_234_306_884_86);
        close(probabilistic_sharpe(0.458, 0.0, &shape), 0.913_361_083_861);
        let normal = Shape { skewness: 0.0, kurtosis: 3.0, ..shape };
        close(probabilistic_sharpe(0.458, 0.0, &normal), 0.981_674_919_091);
    }

    /// The example of the 2014 paper: ratio 2.5 a year, variance over trials 1/2, five years of 250 days.
    #[test]
    fn the_deflated_sharpe_ratio_equals_the_paper() {
        let shape = Shape { count: 1_250.0, skewness: -3.0, kurtosis: 10.0 };
        let spread = (0.5f64 / 250.0).sqrt();
        close(expected_best_sharpe(spread, 100), 0.113_172_001_865_11);
        let deflated = |trials: u64| {
            let n = trials as f64;
            let gumbel = (1.0 - EULER) * normal_quantile(1.0 - 1.0 / n)
                + EULER * normal_quantile(1.0 - 1.0 / (n * std::f64::consts::E));
            probabilistic_sharpe(2.5 / 250f64.sqrt(), spread * gumbel, &shape)
        };
        close(deflated(100), 0.900_396_834_449_390_3);
        close(deflated(46), 0.950_501_706_875_578_7);
    }

    #[test]
    fn the_expected_maximum_of_few_is_exact_and_of_many_gumbels() {
        assert_eq!(expected_maximum(1), 0.0);
        close(expected_maximum(2), 1.0 / std::f64::consts::PI.sqrt());
        for (trials, exact) in [(5, 1.16296), (10, 1.53875), (20, 1.86748)] {
            assert!((expected_maximum(trials) - exact).abs() < 5e-6, "{trials}");
        }
        close(expected_maximum(100), 2.530_602_893_20);
    }

    #[test]
    fn more_trials_deflate_more_and_one_deflates_nothing() {
        let returns: Vec<f64> = (0..500).map(|bar| 0.001 + 0.01 * f64::from(bar % 3 - 1)).collect();
        let sharpes = [0.02, -0.03, 0.05, 0.0];
        let by_trials: Vec<f64> =
            [4, 40, 400].iter().map(|trials| deflated_sharpe(&returns, &sharpes, *trials)).collect();
        assert!(by_trials.windows(2).all(|pair| pair[1] < pair[0]), "{by_trials:?}");
        assert!(deflated_sharpe(&returns, &[0.05], 1) > by_trials[0]);
        assert!(deflated_sharpe(&[], &sharpes, 4).is_nan());
    }
}
