//! The shape of one bar. Without state beyond the bar before.

use serde::{Deserialize, Serialize};

use super::Indicator;
use crate::step::{Step, ratio};

/// ln(open / close before).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Gap;

impl Indicator for Gap {
    #[inline]
    fn push(&mut self, step: &Step) -> Option<f64> {
        step.later().map(|before| (step.bar.open / before.close).ln())
    }
}

/// (close − open) / (high − low).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Body;

impl Indicator for Body {
    #[inline]
    fn push(&mut self, step: &Step) -> Option<f64> {
        Some(ratio(step.bar.close - step.bar.open, step.bar.high - step.bar.low, 0.0))
    }
}

/// (high − higher of open and close) / (high − low).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct UpperShadow;

impl Indicator for UpperShadow {
    #[inline]
    fn push(&mut self, step: &Step) -> Option<f64> {
        Some(ratio(step.bar.high - step.bar.open.max(step.bar.close), step.bar.high - step.bar.low, 0.0))
    }
}

/// (lower of open and close − low) / (high − low).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct LowerShadow;

impl Indicator for LowerShadow {
    #[inline]
    fn push(&mut self, step: &Step) -> Option<f64> {
        Some(ratio(step.bar.open.min(step.bar.close) - step.bar.low, step.bar.high - step.bar.low, 0.0))
    }
}

/// ((close − low) − (high − close)) / (high − low).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct CloseLocation;

impl Indicator for CloseLocation {
    #[inline]
    fn push(&mut self, step: &Step) -> Option<f64> {
        Some(step.close_location())
    }
}
