//! What any broker must do.

use std::fmt::Display;

use risk::Approved;
use venue::{ClientOrderId, Fill, OrderIntent};

/// The broker's word that it has an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ack {
    /// It is new.
    Accepted,
    /// It was there already: a repeated submission changes nothing.
    Known,
}

/// Why an order did not get through.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BrokerError {
    /// The broker refuses the order; sending it again is of no use.
    #[error("order {order} rejected: {reason}")]
    Rejected {
        /// Which order.
        order: ClientOrderId,
        /// The broker's reason.
        reason: String,
    },
    /// Whether the broker has the order is not known; sending it again under the same id is safe.
    #[error("order {order}: the broker did not answer; its state is unknown")]
    Unknown {
        /// Which order.
        order: ClientOrderId,
    },
}

impl BrokerError {
    /// Whether sending the order again may help.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Unknown { .. })
    }
}

/// A venue for approved orders.
pub trait Broker: Display {
    /// Sends an order. The same client order id again is the same order, and is acknowledged as [`Ack::Known`].
    ///
    /// # Errors
    /// [`BrokerError::Rejected`] for good, [`BrokerError::Unknown`] when nothing was heard.
    fn submit(&mut self, order: Approved<OrderIntent>) -> Result<Ack, BrokerError>;

    /// Takes the fills since the last call, in the order they happened, each once.
    fn poll(&mut self) -> Vec<Fill>;
}
