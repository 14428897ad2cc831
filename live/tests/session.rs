//! Paper sessions over AAPL's bars: equal to the backtest, killed anywhere, stopped by limits, and replayed.

#![allow(clippy::unwrap_used, reason = "a test panics when it fails")]

#[path = "../../crates/backtest/tests/fixture/mod.rs"]
mod fixture;

use std::convert::Infallible;
use std::ops::ControlFlow;
use std::path::Path;

use artifacts::Bundle;
use backtest::Setting;
use backtest::calibration::CalibrationFigures;
use dataset::Dataset;
use dataset::outcome::direction;
use fixture::{Kind, TRAINED};
use live::feed::Feed;
use live::journal::{self, Alarm, Record, frames};
use live::session::{Event, LiveError, Options, Summary, run};
use live::{Outcome, ReplayError, replay};
use market::{Money, Timestamp};
use models::{CALIBRATION_FORMAT, Calibration, Predictor, SpreadFit};
use proptest::prelude::*;
use risk::{KillSwitch, Limit, Limits};
use spec::{Confidence, Decision, Output, Repair, SupervisedSpec, TaskSpec};

const BARS: usize = 200;

struct Session {
    folder: tempfile::TempDir,
    options: Options,
    bundle: Bundle,
    data: Dataset,
}

/// A forecaster's or policy's session in a folder of its own; limits that bind nothing.
fn session(kind: Kind) -> Session {
    let (folder, data) = (tempfile::tempdir().unwrap(), fixture::bars(BARS));
    let options = Options {
        journal: folder.path().join("session.journal"),
        kill_switch: folder.path().join("halt"),
        session: "paper".to_owned(),
        limits: Limits::unbounded(),
    };
    Session { bundle: fixture::bundle(kind, 7, &data), options, data, folder }
}

impl Session {
    fn feed(&self) -> Feed {
        Feed::after(&self.data, Some(self.data.bars[TRAINED - 1].time))
    }

    fn trade(&self) -> Result<Summary, LiveError> {
        run(&self.options, &self.bundle, self.feed(), &mut |_| ControlFlow::Continue(()))
    }

    /// Trades, doing something at the `bar`-th bar.
    fn trade_and_at(&self, bar: usize, mut act: impl FnMut() -> ControlFlow<()>) -> Result<Summary, LiveError> {
        let mut bars = 0;
        run(&self.options, &self.bundle, self.feed(), &mut |event| {
            let Event::Recorded(Record::Bar(_)) = event else { return ControlFlow::Continue(()) };
            bars += 1;
            if bars == bar { act() } else { ControlFlow::Continue(()) }
        })
    }

    fn replay(&self) -> Result<Outcome, ReplayError> {
        replay(&self.options.journal, |_| Ok::<_, Infallible>(self.bundle.clone()))
    }

    fn records(&self) -> Vec<Record> {
        journal::read(&self.options.journal).unwrap().1
    }

    fn decisions(&self) -> Vec<Decision> {
        let decision = |record| if let Record::Decision(decision) = record { Some(decision) } else { None };
        self.records().into_iter().filter_map(decision).collect()
    }
}

fn rewrite(path: &Path, change: impl FnOnce(&mut Vec<Vec<u8>>)) {
    let mut payloads: Vec<_> = frames::read(path).unwrap().frames.into_iter().map(|frame| frame.payload).collect();
    change(&mut payloads);
    std::fs::remove_file(path).unwrap();
    let (mut file, _) = frames::Frames::open(path).unwrap();
    payloads.iter().for_each(|payload| file.append(payload).unwrap());
}

