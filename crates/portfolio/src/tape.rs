//! A digest over everything that moved money, in integer units: equal digests mean equal trading.

use market::{Money, Price, Quantity, Timestamp};
use spec::Digest;
use venue::{Fill, OrderIntent};

/// Orders, fills and cash in the order they happened. Leaves out who sent them: two sessions can have equal tapes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tape {
    bytes: Vec<u8>,
}

impl Tape {
    /// Notes an order when it is sent.
    pub fn order(&mut self, order: &OrderIntent) {
        self.note(b'O', order.decided, &[order.side.sign(), order.quantity.0]);
    }

    /// Notes an execution.
    pub fn fill(&mut self, fill: &Fill) {
        let Fill { quantity: Quantity(quantity), price: Price(price), fee: Money(fee), side, time, .. } = fill;
        self.note(b'F', *time, &[side.sign(), *quantity, *price, *fee]);
    }

    /// Notes the cash and equity after a bar.
    pub fn mark(&mut self, time: Timestamp, cash: Money, equity: Money) {
        self.note(b'M', time, &[cash.0, equity.0]);
    }

    /// SHA-256 of all that was noted.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&self.bytes)
    }

    fn note(&mut self, kind: u8, time: Timestamp, values: &[i64]) {
        self.bytes.push(kind);
        self.bytes.extend(time.micros().to_le_bytes());
        self.bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    }
}
