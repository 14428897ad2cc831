//! Summaries that can be joined: sums, extremes, moments, covariances, straight lines.

use serde::{Deserialize, Serialize};

use super::Aggregate;

macro_rules! sums {
    ($($(#[$doc:meta])* $name:ident($($part:tt),*);)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
        pub(crate) struct $name($(#[doc = "A sum."] pub(crate) sums!(@number $part)),*);

        impl Aggregate for $name {
            #[inline]
            fn merge(older: Self, _: f64, newer: Self, _: f64) -> Self {
                Self($(older.$part + newer.$part),*)
            }
        }
    )*};
    (@number $part:tt) => { f64 };
}
sums! {
    /// A sum.
    Sum(0);
    /// Two sums.
    Sum2(0, 1);
    /// Three sums.
    Sum3(0, 1, 2);
}

/// The highest value and how many values ago it came, the newest of equal ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Highest(pub(crate) f64, pub(crate) f64);

impl Aggregate for Highest {
    #[inline]
    fn merge(older: Self, _: f64, newer: Self, after: f64) -> Self {
        if newer.0 >= older.0 { newer } else { Self(older.0, older.1 + after) }
    }
}

/// The lowest value and how many values ago it came, the newest of equal ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Lowest(pub(crate) f64, pub(crate) f64);

impl Aggregate for Lowest {
    #[inline]
    fn merge(older: Self, _: f64, newer: Self, after: f64) -> Self {
        if newer.0 <= older.0 { newer } else { Self(older.0, older.1 + after) }
    }
}

/// The highest high and the lowest low.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Extremes {
    /// Highest.
    pub(crate) high: f64,
    /// Lowest.
    pub(crate) low: f64,
}

impl Aggregate for Extremes {
    #[inline]
    fn merge(older: Self, _: f64, newer: Self, _: f64) -> Self {
        Self { high: older.high.max(newer.high), low: older.low.min(newer.low) }
    }
}

/// Mean and sum of squared deviations (Chan, Golub and LeVeque 1979).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Moments {
    /// Mean.
    pub(crate) mean: f64,
    /// Sum of squared deviations from it.
    pub(crate) squares: f64,
}

impl Moments {
    /// Of one value.
    #[must_use]
    pub(crate) const fn of(value: f64) -> Self {
        Self { mean: value, squares: 0.0 }
    }

    /// Population deviation of `count` values.
    #[must_use]
    pub(crate) fn population(&self, count: f64) -> f64 {
        (self.squares / count).sqrt()
    }

    /// Sample deviation of `count` values.
    #[must_use]
    pub(crate) fn sample(&self, count: f64) -> f64 {
        (self.squares / (count - 1.0)).sqrt()
    }
}

impl Aggregate for Moments {
    #[inline]
    fn merge(older: Self, before: f64, newer: Self, after: f64) -> Self {
        let step = newer.mean - older.mean;
        let share = after / (before + after);
        Self { mean: older.mean + step * share, squares: older.squares + newer.squares + step * step * before * share }
    }
}

/// Mean and sums of the second, third and fourth power of deviations (Pébay 2008).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Shape {
    /// Mean.
    pub(crate) mean: f64,
    /// Sums of the second, third and fourth power of deviations from it.
    pub(crate) powers: [f64; 3],
}

impl Shape {
    /// Of one value.
    #[must_use]
    pub(crate) const fn of(value: f64) -> Self {
        Self { mean: value, powers: [0.0; 3] }
    }
}

impl Aggregate for Shape {
    #[inline]
    fn merge(older: Self, before: f64, newer: Self, after: f64) -> Self {
        let count = before + after;
        let step = newer.mean - older.mean;
        let share = step / count;
        let ([a2, a3, a4], [b2, b3, b4]) = (older.powers, newer.powers);
        let product = before * after;
        let second = a2 + b2 + step * share * product;
        let third =
            a3 + b3 + step * share * share * product * (before - after) + 3.0 * share * (before * b2 - after * a2);
        let fourth = a4
            + b4
            + step * share * share * share * product * (before * before - product + after * after)
            + 6.0 * share * share * (before * before * b2 + after * after * a2)
            + 4.0 * share * (before * b3 - after * a3);
        Self { mean: older.mean + share * after, powers: [second, third, fourth] }
    }
}

/// Means, sums of squared deviations and the sum of their products, of two series.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Pair {
    /// Means of the first and the second.
    pub(crate) mean: [f64; 2],
    /// Sums of squared deviations of the first and the second.
    pub(crate) squares: [f64; 2],
    /// Sum of the products of deviations.
    pub(crate) product: f64,
}

impl Pair {
    /// Of one value each.
    #[must_use]
    pub(crate) const fn of(first: f64, second: f64) -> Self {
        Self { mean: [first, second], squares: [0.0; 2], product: 0.0 }
    }

    /// Pearson's correlation; 0 where either does not vary.
    #[must_use]
    pub(crate) fn correlation(&self) -> f64 {
        let scale = self.squares[0].sqrt() * self.squares[1].sqrt();
        if scale > 0.0 { (self.product / scale).clamp(-1.0, 1.0) } else { 0.0 }
    }
}

impl Aggregate for Pair {
    #[inline]
    fn merge(older: Self, before: f64, newer: Self, after: f64) -> Self {
        let share = after / (before + after);
        let weight = before * share;
        let [x, y] = [newer.mean[0] - older.mean[0], newer.mean[1] - older.mean[1]];
        Self {
            mean: [older.mean[0] + x * share, older.mean[1] + y * share],
            squares: [
                older.squares[0] + newer.squares[0] + x * x * weight,
                older.squares[1] + newer.squares[1] + y * y * weight,
            ],
            product: older.product + newer.product + x * y * weight,
        }
    }
}

/// What a straight line through equally spaced values needs: mean, squared deviations, and the sum of deviations times
/// their distance from the middle, in bars.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Trend {
    /// Mean.
    pub(crate) mean: f64,
    /// Sum of squared deviations from it.
    pub(crate) squares: f64,
    /// Sum of (place − middle) × (value − mean).
    pub(crate) tilt: f64,
}

impl Trend {
    /// Of one value.
    #[must_use]
    pub(crate) const fn of(value: f64) -> Self {
        Self { mean: value, squares: 0.0, tilt: 0.0 }
    }

    /// Slope of the least-squares line through `count` values, a bar.
    #[must_use]
    pub(crate) fn slope(&self, count: f64) -> f64 {
        self.tilt * 12.0 / (count * (count * count - 1.0))
    }
}

impl Aggregate for Trend {
    #[inline]
    fn merge(older: Self, before: f64, newer: Self, after: f64) -> Self {
        let step = newer.mean - older.mean;
        let share = after / (before + after);
        Self {
            mean: older.mean + step * share,
            squares: older.squares + newer.squares + step * step * before * share,
            // The middles of the two parts lie half the joint length apart.
            tilt: older.tilt + newer.tilt + 0.5 * before * after * step,
        }
    }
}
