//! Double entry in small: a fill moves cash by −price × signed quantity − fee, and the position by the quantity.

use market::{Instrument, Money, Price, Quantity};
use serde::{Deserialize, Serialize};
use venue::{CostModel, Fill};

/// What is held. `cost` is what the present position was bought for (received for, when short), so that the average entry
/// price stays exact under partial closes to within one millionth.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Portfolio {
    cash: Money,
    position: Quantity,
    cost: Money,
    fees: Money,
    traded: Money,
}

impl Portfolio {
    /// Only cash.
    #[must_use]
    pub const fn new(cash: Money) -> Self {
        Self { cash, position: Quantity(0), cost: Money(0), fees: Money(0), traded: Money(0) }
    }

    /// Cash.
    #[must_use]
    pub const fn cash(&self) -> Money {
        self.cash
    }

    /// Lots held, negative when short.
    #[must_use]
    pub const fn position(&self) -> Quantity {
        self.position
    }

    /// Commissions and borrow costs paid so far.
    #[must_use]
    pub const fn fees(&self) -> Money {
        self.fees
    }

    /// Notional traded so far, both ways.
    #[must_use]
    pub const fn traded(&self) -> Money {
        self.traded
    }

    /// Books a fill.
    pub fn apply(&mut self, instrument: &Instrument, fill: &Fill) {
        self.book(instrument, fill.signed_quantity(), fill.price, fill.fee);
    }

    /// Books a trade of `quantity` lots, negative for a sale.
    pub fn book(&mut self, instrument: &Instrument, quantity: Quantity, price: Price, fee: Money) {
        let notional = instrument.notional(price, quantity);
        self.cash -= notional + fee;
        self.fees += fee;
        self.traded += notional.abs();
        let before = self.position;
        self.position += quantity;
        let opens = before.0.signum() * quantity.0.signum() >= 0;
        let flips = before.0.signum() * self.position.0.signum() < 0;
        self.cost = if opens {
            self.cost + notional
        } else if flips || self.position.0 == 0 {
            instrument.notional(price, if flips { self.position } else { Quantity(0) })
        } else {
            share(self.cost, self.position, before)
        };
    }

    /// Pays a cost that is no trade, such as borrowing.
    pub fn pay(&mut self, amount: Money) {
        self.cash -= amount;
        self.fees += amount;
    }

    /// Closes a bar: pays its borrow on what is short at `mark`, and returns the equity left.
    pub fn close_bar(&mut self, instrument: &Instrument, costs: &CostModel, mark: Price, bars_per_year: u32) -> Money {
        let value = self.value(instrument, mark);
        if value < Money(0) {
            self.pay(costs.borrow(value, bars_per_year));
        }
        self.equity(instrument, mark)
    }

    /// Cash and position at `mark`.
    #[must_use]
    pub fn equity(&self, instrument: &Instrument, mark: Price) -> Money {
        self.cash + self.value(instrument, mark)
    }

    /// The position at `mark`, negative when short.
    #[must_use]
    pub fn value(&self, instrument: &Instrument, mark: Price) -> Money {
        instrument.notional(mark, self.position)
    }

    /// Position value over equity and ln(mark / average entry) times the side: what a policy sees of itself. Zeros when
    /// flat or ruined.
    #[must_use]
    pub fn view(&self, instrument: &Instrument, mark: Price) -> (f32, f32) {
        let equity = self.equity(instrument, mark);
        if self.position.0 == 0 || equity <= Money(0) {
            return (0.0, 0.0);
        }
        let value = self.value(instrument, mark).as_f64();
        let gain = (value / self.cost.as_f64()).ln() * self.position.0.signum() as f64;
        let gain = if gain.is_finite() { gain } else { 0.0 };
        ((value / equity.as_f64()) as f32, gain as f32)
    }
}

/// `cost × part / whole`, towards zero.
fn share(cost: Money, part: Quantity, whole: Quantity) -> Money {
    let product = i128::from(cost.0) * i128::from(part.0);
    Money(i64::try_from(product / i128::from(whole.0)).expect("a part of 64-bit money fits"))
}

#[cfg(test)]
mod tests {
    use market::Symbol;
    use proptest::prelude::*;

    use super::*;

    fn aapl() -> Instrument {
        Instrument::share(Symbol::try_from("AAPL".to_owned()).unwrap())
    }

    #[test]
    fn a_flip_from_long_to_short_realises_the_long_and_opens_at_the_new_price() {
        let mut account = Portfolio::new(Money::units(1_000));
        account.book(&aapl(), Quantity(5), Price(1_000_000), Money(0));
        account.book(&aapl(), Quantity(-8), Price(1_100_000), Money::units(1));
        // 1000 − 500 + 880 − 1 in cash; short 3 at 110.
        assert_eq!(account.cash(), Money::units(1_379));
        assert_eq!(account.position(), Quantity(-3));
        assert_eq!(account.equity(&aapl(), Price(1_100_000)), Money::units(1_049));
        let (exposure, gain) = account.view(&aapl(), Price(1_000_000));
        assert!(exposure < 0.0 && (f64::from(gain) - (1.1f64).ln()).abs() < 1e-6, "{exposure} {gain}");
    }

    #[test]
    fn a_partial_close_keeps_the_entry_price() {
        let mut account = Portfolio::new(Money::units(1_000));
        account.book(&aapl(), Quantity(6), Price(1_000_000), Money(0));
        account.book(&aapl(), Quantity(-2), Price(1_500_000), Money(0));
        let (_, gain) = account.view(&aapl(), Price(1_250_000));
        assert!((f64::from(gain) - 1.25f64.ln()).abs() < 1e-6, "{gain}");
    }

    #[test]
    fn a_short_pays_borrow_at_the_close_and_a_long_does_not() {
        let costs = CostModel::new(spec::CostSpec {
            borrow_bps_per_year: market::BasisPoints(252),
            ..spec::CostSpec::default()
        });
        for (lots, borrow) in [(-10, Money(100_000)), (10, Money(0))] {
            let mut account = Portfolio::new(Money::units(1_000));
            account.book(&aapl(), Quantity(lots), Price(1_000_000), Money(0));
            // 1000 short at 252 bp a year of 252 bars: 1 bp.
            let equity = account.close_bar(&aapl(), &costs, Price(1_000_000), 252);
            assert_eq!((equity, account.fees()), (Money::units(1_000) - borrow, borrow));
        }
    }

    proptest! {
        #[test]
        fn cash_and_position_move_exactly_by_fills_and_fees(
            trades in prop::collection::vec((-50i64..50, 1i64..5_000_000, 0i64..5_000_000), 1..60),
        ) {
            let start = Money::units(1_000_000);
            let mut account = Portfolio::new(start);
            let (mut cash, mut position, mut fees) = (start, Quantity(0), Money(0));
            for (quantity, price, fee) in trades {
                account.book(&aapl(), Quantity(quantity), Price(price), Money(fee));
                cash = Money(cash.0 - price * quantity * 100 - fee);
                position += Quantity(quantity);
                fees += Money(fee);
                prop_assert_eq!((account.cash(), account.position(), account.fees()), (cash, position, fees));
                prop_assert_eq!(account.equity(&aapl(), Price(price)), Money(cash.0 + position.0 * price * 100));
                prop_assert_eq!(account.position().0 == 0, account.cost == Money(0));
                let (exposure, gain) = account.view(&aapl(), Price(price));
                prop_assert!(exposure.is_finite() && gain.is_finite());
            }
        }
    }
}
