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

/// The exposure that a continuous policy asks for with a number in [−1, 1]: that fraction of `max`, rounded to a basis point.
/// Below 0 it is 0 unless shorts are allowed; NaN is 0.
#[must_use]
pub fn exposure(mode: PositionMode, max: BasisPoints, fraction: f32) -> BasisPoints {
    let least = match mode {
        PositionMode::LongFlat => 0.0,
        PositionMode::LongShort => -1.0,
    };
    // A cast takes NaN as 0.
    BasisPoints((f64::from(fraction.clamp(least, 1.0)) * f64::from(max.0)).round() as i32)
}

/// What a position is judged against: the equity it is a part of, and its own lots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Of the whole account, at the mark.
    pub equity: Money,
    /// Lots held, negative when short.
    pub position: Quantity,
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
    let standing = Standing { equity: portfolio.equity(instrument, mark), position: portfolio.position() };
    standing.quantity_to_target(instrument, costs, target, mark)
}

impl Standing {
    /// [`quantity_to_target`] where the position is one of several in an account.
    #[must_use]
    pub fn quantity_to_target(
        self,
        instrument: &Instrument,
        costs: &CostModel,
        target: BasisPoints,
        mark: Price,
    ) -> Quantity {
        let Self { equity, position } = self;
        if equity <= Money(0) {
            return -position;
        }
        let wanted = i128::from(equity.0) * i128::from(target.0) / (WHOLE + i128::from(costs.reserve_bps()));
        let wanted = Money(i64::try_from(wanted).expect("an exposure of 64-bit equity fits"));
        let quantity = instrument.affordable(wanted, mark) - position;
        let change = i128::from(instrument.notional(mark, quantity).abs().0);
        if target.0 != 0 && change * WHOLE <= i128::from(equity.0) * BAND_BPS { Quantity(0) } else { quantity }
    }
}

#[cfg(test)]
mod tests {
    use market::Symbol;
    use proptest::prelude::*;
    use spec::CostSpec;

    use super::*;

    fn wanted(portfolio: &Portfolio, bps: i32, mark: i64) -> i64 {
        let instrument = Instrument::share(Symbol::try_from("AAPL".to_owned()).unwrap());
        let free = BasisPoints(0);
        let spec =
            CostSpec { commission_bps: free, half_spread_bps: free, slippage_bps: free, borrow_bps_per_year: free };
        let costs = CostModel::new(spec);
        quantity_to_target(portfolio, &instrument, &costs, BasisPoints(bps), Price(mark * 10_000)).0
    }

    fn holding(lots: i64, price: i64) -> Portfolio {
        let instrument = Instrument::share(Symbol::try_from("AAPL".to_owned()).unwrap());
        let mut portfolio = Portfolio::new(Money::units(100_000));
        portfolio.book(&instrument, Quantity(lots), Price(price * 10_000), Money(0));
        portfolio
    }

    #[test]
    fn actions_are_numbered_from_short_to_long() {
        let max = BasisPoints(5_000);
        assert_eq!(exposures(PositionMode::LongFlat, max), [BasisPoints(0), max]);
        assert_eq!(exposures(PositionMode::LongShort, max), [BasisPoints(-5_000), BasisPoints(0), max]);
    }

    #[test]
    fn a_fraction_is_rounded_to_a_basis_point_and_kept_within_what_is_allowed() {
        let max = BasisPoints(5_000);
        let asked = |mode, fraction| exposure(mode, max, fraction).0;
        assert_eq!(
            [1.0, 0.5, 0.000_15, -0.5, 7.0].map(|f| asked(PositionMode::LongShort, f)),
            [5_000, 2_500, 1, -2_500, 5_000]
        );
        assert_eq!([-0.5, f32::NAN, 0.333_33].map(|f| asked(PositionMode::LongFlat, f)), [0, 0, 1_667]);
        assert_eq!(asked(PositionMode::LongShort, f32::NEG_INFINITY), -5_000);
    }

    #[test]
    fn small_drifts_are_left_alone_and_flat_is_flat() {
        assert_eq!(wanted(&holding(0, 100), 5_000, 100), 500);
        assert_eq!(wanted(&holding(0, 100), -5_000, 100), -500);
        // Ten lots of 100 are 1 % of 100 000: the edge of the band.
        assert_eq!(wanted(&holding(490, 100), 5_000, 100), 0);
        assert_eq!(wanted(&holding(489, 100), 5_000, 100), 11);
        assert_eq!(wanted(&holding(3, 100), 0, 100), -3);
        assert_eq!(wanted(&holding(500, 100), -5_000, 100), -1_000);
    }

    #[test]
    fn without_equity_all_that_is_held_goes() {
        // Short 1000 at 100, marked at 250: 200 000 − 250 000.
        assert_eq!(wanted(&holding(-1_000, 100), -10_000, 250), 1_000);
    }

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
