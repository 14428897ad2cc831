//! The trading environment against hand-made episodes and against exchange and portfolio.

use std::path::Path;

use dataset::{Adjustment, ImportOptions, read_csv};
use features::{Normaliser, compute};
use market::{Bar, Instrument, Interval, Price, Symbol, Timestamp};
use proptest::prelude::*;
use spec::{CostSpec, FeatureSpec, PositionMode};
use venue::{ClientOrderId, Exchange, OrderIntent};

use super::*;
use crate::batch::Batch;
use crate::{Buffers, Rows, conformance};

fn aapl() -> Instrument {
    Instrument::share(Symbol::try_from("AAPL".to_owned()).unwrap())
}

fn costs(commission: i32, half_spread: i32, slippage: i32, borrow: i32) -> CostSpec {
    CostSpec {
        commission_bps: BasisPoints(commission),
        half_spread_bps: BasisPoints(half_spread),
        slippage_bps: BasisPoints(slippage),
        borrow_bps_per_year: BasisPoints(borrow),
    }
}

/// A history of (open, close) pairs whose only feature is the number of the bar.
fn history(prices: &[(f64, f64)], window: usize) -> Arc<History> {
    let bar = |(day, &(open, close)): (usize, &(f64, f64))| Bar {
        time: Timestamp::from_micros(day as i64 * 86_400_000_000),
        open,
        high: open.max(close),
        low: open.min(close),
        close,
        volume: 1.0,
    };
    let bars: Vec<Bar> = prices.iter().enumerate().map(bar).collect();
    let values = (0..bars.len()).map(|bar| bar as f32).collect();
    Arc::new(History::new(aapl(), Interval::Day, &bars, Rows { first: 0, width: 1, window, values }).unwrap())
}

/// Ten years of daily bars with three features, windows of 8.
fn real() -> Arc<History> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/aapl_daily_2013_2023.csv");
    let symbol = Some(aapl().symbol().clone());
    let options = ImportOptions { symbol, interval: Interval::Day, adjustment: Adjustment::AdjustedClose };
    let bars = read_csv(&path, &options).unwrap().remove(0).bars;
    real_over(&bars)
}

fn real_over(bars: &[Bar]) -> Arc<History> {
    let specs = [
        FeatureSpec::LogReturn { bars: 1 },
        FeatureSpec::Rsi { bars: 14 },
        FeatureSpec::RealisedVolatility { bars: 20 },
    ];
    let matrix = compute(&specs, bars).unwrap();
    let rows = Rows::normalised(&matrix, &Normaliser::fit(&matrix, 0..1_000), 8);
    Arc::new(History::new(aapl(), Interval::Day, bars, rows).unwrap())
}

fn spec(positions: PositionMode, costs: CostSpec) -> EnvSpec {
    EnvSpec { positions, costs, episode_bars: 60, ..EnvSpec::default() }
}

/// Rewards, last outcome and equity of one pass with these actions.
fn pass(env: &mut TradingEnv, actions: &[u32]) -> (Vec<f32>, StepOutcome, Buffers) {
    let mut buffers = Buffers::new(env);
    env.reset(0, &mut buffers.observations);
    let mut rewards = Vec::new();
    for action in actions {
        env.step(Actions::Discrete(&[*action]), buffers.lend());
        rewards.push(buffers.rewards[0]);
    }
    (rewards, buffers.outcomes[0], buffers)
}

#[test]
fn a_long_episode_pays_what_was_computed_by_hand() {
    let prices = [(100.0, 100.0), (100.0, 100.5), (100.0, 99.0), (99.5, 98.0)];
    let spec = spec(PositionMode::LongFlat, costs(10, 5, 5, 0));
    let mut env = TradingEnv::new(history(&prices, 1), &spec, 0..4, Episodes::OnePass).unwrap();
    // Wanted 100 000 / 1.002 = 99 800.39 at 100: 998 shares. Bought at 100 + 10 bp = 100.10, fee 99.8998: cash 0.3002,
    // worth 998 × 100.5 + 0.3002 = 100 299.3002. Held: 996 would be the target, inside the band of 1 %.
    // Worth 98 802.3002 at 99. Sold at 99.5 − 10 bp = 99.4005 less 99.201699: 99 102.797501 in cash.
    let (rewards, outcome, buffers) = pass(&mut env, &[1, 1, 0]);
    let worth = [100_000.0, 100_299.300_2, 98_802.300_2, 99_102.797_501_f64];
    let expected: Vec<f32> = worth.windows(2).map(|pair| (pair[1] / pair[0]).ln() as f32).collect();
    assert_eq!(rewards, expected);
    assert_eq!(outcome, StepOutcome::Truncated);
    assert_eq!(buffers.final_observations, [3.0, 0.0, 0.0]);
    assert_eq!(buffers.observations, [0.0, 0.0, 0.0], "the next pass starts over");
}

