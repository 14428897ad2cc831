//! Rungs: places on the way of a training where a sweep may decide that it has seen enough.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};

/// A share of a whole training, in millionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Share(pub u32);

impl Share {
    /// All of it.
    pub const WHOLE: Self = Self(1_000_000);

    /// `part` of `whole`, to the nearest millionth; at least one, at most the whole.
    #[must_use]
    pub fn of(part: f64) -> Self {
        Self(((part * f64::from(Self::WHOLE.0)).round() as u32).clamp(1, Self::WHOLE.0))
    }

    /// Whether `step` of `steps` has this share behind it.
    #[must_use]
    pub fn is_reached(self, step: u64, steps: u64) -> bool {
        u128::from(step) * u128::from(Self::WHOLE.0) >= u128::from(steps) * u128::from(self.0)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} %", f64::from(self.0) / 10_000.0)
    }
}

/// Where an attempt is to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rung {
    /// Its place among the rungs of the trial, from 0.
    pub index: u32,
    /// The share of the training that lies below it.
    pub share: Share,
}

/// A number that is neither infinite nor NaN, so that it compares and survives JSON.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Finite(f64);

impl Finite {
    /// `None` for what is no such number.
    #[must_use]
    pub fn new(value: f64) -> Option<Self> {
        // Adding zero makes −0 and 0 the same.
        value.is_finite().then_some(Self(value + 0.0))
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for Finite {
    type Error = String;
    fn try_from(value: f64) -> Result<Self, String> {
        Self::new(value).ok_or_else(|| format!("{value} is not a finite number"))
    }
}

impl From<Finite> for f64 {
    fn from(value: Finite) -> Self {
        value.0
    }
}

impl PartialEq for Finite {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Finite {}

impl PartialOrd for Finite {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Finite {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_reached_by_the_first_step_that_has_it_behind() {
        let third = Share::of(1.0 / 3.0);
        let first = (0..=10).find(|step| third.is_reached(*step, 10));
        assert_eq!(first, Some(4));
        assert_eq!((0..=10).find(|step| Share::WHOLE.is_reached(*step, 10)), Some(10));
        assert_eq!(Share::of(0.0), Share(1), "a rung before the first step would decide on nothing");
        assert!(Share::of(2.0).is_reached(u64::MAX, u64::MAX));
    }

    #[test]
    fn only_numbers_that_compare_are_finite() {
        assert_eq!(Finite::new(f64::NAN), None);
        assert_eq!(Finite::new(f64::INFINITY), None);
        assert_eq!(Finite::new(-0.0), Finite::new(0.0));
        let told: Finite = serde_json::from_str("0.1").unwrap();
        assert_eq!(serde_json::to_string(&told).unwrap(), "0.1");
    }
}
