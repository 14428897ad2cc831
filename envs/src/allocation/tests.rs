//! The allocation environment against hand-made episodes, against the trading environment, and to the millionth.

use market::{Bar, Instrument, Interval, Price, Symbol, Timestamp};
use proptest::prelude::*;
use spec::{ActionMode, CostSpec};

use super::*;
use crate::draws::Stream;
use crate::{Buffers, Rows, TradingEnv, conformance};

fn share(name: &str) -> Instrument {
    Instrument::share(Symbol::try_from(name.to_owned()).unwrap())
}

fn costs(commission: i32, half_spread: i32, slippage: i32, borrow: i32) -> CostSpec {
    CostSpec {
        commission_bps: BasisPoints(commission),
        half_spread_bps: BasisPoints(half_spread),
        slippage_bps: BasisPoints(slippage),
        borrow_bps_per_year: BasisPoints(borrow),
    }
}

fn spec(positions: PositionMode, costs: CostSpec) -> EnvSpec {
    EnvSpec { positions, costs, action: ActionMode::Continuous, episode_bars: 30, ..EnvSpec::default() }
}

/// Bars of (open, close) pairs from a day on, whose only feature is the number of the bar.
fn history(name: &str, first_day: i64, prices: &[(f64, f64)], window: usize) -> Arc<History> {
    let bar = |(day, &(open, close)): (i64, &(f64, f64))| Bar {
        time: Timestamp::from_micros((first_day + day) * 86_400_000_000),
        open,
        high: open.max(close),
        low: open.min(close),
        close,
        volume: 1.0,
    };
    let bars: Vec<Bar> = (0..).zip(prices).map(bar).collect();
    let values = (0..bars.len()).map(|bar| bar as f32).collect();
    Arc::new(History::new(share(name), Interval::Day, &bars, Rows { first: 0, width: 1, window, values }).unwrap())
}

/// A random walk of 200 bars; `swing` is its largest move in logarithms.
fn walk(name: &str, seed: u64, swing: f64) -> Arc<History> {
    let (mut stream, mut price) = (Stream::new(seed, 0, 0), 50.0);
    let mut next = || {
        price *= (swing * (2.0 * stream.uniform() - 1.0)).exp();
        price
    };
    let prices: Vec<(f64, f64)> = (0..200).map(|_| (next(), next())).collect();
    history(name, 0, &prices, 2)
}

fn three(swing: f64) -> Vec<Arc<History>> {
    (1..).zip(["A", "B", "C"]).map(|(seed, name)| walk(name, seed, swing)).collect()
}

#[test]
fn an_account_divided_in_two_pays_what_was_computed_by_hand() {
    let a = history("A", 0, &[(100.0, 100.0), (100.0, 110.0), (110.0, 110.0)], 1);
    let b = history("B", 0, &[(50.0, 50.0), (50.0, 45.0), (45.0, 45.0)], 1);
    let spec = spec(PositionMode::LongShort, costs(10, 0, 0, 252));
    let mut env = AllocationEnv::new(vec![a, b], &spec, 0..3, Episodes::OnePass).unwrap();
    let mut buffers = Buffers::new(&env);
    assert_eq!(env.observation_width(), 4);
    env.step(Actions::Continuous(&[0.6, -0.4]), buffers.lend());
    // 60 000 / 1.001 at 100: 599 lots, fee 59.90. −40 000 / 1.001 at 50: 799 short, fee 39.95, borrow 1 bp on 35 955.
    assert_eq!(env.accounts(0).iter().map(|account| account.position().0).collect::<Vec<_>>(), [599, -799]);
    let worth = 100_000.0 + 599.0 * 10.0 - 59.9 + 799.0 * 5.0 - 39.95 - 3.5955;
    assert_eq!(env.equity(0), Money((worth * 1e6_f64).round() as i64));
    assert_eq!(buffers.rewards[0], (worth / 100_000.0).ln() as f32);
    let weights = [599.0 * 110.0 / worth, -799.0 * 45.0 / worth].map(|weight| weight as f32);
    assert_eq!(buffers.observations, [1.0, 1.0, weights[0], weights[1]]);
}

#[test]
fn weights_are_scaled_down_to_the_largest_gross_exposure_and_not_up() {
    let flat = [(100.0, 100.0); 4];
    let assets = || vec![history("A", 0, &flat, 1), history("B", 0, &flat, 1)];
    for (asked, lots) in [
        ([1.0, 1.0], [1_000, 1_000]),
        ([1.0, -1.0], [1_000, -1_000]),
        ([0.25, 0.0], [500, 0]),
        ([9.0, -0.5], [1_333, -666]),
        ([f32::NAN, 1.0], [0, 2_000]),
    ] {
        let spec =
            EnvSpec { exposure_max_bps: BasisPoints(20_000), ..spec(PositionMode::LongShort, costs(0, 0, 0, 0)) };
        let mut env = AllocationEnv::new(assets(), &spec, 0..4, Episodes::OnePass).unwrap();
        env.step(Actions::Continuous(&asked), Buffers::new(&env).lend());
        let held: Vec<i64> = env.accounts(0).iter().map(|account| account.position().0).collect();
        assert_eq!(held, lots, "{asked:?}");
    }
}