#[test]
fn a_paper_session_trades_exactly_as_the_backtest() {
    for kind in [Kind::Forecaster, Kind::Policy, Kind::Learned] {
        let session = session(kind);
        let trial = fixture::trial(kind);
        let setting =
            Setting { dataset: &session.data, range: TRAINED..BARS, env: &trial.env, strategy: &trial.strategy };
        let predictor = Predictor::load(&session.bundle).unwrap();
        let sight = fixture::sight(kind, &session.data);
        let expected = backtest::run(&predictor, &sight, &setting).unwrap();
        let live = session.trade().unwrap();
        assert!(expected.fills.len() > 5, "{kind:?}: only {} fills", expected.fills.len());
        let fills: Vec<_> = session.records().into_iter().filter(|record| matches!(record, Record::Fill(_))).collect();
        for (live, expected) in fills.iter().zip(&expected.fills) {
            let Record::Fill(live) = live else { unreachable!("only fills were kept") };
            let renamed = venue::Fill { client_order_id: expected.client_order_id.clone(), ..live.clone() };
            assert_eq!(&renamed, expected);
        }
        assert_eq!((live.fills, live.orders), (expected.fills.len(), expected.orders.len()));
        assert_eq!(session.decisions(), expected.decisions);
        let equity: Vec<Money> = live.marks[1..].iter().map(|mark| mark.equity).collect();
        assert_eq!(equity, expected.equity);
        assert_eq!(live.orders_hash, Some(expected.orders_hash), "{kind:?}");
    }
}

#[test]
fn a_replay_derives_every_prediction_decision_and_order_again() {
    for kind in [Kind::Forecaster, Kind::Policy, Kind::Learned] {
        let session = session(kind);
        let traded = session.trade().unwrap();
        let bars = BARS - TRAINED;
        let expected = Outcome::Identical { bars, decisions: bars, orders: traded.orders };
        assert_eq!(session.replay().unwrap(), expected);
    }
}

/// The same with a calibration whose scores are of another market, so that intervals have something to learn.
fn calibrated(kind: Kind) -> Session {
    let mut session = session(kind);
    let calibration = Calibration {
        format: CALIBRATION_FORMAT,
        temperature: 1.4,
        bias: None,
        spread: SpreadFit::Deviation(0.02),
        coverage: 0.8,
        rate: 0.05,
        passes: 8,
        horizon: 1,
        scores: (1..=40).map(|place| f64::from(place) / 10.0).collect(),
    };
    session.bundle = session.bundle.clone().calibrated(spec::canonical_json(&calibration));
    session
}

fn confidences(session: &Session) -> Vec<Confidence> {
    let confidence = |record| if let Record::Confidence(confidence) = record { Some(confidence) } else { None };
    session.records().into_iter().filter_map(confidence).collect()
}

#[test]
fn a_calibrated_session_journals_its_confidence_and_replays_to_the_bit() {
    let session = calibrated(Kind::Forecaster);
    let orders = session.trade().unwrap().orders;
    let bars = BARS - TRAINED;
    assert_eq!(session.replay().unwrap(), Outcome::Identical { bars, decisions: bars, orders });
    let said = confidences(&session);
    assert_eq!(said.len(), bars, "one beside each prediction");
    assert!(said.iter().all(|said| said.low < said.high && said.aleatoric > 0.0 && said.epistemic >= 0.0));
    assert!(said.windows(2).any(|pair| pair[0].miss != pair[1].miss), "the level moves");
    assert_eq!(said[0].miss, 1.0 - 0.8);
    // Its two parts are those of the deviation that was fitted.
    assert!(said.iter().all(|said| (said.aleatoric.hypot(said.epistemic) - 0.02).abs() < 1e-8));
    // Without a calibration there is none, and the journal is what it was.
    assert_eq!(confidences(&traded(self::session(Kind::Forecaster))), Vec::new());
}

fn traded(session: Session) -> Session {
    session.trade().unwrap();
    session
}

fn task() -> SupervisedSpec {
    let TaskSpec::Supervised(task) = fixture::trial(Kind::Forecaster).task else { panic!("it forecasts") };
    task
}

/// What the backtest says of the bundle over the bars of the session.
fn judged(session: &Session, task: &SupervisedSpec) -> CalibrationFigures {
    let trial = fixture::trial(Kind::Forecaster);
    let setting = Setting { dataset: &session.data, range: TRAINED..BARS, env: &trial.env, strategy: &trial.strategy };
    backtest::Model::load(&session.bundle).unwrap().calibration(&setting, task).unwrap().unwrap()
}

#[test]
fn live_intervals_hold_as_many_outcomes_as_the_backtest_counts() {
    let session = traded(calibrated(Kind::Forecaster));
    let figures = judged(&session, &task());
    let said = confidences(&session);
    let bars = &session.data.bars[TRAINED..];
    let inside = bars.windows(2).zip(&said).filter(|(pair, said)| {
        let outcome = (pair[1].close / pair[0].close).ln();
        (said.low..=said.high).contains(&outcome)
    });
    assert_eq!(figures.rows, bars.len() - 1, "the last bar has no outcome yet");
    assert_eq!(figures.adaptive.covered, inside.count() as f64 / figures.rows as f64);
    let width: f64 = said[..figures.rows].iter().map(|said| said.high - said.low).sum();
    assert!((figures.adaptive.width - width / figures.rows as f64).abs() < 1e-12);
}

