//! What every broker adapter must pass: a repeated order is one order, fills are complete, in order and told once.

use market::{Instrument, Money, Price, Quantity, Side, Timestamp};
use portfolio::Portfolio;
use risk::{Approved, Context, Gate, KillSwitch, Limits};
use venue::{ClientOrderId, OrderIntent};

use crate::{Ack, Broker};

/// Drives a fresh broker through the contract. `open` lets the market trade at a moment.
///
/// # Panics
/// With a sentence, when the broker breaks the contract.
pub fn check<B: Broker>(mut broker: B, instrument: &Instrument, mut open: impl FnMut(&mut B, Timestamp)) {
    let at = Timestamp::from_micros;
    assert!(broker.poll().is_empty(), "{broker}: a fresh broker has no fills");

    let first = approved(instrument, 1, Side::Buy, 5, at(10));
    assert_eq!(broker.submit(first.clone()), Ok(Ack::Accepted), "{broker}: takes an order");
    assert_eq!(broker.submit(first.clone()), Ok(Ack::Known), "{broker}: knows it when it comes again");
    assert!(broker.poll().is_empty(), "{broker}: nothing fills before the market trades");

    open(&mut broker, at(20));
    let fills = broker.poll();
    let filled: Quantity = fills.iter().map(|fill| fill.quantity).sum();
    assert_eq!(filled, Quantity(5), "{broker}: the repeated order fills once");
    assert!(fills.iter().all(|fill| fill.client_order_id == first.get().client_order_id && fill.time > at(10)));
    assert!(broker.poll().is_empty(), "{broker}: a fill is told once");

    assert_eq!(broker.submit(first), Ok(Ack::Known), "{broker}: a filled order is still the same order");
    for (sequence, side) in [(2, Side::Sell), (3, Side::Buy)] {
        let order = approved(instrument, sequence, side, 2, at(20));
        assert_eq!(broker.submit(order), Ok(Ack::Accepted), "{broker}: takes more orders");
    }
    open(&mut broker, at(30));
    let ids: Vec<_> = broker.poll().into_iter().map(|fill| fill.client_order_id.to_string()).collect();
    assert_eq!(ids, ["check-2", "check-3"], "{broker}: fills come in the order of submission");
}

fn approved(
    instrument: &Instrument,
    sequence: u64,
    side: Side,
    lots: i64,
    decided: Timestamp,
) -> Approved<OrderIntent> {
    let intent = OrderIntent {
        client_order_id: ClientOrderId::new("check", sequence),
        symbol: instrument.symbol().clone(),
        side,
        quantity: Quantity(lots),
        decided,
    };
    let portfolio = Portfolio::new(Money::units(1_000_000));
    let context = Context { portfolio: &portfolio, instrument, mark: Price(1_000_000), switch: KillSwitch::Clear };
    Gate::new(Limits::unbounded()).approve(intent, &context).expect("unbounded limits refuse nothing")
}
