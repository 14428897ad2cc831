//! Models and baselines over AAPL's bars and over bars made by hand.

#![allow(clippy::unwrap_used, reason = "a test panics when it fails")]

mod fixture;

use backtest::{Model, Setting, buy_and_hold, forecast_rows, parity, run, zero};
use dataset::Dataset;
use fixture::{Kind, TRAINED};
use market::{Bar, Interval, Money, Quantity, Symbol, Timestamp};
use models::Predictor;
use proptest::prelude::*;
use spec::{Decision, EnvSpec, Reason, StrategySpec, TrialSpec};

const BARS: usize = 260;

/// Two whole batches of windows and a part of one.
const LONG: usize = 2_500;

fn flat_market(closes: &[f64]) -> Dataset {
    let bar = |(day, &close): (usize, &f64)| Bar {
        time: Timestamp::from_micros(day as i64 * 86_400_000_000),
        open: close,
        high: close,
        low: close,
        close,
        volume: 1.0,
    };
    let symbol = Symbol::try_from("FLAT".to_owned()).unwrap();
    Dataset::new(symbol, Interval::Day, closes.iter().enumerate().map(bar).collect())
}

fn setting<'a>(data: &'a Dataset, trial: &'a TrialSpec, end: usize) -> Setting<'a> {
    Setting { dataset: data, range: TRAINED..end, env: &trial.env, strategy: &trial.strategy }
}

fn decisions(kind: Kind, data: &Dataset, end: usize) -> Vec<Decision> {
    let bundle = fixture::bundle(kind, 7, data);
    let (trial, predictor) = (fixture::trial(kind), Predictor::load(&bundle).unwrap());
    run(&predictor, &fixture::sight(kind, data), &setting(data, &trial, end)).unwrap().decisions
}

#[test]
fn holding_pays_for_one_trade_and_nothing_pays_for_none() {
    let data = flat_market(&[100.0; 4]);
    let (env, strategy) = (EnvSpec::default(), StrategySpec::default());
    let setting = Setting { dataset: &data, range: 0..4, env: &env, strategy: &strategy };
    let held = buy_and_hold(&setting).unwrap();
    // 100 000 less 3 bp in reserve buys 999 lots at 100.02; the fee is 1 bp of 99 919.98.
    assert_eq!(held.fills.len(), 1);
    assert_eq!((held.fills[0].quantity, held.fills[0].fee), (Quantity(999), Money(9_991_998)));
    assert_eq!(held.equity, [Money(99_970_028_002); 3]);
    assert_eq!(held.returns[1..], [0.0, 0.0]);
    let nothing = zero(&setting).unwrap();
    assert_eq!((nothing.fills.len(), nothing.returns), (0, vec![0.0; 3]));
    assert_eq!(nothing.equity, [Money::units(100_000); 3]);
}

#[test]
fn a_decision_fills_at_the_next_open_and_the_last_one_never() {
    let data = fixture::bars(BARS);
    let trial = fixture::trial(Kind::Forecaster);
    let predictor = Predictor::load(&fixture::bundle(Kind::Forecaster, 7, &data)).unwrap();
    let sight = fixture::sight(Kind::Forecaster, &data);
    let outcome = run(&predictor, &sight, &setting(&data, &trial, BARS)).unwrap();
    assert!(outcome.fills.len() > 10, "only {} fills", outcome.fills.len());
    let next = |time| data.bars[data.bars.iter().position(|bar| bar.time == time).unwrap() + 1].time;
    for (order, fill) in outcome.orders.iter().zip(&outcome.fills) {
        assert_eq!((next(order.decided), &order.client_order_id), (fill.time, &fill.client_order_id));
    }
    assert_eq!(outcome.decisions.len(), BARS - TRAINED);
    assert_eq!([outcome.times.len(), outcome.returns.len(), outcome.equity.len()], [BARS - TRAINED - 1; 3]);
    assert_eq!(outcome.times[0], data.bars[TRAINED + 1].time);
    assert!(outcome.costs > Money(0) && outcome.summary().turnover > 0.0);
}

