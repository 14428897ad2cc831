//! The gate itself.

use market::{Instrument, Money, Price, Quantity, Timestamp};
use portfolio::Portfolio;
use serde::{Deserialize, Serialize};
use venue::OrderIntent;

use crate::{KillSwitch, Limit, Limits};

/// Basis points in one.
const WHOLE: i128 = 10_000;

/// Microseconds of a UTC day.
const DAY_MICROS: i64 = 86_400_000_000;

/// Proof that the gate let something pass. Only [`Gate::approve`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approved<T>(T);

impl<T> Approved<T> {
    /// Looks at it.
    pub const fn get(&self) -> &T {
        &self.0
    }

    /// Takes it out, to be sent.
    pub fn into_inner(self) -> T {
        self.0
    }
}

/// An order that was not let pass, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("order {} refused: {limit}", .intent.client_order_id)]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    /// The order.
    pub intent: OrderIntent,
    /// The limit it would break.
    pub limit: Limit,
}

/// What the gate judges an order by.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// What is held.
    pub portfolio: &'a Portfolio,
    /// What is traded.
    pub instrument: &'a Instrument,
    /// Where the market stands.
    pub mark: Price,
    /// What the operator allows.
    pub switch: KillSwitch,
}

/// Judges orders, one after the other. Its memory is the equity that the day's loss counts from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gate {
    limits: Limits,
    day: Option<Day>,
}

/// A UTC day of trading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Day {
    /// Days since the epoch.
    number: i64,
    /// Where the day began: the last mark before it.
    start: Money,
    /// The latest mark.
    latest: Money,
}

impl Gate {
    /// A gate with these limits.
    #[must_use]
    pub const fn new(limits: Limits) -> Self {
        Self { limits, day: None }
    }

    /// Tells the gate the equity at a moment. A UTC day's loss counts from the last mark before that day, so that a bar
    /// a day and its overnight gap count too; the first day counts from the first mark ever.
    pub fn mark(&mut self, now: Timestamp, equity: Money) {
        let number = now.micros().div_euclid(DAY_MICROS);
        let start = match self.day {
            None => equity,
            Some(day) if day.number == number => day.start,
            Some(day) => day.latest,
        };
        self.day = Some(Day { number, start, latest: equity });
    }

    /// Judges an order.
    ///
    /// # Errors
    /// [`Refusal`] with the first limit it would break.
    pub fn approve(&self, intent: OrderIntent, context: &Context<'_>) -> Result<Approved<OrderIntent>, Box<Refusal>> {
        match self.broken(&intent, context) {
            None => Ok(Approved(intent)),
            Some(limit) => Err(Box::new(Refusal { intent, limit })),
        }
    }

    fn broken(&self, intent: &OrderIntent, context: &Context<'_>) -> Option<Limit> {
        let Context { portfolio, instrument, mark, switch } = *context;
        if intent.symbol != *instrument.symbol() {
            return Some(Limit::Symbol { traded: instrument.symbol().clone() });
        }
        if intent.quantity <= Quantity(0) {
            return Some(Limit::Quantity { would_be: intent.quantity.0 });
        }
        let before = portfolio.position();
        // A quantity beyond 64 bits is an order's fat finger, refused below by its value.
        let after = Quantity(before.0.saturating_add(intent.signed_quantity().0));
        let crosses = after.0.signum() * before.0.signum() < 0;
        let reduces = after.0.unsigned_abs() < before.0.unsigned_abs() && !crosses;
        match switch {
            KillSwitch::Halted => return Some(Limit::KillSwitch { switch }),
            KillSwitch::ReduceOnly if !reduces => return Some(Limit::KillSwitch { switch }),
            KillSwitch::ReduceOnly | KillSwitch::Clear => {}
        }
        let value = value(instrument, mark, intent.quantity);
        if value > self.limits.order_max {
            return Some(Limit::OrderValue { max: self.limits.order_max, would_be: value });
        }
        if reduces { None } else { self.grown(instrument, portfolio, mark, after) }
    }

    /// The limit that a position grown or flipped to `after` breaks.
    fn grown(&self, instrument: &Instrument, portfolio: &Portfolio, mark: Price, after: Quantity) -> Option<Limit> {
        let equity = portfolio.equity(instrument, mark);
        let exposure = exposure_bps(value(instrument, mark, after), equity);
        if exposure > i64::from(self.limits.position_max.0) {
            return Some(Limit::Position { max: self.limits.position_max, would_be: exposure });
        }
        let loss = self.day.map_or(Money(0), |day| day.start - equity);
        (loss > self.limits.daily_loss_max)
            .then_some(Limit::DailyLoss { max: self.limits.daily_loss_max, would_be: loss })
    }
}

/// What `quantity` is worth either way; the most that money holds when it is worth more.
fn value(instrument: &Instrument, mark: Price, quantity: Quantity) -> Money {
    let most = instrument.affordable(Money(i64::MAX), mark);
    if quantity.0.unsigned_abs() > most.0.unsigned_abs() {
        return Money(i64::MAX);
    }
    instrument.notional(mark, quantity).abs()
}