/// What the calibration alone says of each bar.
fn unmoved(session: &Session) -> Vec<[f32; 3]> {
    let said = |record| {
        let Record::Prediction(prediction) = record else { return None };
        let Output::Forecast { probabilities, .. } = prediction.output else { return None };
        Some(probabilities)
    };
    session.records().into_iter().filter_map(said).collect()
}

#[test]
fn live_directions_begin_as_the_calibrated_ones_and_follow_as_the_backtest_counts() {
    let session = traded(calibrated(Kind::Forecaster));
    let (task, unmoved) = (task(), unmoved(&session));
    let followed: Vec<[f32; 3]> = confidences(&session).iter().map(|said| said.probabilities.unwrap()).collect();
    // A barrier's distance is read from the 20 returns before, so the first direction is that of bar 20, known at bar 21.
    assert_eq!(followed[..21], unmoved[..21]);
    assert!(followed[21..].iter().zip(&unmoved[21..]).all(|(followed, unmoved)| followed != unmoved));

    let figures = judged(&session, &task);
    let (rows, counted) = (figures.rows as f64, figures.followed.unwrap());
    let unit = Predictor::load(&session.bundle).unwrap().return_unit().unwrap();
    let (mut brier, mut most) = (0.0, 0.0);
    for (place, said) in followed[..figures.rows].iter().enumerate() {
        let class = usize::from(direction(&session.data.bars, TRAINED + place, &task, unit));
        for (index, probability) in said.iter().enumerate() {
            brier += (f64::from(*probability) - f64::from(u8::from(index == class))).powi(2);
        }
        most += f64::from(said.iter().copied().fold(0.0, f32::max));
    }
    assert!((counted.brier - brier / rows).abs() < 1e-12, "{counted:?} {}", brier / rows);
    let confidence: f64 = counted.reliability.iter().map(|bin| bin.count as f64 * bin.confidence).sum();
    assert!((confidence - most).abs() < 1e-9, "{counted:?} {most}");
}

#[test]
fn a_changed_level_or_direction_in_the_journal_is_the_first_difference_and_a_later_bar_changes_none() {
    let session = traded(calibrated(Kind::Forecaster));
    let records = session.records();
    let at = records.iter().rposition(|record| matches!(record, Record::Confidence(_))).unwrap();
    let Record::Confidence(last) = &records[at] else { unreachable!("found by its kind") };
    let next = |[down, flat, up]: [f32; 3]| [down, flat, f32::from_bits(up.to_bits() + 1)];
    for (changed, field) in [
        (Confidence { miss: last.miss + 1e-15, ..*last }, "confidence.miss"),
        (Confidence { probabilities: last.probabilities.map(next), ..*last }, "confidence.probabilities[2]"),
    ] {
        rewrite(&session.options.journal, |payloads| {
            payloads[at + 1] = serde_json::to_vec(&Record::Confidence(changed)).unwrap();
        });
        let Outcome::Differs(difference) = session.replay().unwrap() else { panic!("it was changed") };
        assert_eq!(difference.field, field);
    }

    let whole = confidences(&traded(calibrated(Kind::Forecaster)));
    let mut other = calibrated(Kind::Forecaster);
    other.data.bars[TRAINED + 30..].iter_mut().for_each(|bar| {
        (bar.open, bar.high, bar.low, bar.close) = (bar.open * 1.1, bar.high * 1.1, bar.low * 1.1, bar.close * 1.1);
    });
    assert_eq!(confidences(&traded(other))[..30], whole[..30]);
}

