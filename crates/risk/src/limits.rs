//! What is limited, and to what.

use std::fmt;

use market::{BasisPoints, Money, Symbol};
use serde::{Deserialize, Serialize};

/// Bounds of a trading session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Largest position value over equity.
    pub position_max: BasisPoints,
    /// Largest value of one order.
    pub order_max: Money,
    /// Loss since the last mark before the UTC day after which only reducing orders pass.
    pub daily_loss_max: Money,
}

impl Limits {
    /// Limits that bind nothing, for simulations in which the strategy alone is judged.
    #[must_use]
    pub const fn unbounded() -> Self {
        Self { position_max: BasisPoints(i32::MAX), order_max: Money(i64::MAX), daily_loss_max: Money(i64::MAX) }
    }
}

/// What the operator allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KillSwitch {
    /// Everything within limits.
    #[default]
    Clear,
    /// Only orders that bring the position nearer to zero.
    ReduceOnly,
    /// Nothing.
    Halted,
}

/// The limit that an order would break, with its bound and what would have been.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// The kill switch.
    KillSwitch {
        /// Its position.
        switch: KillSwitch,
    },
    /// The gate judges one instrument.
    Symbol {
        /// Which.
        traded: Symbol,
    },
    /// An order is for at least one lot.
    Quantity {
        /// Lots asked for.
        would_be: i64,
    },
    /// The order's value.
    OrderValue {
        /// Bound.
        max: Money,
        /// Value of the order.
        would_be: Money,
    },
    /// The position's value over equity after the order.
    Position {
        /// Bound.
        max: BasisPoints,
        /// Basis points of equity, `i64::MAX` without equity.
        would_be: i64,
    },
    /// The day's loss so far.
    DailyLoss {
        /// Bound.
        max: Money,
        /// Loss since the last mark before the UTC day.
        would_be: Money,
    },
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KillSwitch { switch: KillSwitch::ReduceOnly } => {
                f.write_str("kill switch: only reducing orders pass")
            }
            Self::KillSwitch { .. } => f.write_str("kill switch: no order passes"),
            Self::Symbol { traded } => write!(f, "symbol: only {traded} is judged here"),
            Self::Quantity { would_be } => write!(f, "quantity: at least 1 lot, asked {would_be}"),
            Self::OrderValue { max, would_be } => write!(f, "order value: at most {max}, would be {would_be}"),
            Self::Position { max, would_be } => {
                write!(f, "position: at most {} bp of equity, would be {would_be} bp", max.0)
            }
            Self::DailyLoss { max, would_be } => write!(f, "daily loss: at most {max}, is {would_be}"),
        }
    }
}
