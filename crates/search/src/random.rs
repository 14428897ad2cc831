//! Independent draws: point `index` is stream `index` of the ChaCha generator whose key is the run's.

use crate::draws::{Draws, Use};
use crate::{Domain, Point, Scale, Space, Value};

/// Point `index` of the run `key`, each active axis drawn once, parents before children.
#[must_use]
pub(crate) fn point(space: &Space, key: &[u8; 32], index: u32) -> Point {
    let mut draws = Draws::new(key, Use::Point, index);
    space.walk(|place| value(space.domain(place), &mut draws))
}

/// Uniform over the domain, along its scale.
pub(crate) fn value(domain: &Domain, draws: &mut Draws) -> Value {
    match *domain {
        Domain::Integer { low, high, scale: Scale::Linear } => {
            // By whole numbers: the places of [0, 1] are too coarse for 2^64 values.
            let offset = i128::try_from(draws.below(domain.count())).expect("below a width of 64 bits");
            let whole = (i128::from(low) + offset).min(i128::from(high));
            Value::Integer(i64::try_from(whole).expect("between two 64-bit numbers"))
        }
        Domain::Categorical { levels } => Value::Level(draws.pick(levels)),
        Domain::Real { .. } | Domain::Integer { scale: Scale::Log, .. } => domain.at(draws.unit()),
    }
}