#[test]
fn a_short_episode_pays_borrow_each_bar() {
    let prices = [(100.0, 100.0), (100.0, 101.0), (101.0, 100.0)];
    let spec = spec(PositionMode::LongShort, costs(0, 0, 0, 252));
    let mut env = TradingEnv::new(history(&prices, 1), &spec, 0..3, Episodes::OnePass).unwrap();
    // 1000 sold at 100. Borrow is 1 bp a bar on 101 000: worth 98 989.9. That is a target of 980 short: 20 are
    // bought back at 101, the rest gains 1 a share and pays 1 bp on 98 000.
    let mut buffers = Buffers::new(&env);
    env.step(Actions::Discrete(&[0]), buffers.lend());
    assert_eq!(env.equity(0), Money(98_989_900_000));
    assert_eq!(buffers.rewards[0], (0.989_899_f64).ln() as f32);
    assert_eq!(env.account(0).position(), Quantity(-1_000));
    let exposure = -101_000.0 / 98_989.9_f64;
    let unrealised = -(101_000.0_f64 / 100_000.0).ln();
    assert_eq!(buffers.observations, [1.0, exposure as f32, unrealised as f32]);
    env.step(Actions::Discrete(&[0]), buffers.lend());
    let worth = 98_989.9 + 980.0 * 1.0 - 9.8;
    assert_eq!(buffers.rewards[0], (worth / 98_989.9_f64).ln() as f32);
}

#[test]
fn ruin_terminates_with_a_finite_reward() {
    let prices = [(100.0, 100.0), (100.0, 250.0), (250.0, 250.0)];
    let spec = spec(PositionMode::LongShort, costs(0, 0, 0, 0));
    let mut env = TradingEnv::new(history(&prices, 1), &spec, 0..3, Episodes::OnePass).unwrap();
    let (rewards, outcome, buffers) = pass(&mut env, &[0]);
    assert_eq!(outcome, StepOutcome::Terminated);
    assert_eq!(rewards, [(1e-6 / 1e5_f64).ln() as f32]);
    assert_eq!(buffers.final_observations, [1.0, 0.0, 0.0]);
    assert_eq!((env.bar(0), env.equity(0)), (0, Money::units(100_000)));
}

#[test]
fn an_observation_is_the_window_up_to_the_bar_and_the_position() {
    let prices = [(10.0, 10.0); 9];
    let spec = spec(PositionMode::LongFlat, costs(0, 0, 0, 0));
    let mut env = TradingEnv::new(history(&prices, 3), &spec, 4..9, Episodes::OnePass).unwrap();
    let (_, _, buffers) = pass(&mut env, &[0, 1]);
    assert_eq!(buffers.observations, [4.0, 5.0, 6.0, 1.0, 0.0]);
    for range in [1..9, 4..10, 4..5] {
        assert!(matches!(
            TradingEnv::new(history(&prices, 3), &spec, range, Episodes::OnePass),
            Err(EnvError::Range { ready: 2, bars: 9, .. })
        ));
    }
}

const REWARDS: [Reward; 3] =
    [Reward::LogReturn, Reward::DifferentialSharpe { rate: 0.01 }, Reward::DrawdownPenalised { weight: 0.5 }];

/// Every mode, action, allowed position and reward.
fn variants() -> Vec<(Autoreset, EnvSpec)> {
    let mut variants = Vec::new();
    for autoreset in [Autoreset::SameStep, Autoreset::NextStep] {
        for action in [ActionMode::Discrete, ActionMode::Continuous] {
            for positions in [PositionMode::LongFlat, PositionMode::LongShort] {
                let with = |reward| EnvSpec { action, reward, ..spec(positions, CostSpec::default()) };
                variants.extend(REWARDS.map(|reward| (autoreset, with(reward))));
            }
        }
    }
    variants
}

