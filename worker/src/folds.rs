//! What the network of a fold would have earned where its training never saw: the backtest that judges validation, over each
//! stretch that was tested.

use backtest::{BacktestError, Setting};
use dataset::Dataset;
use models::Sight;
use spec::TrialSpec;
use trainer::FoldModel;

/// Fewest bars that a backtest takes.
const BARS_MIN: usize = 3;

/// Annualised Sharpe ratio after costs. Each stretch begins with cash and no position, and the returns of all are one series;
/// a stretch of fewer than three bars earns nothing. 0 where nothing was traded.
///
/// # Errors
/// As [`backtest::run()`].
pub(crate) fn sharpe((trial, dataset): (&TrialSpec, &Dataset), fold: &FoldModel<'_>) -> Result<f64, BacktestError> {
    let (sight, mut returns) = (Sight::from(fold.features.clone()), Vec::new());
    for range in fold.tested.iter().filter(|range| range.len() >= BARS_MIN) {
        let setting = Setting { dataset, range: range.clone(), env: &trial.env, strategy: &trial.strategy };
        returns.extend(backtest::run(fold.predictor, &sight, &setting)?.returns);
    }
    Ok(statistics::sharpe(&returns) * dataset.interval.periods_per_year().sqrt())
}
