//! From a period to a year.
//!
//! Lo, "The Statistics of Sharpe Ratios" (2002): the square root of the periods holds for uncorrelated returns alone, and
//! flatters those that trend from one period to the next.

use crate::{mean, total_return};

/// Yearly growth rate that compounds to the same total; −1 when all was lost, NaN for an empty series.
#[must_use]
pub fn annual_growth(returns: &[f64], periods_per_year: f64) -> f64 {
    if returns.is_empty() {
        return f64::NAN;
    }
    (1.0 + total_return(returns)).max(0.0).powf(periods_per_year / returns.len() as f64) - 1.0
}

/// Correlation of a series with itself `lag` periods earlier, over the variance of all of it. NaN where nothing varies or
/// the series is not longer than `lag`.
#[must_use]
pub fn autocorrelation(returns: &[f64], lag: usize) -> f64 {
    if returns.len() <= lag {
        return f64::NAN;
    }
    let mean = mean(returns);
    let products = returns.iter().zip(&returns[lag..]).map(|(a, b)| (a - mean) * (b - mean)).sum::<f64>();
    products / returns.iter().map(|value| (value - mean).powi(2)).sum::<f64>()
}

/// Factor from the Sharpe ratio of a period to that of `periods` of them, for the autocorrelations at lags 1, 2, … (those
/// beyond the list count as 0): eq. 20 of the paper. The square root of `periods` for an empty list. NaN where the
/// correlations leave the sum no variance.
#[must_use]
pub fn annualising_factor(periods: u32, autocorrelations: &[f64]) -> f64 {
    let shared = (1..periods).zip(autocorrelations).map(|(lag, rho)| f64::from(periods - lag) * rho).sum::<f64>();
    f64::from(periods) / (f64::from(periods) + 2.0 * shared).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_factors_of_an_autoregression_equal_the_paper() {
        for (rho, factor) in [(0.0, 3.464_102), (0.1, 3.160_111), (0.2, 2.878_849), (-0.1, 3.797_873)] {
            let correlations: Vec<f64> = (1..12).map(|lag| f64::powi(rho, lag)).collect();
            assert!((annualising_factor(12, &correlations) - factor).abs() < 5e-7, "{rho}");
        }
        assert!((annualising_factor(12, &[]) - 12f64.sqrt()).abs() < 1e-14);
    }

    /// AAPL's unadjusted close in `data/`; the figures were computed apart, with exact sums.
    #[test]
    fn growth_and_correlation_of_a_real_series_equal_an_independent_computation() {
        let text = include_str!("../../../data/aapl_daily_2013_2023.csv");
        let closes: Vec<f64> =
            text.lines().skip(1).map(|line| line.split(',').nth(5).unwrap().parse().unwrap()).collect();
        let returns: Vec<f64> = closes.windows(2).map(|pair| pair[1] / pair[0] - 1.0).collect();
        assert!((annual_growth(&returns, 252.0) - 0.226_138_852_009_348_36).abs() < 1e-9);
        assert!((autocorrelation(&returns, 1) + 0.05839711976733383).abs() < 1e-9);
    }

    #[test]
    fn growth_compounds_to_the_total() {
        let returns = [0.01; 24];
        assert!((annual_growth(&returns, 12.0) - (1.01f64.powi(12) - 1.0)).abs() < 1e-12);
        assert_eq!(annual_growth(&[0.5, -1.0], 252.0), -1.0);
        assert!(annual_growth(&[], 252.0).is_nan());
    }

    #[test]
    fn a_series_correlates_with_itself() {
        let returns: Vec<f64> = (0..200).map(|period| f64::from(period % 2) - 0.5).collect();
        assert!((autocorrelation(&returns, 0) - 1.0).abs() < 1e-12);
        assert!(autocorrelation(&returns, 1) < -0.99 && autocorrelation(&returns, 2) > 0.98);
        assert!(autocorrelation(&[0.1], 1).is_nan() && autocorrelation(&[0.0, 0.0], 1).is_nan());
    }
}
