//! What came of a bar: the return over a horizon and its direction. The one place that reads bars after a decision; what is
//! learned and what is judged take it from here.

use market::Bar;
use spec::{LabelSpec, SupervisedSpec};

/// ln(close of `to` / close of `from`).
#[must_use]
pub fn log_return(bars: &[Bar], from: usize, to: usize) -> f64 {
    (bars[to].close / bars[from].close).ln()
}

/// Direction of what follows `bar`: 0 down, 1 flat, 2 up. Reads closes up to `bar` for its unit, and those of (`bar`, `bar` +
/// horizon] for its value. `unit`: the deviation of the training split's returns over the horizon, log return.
#[must_use]
pub fn direction(bars: &[Bar], bar: usize, task: &SupervisedSpec, unit: f64) -> u8 {
    let horizon = task.horizon as usize;
    match task.labels {
        LabelSpec::Horizon => {
            let standardised = log_return(bars, bar, bar + horizon) / unit;
            u8::from(standardised >= -task.flat_band) + u8::from(standardised > task.flat_band)
        }
        LabelSpec::TripleBarrier { width, bars: known } => barrier_touched(bars, bar, horizon, (width, known as usize)),
    }
}

/// Deviation of the last `known` one-bar returns up to `bar`; of fewer where there are no more, 0 below two.
#[must_use]
pub fn trailing_deviation(bars: &[Bar], bar: usize, known: usize) -> f64 {
    let returns: Vec<f64> = (bar.saturating_sub(known)..bar).map(|at| log_return(bars, at, at + 1)).collect();
    let mean = returns.iter().sum::<f64>() / returns.len().max(1) as f64;
    let variance = returns.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
    (variance / returns.len().saturating_sub(1).max(1) as f64).sqrt()
}

/// Which barrier the close touches first: 0 the lower, 2 the upper, 1 neither within the horizon, or where prices have not
/// moved and the barriers lie on the price.
fn barrier_touched(bars: &[Bar], bar: usize, horizon: usize, (width, known): (f64, usize)) -> u8 {
    let barrier = width * trailing_deviation(bars, bar, known) * (horizon as f64).sqrt();
    if barrier == 0.0 {
        return 1;
    }
    let touched = |to: usize| {
        let value = log_return(bars, bar, to);
        if value >= barrier {
            Some(2)
        } else if value <= -barrier {
            Some(0)
        } else {
            None
        }
    };
    (bar + 1..=bar + horizon).find_map(touched).unwrap_or(1)
}