fn exposure_bps(value: Money, equity: Money) -> i64 {
    if equity <= Money(0) {
        return i64::MAX;
    }
    i64::try_from(i128::from(value.0) * WHOLE / i128::from(equity.0)).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use market::{BasisPoints, Side, Symbol};
    use proptest::prelude::*;
    use venue::ClientOrderId;

    use super::*;

    struct Desk {
        gate: Gate,
        portfolio: Portfolio,
        instrument: Instrument,
        switch: KillSwitch,
    }

    /// 100 000 in cash, a mark of 100; limits: 100 % position, 60 000 an order, 5 000 a day.
    fn desk() -> Desk {
        let limits = Limits {
            position_max: BasisPoints(10_000),
            order_max: Money::units(60_000),
            daily_loss_max: Money::units(5_000),
        };
        let mut gate = Gate::new(limits);
        gate.mark(Timestamp::from_micros(0), Money::units(100_000));
        Desk {
            gate,
            portfolio: Portfolio::new(Money::units(100_000)),
            instrument: Instrument::share(Symbol::try_from("AAPL".to_owned()).unwrap()),
            switch: KillSwitch::Clear,
        }
    }

    impl Desk {
        fn hold(mut self, lots: i64, price: i64) -> Self {
            self.portfolio.book(&self.instrument, Quantity(lots), Price(price * 10_000), Money(0));
            self
        }

        fn ask(&self, side: Side, lots: i64) -> Result<(), String> {
            let intent = OrderIntent {
                client_order_id: ClientOrderId::new("s", 1),
                symbol: self.instrument.symbol().clone(),
                side,
                quantity: Quantity(lots),
                decided: Timestamp::from_micros(0),
            };
            let context = Context {
                portfolio: &self.portfolio,
                instrument: &self.instrument,
                mark: Price(1_000_000),
                switch: self.switch,
            };
            self.gate.approve(intent, &context).map(|_| ()).map_err(|refusal| refusal.limit.to_string())
        }
    }

    #[test]
    fn a_refusal_names_the_limit_its_bound_and_what_would_be() {
        assert_eq!(desk().ask(Side::Buy, 600), Ok(()));
        assert_eq!(desk().ask(Side::Buy, 601).unwrap_err(), "order value: at most 60000.00, would be 60100.00");
        let held = desk().hold(600, 100);
        assert_eq!(held.ask(Side::Buy, 400), Ok(()));
        assert_eq!(held.ask(Side::Buy, 401).unwrap_err(), "position: at most 10000 bp of equity, would be 10010 bp");
        assert_eq!(desk().ask(Side::Buy, 0).unwrap_err(), "quantity: at least 1 lot, asked 0");
    }

    #[test]
    fn after_a_days_loss_only_reducing_orders_pass_until_the_next_day() {
        let mut loser = desk().hold(100, 160);
        loser.gate.mark(Timestamp::from_micros(1), Money::units(94_000));
        assert_eq!(loser.ask(Side::Buy, 1).unwrap_err(), "daily loss: at most 5000.00, is 6000.00");
        assert_eq!(loser.ask(Side::Sell, 100), Ok(()));
        assert!(loser.ask(Side::Sell, 201).is_err(), "flipping is not reducing");
        loser.gate.mark(Timestamp::from_micros(DAY_MICROS), Money::units(94_000));
        assert_eq!(loser.ask(Side::Buy, 1), Ok(()), "the loss was yesterday's");
    }

    #[test]
    fn with_one_bar_a_day_the_loss_counts_from_the_last_close() {
        let mut loser = desk().hold(100, 160);
        loser.gate.mark(Timestamp::from_micros(DAY_MICROS), Money::units(94_000));
        assert_eq!(loser.ask(Side::Buy, 1).unwrap_err(), "daily loss: at most 5000.00, is 6000.00");
    }

    #[test]
    fn a_fat_finger_is_refused_by_its_value_and_does_not_overflow() {
        let refusal = desk().hold(1, 100).ask(Side::Buy, i64::MAX).unwrap_err();
        assert!(refusal.starts_with("order value: at most 60000.00, would be "), "{refusal}");
        assert!(desk().hold(-1, 100).ask(Side::Sell, i64::MAX).is_err());
    }

    #[test]
    fn an_order_for_another_instrument_is_not_judged_by_this_ones_price() {
        let desk = desk();
        let intent = OrderIntent {
            client_order_id: ClientOrderId::new("s", 1),
            symbol: Symbol::try_from("IBM".to_owned()).unwrap(),
            side: Side::Buy,
            quantity: Quantity(1),
            decided: Timestamp::from_micros(0),
        };
        let context =
            Context { portfolio: &desk.portfolio, instrument: &desk.instrument, mark: Price(1), switch: desk.switch };
        let refusal = desk.gate.approve(intent, &context).unwrap_err();
        assert_eq!(refusal.to_string(), "order s-1 refused: symbol: only AAPL is judged here");
    }

    proptest! {
        #[test]
        fn what_passes_breaks_no_limit_and_what_reduces_within_size_passes(
            held in -900i64..900, lots in 1i64..2_000, sell in any::<bool>(), reduce_only in any::<bool>(),
        ) {
            let mut desk = desk().hold(held, 100);
            desk.switch = if reduce_only { KillSwitch::ReduceOnly } else { KillSwitch::Clear };
            let side = if sell { Side::Sell } else { Side::Buy };
            let after = held + side.sign() * lots;
            let reduces = after.abs() < held.abs() && after * held >= 0;
            // A mark of 100 and an equity of 100 000: 1000 lots are all of it, 600 an order.
            let legal = lots <= 600 && (reduces || (!reduce_only && after.abs() <= 1_000));
            prop_assert_eq!(desk.ask(side, lots).is_ok(), legal);
        }
    }

    #[test]
    fn the_kill_switch_stops_everything_or_lets_only_reductions_pass() {
        let mut desk = desk().hold(100, 100);
        desk.switch = KillSwitch::Halted;
        assert!(desk.ask(Side::Sell, 100).is_err());
        desk.switch = KillSwitch::ReduceOnly;
        assert_eq!(desk.ask(Side::Sell, 100), Ok(()));
        assert!(desk.ask(Side::Buy, 1).is_err());
        assert!(desk.ask(Side::Sell, 150).is_err());
    }
}
