//! The trading environment against hand-made episodes and against exchange and portfolio.

use std::path::Path;

use dataset::{Adjustment, ImportOptions, read_csv};
use features::{Normaliser, compute};
use market::{Bar, Instrument, Interval, Price, Symbol, Timestamp};
use proptest::prelude::*;
use spec::{CostSpec, FeatureSpec, PositionMode};
use venue::{ClientOrderId, Exchange, OrderIntent};

use super::*;
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

#[test]
fn trading_environments_conform() {
    let history = real();
    let range = 100..1_500;
    for positions in [PositionMode::LongFlat, PositionMode::LongShort] {
        let spec = spec(positions, CostSpec::default());
        for episodes in [Episodes::Random { envs: 7 }, Episodes::OnePass] {
            for autoreset in [Autoreset::SameStep, Autoreset::NextStep] {
                conformance::check(|| {
                    TradingEnv::new(history.clone(), &spec, range.clone(), episodes).unwrap().with_autoreset(autoreset)
                });
            }
        }
    }
    // Leverage through 2020 ruins some episodes: the suite must hold across termination too.
    let leveraged =
        EnvSpec { exposure_max_bps: BasisPoints(50_000), ..spec(PositionMode::LongShort, CostSpec::default()) };
    conformance::check(|| {
        TradingEnv::new(history.clone(), &leveraged, 1_700..1_900, Episodes::Random { envs: 9 }).unwrap()
    });
}

#[test]
fn a_next_step_reset_shows_the_end_ignores_an_action_and_begins_anew() {
    let spec = spec(PositionMode::LongFlat, costs(0, 0, 0, 0));
    let build = |autoreset| {
        TradingEnv::new(history(&[(10.0, 10.0); 5], 1), &spec, 0..3, Episodes::OnePass)
            .unwrap()
            .with_autoreset(autoreset)
    };
    let mut env = build(Autoreset::NextStep);
    let (_, outcome, mut buffers) = pass(&mut env, &[1, 1]);
    assert_eq!(outcome, StepOutcome::Truncated);
    assert_eq!(buffers.observations, [2.0, 1.0, 0.0]);
    assert_eq!(buffers.final_observations, buffers.observations);
    env.step(Actions::Discrete(&[9]), buffers.lend());
    assert_eq!((buffers.outcomes[0], buffers.rewards[0], env.clamped()), (StepOutcome::Continues, 0.0, 0));
    assert_eq!(buffers.observations, [0.0, 0.0, 0.0]);
    let error = build(Autoreset::SameStep).restore(&env.state()).unwrap_err();
    assert!(error.to_string().contains("other data or settings"), "{error}");
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
    actions: &[u32],
) -> Vec<(Money, Quantity, Money)> {
    let costs = CostModel::new(spec.costs.clone());
    let mut exchange = Exchange::new(history.instrument().clone(), costs.clone());
    let mut portfolio = Portfolio::new(Money::units(i64::from(spec.cash)));
    let table = exposures(spec.positions, spec.exposure_max_bps);
    let mut seen = Vec::new();
    for (bar, action) in range.zip(actions.iter().map(Some).chain([None])) {
        for fill in exchange.on_open(history.time(bar), history.open(bar)) {
            assert_eq!(fill.time, history.time(bar));
            portfolio.apply(history.instrument(), &fill);
        }
        let mark: Price = history.close(bar);
        let equity = portfolio.close_bar(history.instrument(), &costs, mark, history.bars_per_year());
        seen.push((portfolio.cash(), portfolio.position(), equity));
        let Some(action) = action else { break };
        let target = table[*action as usize];
        let quantity = quantity_to_target(&portfolio, history.instrument(), &costs, target, mark);
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
        let expected = by_exchange(&history, &spec, range, &actions);
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
}