#[test]
fn a_changed_byte_in_a_journalled_prediction_is_the_first_difference() {
    let session = session(Kind::Forecaster);
    session.trade().unwrap();
    let records = session.records();
    let at = records.iter().rposition(|record| matches!(record, Record::Prediction(_))).unwrap();
    let Record::Prediction(prediction) = &records[at] else { unreachable!("found by its kind") };
    let bar = prediction.bar;
    rewrite(&session.options.journal, |payloads| {
        // The header is payload 0. The first digit above zero becomes another.
        let line = &mut payloads[at + 1];
        let value = line.windows(2).rposition(|pair| pair == b"\":").unwrap();
        let digit = (value + 2..line.len()).find(|&byte| (b'1'..=b'9').contains(&line[byte])).unwrap();
        line[digit] = if line[digit] == b'1' { b'2' } else { b'1' };
    });
    let Outcome::Differs(difference) = session.replay().unwrap() else { panic!("nothing was found") };
    assert_eq!((difference.record, difference.bar), (at + 1, Some(bar)));
    assert_eq!(difference.field, "prediction.output.forecast.expected_return");
    assert_ne!(difference.journalled, difference.derived);
    // The same change stops a session from going on.
    assert!(matches!(session.trade(), Err(LiveError::Diverged(found)) if *found == difference));
}

#[test]
fn another_bundle_is_refused_by_its_digest() {
    let mut session = session(Kind::Forecaster);
    session.trade().unwrap();
    let (traded, other) = (session.bundle.id(), fixture::bundle(Kind::Forecaster, 8, &session.data));
    session.bundle = other.clone();
    let refused = session.replay().unwrap_err();
    assert!(matches!(refused, ReplayError::OtherBundle { wanted, given } if wanted == traded && given == other.id()));
    assert!(matches!(session.trade(), Err(LiveError::OtherSession { field: "bundle", .. })));
}

#[test]
fn a_session_killed_at_any_record_or_byte_goes_on_to_the_same_journal() {
    for mut session in [session(Kind::Forecaster), calibrated(Kind::Forecaster)] {
        session.data.bars.truncate(TRAINED + 30);
        let whole = session.trade().unwrap();
        let path = &session.options.journal;
        let bytes = std::fs::read(path).unwrap();
        let ends = frames::read(path).unwrap().frames.into_iter().map(|frame| frame.offset as usize);
        // Cuts between records and inside them, over the first orders and some later ones.
        let cuts = ends.skip(1).enumerate().filter(|(index, _)| *index < 16 || index % 13 == 0);
        for cut in cuts.flat_map(|(_, end)| [end, end + 5, end - 3]) {
            std::fs::write(path, &bytes[..cut]).unwrap();
            let resumed = session.trade().unwrap();
            assert!(std::fs::read(path).unwrap() == bytes, "cut at {cut}");
            assert_eq!(resumed, whole, "cut at {cut}");
        }
    }
}

