//! The account's way through the bars: fills at the open, a mark at the close, a decision, an order.

use market::{Bar, Instrument, Money, Price};
use portfolio::{Portfolio, Tape};
use risk::{Context, Gate, KillSwitch, Limits};
use spec::Decision;
use venue::{ClientOrderId, CostModel, Exchange, OrderIntent};

use crate::setting::price;
use crate::{Backtest, BacktestError, Setting};

/// First part of the order ids of a backtest; no broker ever sees one.
const SESSION: &str = "backtest";

/// One run in progress.
pub(crate) struct Desk<'a> {
    setting: &'a Setting<'a>,
    instrument: Instrument,
    exchange: Exchange,
    gate: Gate,
    portfolio: Portfolio,
    tape: Tape,
    decisions: Vec<Decision>,
    orders: Vec<OrderIntent>,
    fills: Vec<venue::Fill>,
    equity: Vec<Money>,
}

/// What a decision may look at: the account and the market at a bar's close.
pub(crate) struct Position<'a> {
    portfolio: &'a Portfolio,
    instrument: &'a Instrument,
    mark: Price,
}

impl Position<'_> {
    /// What a policy sees of the account.
    pub(crate) fn observed(&self) -> features::observation::Position {
        let (exposure, unrealised) = self.portfolio.view(self.instrument, self.mark);
        features::observation::Position { exposure, unrealised }
    }
}

impl<'a> Desk<'a> {
    /// Takes the account through the bars of `setting`, asking `decide` at each close.
    pub(crate) fn trade(
        setting: &'a Setting<'a>,
        mut decide: impl FnMut(&Bar, &Position<'_>) -> Result<Decision, BacktestError>,
    ) -> Result<Backtest, BacktestError> {
        let mut desk = Self::new(setting);
        for bar in setting.bars()? {
            desk.open(bar)?;
            let mark = desk.close(bar)?;
            let position = Position { portfolio: &desk.portfolio, instrument: &desk.instrument, mark };
            let decision = decide(bar, &position)?;
            desk.act(&decision, mark)?;
            desk.decisions.push(decision);
        }
        Ok(desk.outcome())
    }

    fn new(setting: &'a Setting<'a>) -> Self {
        let instrument = setting.instrument();
        Self {
            exchange: Exchange::new(instrument.clone(), CostModel::new(setting.env.costs.clone())),
            // The strategy alone is judged here; limits bind live.
            gate: Gate::new(Limits::unbounded()),
            portfolio: Portfolio::new(setting.cash()),
            tape: Tape::default(),
            decisions: Vec::new(),
            orders: Vec::new(),
            fills: Vec::new(),
            equity: Vec::new(),
            instrument,
            setting,
        }
    }

    fn open(&mut self, bar: &Bar) -> Result<(), BacktestError> {
        let open = price(&self.instrument, bar.time, bar.open)?;
        for fill in self.exchange.on_open(bar.time, open) {
            self.portfolio.apply(&self.instrument, &fill);
            self.tape.fill(&fill);
            self.fills.push(fill);
        }
        Ok(())
    }

    fn close(&mut self, bar: &Bar) -> Result<Price, BacktestError> {
        let mark = price(&self.instrument, bar.time, bar.close)?;
        let bars_per_year = self.setting.dataset.interval.periods_per_year() as u32;
        let equity = self.portfolio.close_bar(&self.instrument, self.exchange.costs(), mark, bars_per_year);
        self.gate.mark(bar.time, equity);
        self.tape.mark(bar.time, self.portfolio.cash(), equity);
        self.equity.push(equity);
        Ok(mark)
    }

    fn act(&mut self, decision: &Decision, mark: Price) -> Result<(), BacktestError> {
        let sized = strategy::size(decision, &self.portfolio, &self.instrument, self.exchange.costs(), mark);
        let Some((side, quantity)) = sized else { return Ok(()) };
        let intent = OrderIntent {
            client_order_id: ClientOrderId::new(SESSION, self.orders.len() as u64 + 1),
            symbol: self.instrument.symbol().clone(),
            side,
            quantity,
            decided: decision.bar,
        };
        let (portfolio, instrument) = (&self.portfolio, &self.instrument);
        let context = Context { portfolio, instrument, mark, switch: KillSwitch::Clear };
        // Unbounded limits refuse one thing only: adding to a position without equity.
        if let Ok(approved) = self.gate.approve(intent, &context) {
            let order = approved.into_inner();
            self.tape.order(&order);
            self.orders.push(order.clone());
            self.exchange.submit(order)?;
        }
        Ok(())
    }

    fn outcome(self) -> Backtest {
        let bars = &self.setting.dataset.bars[self.setting.range.clone()];
        let returns = returns(&self.equity);
        Backtest {
            times: bars.iter().skip(1).map(|bar| bar.time).collect(),
            returns,
            equity: self.equity.into_iter().skip(1).collect(),
            start: self.setting.cash(),
            decisions: self.decisions,
            orders: self.orders,
            fills: self.fills,
            costs: self.portfolio.fees(),
            traded: self.portfolio.traded(),
            orders_hash: self.tape.digest(),
            interval: self.setting.dataset.interval,
        }
    }
}

/// Simple returns between closes: −1 where equity is lost whole, 0 from then on.
fn returns(equity: &[Money]) -> Vec<f64> {
    let mut ruined = false;
    let between = |pair: &[Money]| {
        if ruined {
            return 0.0;
        }
        ruined = pair[1] <= Money(0);
        if ruined { -1.0 } else { pair[1].as_f64() / pair[0].as_f64() - 1.0 }
    };
    equity.windows(2).map(between).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ruin_is_a_return_of_minus_one_and_nothing_after_it() {
        let equity = [100, 110, -5, 20].map(Money::units);
        let returns = returns(&equity);
        assert!((returns[0] - 0.1).abs() < 1e-12);
        assert_eq!(returns[1..], [-1.0, 0.0]);
    }
}
