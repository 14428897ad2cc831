//! From a wanted exposure to a quantity.

use market::{BasisPoints, Instrument, Money, Price, Quantity};
use spec::PositionMode;
use venue::CostModel;

use crate::Portfolio;

/// Basis points in one.
const WHOLE: i128 = 10_000;

/// A position this close to its target, in basis points of equity, is left alone: prices drift, and chasing them only pays
/// commission. Going flat is always done whole.
const BAND_BPS: i128 = 100;

/// The exposures a discrete policy chooses among, by action index: flat and long, or short, flat and long.
#[must_use]
pub fn exposures(mode: PositionMode, max: BasisPoints) -> Vec<BasisPoints> {
    match mode {
        PositionMode::LongFlat => vec![BasisPoints(0), max],
        PositionMode::LongShort => vec![BasisPoints(-max.0), BasisPoints(0), max],
    }
}

/// Signed lots to trade so that the position at `mark` is `target` of equity, costs of the trade held back; towards zero.
/// Zero within the band around the target; everything held when equity is gone.
#[must_use]
pub fn quantity_to_target(
    portfolio: &Portfolio,
    instrument: &Instrument,
    costs: &CostModel,
    target: BasisPoints,
    mark: Price,
) -> Quantity {
    let equity = portfolio.equity(instrument, mark);
    if equity <= Money(0) {
        return -portfolio.position();
    }
    let wanted = i128::from(equity.0) * i128::from(target.0) / (WHOLE + i128::from(costs.reserve_bps()));
    let wanted = Money(i64::try_from(wanted).expect("an exposure of 64-bit equity fits"));
    let quantity = instrument.affordable(wanted, mark) - portfolio.position();
    let change = i128::from(instrument.notional(mark, quantity).abs().0);
    if target.0 != 0 && change * WHOLE <= i128::from(equity.0) * BAND_BPS { Quantity(0) } else { quantity }
}

#[cfg(test)]
mod tests {
    use market::Symbol;
    use proptest::prelude::*;
    use spec::CostSpec;

    use super::*;

    proptest! {
        #[test]
        fn a_full_long_position_never_borrows_and_reaching_the_target_is_stable(
            cash in 1i64..10_000_000, price in 10_000i64..100_000_000,
        ) {
            let instrument = Instrument::share(Symbol::try_from("AAPL".to_owned()).unwrap());
            let costs = CostModel::new(CostSpec::default());
            let mut portfolio = Portfolio::new(Money::units(cash));
            let full = BasisPoints(10_000);
            let quantity = quantity_to_target(&portfolio, &instrument, &costs, full, Price(price));
            prop_assert!(quantity >= Quantity(0));
            let (paid, fee) = costs.trade(&instrument, market::Side::Buy, quantity, Price(price));
            portfolio.book(&instrument, quantity, paid, fee);
            // The reserve is linear, the costs compound and round up to a tick a lot: at most that much is overdrawn.
            let slack = Money(quantity.0.abs() * 100 + instrument.notional(Price(price), quantity).0 / 1_000_000 + 2);
            prop_assert!(portfolio.cash() + slack >= Money(0), "{:?}", portfolio);
            let flat = quantity_to_target(&portfolio, &instrument, &costs, BasisPoints(0), Price(price));
            prop_assert_eq!(flat, -portfolio.position());
        }
    }
}
