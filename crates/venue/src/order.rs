//! Order nouns and the states an order goes through.

use std::fmt;

use market::{Money, Price, Quantity, Side, Symbol, Timestamp};
use serde::{Deserialize, Serialize};

/// Names an order for its whole life. Deterministic (`SESSION-SEQUENCE`), so a repeated submission is the same order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClientOrderId(String);

impl ClientOrderId {
    /// The `sequence`-th order of a session, from 1.
    #[must_use]
    pub fn new(session: &str, sequence: u64) -> Self {
        Self(format!("{session}-{sequence}"))
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClientOrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A market order that somebody wants: to be filled at the next open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrderIntent {
    /// Its name.
    pub client_order_id: ClientOrderId,
    /// What to trade.
    pub symbol: Symbol,
    /// Which way.
    pub side: Side,
    /// How many lots, above zero.
    pub quantity: Quantity,
    /// The bar it was decided on; it fills on a later one.
    pub decided: Timestamp,
}

impl OrderIntent {
    /// The change of position it brings, negative for a sale.
    #[must_use]
    pub const fn signed_quantity(&self) -> Quantity {
        Quantity(self.quantity.0 * self.side.sign())
    }
}

/// A trade that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fill {
    /// Of which order.
    pub client_order_id: ClientOrderId,
    /// What was traded.
    pub symbol: Symbol,
    /// Which way.
    pub side: Side,
    /// How many lots, above zero.
    pub quantity: Quantity,
    /// At which price.
    pub price: Price,
    /// Commission.
    pub fee: Money,
    /// The bar at whose open it happened.
    pub time: Timestamp,
}

impl Fill {
    /// The change of position it brought, negative for a sale.
    #[must_use]
    pub const fn signed_quantity(&self) -> Quantity {
        Quantity(self.quantity.0 * self.side.sign())
    }
}

/// Where an order stands. `filled` counts lots.
///
/// ```text
/// Intent ─send→ SubmitInFlight ─accept→ Open ─fill…→ Filled
///                    └─reject→ Rejected  ├─cancel→ Cancelled ─fill→ (a fill that crossed the cancel)
///                                        └─expire→ Expired
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Wanted and journalled, not sent.
    Intent,
    /// Sent; whether the broker has it is not known.
    SubmitInFlight,
    /// The broker has it.
    Open {
        /// Lots filled.
        filled: Quantity,
    },
    /// Filled whole.
    Filled,
    /// Taken back, perhaps after some fills.
    Cancelled {
        /// Lots filled.
        filled: Quantity,
    },
    /// Refused by the broker.
    Rejected {
        /// The broker's reason.
        reason: String,
    },
    /// Ran out of time.
    Expired {
        /// Lots filled.
        filled: Quantity,
    },
}

/// What happens to an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// It goes out.
    Send,
    /// The broker has it.
    Accept,
    /// The broker refuses.
    Reject {
        /// Why.
        reason: String,
    },
    /// Lots traded.
    Fill {
        /// How many.
        quantity: Quantity,
    },
    /// It is taken back.
    Cancel,
    /// Its time ran out.
    Expire,
}

/// An event that the present state has no row for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an order in state {from:?} cannot take {event:?}")]
pub struct IllegalTransition {
    /// The state.
    pub from: State,
    /// The event.
    pub event: Event,
}

impl State {
    /// The state after `event`, for an order of `quantity` lots.
    ///
    /// # Errors
    /// [`IllegalTransition`] naming both sides; a fill beyond the order's quantity is one.
    pub fn apply(self, event: Event, quantity: Quantity) -> Result<Self, IllegalTransition> {
        use {Event as E, State as S};
        let illegal = |from: S, event: E| Err(IllegalTransition { from, event });
        match (self, event) {
            (S::Intent, E::Send) => Ok(S::SubmitInFlight),
            (S::SubmitInFlight, E::Accept) => Ok(S::Open { filled: Quantity(0) }),
            (S::SubmitInFlight, E::Reject { reason }) => Ok(S::Rejected { reason }),
            // The fill can overtake the acknowledgement.
            (S::SubmitInFlight, E::Fill { quantity: lots }) if in_range(lots, quantity) => {
                Ok(filled_to(lots, quantity))
            }
            (S::Open { filled }, E::Fill { quantity: lots }) if in_range(lots, quantity - filled) => {
                Ok(filled_to(filled + lots, quantity))
            }
            (S::Open { filled }, E::Cancel) => Ok(S::Cancelled { filled }),
            (S::Open { filled }, E::Expire) => Ok(S::Expired { filled }),
            // A fill that crossed the cancel on the wire happened all the same.
            (S::Cancelled { filled }, E::Fill { quantity: lots }) if in_range(lots, quantity - filled) => {
                if filled + lots == quantity { Ok(S::Filled) } else { Ok(S::Cancelled { filled: filled + lots }) }
            }
            (from, event) => illegal(from, event),
        }
    }
}

