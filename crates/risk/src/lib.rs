//! Pre-trade limits and the kill switch: the only door from a decision to an order.
//!
//! [`Gate::approve`] alone builds [`Approved`], and a broker takes nothing else. In the spirit of SEC Rule 15c3-5: every
//! limit is checked before each order, a refusal names the limit, its bound and what would have been. Knows no brokers,
//! models or clock.

mod gate;
mod limits;

pub use gate::{Approved, Context, Gate, Refusal};
pub use limits::{KillSwitch, Limit, Limits};