#[test]
fn a_session_stopped_by_its_observer_goes_on_where_it_stopped() {
    let (stopped, whole) = (session(Kind::Policy), session(Kind::Policy));
    whole.trade().unwrap();
    let first = stopped.trade_and_at(30, || ControlFlow::Break(())).unwrap();
    assert_eq!(first.bars, 30);
    let mut told = Vec::new();
    let feed = stopped.feed();
    run(&stopped.options, &stopped.bundle, feed, &mut |event| {
        if let Event::Resumed { bars, orders, torn } = event {
            told.push((*bars, *orders, *torn));
        }
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!(told, [(30, first.orders, 0)]);
    assert_eq!(stopped.records(), whole.records());
}

#[test]
fn an_order_is_on_disk_before_anyone_hears_of_its_acknowledgement() {
    let session = session(Kind::Forecaster);
    let mut orders = 0;
    run(&session.options, &session.bundle, session.feed(), &mut |event| {
        if let Event::Recorded(Record::Ack(id)) = event {
            orders += 1;
            let known = |record: &Record| matches!(record, Record::Order(order) if order.client_order_id == *id);
            assert_eq!(session.records().iter().filter(|record| known(record)).count(), 1);
        }
        ControlFlow::Continue(())
    })
    .unwrap();
    assert!(orders > 5);
}

#[test]
fn the_kill_switch_stops_orders_is_journalled_and_replays() {
    let session = session(Kind::Forecaster);
    let halt = session.options.kill_switch.clone();
    let summary = session
        .trade_and_at(20, || {
            std::fs::write(&halt, "").unwrap();
            ControlFlow::Continue(())
        })
        .unwrap();
    let records = session.records();
    let engaged = records.iter().position(|record| *record == Record::KillSwitch(KillSwitch::Halted)).unwrap();
    assert_eq!(records[engaged + 1], Record::Alarm(Alarm::KillSwitch(KillSwitch::Halted)));
    let after = &records[engaged..];
    assert!(!after.iter().any(|record| matches!(record, Record::Order(_))));
    let halted = |record: &Record| matches!(record, Record::Refusal(refusal) if matches!(refusal.limit, Limit::KillSwitch { .. }));
    assert!(after.iter().any(halted));
    assert!(summary.orders > 0 && summary.refusals > 0);
    // Whether the file is still there does not matter to a replay.
    std::fs::remove_file(&session.options.kill_switch).unwrap();
    assert!(matches!(session.replay().unwrap(), Outcome::Identical { .. }));
}

#[test]
fn limits_refuse_by_name_and_belong_to_the_session() {
    let mut session = session(Kind::Forecaster);
    session.options.limits.order_max = Money::units(1_000);
    let summary = session.trade().unwrap();
    assert_eq!((summary.orders, summary.fills), (0, 0));
    let refused = |record: &Record| matches!(record, Record::Refusal(refusal) if matches!(refusal.limit, Limit::OrderValue { .. }));
    assert_eq!(session.records().iter().filter(|record| refused(record)).count(), summary.refusals);
    assert!(summary.refusals > 5);
    session.options.limits.order_max = Money::units(2_000);
    assert!(matches!(session.trade(), Err(LiveError::OtherSession { field: "set of limits", .. })));
}

#[test]
fn a_replay_feed_starts_after_the_bundles_last_bar_and_says_what_it_skipped() {
    let session = session(Kind::Forecaster);
    let path = session.folder.path().join("aapl.parquet");
    dataset::write_parquet(&path, std::slice::from_ref(&session.data)).unwrap();
    let after = Some(session.data.bars[TRAINED - 1].time);
    let feed = Feed::replay(&path, &session.data.symbol, (session.data.interval, &[]), after).unwrap();
    assert_eq!((feed.skipped, feed.bars.len()), (TRAINED, BARS - TRAINED));
    assert_eq!(feed, session.feed());
    let last = Some(session.data.bars[BARS - 1].time);
    let error = Feed::replay(&path, &session.data.symbol, (session.data.interval, &[]), last).unwrap_err();
    assert!(error.to_string().contains("no bar of AAPL comes after"), "{error}");
}

#[test]
fn a_replay_feed_repairs_bars_as_those_were_that_were_trained_on() {
    let session = session(Kind::Forecaster);
    let path = session.folder.path().join("aapl.parquet");
    let mut bars = session.data.bars.clone();
    let lost = bars.remove(BARS - 5);
    let torn = Dataset::new(session.data.symbol.clone(), session.data.interval, bars);
    dataset::write_parquet(&path, std::slice::from_ref(&torn)).unwrap();
    let after = Some(session.data.bars[TRAINED - 1].time);
    let read = |repairs: &[Repair]| {
        Feed::replay(&path, &session.data.symbol, (session.data.interval, repairs), after).unwrap().bars
    };
    assert_eq!(read(&[]).len(), BARS - TRAINED - 1);
    let whole = read(&[Repair::Gap]);
    assert_eq!((whole.len(), whole[whole.len() - 5].time), (BARS - TRAINED, lost.time));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, ..ProptestConfig::default() })]
    #[test]
    fn no_live_decision_depends_on_a_later_bar(cut in TRAINED + 1..BARS, turn in 1usize..50, policy in any::<bool>()) {
        let kind = if policy { Kind::Policy } else { Kind::Forecaster };
        let (whole, mut cut_short, mut shuffled) = (session(kind), session(kind), session(kind));
        whole.trade().unwrap();
        cut_short.data.bars.truncate(cut);
        cut_short.trade().unwrap();
        let times: Vec<Timestamp> = shuffled.data.bars.iter().map(|bar| bar.time).collect();
        let later = &mut shuffled.data.bars[cut..];
        let turns = turn % later.len();
        later.rotate_left(turns);
        shuffled.data.bars.iter_mut().zip(times).for_each(|(bar, time)| bar.time = time);
        shuffled.trade().unwrap();
        let seen = cut - TRAINED;
        prop_assert_eq!(&cut_short.decisions()[..], &whole.decisions()[..seen]);
        prop_assert_eq!(&shuffled.decisions()[..seen], &whole.decisions()[..seen]);
    }
}
