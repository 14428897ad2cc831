//! What a return series earned, and how rough the ride was.

use crate::{deviation, mean};

/// The product of 1 + r, less 1. 0 for an empty series.
#[must_use]
pub fn total_return(returns: &[f64]) -> f64 {
    returns.iter().fold(1.0, |wealth, r| wealth * (1.0 + r)) - 1.0
}

/// Mean over sample deviation, per period (Sharpe 1994), risk-free rate 0. 0 for a series that never moves, so that holding
/// nothing has a figure; NaN below two values.
#[must_use]
pub fn sharpe(returns: &[f64]) -> f64 {
    if returns.len() >= 2 && returns.iter().all(|r| *r == 0.0) {
        return 0.0;
    }
    mean(returns) / deviation(returns)
}

/// Mean over the root mean square of the negative returns, all observations counted; per period.
#[must_use]
pub fn sortino(returns: &[f64]) -> f64 {
    let downside: f64 = returns.iter().map(|r| r.min(0.0).powi(2)).sum::<f64>() / returns.len() as f64;
    mean(returns) / downside.sqrt()
}

/// The deepest fall from a peak, a fraction at most 0; the start counts as a peak.
#[must_use]
pub fn max_drawdown(returns: &[f64]) -> f64 {
    let (mut wealth, mut peak, mut deepest) = (1.0_f64, 1.0_f64, 0.0_f64);
    for r in returns {
        wealth *= 1.0 + r;
        if wealth.is_nan() {
            return f64::NAN;
        }
        peak = peak.max(wealth);
        deepest = deepest.min(wealth / peak - 1.0);
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{kurtosis, skewness};

    /// Simple returns of AAPL's unadjusted close in `data/`, and what empyrical 0.7.1 and numpy make of them.
    #[test]
    fn figures_of_a_real_series_equal_empyrical() {
        let text = include_str!("../../../data/aapl_daily_2013_2023.csv");
        let closes: Vec<f64> =
            text.lines().skip(1).map(|line| line.split(',').nth(5).unwrap().parse().unwrap()).collect();
        let returns: Vec<f64> = closes.windows(2).map(|pair| pair[1] / pair[0] - 1.0).collect();
        let close =
            |ours: f64, theirs: f64| assert!((ours - theirs).abs() < 1e-9 * theirs.abs().max(1.0), "{ours} {theirs}");
        close(total_return(&returns), 7.870262114591229);
        close(sharpe(&returns) * 252f64.sqrt(), 0.8554557639798022);
        close(sortino(&returns) * 252f64.sqrt(), 1.2413657961211404);
        close(max_drawdown(&returns), -0.3872969450862449);
        close(skewness(&returns), -0.13550641903997815);
        close(kurtosis(&returns) - 3.0, 5.738003632391042);
    }

    #[test]
    fn undefined_figures_are_nan_and_standing_still_has_a_sharpe_of_zero() {
        assert!(sharpe(&[]).is_nan() && sharpe(&[0.1]).is_nan() && sharpe(&[0.1, f64::NAN]).is_nan());
        assert_eq!(sharpe(&[0.0, 0.0, 0.0]), 0.0);
        assert_eq!(total_return(&[]), 0.0);
        assert!(max_drawdown(&[0.1, f64::NAN]).is_nan());
        assert!((max_drawdown(&[-0.1, 0.05, -0.2]) - (0.9 * 1.05 * 0.8 - 1.0)).abs() < 1e-15);
    }
}
