//! Integer money: ticks, lots, millionths and basis points. Arithmetic checks for overflow; products pass through `i128`.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Neg, Sub, SubAssign};

use serde::{Deserialize, Serialize};

/// A price in ticks of its instrument (10^-`price_scale` of the quote currency).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Price(pub i64);

/// A signed quantity in lots of its instrument (10^-`lot_scale` units); negative means short or sold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Quantity(pub i64);

/// An amount of quote currency in millionths.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Money(pub i64);

/// Hundredths of a percent.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(transparent)]
pub struct BasisPoints(pub i32);

/// Which way an order trades.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Adds to the position.
    Buy,
    /// Takes from the position.
    Sell,
}

impl Side {
    /// +1 for a buy, −1 for a sell.
    #[must_use]
    pub const fn sign(self) -> i64 {
        match self {
            Self::Buy => 1,
            Self::Sell => -1,
        }
    }
}

impl Money {
    /// Millionths in one unit of currency.
    pub const UNIT: i64 = 1_000_000;

    /// A whole number of currency units.
    #[must_use]
    pub const fn units(units: i64) -> Self {
        Self(units * Self::UNIT)
    }

    /// For statistics and plots only; never to compute another amount.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        self.0 as f64 / Self::UNIT as f64
    }

    /// `self × bps / 10 000`, rounded away from zero: costs are never rounded in the payer's favour.
    #[must_use]
    pub fn basis_points(self, bps: BasisPoints) -> Self {
        let product = i128::from(self.0) * i128::from(bps.0);
        let rounded = if product >= 0 { (product + 9_999) / 10_000 } else { (product - 9_999) / 10_000 };
        Self(i64::try_from(rounded).expect("money times basis points stays within 64 bits"))
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cents = (i128::from(self.0).abs() + 5_000) / 10_000;
        let sign = if self.0 < 0 && cents != 0 { "-" } else { "" };
        f.pad(&format!("{sign}{}.{:02}", cents / 100, cents % 100))
    }
}

impl fmt::Debug for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}µ", self.0)
    }
}

macro_rules! arithmetic {
    ($($name:ident),*) => {$(
        impl Add for $name {
            type Output = Self;
            fn add(self, other: Self) -> Self { Self(self.0 + other.0) }
        }
        impl Sub for $name {
            type Output = Self;
            fn sub(self, other: Self) -> Self { Self(self.0 - other.0) }
        }
        impl Neg for $name {
            type Output = Self;
            fn neg(self) -> Self { Self(-self.0) }
        }
        impl AddAssign for $name {
            fn add_assign(&mut self, other: Self) { self.0 += other.0; }
        }
        impl SubAssign for $name {
            fn sub_assign(&mut self, other: Self) { self.0 -= other.0; }
        }
        impl Sum for $name {
            fn sum<I: Iterator<Item = Self>>(parts: I) -> Self { parts.fold(Self::default(), Add::add) }
        }
        impl $name {
            /// The magnitude.
            #[must_use]
            pub const fn abs(self) -> Self { Self(self.0.abs()) }
        }
    )*};
}
arithmetic!(Price, Quantity, Money);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_prints_to_the_cent_and_costs_round_up() {
        assert_eq!(Money(1_234_567_890).to_string(), "1234.57");
        assert_eq!(Money(-4_000).to_string(), "0.00");
        assert_eq!(Money(-1_500_000).to_string(), "-1.50");
        assert_eq!(Money(1).basis_points(BasisPoints(1)), Money(1));
        assert_eq!(Money::units(10_000).basis_points(BasisPoints(5)), Money::units(5));
    }
}
