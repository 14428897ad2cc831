//! What a backtest comes to: its series, its trades and their statistics.

use market::{Interval, Money, Timestamp};
use serde::{Deserialize, Serialize};
use spec::{Decision, Digest, Series};
use venue::{Fill, OrderIntent};

/// A finished backtest. `times`, `returns` and `equity` go together: one entry for each bar after the first.
#[derive(Clone, Debug, PartialEq)]
pub struct Backtest {
    /// Bar each return ends at.
    pub times: Vec<Timestamp>,
    /// Simple returns after costs; −1 at ruin and 0 after it.
    pub returns: Vec<f64>,
    /// Cash and position at each close.
    pub equity: Vec<Money>,
    /// Cash at the start.
    pub start: Money,
    /// Decisions, one for each bar, the first included.
    pub decisions: Vec<Decision>,
    /// Orders sent; one decided on the last bar never fills.
    pub orders: Vec<OrderIntent>,
    /// Executions.
    pub fills: Vec<Fill>,
    /// Commissions and borrow costs.
    pub costs: Money,
    /// Notional traded, both ways.
    pub traded: Money,
    /// Digest over orders, fills and cash in integer units: equal digests mean equal trading.
    pub orders_hash: Digest,
    /// Spacing of the bars.
    pub interval: Interval,
}

/// A backtest in a few numbers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Summary {
    /// Annualised Sharpe ratio of the returns, against zero.
    pub sharpe: f64,
    /// Last equity over cash at the start, less one.
    pub total_return: f64,
    /// Deepest fall from a peak, a negative fraction.
    pub drawdown: f64,
    /// Notional traded a year, over cash at the start.
    pub turnover: f64,
    /// Executions.
    pub fills: usize,
}

impl Backtest {
    /// The returns as they travel.
    #[must_use]
    pub fn series(&self) -> Series {
        Series { times: self.times.clone(), returns: self.returns.clone() }
    }

    /// Notional traded a year, over cash at the start.
    #[must_use]
    pub fn turnover(&self) -> f64 {
        let years = self.returns.len() as f64 / self.interval.periods_per_year();
        if years > 0.0 { self.traded.as_f64() / self.start.as_f64() / years } else { 0.0 }
    }

    /// The few numbers people compare by.
    #[must_use]
    pub fn summary(&self) -> Summary {
        Summary {
            sharpe: statistics::sharpe(&self.returns) * self.interval.periods_per_year().sqrt(),
            total_return: statistics::total_return(&self.returns),
            drawdown: statistics::max_drawdown(&self.returns),
            turnover: self.turnover(),
            fills: self.fills.len(),
        }
    }
}
