//! What a model says of a bar, and what a strategy makes of it.

use market::{BasisPoints, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{BundleId, Digest};

/// What the network put out for one row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Output {
    /// A forecaster's view of the next `horizon` bars.
    Forecast {
        /// Probabilities of down, flat, up.
        probabilities: [f32; 3],
        /// Expected log return over the horizon.
        expected_return: f32,
        /// How far it may lie from that; of a network that says so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        spread: Option<Spread>,
        /// Deviation of one-bar log returns over the horizon; of a network that says so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        volatility: Option<f32>,
    },
    /// A policy's choice.
    Policy {
        /// Index of the action taken: the most probable one.
        action: u32,
        /// Probability of each action.
        probabilities: Vec<f32>,
    },
    /// A choice by value.
    Values {
        /// Index of the action taken: the most valuable one.
        action: u32,
        /// Expected discounted return of each action.
        values: Vec<f32>,
    },
    /// A continuous action.
    Control {
        /// Each component in halves of its range: −1 is its least value, 1 its largest.
        action: Vec<f32>,
    },
}

/// How sure a forecaster is of its expected return: noise in the data, not doubt about the network.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Spread {
    /// Deviation of a Gaussian, log return.
    Deviation(f32),
    /// Log returns at the levels [`crate::QUANTILES`], ascending.
    Quantiles([f32; 5]),
}

/// How far to trust a calibrated forecast. All but `miss` and `probabilities` are log returns over the horizon.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confidence {
    /// Noise that more training would not remove: of the calibrated variance, the share that the views of the network say
    /// themselves, its passes with dropout or an ensemble's members.
    pub aleatoric: f32,
    /// Doubt of the network about itself: the share by which its views differ. The squares of both add up to the variance.
    pub epistemic: f32,
    /// Lower end of the interval that the outcome is to lie in.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
    /// Share of outcomes that the interval is set to leave outside. An adaptive one moves it to leave out as many as asked.
    pub miss: f64,
    /// Probabilities of down, flat, up that follow how often each comes; where there is a past to follow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probabilities: Option<[f32; 3]>,
}

/// One prediction, with all that is needed to make it again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prediction {
    /// The artifact that made it.
    pub bundle: BundleId,
    /// The last bar it saw.
    pub bar: Timestamp,
    /// Digest of the network's input, little-endian f32.
    pub row: Digest,
    /// The output.
    pub output: Output,
}

/// Why a decision is what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The model wants this exposure.
    Signal,
    /// The edge is too small to pay for the trade: hold what is held.
    EdgeBelowCost,
    /// Features are still warming up: stay as is.
    WarmUp,
}

/// What exposure to hold after a bar.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// The bar it was taken on; the order can fill at the next bar at the earliest.
    pub bar: Timestamp,
    /// Wanted position value as basis points of equity, negative when short. `None` keeps the position.
    pub target: Option<BasisPoints>,
    /// Why.
    pub reason: Reason,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_confidence_reads_back_as_it_was_with_adaptive_directions_and_without() {
        let without = r#"{"aleatoric":0.0125,"epistemic":0.5,"low":-0.1,"high":0.2,"miss":0.1}"#;
        let read: Confidence = serde_json::from_str(without).unwrap();
        assert_eq!(read.probabilities, None);
        assert_eq!(serde_json::to_string(&read).unwrap(), without);
        let probabilities = Some([0.1, 1.0 / 3.0, f32::MIN_POSITIVE]);
        let with = Confidence { probabilities, ..read };
        let text = serde_json::to_string(&with).unwrap();
        assert_eq!(serde_json::from_str::<Confidence>(&text).unwrap(), with, "{text}");
    }
}