#[test]
fn trading_environments_conform() {
    let history = real();
    for (autoreset, spec) in variants() {
        for episodes in [Episodes::Random { envs: 7 }, Episodes::OnePass] {
            let make = || TradingEnv::new(history.clone(), &spec, 100..1_500, episodes).unwrap();
            conformance::check(|| make().with_autoreset(autoreset));
        }
        // Leverage through 2020 ruins some episodes: the suite must hold across termination too.
        let leveraged = EnvSpec { exposure_max_bps: BasisPoints(50_000), ..spec };
        let episodes = Episodes::Random { envs: 9 };
        let make = || TradingEnv::new(history.clone(), &leveraged, 1_700..1_900, episodes).unwrap();
        conformance::check(|| make().with_autoreset(autoreset));
    }
}

#[test]
fn stepping_by_reference_is_stepping_without_the_windows() {
    let history = real();
    for (autoreset, spec) in variants() {
        let spec = EnvSpec { episode_bars: 20, ..spec };
        let make = || {
            let env = TradingEnv::new(history.clone(), &spec, 100..1_500, Episodes::Random { envs: 5 }).unwrap();
            env.with_autoreset(autoreset)
        };
        let (mut one, mut other) = (make(), make());
        let mut buffers = Buffers::new(&one);
        let mut taken = vec![other.take(Batch::varied(other.action_space(), 5, 0).lend(), 0); 5];
        one.reset(3, &mut buffers.observations);
        other.reset(3, &mut buffers.observations);
        let width = one.observation_width();
        let mut row = vec![0.0; width];
        for step in 0..70 {
            let actions = Batch::varied(one.action_space(), 5, step);
            one.step(actions.lend(), buffers.lend());
            other.step_by_reference(actions.lend(), &mut taken);
            for (env, taken) in taken.iter().enumerate() {
                assert_eq!((taken.reward, taken.outcome), (buffers.rewards[env], buffers.outcomes[env]));
                taken.shown.write(&history, &mut row);
                assert_eq!(row, buffers.observations[env * width..][..width]);
                assert_eq!(taken.last.is_some(), taken.outcome.is_end());
                if let Some(last) = taken.last {
                    last.write(&history, &mut row);
                    assert_eq!(row, buffers.final_observations[env * width..][..width]);
                }
            }
        }
    }
}

#[test]
fn a_number_is_the_fraction_of_the_largest_exposure() {
    let prices = [(100.0, 100.0); 5];
    for (positions, asked, lots) in [
        (PositionMode::LongShort, 0.5, 1_000),
        (PositionMode::LongShort, -0.25, -500),
        (PositionMode::LongShort, -9.0, -2_000),
        (PositionMode::LongFlat, 0.123_4, 246),
        (PositionMode::LongFlat, -1.0, 0),
        (PositionMode::LongShort, f32::NAN, 0),
    ] {
        let spec = EnvSpec {
            action: ActionMode::Continuous,
            exposure_max_bps: BasisPoints(20_000),
            ..spec(positions, costs(0, 0, 0, 0))
        };
        let mut env = TradingEnv::new(history(&prices, 1), &spec, 0..5, Episodes::OnePass).unwrap();
        env.step(Actions::Continuous(&[asked]), Buffers::new(&env).lend());
        assert_eq!(env.account(0).position(), Quantity(lots), "{asked}");
    }
}

#[test]
fn in_next_step_mode_an_episode_shows_its_end_before_the_next_begins() {
    let prices = [(100.0, 100.0), (100.0, 101.0), (101.0, 102.0)];
    let spec = spec(PositionMode::LongFlat, costs(0, 0, 0, 0));
    let env = TradingEnv::new(history(&prices, 1), &spec, 0..3, Episodes::OnePass).unwrap();
    let mut env = env.with_autoreset(Autoreset::NextStep);
    let (rewards, outcome, buffers) = pass(&mut env, &[1, 1]);
    assert_eq!((outcome, env.bar(0)), (StepOutcome::Truncated, 2));
    assert_eq!(buffers.observations, buffers.final_observations);
    assert!(rewards[1] > 0.0);
    let (rewards, outcome, buffers) = pass(&mut env, &[1, 1, 1]);
    assert_eq!((rewards[2], outcome), (0.0, StepOutcome::Continues));
    assert_eq!(buffers.observations, [0.0, 0.0, 0.0]);
    assert_eq!(env.account(0).position(), Quantity(0), "the action was ignored");
}

