//! Paper trading: the same fill core as backtest and environment, behind the [`Broker`] trait.

use std::collections::BTreeSet;
use std::fmt;

use market::{Price, Timestamp};
use risk::Approved;
use venue::{ClientOrderId, Exchange, Fill, OrderIntent};

use crate::{Ack, Broker, BrokerError};

/// A broker over a simulated exchange; whoever feeds bars calls [`PaperBroker::on_open`].
#[derive(Clone, Debug)]
pub struct PaperBroker {
    exchange: Exchange,
    known: BTreeSet<ClientOrderId>,
    fills: Vec<Fill>,
}

impl PaperBroker {
    /// A broker with no orders.
    #[must_use]
    pub const fn new(exchange: Exchange) -> Self {
        Self { exchange, known: BTreeSet::new(), fills: Vec::new() }
    }

    /// Opens a bar: orders decided earlier fill.
    pub fn on_open(&mut self, time: Timestamp, open: Price) {
        self.fills.extend(self.exchange.on_open(time, open));
    }
}

impl fmt::Display for PaperBroker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "paper({})", self.exchange.instrument().symbol())
    }
}

impl Broker for PaperBroker {
    fn submit(&mut self, order: Approved<OrderIntent>) -> Result<Ack, BrokerError> {
        let order = order.into_inner();
        let id = order.client_order_id.clone();
        if self.known.contains(&id) {
            return Ok(Ack::Known);
        }
        self.exchange
            .submit(order)
            .map_err(|rejection| BrokerError::Rejected { order: id.clone(), reason: rejection.to_string() })?;
        self.known.insert(id);
        Ok(Ack::Accepted)
    }

    fn poll(&mut self) -> Vec<Fill> {
        std::mem::take(&mut self.fills)
    }
}

#[cfg(test)]
mod tests {
    use market::{Instrument, Symbol};
    use spec::CostSpec;
    use venue::CostModel;

    use super::*;
    use crate::conformance;

    #[test]
    fn the_paper_broker_conforms() {
        let instrument = Instrument::share(Symbol::try_from("AAPL".to_owned()).unwrap());
        let exchange = Exchange::new(instrument.clone(), CostModel::new(CostSpec::default()));
        conformance::check(PaperBroker::new(exchange), &instrument, |broker, time| {
            broker.on_open(time, Price(1_000_000));
        });
    }
}