#[test]
fn bars_before_the_window_is_full_keep_the_position() {
    let data = fixture::bars(BARS);
    let trial = fixture::trial(Kind::Policy);
    let predictor = Predictor::load(&fixture::bundle(Kind::Policy, 7, &data)).unwrap();
    let early = Setting { range: 0..40, ..setting(&data, &trial, BARS) };
    let outcome = run(&predictor, &fixture::sight(Kind::Policy, &data), &early).unwrap();
    let warming = outcome.decisions.iter().take_while(|decision| decision.reason == Reason::WarmUp).count();
    // RSI(14) needs 15 closes, and the window three rows more.
    assert_eq!(warming, 17);
    assert!(outcome.decisions[17..].iter().all(|decision| decision.reason != Reason::WarmUp));
}

#[test]
fn a_row_is_predicted_the_same_in_any_batch() {
    let data = fixture::bars(BARS);
    let predictor = Predictor::load(&fixture::bundle(Kind::Forecaster, 7, &data)).unwrap();
    let rows = forecast_rows(&fixture::sight(Kind::Forecaster, &data), &data, TRAINED..BARS).unwrap();
    let found = parity(&predictor, &rows.iter().map(Vec::as_slice).collect::<Vec<_>>()).unwrap();
    assert_eq!((found.rows, found.mismatches), (BARS - TRAINED, 0));
}

#[test]
fn a_history_of_several_batches_is_decided_on_as_row_by_row() {
    let data = fixture::bars(LONG);
    let (bundle, trial) = (fixture::bundle(Kind::Forecaster, 7, &data), fixture::trial(Kind::Forecaster));
    let (predictor, sight) = (Predictor::load(&bundle).unwrap(), fixture::sight(Kind::Forecaster, &data));
    let setting = Setting { range: 0..LONG, ..setting(&data, &trial, LONG) };
    let (mut stream, mut rows, mut alone) = (sight.from_anchor().unwrap(), Vec::new(), Vec::new());
    for bar in &data.bars {
        let Some(row) = stream.push(bar).unwrap() else {
            alone.push(Decision { bar: bar.time, target: None, reason: Reason::WarmUp });
            continue;
        };
        let output = predictor.predict(&[row]).unwrap().remove(0);
        let prediction = predictor.prediction(bar.time, row, output);
        alone.push(strategy::decide(&trial.strategy, &trial.env, &prediction));
        rows.push(row.to_vec());
    }
    assert_eq!(rows.len(), LONG - 17);
    assert!(run(&predictor, &sight, &setting).unwrap().decisions == alone, "decisions differ");
    assert!(forecast_rows(&sight, &data, 0..LONG).unwrap() == rows, "windows differ");
    let found = Model::load(&bundle).unwrap().parity(&setting).unwrap();
    assert_eq!((found.rows, found.mismatches), (rows.len(), 0));
}

#[test]
fn too_few_bars_or_bars_that_are_not_there_are_refused() {
    let data = flat_market(&[100.0; 4]);
    let (env, strategy) = (EnvSpec::default(), StrategySpec::default());
    for range in [0..2, 2..9, 4..4] {
        let setting = Setting { dataset: &data, range, env: &env, strategy: &strategy };
        assert!(buy_and_hold(&setting).unwrap_err().to_string().contains("three bars at least"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]
    #[test]
    fn no_decision_depends_on_a_later_bar(cut in TRAINED + 3..BARS, swap in any::<u64>(), policy in any::<bool>()) {
        let kind = if policy { Kind::Policy } else { Kind::Forecaster };
        let data = fixture::bars(BARS);
        let whole = decisions(kind, &data, BARS);
        prop_assert_eq!(&decisions(kind, &data, cut), &whole[..cut - TRAINED]);
        // Later bars change places; their times stay in order.
        let mut bars = data.bars.clone();
        let times: Vec<Timestamp> = bars.iter().map(|bar| bar.time).collect();
        let later = bars.len() - cut;
        bars[cut..].rotate_left(swap as usize % later.max(1));
        bars.iter_mut().zip(times).for_each(|(bar, time)| bar.time = time);
        let shuffled = Dataset::new(data.symbol.clone(), data.interval, bars);
        let decided = decisions(kind, &shuffled, BARS);
        prop_assert_eq!(&decided[..cut - TRAINED], &whole[..cut - TRAINED]);
    }
}