#[test]
fn a_state_of_other_settings_is_refused() {
    let build = |commission| {
        let spec = spec(PositionMode::LongFlat, costs(commission, 0, 0, 0));
        TradingEnv::new(history(&[(10.0, 10.0); 9], 3), &spec, 4..9, Episodes::OnePass).unwrap()
    };
    let error = build(1).restore(&build(2).state()).unwrap_err();
    assert!(error.to_string().contains("other data or settings"), "{error}");
}

#[test]
fn starts_are_spread_over_the_range_and_stay_inside_it() {
    let spec = EnvSpec { episode_bars: 10, ..spec(PositionMode::LongFlat, costs(0, 0, 0, 0)) };
    let mut env =
        TradingEnv::new(history(&[(10.0, 10.0); 100], 1), &spec, 20..40, Episodes::Random { envs: 500 }).unwrap();
    env.reset(1, &mut Buffers::new(&env).observations);
    let starts: std::collections::BTreeSet<usize> = (0..500).map(|copy| env.bar(copy)).collect();
    assert_eq!(starts.into_iter().collect::<Vec<_>>(), (20..30).collect::<Vec<_>>());
}

#[test]
fn the_future_does_not_change_the_past() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/aapl_daily_2013_2023.csv");
    let symbol = Some(aapl().symbol().clone());
    let options = ImportOptions { symbol, interval: Interval::Day, adjustment: Adjustment::AdjustedClose };
    let bars = read_csv(&path, &options).unwrap().remove(0).bars;
    let mut changed = bars.clone();
    for bar in &mut changed[1_301..] {
        (bar.open, bar.high, bar.low, bar.close) = (bar.open * 3.0, bar.high * 3.0, bar.low * 3.0, bar.close * 3.0);
    }
    let spec = spec(PositionMode::LongShort, CostSpec::default());
    let trace = |bars: &[Bar]| {
        let mut env = TradingEnv::new(real_over(bars), &spec, 1_200..1_400, Episodes::OnePass).unwrap();
        let mut buffers = Buffers::new(&env);
        env.reset(0, &mut buffers.observations);
        let step = |step: u32| {
            env.step(Actions::Discrete(&[step * 7 % 3]), buffers.lend());
            buffers.clone()
        };
        (0..150).map(step).collect::<Vec<_>>()
    };
    let (one, other) = (trace(&bars), trace(&changed));
    assert_eq!(one[..100], other[..100]);
    assert_ne!(one[100], other[100], "the change is seen from its bar on");
}

