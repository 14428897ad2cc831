//! From a prediction to a decision, and from a decision to the order that carries it out.
//!
//! The same two functions serve backtest and live. Knows no networks and no brokers.

use market::{BasisPoints, Instrument, Price, Quantity, Side};
use portfolio::{Portfolio, exposures, quantity_to_target};
use spec::{Decision, EnvSpec, Output, PositionMode, Prediction, Reason, StrategySpec};
use venue::CostModel;

/// What exposure a prediction calls for.
///
/// A forecast trades the sign of p(up) − p(down) at the strategy's exposure when that edge is at least `edge_min`, and
/// keeps the position otherwise; where shorts are not allowed a negative edge means flat. A policy's action indexes
/// [`exposures`].
#[must_use]
pub fn decide(strategy: &StrategySpec, env: &EnvSpec, prediction: &Prediction) -> Decision {
    let target = match &prediction.output {
        Output::Forecast { probabilities: [down, _, up], .. } => forecast_target(strategy, env, *up - *down),
        Output::Policy { action, .. } | Output::Values { action, .. } => {
            exposures(env.positions, env.exposure_max_bps).get(*action as usize).copied()
        }
        Output::Control { action } => action.first().and_then(|action| control_target(env, *action)),
    };
    let reason = if target.is_some() { Reason::Signal } else { Reason::EdgeBelowCost };
    Decision { bar: prediction.bar, target, reason }
}

fn forecast_target(strategy: &StrategySpec, env: &EnvSpec, edge: f32) -> Option<BasisPoints> {
    // NaN compares false, so an undefined edge keeps the position.
    if !(f64::from(edge.abs()) >= strategy.edge_min && edge != 0.0) {
        return None;
    }
    let exposure = strategy.exposure_bps.0.min(env.exposure_max_bps.0);
    Some(match (edge > 0.0, env.positions) {
        (true, _) => BasisPoints(exposure),
        (false, PositionMode::LongFlat) => BasisPoints(0),
        (false, PositionMode::LongShort) => BasisPoints(-exposure),
    })
}

/// The share of the allowed exposures that −1 (least) to 1 (most) names, to the nearest basis point.
fn control_target(env: &EnvSpec, action: f32) -> Option<BasisPoints> {
    let share = match env.positions {
        PositionMode::LongFlat => (f64::from(action) + 1.0) / 2.0,
        PositionMode::LongShort => f64::from(action),
    };
    let exposure = (share.clamp(-1.0, 1.0) * f64::from(env.exposure_max_bps.0)).round();
    exposure.is_finite().then_some(BasisPoints(exposure as i32))
}

/// The order that brings the position to the decision's target, or `None` when there is nothing to do.
#[must_use]
pub fn size(
    decision: &Decision,
    portfolio: &Portfolio,
    instrument: &Instrument,
    costs: &CostModel,
    mark: Price,
) -> Option<(Side, Quantity)> {
    let quantity = quantity_to_target(portfolio, instrument, costs, decision.target?, mark);
    match quantity.0.signum() {
        1 => Some((Side::Buy, quantity)),
        -1 => Some((Side::Sell, -quantity)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use market::Timestamp;
    use spec::{BundleId, Digest};

    use super::*;

    fn prediction(output: Output) -> Prediction {
        Prediction {
            bundle: BundleId(Digest::of(b"model")),
            bar: Timestamp::default(),
            row: Digest::of(b"row"),
            output,
        }
    }

    fn forecast(down: f32, up: f32) -> Prediction {
        prediction(Output::Forecast {
            probabilities: [down, 1.0 - down - up, up],
            expected_return: 0.0,
            spread: None,
            volatility: None,
        })
    }

    #[test]
    fn an_edge_is_traded_only_when_it_is_clear_and_allowed() {
        let strategy = StrategySpec { edge_min: 0.2, exposure_bps: BasisPoints(8_000) };
        let flat_or_long = EnvSpec::default();
        let both_ways = EnvSpec { positions: PositionMode::LongShort, ..EnvSpec::default() };
        let target = |env: &EnvSpec, down, up| decide(&strategy, env, &forecast(down, up)).target;
        assert_eq!(target(&flat_or_long, 0.2, 0.5), Some(BasisPoints(8_000)));
        assert_eq!(target(&flat_or_long, 0.4, 0.5), None);
        assert_eq!(target(&flat_or_long, 0.6, 0.1), Some(BasisPoints(0)));
        assert_eq!(target(&both_ways, 0.6, 0.1), Some(BasisPoints(-8_000)));
        assert_eq!(target(&both_ways, f32::NAN, 0.1), None);
    }

    #[test]
    fn a_policys_action_is_an_index_into_the_exposures() {
        let env = EnvSpec { positions: PositionMode::LongShort, ..EnvSpec::default() };
        let act = |action| {
            let output = Output::Policy { action, probabilities: vec![0.2, 0.3, 0.5] };
            decide(&StrategySpec::default(), &env, &prediction(output)).target
        };
        assert_eq!([act(0), act(1), act(2)], [-10_000, 0, 10_000].map(|bps| Some(BasisPoints(bps))));
        assert_eq!(act(3), None);
    }

    #[test]
    fn a_continuous_action_is_a_share_of_the_allowed_exposures() {
        let target = |positions, action: f32| {
            let env = EnvSpec { positions, exposure_max_bps: BasisPoints(8_000), ..EnvSpec::default() };
            decide(&StrategySpec::default(), &env, &prediction(Output::Control { action: vec![action] })).target
        };
        let bps = |bps| Some(BasisPoints(bps));
        let both = [-1.0, 0.0, 0.5, 3.0].map(|action| target(PositionMode::LongShort, action));
        assert_eq!(both, [bps(-8_000), bps(0), bps(4_000), bps(8_000)]);
        let flat_or_long = [-1.0, 0.0, 1.0].map(|action| target(PositionMode::LongFlat, action));
        assert_eq!(flat_or_long, [bps(0), bps(4_000), bps(8_000)]);
        assert_eq!(target(PositionMode::LongShort, f32::NAN), None);
    }

    #[test]
    fn an_order_has_the_sign_of_the_difference_to_the_target() {
        let instrument = Instrument::share(market::Symbol::try_from("AAPL".to_owned()).unwrap());
        let costs = CostModel::new(spec::CostSpec::default());
        let mut held = Portfolio::new(market::Money::units(100_000));
        held.book(&instrument, Quantity(400), Price(1_000_000), market::Money(0));
        let order = |target: Option<i32>| {
            let decision =
                Decision { bar: Timestamp::default(), target: target.map(BasisPoints), reason: Reason::Signal };
            size(&decision, &held, &instrument, &costs, Price(1_000_000))
        };
        // 50 % of 100 000 less the reserve of 3 bp is 499 lots of 100.
        assert_eq!(order(Some(5_000)), Some((Side::Buy, Quantity(99))));
        assert_eq!(order(Some(0)), Some((Side::Sell, Quantity(400))));
        assert_eq!(order(Some(4_000)), None, "within the band");
        assert_eq!(order(None), None, "no view keeps the position");
    }
}
