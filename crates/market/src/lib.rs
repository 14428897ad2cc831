//! Instruments, prices, quantities, bars and time: nouns only.
//!
//! Knows no I/O, no orders, no tensors. Research prices are `f64` in [`Bar`]; everything that moves money is an integer
//! of a named unit ([`Price`] in ticks, [`Quantity`] in lots, [`Money`] in millionths of the quote currency).

mod bar;
pub mod calendar;
mod instrument;
mod money;
mod time;

pub use bar::{Bar, BarDefect, Interval, IntervalError};
pub use calendar::{Calendar, CalendarError};
pub use instrument::{Instrument, InstrumentError, Symbol};
pub use money::{BasisPoints, Money, Price, Quantity, Side};
pub use time::{Timestamp, TimestampError};
