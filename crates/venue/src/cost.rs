//! What trading costs. Every rounding goes against the trader.

use market::{Instrument, Money, Price, Quantity, Side, Timestamp};
use serde::{Deserialize, Serialize};
use spec::CostSpec;

use crate::{Fill, OrderIntent};

/// Basis points in one.
const WHOLE: i128 = 10_000;

/// Commission, spread, slippage and borrow, from the experiment's spec.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CostModel {
    spec: CostSpec,
}

impl CostModel {
    /// The model of a spec.
    #[must_use]
    pub const fn new(spec: CostSpec) -> Self {
        Self { spec }
    }

    /// What a market order gets when the market stands at `reference`: half the spread and the slippage worse, rounded
    /// to the worse tick, never below one tick.
    #[must_use]
    pub fn fill_price(&self, side: Side, reference: Price) -> Price {
        let against = i128::from(self.spec.half_spread_bps.0) + i128::from(self.spec.slippage_bps.0);
        let scaled = i128::from(reference.0) * (WHOLE + i128::from(side.sign()) * against);
        let ticks = match side {
            Side::Buy => scaled.div_euclid(WHOLE) + i128::from(scaled.rem_euclid(WHOLE) > 0),
            Side::Sell => scaled.div_euclid(WHOLE),
        };
        Price(i64::try_from(ticks.max(1)).expect("a price stays far below 64 bits"))
    }

    /// Commission on a fill's notional, never negative, rounded up.
    #[must_use]
    pub fn fee(&self, notional: Money) -> Money {
        notional.abs().basis_points(self.spec.commission_bps)
    }

    /// What holding `short_value` short for one bar costs, rounded up.
    #[must_use]
    pub fn borrow(&self, short_value: Money, bars_per_year: u32) -> Money {
        let yearly = i128::from(short_value.abs().0) * i128::from(self.spec.borrow_bps_per_year.0);
        let bar = yearly.div_euclid(WHOLE * i128::from(bars_per_year.max(1)));
        let rest = yearly.rem_euclid(WHOLE * i128::from(bars_per_year.max(1)));
        Money(i64::try_from(bar + i128::from(rest > 0)).expect("a fraction of 64-bit money fits"))
    }

    /// The most a unit of notional can cost to trade, in basis points; what a buyer keeps in reserve.
    #[must_use]
    pub fn reserve_bps(&self) -> i64 {
        [self.spec.commission_bps, self.spec.half_spread_bps, self.spec.slippage_bps]
            .iter()
            .map(|bps| i64::from(bps.0.max(0)))
            .sum()
    }

    /// Fills a whole order at the market.
    #[must_use]
    pub fn execute(&self, instrument: &Instrument, order: &OrderIntent, reference: Price, time: Timestamp) -> Fill {
        let price = self.fill_price(order.side, reference);
        let fee = self.fee(instrument.notional(price, order.quantity));
        Fill {
            client_order_id: order.client_order_id.clone(),
            symbol: order.symbol.clone(),
            side: order.side,
            quantity: order.quantity,
            price,
            fee,
            time,
        }
    }

    /// Price and fee of a trade without an order around it: the environment's inner loop, which allocates nothing.
    #[must_use]
    pub fn trade(&self, instrument: &Instrument, side: Side, quantity: Quantity, reference: Price) -> (Price, Money) {
        let price = self.fill_price(side, reference);
        (price, self.fee(instrument.notional(price, quantity)))
    }
}

#[cfg(test)]
mod tests {
    use market::BasisPoints;
    use proptest::prelude::*;

    use super::*;

    fn model(commission: i32, half_spread: i32, slippage: i32) -> CostModel {
        CostModel::new(CostSpec {
            commission_bps: BasisPoints(commission),
            half_spread_bps: BasisPoints(half_spread),
            slippage_bps: BasisPoints(slippage),
            borrow_bps_per_year: BasisPoints(50),
        })
    }

    #[test]
    fn a_buy_pays_up_and_a_sell_gets_less_to_the_worse_tick() {
        let model = model(1, 1, 1);
        // 100.0000 ± 2 bp = 100.0200 and 99.9800; 100.0001 rounds up for the buyer and down for the seller.
        assert_eq!(model.fill_price(Side::Buy, Price(1_000_000)), Price(1_000_200));
        assert_eq!(model.fill_price(Side::Sell, Price(1_000_000)), Price(999_800));
        assert_eq!(model.fill_price(Side::Buy, Price(1_000_001)), Price(1_000_202));
        assert_eq!(model.fill_price(Side::Sell, Price(1_000_001)), Price(999_800));
        assert_eq!(model.fee(Money::units(10_000)), Money::units(1));
        assert_eq!(model.fee(Money(1)), Money(1));
    }

    #[test]
    fn a_year_of_borrowing_costs_the_yearly_rate() {
        let bar = model(0, 0, 0).borrow(Money::units(100_000), 252);
        // 500 a year over 252 bars is 1.984126984… a bar, rounded up to the millionth.
        assert_eq!(bar, Money(1_984_127));
        assert_eq!(model(0, 0, 0).borrow(Money(0), 252), Money(0));
    }

    proptest! {
        #[test]
        fn costs_never_favour_the_trader_and_round_by_less_than_a_unit(
            price in 1i64..10_000_000, against in 0i32..500, commission in 0i32..500, lots in 1i64..10_000,
        ) {
            let model = model(commission, against / 2, against - against / 2);
            let exact = |sign: i64| i128::from(price) * i128::from(10_000 + sign * i64::from(against));
            let bought = i128::from(model.fill_price(Side::Buy, Price(price)).0) * WHOLE;
            prop_assert!((0..WHOLE).contains(&(bought - exact(1))), "a buy rounds up");
            let sold = i128::from(model.fill_price(Side::Sell, Price(price)).0) * WHOLE;
            // A price cannot go below one tick.
            prop_assert!((0..WHOLE).contains(&(exact(-1) - sold)) || sold == WHOLE, "a sell rounds down");
            let notional = Money(price * lots);
            let fee = i128::from(model.fee(notional).0) * WHOLE;
            prop_assert!((0..WHOLE).contains(&(fee - i128::from(notional.0) * i128::from(commission))), "a fee rounds up");
            prop_assert_eq!(model.fee(-notional), model.fee(notional));
        }
    }
}
