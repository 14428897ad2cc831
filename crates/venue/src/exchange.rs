//! The simulated exchange: takes orders, fills them at the next open.

use std::collections::BTreeSet;

use market::{Instrument, Price, Quantity, Timestamp};

use crate::{ClientOrderId, CostModel, Fill, OrderIntent};

/// Orders waiting for an open at most.
const PENDING_MAX: usize = 10_000;

/// Why the exchange does not take an order.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// It trades another instrument.
    #[error("order {order} is for {wanted}, this exchange trades {traded}")]
    Symbol {
        /// Which order.
        order: ClientOrderId,
        /// Its symbol.
        wanted: market::Symbol,
        /// Ours.
        traded: market::Symbol,
    },
    /// Nothing or less is asked for.
    #[error("order {order} asks for {} lots: at least one is needed", .quantity.0)]
    Quantity {
        /// Which order.
        order: ClientOrderId,
        /// What it asks for.
        quantity: Quantity,
    },
    /// Too many orders wait.
    #[error("order {order}: {PENDING_MAX} orders are waiting already")]
    Full {
        /// Which order.
        order: ClientOrderId,
    },
}

/// One instrument's market, replayed bar by bar.
#[derive(Clone, Debug)]
pub struct Exchange {
    instrument: Instrument,
    costs: CostModel,
    pending: Vec<OrderIntent>,
    known: BTreeSet<ClientOrderId>,
}

impl Exchange {
    /// An exchange with no orders.
    #[must_use]
    pub const fn new(instrument: Instrument, costs: CostModel) -> Self {
        Self { instrument, costs, pending: Vec::new(), known: BTreeSet::new() }
    }

    /// What it trades.
    #[must_use]
    pub const fn instrument(&self) -> &Instrument {
        &self.instrument
    }

    /// Its cost model.
    #[must_use]
    pub const fn costs(&self) -> &CostModel {
        &self.costs
    }

    /// Takes an order. The same id again is the same order: taken once.
    ///
    /// # Errors
    /// [`Rejection`]: the order is not taken.
    pub fn submit(&mut self, order: OrderIntent) -> Result<(), Rejection> {
        if self.known.contains(&order.client_order_id) {
            return Ok(());
        }
        if order.symbol != *self.instrument.symbol() {
            let traded = self.instrument.symbol().clone();
            return Err(Rejection::Symbol { order: order.client_order_id, wanted: order.symbol, traded });
        }
        if order.quantity <= Quantity(0) {
            return Err(Rejection::Quantity { order: order.client_order_id, quantity: order.quantity });
        }
        if self.pending.len() == PENDING_MAX {
            return Err(Rejection::Full { order: order.client_order_id });
        }
        self.known.insert(order.client_order_id.clone());
        self.pending.push(order);
        Ok(())
    }

    /// Opens a bar: every order decided on an earlier bar fills at its open, in the order taken.
    pub fn on_open(&mut self, time: Timestamp, open: Price) -> Vec<Fill> {
        let (due, later): (Vec<_>, Vec<_>) = self.pending.drain(..).partition(|order| order.decided < time);
        self.pending = later;
        due.iter().map(|order| self.costs.execute(&self.instrument, order, open, time)).collect()
    }
}

#[cfg(test)]
mod tests {
    use market::{Side, Symbol};
    use proptest::prelude::*;
    use spec::CostSpec;

    use super::*;

    fn exchange() -> Exchange {
        let symbol = Symbol::try_from("AAPL".to_owned()).unwrap();
        Exchange::new(Instrument::share(symbol), CostModel::new(CostSpec::default()))
    }

    fn order(exchange: &Exchange, sequence: u64, decided: i64) -> OrderIntent {
        OrderIntent {
            client_order_id: ClientOrderId::new("s", sequence),
            symbol: exchange.instrument().symbol().clone(),
            side: Side::Buy,
            quantity: Quantity(3),
            decided: Timestamp::from_micros(decided),
        }
    }

    #[test]
    fn a_decision_on_a_bar_fills_on_a_later_one_and_once() {
        let mut exchange = exchange();
        let order = order(&exchange, 1, 10);
        exchange.submit(order.clone()).unwrap();
        exchange.submit(order).unwrap();
        let at = Timestamp::from_micros;
        assert!(exchange.on_open(at(10), Price(1_000_000)).is_empty());
        let fills = exchange.on_open(at(11), Price(1_000_000));
        assert_eq!(fills.len(), 1);
        assert_eq!((fills[0].price, fills[0].time), (Price(1_000_200), at(11)));
        assert!(exchange.on_open(at(12), Price(1_000_000)).is_empty());
    }

    #[test]
    fn an_order_of_nothing_or_of_another_symbol_is_rejected() {
        let mut exchange = exchange();
        let nothing = OrderIntent { quantity: Quantity(0), ..order(&exchange, 1, 0) };
        assert!(matches!(exchange.submit(nothing), Err(Rejection::Quantity { .. })));
        let other = OrderIntent { symbol: Symbol::try_from("IBM".to_owned()).unwrap(), ..order(&exchange, 2, 0) };
        assert!(matches!(exchange.submit(other), Err(Rejection::Symbol { .. })));
    }

    proptest! {
        #[test]
        fn every_order_fills_once_whole_and_on_a_later_bar_than_it_was_decided_on(
            decisions in prop::collection::vec((0i64..50, 1i64..1_000), 0..40),
        ) {
            let mut exchange = exchange();
            let orders: Vec<OrderIntent> = decisions
                .iter()
                .zip(1..)
                .map(|(&(decided, lots), sequence)| {
                    OrderIntent { quantity: Quantity(lots), ..order(&exchange, sequence, decided) }
                })
                .collect();
            let mut fills = Vec::new();
            for bar in 0..52 {
                for order in orders.iter().filter(|order| order.decided.micros() == bar) {
                    exchange.submit(order.clone()).unwrap();
                }
                fills.extend(exchange.on_open(Timestamp::from_micros(bar), Price(1_000_000)));
            }
            prop_assert_eq!(fills.len(), orders.len());
            for order in &orders {
                let of: Vec<&Fill> = fills.iter().filter(|fill| fill.client_order_id == order.client_order_id).collect();
                prop_assert_eq!(of.len(), 1);
                prop_assert_eq!((of[0].quantity, of[0].side), (order.quantity, order.side));
                prop_assert_eq!(of[0].time.micros(), order.decided.micros() + 1);
            }
        }
    }
}
