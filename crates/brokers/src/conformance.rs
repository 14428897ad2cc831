//! What every broker adapter must pass: a repeated order is one order, fills are complete, in order and told once.

use market::{Instrument, Money, Price, Quantity, Side, Symbol, Timestamp};
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
    let fills = broker.poll();
    let ids: Vec<&str> = fills.iter().map(|fill| fill.client_order_id.as_str()).collect();
    assert_eq!(ids, ["check-2", "check-3"], "{broker}: fills come in the order of submission");
    let sides: Vec<Side> = fills.iter().map(|fill| fill.side).collect();
    assert_eq!(sides, [Side::Sell, Side::Buy], "{broker}: a fill has its order's side");
    assert!(fills.iter().all(|fill| fill.price > Price(0) && fill.fee >= Money(0)), "{broker}: prices and fees");

    a_foreign_symbol_is_rejected_for_good(&mut broker);
    open(&mut broker, at(40));
    assert!(broker.poll().is_empty(), "{broker}: a rejected order never fills");
}

fn a_foreign_symbol_is_rejected_for_good<B: Broker>(broker: &mut B) {
    let symbol = Symbol::try_from("NOT.TRADED".to_owned()).expect("a legal symbol");
    let foreign = approved(&Instrument::share(symbol), 4, Side::Buy, 1, Timestamp::from_micros(30));
    for _ in 0..2 {
        let error = broker.submit(foreign.clone()).expect_err("an instrument that the broker does not trade");
        assert!(!error.is_transient(), "{broker}: rejects what it does not trade for good: {error}");
    }
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
