//! Points of a space, and where a value lies in its domain as a place on [0, 1].

use serde::{Deserialize, Serialize};

use crate::{Domain, Scale};

/// A value of one axis.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Value {
    /// Of a real axis.
    Real(f64),
    /// Of an integer axis.
    Integer(i64),
    /// Of a categorical axis, counted from 0.
    Level(usize),
}

/// One value for each axis of a space, in its order; none where the axis is inactive.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point(pub Vec<Option<Value>>);

impl Domain {
    /// Whether `value` is of this kind and within the ends.
    #[must_use]
    pub fn contains(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Real { low, high, .. }, Value::Real(real)) => low <= real && real <= high,
            (Self::Integer { low, high, .. }, Value::Integer(whole)) => low <= whole && whole <= high,
            (Self::Categorical { levels }, Value::Level(level)) => level < levels,
            (Self::Real { .. } | Self::Integer { .. } | Self::Categorical { .. }, _) => false,
        }
    }

    /// The value at a place of [0, 1], along the scale. Each integer and each level owns a cell, equally wide on a
    /// linear scale; on a log scale an integer's cell reaches half a unit to both sides.
    #[must_use]
    pub fn at(&self, place: f64) -> Value {
        let place = place.clamp(0.0, 1.0);
        match *self {
            Self::Real { low, high, scale: Scale::Linear } => {
                Value::Real((low + place * (high - low)).clamp(low, high))
            }
            Self::Real { low, high, scale: Scale::Log } => {
                let (from, to) = (libm::log(low), libm::log(high));
                Value::Real(libm::exp(from + place * (to - from)).clamp(low, high))
            }
            Self::Integer { low, high, scale: Scale::Linear } => {
                let offset = (place * (self.count() as f64)) as i128;
                let whole = (i128::from(low) + offset).min(i128::from(high));
                Value::Integer(i64::try_from(whole).expect("between two 64-bit numbers"))
            }
            Self::Integer { low, high, scale: Scale::Log } => {
                let (from, to) = log_ends(low, high);
                let whole = libm::round(libm::exp(from + place * (to - from)));
                Value::Integer((whole as i64).clamp(low, high))
            }
            Self::Categorical { levels } => Value::Level(((place * levels as f64) as usize).min(levels - 1)),
        }
    }

    /// Where `value` lies on [0, 1]: the middle of its cell, where it has one. The inverse of [`Domain::at`].
    pub(crate) fn place(&self, value: &Value) -> f64 {
        let place = match (*self, *value) {
            (Self::Real { low, high, scale: Scale::Linear }, Value::Real(real)) => (real - low) / (high - low),
            (Self::Real { low, high, scale: Scale::Log }, Value::Real(real)) => {
                let from = libm::log(low);
                (libm::log(real) - from) / (libm::log(high) - from)
            }
            (Self::Integer { low, scale: Scale::Linear, .. }, Value::Integer(whole)) => {
                ((i128::from(whole) - i128::from(low)) as f64 + 0.5) / self.count() as f64
            }
            (Self::Integer { low, high, scale: Scale::Log }, Value::Integer(whole)) => {
                let (from, to) = log_ends(low, high);
                (libm::log(whole as f64) - from) / (to - from)
            }
            (Self::Categorical { levels }, Value::Level(level)) => (level as f64 + 0.5) / levels as f64,
            (Self::Real { .. } | Self::Integer { .. } | Self::Categorical { .. }, _) => 0.5,
        };
        place.clamp(0.0, 1.0)
    }

    /// How many values there are; 0 stands for a continuum.
    pub(crate) const fn count(&self) -> u128 {
        match *self {
            Self::Real { .. } => 0,
            Self::Integer { low, high, .. } => (high as i128 - low as i128) as u128 + 1,
            Self::Categorical { levels } => levels as u128,
        }
    }

    /// The width on [0, 1] of the cell around `place`: 0 for reals.
    pub(crate) fn cell(&self, place: f64) -> f64 {
        match *self {
            Self::Real { .. } => 0.0,
            Self::Integer { scale: Scale::Linear, .. } | Self::Categorical { .. } => 1.0 / self.count() as f64,
            Self::Integer { low, high, scale: Scale::Log } => {
                let (from, to) = log_ends(low, high);
                // A cell is one unit wide, so in the logarithm 1 / value.
                (1.0 / libm::exp(from + place * (to - from)) / (to - from)).min(1.0)
            }
        }
    }

    pub(crate) const fn is_categorical(&self) -> bool {
        match self {
            Self::Categorical { .. } => true,
            Self::Real { .. } | Self::Integer { .. } => false,
        }
    }
}

/// Ends of the outer cells of an integer axis, in the logarithm.
fn log_ends(low: i64, high: i64) -> (f64, f64) {
    (libm::log(low as f64 - 0.5), libm::log(high as f64 + 0.5))
}
