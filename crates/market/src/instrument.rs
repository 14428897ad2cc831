//! What is traded, and at which integer scale.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Money, Price, Quantity};

/// Decimal digits of [`Money`].
const MONEY_SCALE: u32 = 6;

/// A ticker: 1 to 32 of `A–Z a–z 0–9 . ^ = - _ /`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("pattern" = r"^[A-Za-z0-9.^=_/-]{1,32}$"))]
pub struct Symbol(String);

/// What is wrong with a symbol, scale or amount.
#[derive(Debug, thiserror::Error, PartialEq, Clone)]
pub enum InstrumentError {
    /// Not a ticker.
    #[error("`{0}` is not a symbol: use 1 to 32 letters, digits or . ^ = - _ /")]
    Symbol(String),
    /// Too many decimals for exact 64-bit money.
    #[error("price scale {price_scale} plus lot scale {lot_scale} exceeds {MONEY_SCALE} decimals")]
    Scale {
        /// Decimals of a tick.
        price_scale: u8,
        /// Decimals of a lot.
        lot_scale: u8,
    },
    /// Not a positive, finite price within range.
    #[error("{0} is no price: it must be finite, above zero and at least one tick")]
    Price(f64),
}

impl Symbol {
    /// The ticker as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Symbol {
    type Error = InstrumentError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let legal = |c: char| c.is_ascii_alphanumeric() || ".^=-_/".contains(c);
        if (1..=32).contains(&text.len()) && text.chars().all(legal) {
            Ok(Self(text))
        } else {
            Err(InstrumentError::Symbol(text.chars().take(64).collect()))
        }
    }
}

impl From<Symbol> for String {
    fn from(symbol: Symbol) -> Self {
        symbol.0
    }
}

impl fmt::Display for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A traded instrument: one tick is 10^-`price_scale`, one lot 10^-`lot_scale`, in quote currency and units.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Instrument {
    symbol: Symbol,
    price_scale: u8,
    lot_scale: u8,
}

impl Instrument {
    /// Checks that a price times a quantity is exact in millionths.
    ///
    /// # Errors
    /// [`InstrumentError::Scale`] when the two scales add up to more than six decimals.
    pub fn new(symbol: Symbol, price_scale: u8, lot_scale: u8) -> Result<Self, InstrumentError> {
        if u32::from(price_scale) + u32::from(lot_scale) > MONEY_SCALE {
            return Err(InstrumentError::Scale { price_scale, lot_scale });
        }
        Ok(Self { symbol, price_scale, lot_scale })
    }

    /// A share: ticks of 0.0001 (adjusted prices have decimals), whole lots.
    #[must_use]
    pub fn share(symbol: Symbol) -> Self {
        Self { symbol, price_scale: 4, lot_scale: 0 }
    }

    /// The ticker.
    #[must_use]
    pub fn symbol(&self) -> &Symbol {
        &self.symbol
    }

    /// The nearest tick to a research price.
    ///
    /// # Errors
    /// [`InstrumentError::Price`] when it is not finite, below one tick, or beyond 64 bits.
    pub fn price(&self, value: f64) -> Result<Price, InstrumentError> {
        let ticks = (value * self.ticks_per_unit()).round();
        if (1.0..9.0e15).contains(&ticks) { Ok(Price(ticks as i64)) } else { Err(InstrumentError::Price(value)) }
    }

    /// The price in quote currency; for display and statistics.
    #[must_use]
    pub fn price_as_f64(&self, price: Price) -> f64 {
        price.0 as f64 / self.ticks_per_unit()
    }

    /// Price × quantity, exact; the sign follows the quantity.
    #[must_use]
    pub fn notional(&self, price: Price, quantity: Quantity) -> Money {
        let product = i128::from(price.0) * i128::from(quantity.0) * self.micros_per_tick_lot();
        Money(i64::try_from(product).expect("a notional stays below 9.2e12 units"))
    }

    /// The largest quantity, towards zero, whose notional does not exceed `amount` (negative for a negative amount).
    #[must_use]
    pub fn affordable(&self, amount: Money, price: Price) -> Quantity {
        let per_lot = i128::from(price.0) * self.micros_per_tick_lot();
        Quantity(i64::try_from(i128::from(amount.0) / per_lot.max(1)).expect("a quotient of 64-bit numbers fits"))
    }

    fn ticks_per_unit(&self) -> f64 {
        10f64.powi(i32::from(self.price_scale))
    }

    fn micros_per_tick_lot(&self) -> i128 {
        /// A table, since an environment asks several times a step, and a power is a loop.
        const POWERS: [i64; MONEY_SCALE as usize + 1] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000];
        i128::from(POWERS[MONEY_SCALE as usize - usize::from(self.price_scale) - usize::from(self.lot_scale)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aapl() -> Instrument {
        Instrument::share(Symbol::try_from("AAPL".to_owned()).unwrap())
    }

    #[test]
    fn a_notional_is_exact_and_affordable_never_overspends() {
        let price = aapl().price(19.5678).unwrap();
        assert_eq!(price, Price(195_678));
        assert_eq!(aapl().notional(price, Quantity(3)), Money(58_703_400));
        let bought = aapl().affordable(Money::units(100), price);
        assert_eq!(bought, Quantity(5));
        assert!(aapl().notional(price, bought) <= Money::units(100));
        assert_eq!(aapl().affordable(Money::units(-100), price), Quantity(-5));
    }

    #[test]
    fn impossible_scales_prices_and_symbols_are_refused() {
        let symbol = aapl().symbol().clone();
        assert!(Instrument::new(symbol, 5, 2).is_err());
        for price in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-9] {
            assert!(aapl().price(price).is_err(), "{price}");
        }
        assert!(Symbol::try_from("../etc".repeat(9)).is_err());
        assert!(Symbol::try_from(String::new()).is_err());
    }
}
