//! Matérn 5/2 over points of a space.
//!
//! The squared distance of two points is a weighted sum over axes: of numbers, the squared difference of their places;
//! of levels, 1 where they differ; of an active and an inactive axis, 1.

use crate::{Point, Space, Value};

/// √5.
const ROOT: f64 = 2.236_067_977_499_79;

/// What the kernel sees of a point: a place on [0, 1] or a level for each active axis.
pub(super) fn features(space: &Space, point: &Point) -> Vec<Option<f64>> {
    let feature = |(place, value): (usize, &Option<Value>)| {
        value.as_ref().map(|value| match *value {
            Value::Level(level) => level as f64,
            Value::Real(_) | Value::Integer(_) => space.domain(place).place(value),
        })
    };
    point.0.iter().enumerate().map(feature).collect()
}

/// Squared distance along one axis; `categorical` says which of the rules holds.
pub(super) fn square(left: Option<f64>, right: Option<f64>, rule: Rule) -> f64 {
    match (left, right, rule) {
        (Some(left), Some(right), Rule::Place) => (left - right) * (left - right),
        (Some(left), Some(right), Rule::Level) => f64::from(left != right),
        (None, None, Rule::Place | Rule::Level) => 0.0,
        (Some(_), None, Rule::Place | Rule::Level) | (None, Some(_), Rule::Place | Rule::Level) => 1.0,
    }
}

/// How values of an axis are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    Place,
    Level,
}

pub(super) fn rules(space: &Space) -> Vec<Rule> {
    let rule = |place| if space.domain(place).is_categorical() { Rule::Level } else { Rule::Place };
    (0..space.axes().len()).map(rule).collect()
}

/// The kernel of unit variance at a squared distance.
pub(super) fn matern(square: f64) -> f64 {
    let scaled = ROOT * square.sqrt();
    (1.0 + scaled + scaled * scaled / 3.0) * libm::exp(-scaled)
}

/// Its derivative by the squared distance.
pub(super) fn matern_slope(square: f64) -> f64 {
    let scaled = ROOT * square.sqrt();
    -5.0 / 6.0 * (1.0 + scaled) * libm::exp(-scaled)
}
