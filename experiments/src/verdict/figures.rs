//! From backtests to what a report draws and a gate judges.

use backtest::Backtest;

use crate::report::{Figures, TestRun};
use crate::trials::Trial;
use crate::verdict::sentence::Returns;

/// The best trial and its baselines over the test split.
#[derive(Clone, Debug)]
pub(crate) struct Tested {
    pub(crate) model: Backtest,
    pub(crate) buy_and_hold: Backtest,
    pub(crate) zero: Backtest,
}

impl Tested {
    pub(crate) fn returns(&self) -> Returns {
        Returns {
            model: self.model.summary().total_return,
            buy_and_hold: self.buy_and_hold.summary().total_return,
            zero: self.zero.summary().total_return,
        }
    }

    pub(crate) fn test_run(&self) -> TestRun {
        let equity = |run: &Backtest| run.equity.iter().map(|equity| equity.as_f64()).collect();
        TestRun {
            times: self.model.times.clone(),
            model: equity(&self.model),
            benchmark: equity(&self.buy_and_hold),
            exposure: positions(&self.model),
            figures: vec![
                figures("Model", &self.model),
                figures("Buy and hold", &self.buy_and_hold),
                figures("Zero (cash)", &self.zero),
            ],
        }
    }
}

fn figures(name: &'static str, run: &Backtest) -> Figures {
    let summary = run.summary();
    Figures {
        name,
        total_return: summary.total_return,
        sharpe: summary.sharpe,
        drawdown: summary.drawdown,
        fills: summary.fills as u64,
        costs: run.costs.as_f64(),
    }
}

/// Lots held at each close: all fills up to it.
fn positions(run: &Backtest) -> Vec<f64> {
    let mut fills = run.fills.iter().peekable();
    let mut lots = 0;
    let mut at_close = |time: &market::Timestamp| {
        while let Some(fill) = fills.next_if(|fill| fill.time <= *time) {
            lots += fill.side.sign() * fill.quantity.0;
        }
        lots as f64
    };
    run.times.iter().map(&mut at_close).collect()
}

/// Sharpe ratio per bar of every trial that handed in a validation series: the spread that deflation needs.
pub(crate) fn trial_sharpes(trials: &[Trial]) -> Vec<f64> {
    let outcomes = trials.iter().filter_map(|trial| trial.outcome.as_ref());
    outcomes.map(|outcome| statistics::sharpe(&outcome.validation.returns)).collect()
}
