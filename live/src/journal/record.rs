//! What a live session writes down: its header once, then everything that came in and everything it made of it.

use market::{Bar, Instrument, Interval, Money, Quantity, Timestamp};
use risk::{KillSwitch, Limits, Refusal};
use serde::{Deserialize, Serialize};
use spec::{BundleId, Confidence, Decision, EnvSpec, Prediction, StrategySpec};
use venue::{ClientOrderId, Fill, OrderIntent};

/// Version of the records. A journal of another one is refused.
pub const FORMAT: u32 = 1;

/// All a session was started with; with the inputs after it, enough to derive everything else again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// [`FORMAT`] of the writer.
    pub format: u32,
    /// First part of every client order id.
    pub session: String,
    /// The artifact that predicts.
    pub bundle: BundleId,
    /// What is traded.
    pub instrument: Instrument,
    /// Spacing of its bars.
    pub interval: Interval,
    /// Costs, starting cash and allowed positions.
    pub env: EnvSpec,
    /// From forecast to exposure.
    pub strategy: StrategySpec,
    /// Pre-trade limits.
    pub limits: Limits,
}

/// The account after a bar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mark {
    /// The bar.
    pub time: Timestamp,
    /// Cash.
    pub cash: Money,
    /// Lots held, negative when short.
    pub position: Quantity,
    /// Cash plus the position at the bar's close.
    pub equity: Money,
}

/// What someone should look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Alarm {
    /// The kill switch was engaged: orders are held back until it is cleared.
    KillSwitch(KillSwitch),
    /// An order had not filled when the next bar closed: no other is sent until it has.
    Outstanding(ClientOrderId),
    /// Equity is zero or below: nothing is left to trade with.
    Ruined,
}

/// One line of the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Record {
    /// Input: a closed bar.
    Bar(Bar),
    /// Input: an execution.
    Fill(Fill),
    /// Input: the kill switch changed.
    KillSwitch(KillSwitch),
    /// Derived: the account after the bar.
    Mark(Mark),
    /// Derived: what the network said of the bar.
    Prediction(Prediction),
    /// Derived: how far to trust that, of a calibrated bundle; its interval and probabilities adapt from bar to bar.
    Confidence(Confidence),
    /// Derived: the exposure wanted.
    Decision(Decision),
    /// Derived: an approved order. Durable before it is sent.
    Order(OrderIntent),
    /// Derived: an order that the limits stopped.
    Refusal(Refusal),
    /// Derived: an alarm.
    Alarm(Alarm),
    /// Input: the broker took the order.
    Ack(ClientOrderId),
}

impl Record {
    /// The word for this kind of record, as the journal writes it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Bar(_) => "bar",
            Self::Fill(_) => "fill",
            Self::KillSwitch(_) => "kill_switch",
            Self::Mark(_) => "mark",
            Self::Prediction(_) => "prediction",
            Self::Confidence(_) => "confidence",
            Self::Decision(_) => "decision",
            Self::Order(_) => "order",
            Self::Refusal(_) => "refusal",
            Self::Alarm(_) => "alarm",
            Self::Ack(_) => "ack",
        }
    }
}