fn in_range(lots: Quantity, left: Quantity) -> bool {
    lots > Quantity(0) && lots <= left
}

fn filled_to(filled: Quantity, quantity: Quantity) -> State {
    if filled == quantity { State::Filled } else { State::Open { filled } }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_fill_after_a_cancel_counts_and_a_fill_after_the_end_is_illegal() {
        let ten = Quantity(10);
        let cancelled = State::Cancelled { filled: Quantity(4) };
        let filled = cancelled.apply(Event::Fill { quantity: Quantity(6) }, ten).unwrap();
        assert_eq!(filled, State::Filled);
        let error = filled.apply(Event::Fill { quantity: Quantity(1) }, ten).unwrap_err();
        assert!(error.to_string().contains("Filled") && error.to_string().contains("Fill {"), "{error}");
        assert!(State::Intent.apply(Event::Accept, ten).is_err());
    }

    /// Every state against every event, for an order of 10 lots.
    #[test]
    fn the_table_of_transitions_is_this_one() {
        let part = Quantity(4);
        let reason = || "no".to_owned();
        let states = [
            State::Intent,
            State::SubmitInFlight,
            State::Open { filled: part },
            State::Filled,
            State::Cancelled { filled: part },
            State::Rejected { reason: reason() },
            State::Expired { filled: part },
        ];
        let events = [
            Event::Send,
            Event::Accept,
            Event::Reject { reason: reason() },
            Event::Fill { quantity: Quantity(6) },
            Event::Fill { quantity: Quantity(11) },
            Event::Cancel,
            Event::Expire,
        ];
        let mut legal = Vec::new();
        for (row, state) in states.iter().enumerate() {
            for (column, event) in events.iter().enumerate() {
                match state.clone().apply(event.clone(), Quantity(10)) {
                    Ok(next) => legal.push((row, column, next)),
                    Err(error) => assert_eq!((&error.from, &error.event), (state, event), "names both sides"),
                }
            }
        }
        let expected = [
            (0, 0, State::SubmitInFlight),
            (1, 1, State::Open { filled: Quantity(0) }),
            (1, 2, State::Rejected { reason: reason() }),
            (1, 3, State::Open { filled: Quantity(6) }),
            (2, 3, State::Filled),
            (2, 5, State::Cancelled { filled: part }),
            (2, 6, State::Expired { filled: part }),
            (4, 3, State::Filled),
        ];
        assert_eq!(legal, expected);
    }

    #[test]
    fn an_orders_name_follows_from_session_and_sequence() {
        assert_eq!(ClientOrderId::new("paper-7", 12).as_str(), "paper-7-12");
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            Just(Event::Send),
            Just(Event::Accept),
            Just(Event::Reject { reason: String::new() }),
            (-2i64..8).prop_map(|lots| Event::Fill { quantity: Quantity(lots) }),
            Just(Event::Cancel),
            Just(Event::Expire),
        ]
    }

    proptest! {
        #[test]
        fn an_order_never_over_fills(events in prop::collection::vec(event(), 0..40), quantity in 1i64..12) {
            let quantity = Quantity(quantity);
            let (mut state, mut filled) = (State::Intent, Quantity(0));
            for event in events {
                if let Ok(next) = state.clone().apply(event.clone(), quantity) {
                    if let Event::Fill { quantity: lots } = event {
                        prop_assert!(lots > Quantity(0));
                        filled += lots;
                    }
                    state = next;
                }
                prop_assert!(filled <= quantity);
                prop_assert_eq!(state == State::Filled, filled == quantity);
            }
        }
    }
}