/// Cash, position and equity at each close, by the simulated exchange and a portfolio.
fn by_exchange(
    history: &History,
    spec: &EnvSpec,
    range: Range<usize>,
    targets: &[BasisPoints],
) -> Vec<(Money, Quantity, Money)> {
    let costs = CostModel::new(spec.costs.clone());
    let mut exchange = Exchange::new(history.instrument().clone(), costs.clone());
    let mut portfolio = Portfolio::new(Money::units(i64::from(spec.cash)));
    let mut seen = Vec::new();
    for (bar, target) in range.zip(targets.iter().map(Some).chain([None])) {
        for fill in exchange.on_open(history.time(bar), history.open(bar)) {
            assert_eq!(fill.time, history.time(bar));
            portfolio.apply(history.instrument(), &fill);
        }
        let mark: Price = history.close(bar);
        let equity = portfolio.close_bar(history.instrument(), &costs, mark, history.bars_per_year());
        seen.push((portfolio.cash(), portfolio.position(), equity));
        let Some(target) = target else { break };
        let quantity = quantity_to_target(&portfolio, history.instrument(), &costs, *target, mark);
        if quantity != Quantity(0) {
            let order = OrderIntent {
                client_order_id: ClientOrderId::new("parity", seen.len() as u64),
                symbol: history.instrument().symbol().clone(),
                side: if quantity > Quantity(0) { Side::Buy } else { Side::Sell },
                quantity: quantity.abs(),
                decided: history.time(bar),
            };
            exchange.submit(order).unwrap();
        }
    }
    seen
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn an_episode_is_the_same_decisions_through_exchange_and_portfolio(
        actions in prop::collection::vec(0u32..3, 2..400),
        start in 40usize..2_000,
        bps in (0i32..50, 0i32..50, 0i32..50, 0i32..2_000),
        exposure in 1i32..20_000,
    ) {
        thread_local!(static REAL: Arc<History> = real());
        let history = REAL.with(Arc::clone);
        let spec = EnvSpec {
            exposure_max_bps: BasisPoints(exposure),
            ..spec(PositionMode::LongShort, costs(bps.0, bps.1, bps.2, bps.3))
        };
        let range = start..start + actions.len() + 2;
        let mut env = TradingEnv::new(history.clone(), &spec, range.clone(), Episodes::OnePass).unwrap();
        let table = exposures(spec.positions, spec.exposure_max_bps);
        let targets: Vec<BasisPoints> = actions.iter().map(|action| table[*action as usize]).collect();
        let expected = by_exchange(&history, &spec, range, &targets);
        let mut buffers = Buffers::new(&env);
        for (action, expected) in actions.iter().zip(&expected[1..]) {
            env.step(Actions::Discrete(&[*action]), buffers.lend());
            if buffers.outcomes[0] == StepOutcome::Terminated {
                prop_assert!(expected.2 <= Money(0));
                break;
            }
            prop_assert_eq!(&(env.account(0).cash(), env.account(0).position(), env.equity(0)), expected);
        }
    }

    #[test]
    fn equity_moves_exactly_by_price_moves_fills_and_fees(
        fractions in prop::collection::vec(-1.2f32..1.2, 2..300),
        start in 40usize..2_000,
        bps in (0i32..50, 0i32..50, 0i32..50, 0i32..2_000),
        exposure_max in 1i32..20_000,
    ) {
        thread_local!(static REAL: Arc<History> = real());
        let history = REAL.with(Arc::clone);
        let spec = EnvSpec {
            action: ActionMode::Continuous,
            exposure_max_bps: BasisPoints(exposure_max),
            ..spec(PositionMode::LongShort, costs(bps.0, bps.1, bps.2, bps.3))
        };
        let range = start..start + fractions.len() + 2;
        let mut env = TradingEnv::new(history.clone(), &spec, range.clone(), Episodes::OnePass).unwrap();
        let limit = |fraction: &f32| exposure(spec.positions, spec.exposure_max_bps, *fraction);
        let targets: Vec<BasisPoints> = fractions.iter().map(limit).collect();
        let expected = by_exchange(&history, &spec, range, &targets);
        let costs = CostModel::new(spec.costs.clone());
        let mut buffers = Buffers::new(&env);
        for (fraction, expected) in fractions.iter().zip(&expected[1..]) {
            let (bar, before, equity) = (env.bar(0), env.account(0).clone(), env.equity(0));
            env.step(Actions::Continuous(&[*fraction]), buffers.lend());
            if buffers.outcomes[0] == StepOutcome::Terminated {
                prop_assert!(expected.2 <= Money(0));
                break;
            }
            let after = env.account(0);
            prop_assert_eq!(&(after.cash(), after.position(), env.equity(0)), expected);
            let Quantity(bought) = after.position() - before.position();
            let side = if bought > 0 { Side::Buy } else { Side::Sell };
            let (mark, old) = (history.close(bar + 1), history.close(bar));
            let fill = if bought == 0 { mark } else { costs.fill_price(side, history.open(bar + 1)) };
            let moved = |from: Price, to: Price, lots| history.instrument().notional(Price(to.0 - from.0), lots);
            let change = moved(old, mark, before.position()) + moved(fill, mark, Quantity(bought));
            prop_assert_eq!(env.equity(0), equity + change - (after.fees() - before.fees()));
        }
    }
}