#[test]
fn assets_that_do_not_share_their_bars_are_refused() {
    let spec = spec(PositionMode::LongFlat, costs(0, 0, 0, 0));
    let a = history("A", 0, &[(1.0, 1.0); 9], 1);
    let build = |assets| AllocationEnv::new(assets, &spec, 1..8, Episodes::OnePass).map(|_| ());
    for other in [history("B", 1, &[(1.0, 1.0); 9], 1), history("B", 0, &[(1.0, 1.0); 8], 1)] {
        let error = build(vec![a.clone(), other]).unwrap_err();
        assert_eq!(error.to_string(), "A and B do not have the same bars: keep those that both have");
    }
    assert_eq!(build(vec![]), Err(EnvError::NoAssets));
    let long = history("B", 0, &[(1.0, 1.0); 9], 4);
    assert!(matches!(build(vec![a.clone(), long]), Err(EnvError::Range { ready: 3, .. })));
    assert_eq!(build(vec![a]), Ok(()));
}

#[test]
fn allocation_environments_conform() {
    for autoreset in [Autoreset::SameStep, Autoreset::NextStep] {
        for positions in [PositionMode::LongFlat, PositionMode::LongShort] {
            // Moves of up to a half at five times the equity ruin some episodes.
            for (swing, exposure_max) in [(0.02, 10_000), (0.4, 50_000)] {
                for reward in [Reward::LogReturn, Reward::DifferentialSharpe { rate: 0.05 }] {
                    let exposure_max_bps = BasisPoints(exposure_max);
                    let spec = EnvSpec { exposure_max_bps, reward, ..spec(positions, CostSpec::default()) };
                    for episodes in [Episodes::Random { envs: 4 }, Episodes::OnePass] {
                        let make = || AllocationEnv::new(three(swing), &spec, 1..180, episodes).unwrap();
                        conformance::check(|| make().with_autoreset(autoreset));
                    }
                }
            }
        }
    }
}

#[test]
fn with_one_asset_it_is_the_trading_environment() {
    let spec = spec(PositionMode::LongShort, CostSpec::default());
    let asset = walk("A", 5, 0.02);
    let mut one = AllocationEnv::new(vec![asset.clone()], &spec, 1..150, Episodes::OnePass).unwrap();
    let mut other = TradingEnv::new(asset, &spec, 1..150, Episodes::OnePass).unwrap();
    let (mut got, mut expected) = (Buffers::new(&one), Buffers::new(&other));
    for step in 0..140 {
        // Eighths are whole basis points: both round them alike.
        let action = [((step / 5 * 7) % 17 - 8) as f32 / 8.0];
        one.step(Actions::Continuous(&action), got.lend());
        other.step(Actions::Continuous(&action), expected.lend());
        assert_eq!((got.rewards[0], one.equity(0)), (expected.rewards[0], other.equity(0)), "step {step}");
        assert_eq!(got.observations[..3], expected.observations[..3]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn equity_moves_exactly_by_price_moves_fills_and_fees(
        weights in prop::collection::vec(prop::array::uniform3(-1.3f32..1.3), 2..150),
        bps in (0i32..50, 0i32..50, 0i32..50, 0i32..2_000),
        exposure_max in 1i32..30_000,
    ) {
        thread_local!(static ASSETS: Vec<Arc<History>> = three(0.03));
        let assets = ASSETS.with(Clone::clone);
        let spec = EnvSpec {
            exposure_max_bps: BasisPoints(exposure_max),
            ..spec(PositionMode::LongShort, costs(bps.0, bps.1, bps.2, bps.3))
        };
        let mut env = AllocationEnv::new(assets.clone(), &spec, 1..200, Episodes::OnePass).unwrap();
        let costs = CostModel::new(spec.costs);
        let mut buffers = Buffers::new(&env);
        for weights in &weights {
            let (bar, mut expected, before) = (env.bar(0), env.equity(0), env.accounts(0).to_vec());
            env.step(Actions::Continuous(weights), buffers.lend());
            prop_assert!(buffers.rewards[0].is_finite());
            if buffers.outcomes[0].is_end() {
                break;
            }
            for ((asset, before), after) in assets.iter().zip(&before).zip(env.accounts(0)) {
                let Quantity(bought) = after.position() - before.position();
                let side = if bought > 0 { Side::Buy } else { Side::Sell };
                let (old, mark) = (asset.close(bar), asset.close(bar + 1));
                let fill = if bought == 0 { mark } else { costs.fill_price(side, asset.open(bar + 1)) };
                let moved = |from: Price, lots| asset.instrument().notional(Price(mark.0 - from.0), lots);
                expected += moved(old, before.position()) + moved(fill, Quantity(bought));
                expected -= after.fees() - before.fees();
            }
            prop_assert_eq!(env.equity(0), expected);
        }
    }
}
