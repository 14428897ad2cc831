//! What is wrong with bars is found where it is; splits never read one another.

#![allow(clippy::unwrap_used, reason = "a test panics when it fails")]

use dataset::{DataError, FindingKind, QualityReport, Severity, check, split};
use market::{Bar, Interval, Symbol, Timestamp};
use proptest::prelude::*;
use spec::{DateRange, SplitSpec};

type Spoil = fn(&mut Bar);

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn bar(date: &str) -> Bar {
    Bar { time: time(date), open: 2.0, high: 3.0, low: 1.0, close: 2.5, volume: 10.0 }
}

fn report(bars: &[Bar]) -> QualityReport {
    check(bars, &Symbol::try_from("A".to_owned()).unwrap(), Interval::Day)
}

fn found(bars: &[Bar]) -> Vec<(usize, FindingKind, String)> {
    report(bars).findings.into_iter().map(|finding| (finding.row, finding.kind, finding.time.date())).collect()
}

fn week() -> Vec<Bar> {
    ["2018-06-29", "2018-07-02", "2018-07-03", "2018-07-05", "2018-07-06"].map(bar).to_vec()
}

#[test]
fn a_week_with_a_holiday_is_clean() {
    assert_eq!(found(&week()), []);
}

#[test]
fn every_defect_is_found_in_its_row_and_is_fatal() {
    let cases: [(Spoil, FindingKind); 7] = [
        (|bar| bar.open = f64::NAN, FindingKind::NotFinite),
        (|bar| bar.volume = f64::INFINITY, FindingKind::NotFinite),
        (|bar| bar.low = 0.0, FindingKind::NonPositivePrice),
        (|bar| bar.low = -1.0, FindingKind::NonPositivePrice),
        (|bar| bar.volume = -1.0, FindingKind::NegativeVolume),
        (|bar| bar.close = 4.0, FindingKind::Range),
        (|bar| bar.high = 0.5, FindingKind::Range),
    ];
    for (spoil, kind) in cases {
        let mut bars = week();
        spoil(&mut bars[3]);
        assert_eq!(found(&bars), [(3, kind, "2018-07-05".to_owned())]);
        assert!(!report(&bars).is_usable());
    }
}

#[test]
fn missing_doubled_and_unsorted_bars_are_fatal_and_a_bar_on_a_holiday_is_a_warning() {
    let mut bars = week();
    bars.remove(2);
    assert_eq!(found(&bars), [(2, FindingKind::Missing, "2018-07-03".to_owned())]);
    assert!(!report(&bars).is_usable());

    let mut bars = week();
    bars.insert(2, bars[1]);
    assert_eq!(found(&bars), [(2, FindingKind::Duplicate, "2018-07-02".to_owned())]);
    assert!(!report(&bars).is_usable());

    let mut bars = week();
    bars.swap(1, 2);
    assert!(found(&bars).contains(&(2, FindingKind::Unsorted, "2018-07-02".to_owned())));
    assert!(!report(&bars).is_usable());

    let mut bars = week();
    bars.insert(3, bar("2018-07-04"));
    assert_eq!(found(&bars), [(3, FindingKind::NoSession, "2018-07-04".to_owned())]);
    assert!(report(&bars).is_usable());
}

#[test]
fn a_long_hole_is_one_finding() {
    let holes = report(&[bar("2018-01-02"), bar("2018-06-29")]).findings;
    assert_eq!(holes.len(), 1);
    assert_eq!((holes[0].row, holes[0].time), (1, time("2018-01-03")));
    assert_eq!(holes[0].detail, "no bar of 123 sessions to 2018-06-28");
}

#[test]
fn the_report_for_machines_says_how_grave_each_finding_is() {
    let mut bars = week();
    bars.insert(3, bar("2018-07-04"));
    bars[1].low = 0.0;
    let json = report(&bars).to_json();
    assert_eq!((&json["rows"], &json["usable"], &json["fatal"]), (&6.into(), &false.into(), &1.into()));
    let wanted = serde_json::json!([
        {"row": 1, "time": "2018-07-02T00:00:00Z", "symbol": "A", "kind": "non_positive_price", "severity": "fatal",
         "detail": "open 2 high 3 low 0 close 2.5 volume 10"},
        {"row": 3, "time": "2018-07-04T00:00:00Z", "symbol": "A", "kind": "no_session", "severity": "warning",
         "detail": "the exchange was closed"},
    ]);
    assert_eq!(json["findings"], wanted);
    assert_eq!(FindingKind::NoSession.severity(), Severity::Warning);
}

const DAY: i64 = 86_400_000_000;

fn days(range: (i64, i64)) -> DateRange {
    DateRange { from: Timestamp::from_micros(range.0 * DAY), to: Timestamp::from_micros(range.1 * DAY) }
}

fn series(length: i64) -> Vec<Bar> {
    (0..length).map(|day| Bar { time: Timestamp::from_micros(day * DAY), ..bar("2018-07-02") }).collect()
}

fn spec(train: (i64, i64), validation: (i64, i64), test: (i64, i64)) -> SplitSpec {
    SplitSpec { train: days(train), validation: days(validation), test: days(test), purge: 3, embargo: 2 }
}

#[test]
fn the_end_of_each_split_is_purged_and_the_start_of_the_next_embargoed() {
    let cut = split(&series(100), &spec((0, 49), (50, 74), (75, 99))).unwrap();
    assert_eq!((cut.train, cut.validation, cut.test), (0..47, 52..72, 77..97));
}

#[test]
fn splits_that_touch_or_keep_nothing_are_refused() {
    let bars = series(100);
    let touching = split(&bars, &spec((0, 50), (50, 74), (75, 99))).unwrap_err();
    assert!(matches!(touching, DataError::SplitOrder { earlier: "train", later: "validation", .. }), "{touching}");
    let backwards = split(&bars, &spec((0, 49), (75, 99), (50, 74))).unwrap_err();
    assert!(matches!(backwards, DataError::SplitOrder { earlier: "validation", later: "test", .. }), "{backwards}");
    let narrow = split(&bars, &spec((0, 49), (50, 54), (75, 99))).unwrap_err();
    assert!(matches!(narrow, DataError::EmptySplit { split: "validation", .. }), "{narrow}");
    let beyond = split(&bars, &spec((0, 49), (50, 74), (200, 300))).unwrap_err();
    assert!(matches!(beyond, DataError::EmptySplit { split: "test", .. }), "{beyond}");
}

proptest! {
    #[test]
    fn no_decision_bar_reaches_into_the_next_split(
        ends in (20i64..40, 60i64..80), purge in 1u32..8, embargo in 0u32..8,
    ) {
        let (first, second) = ends;
        let whole = spec((0, first), (first + 1, second), (second + 1, 99));
        let cut = split(&series(100), &SplitSpec { purge, embargo, ..whole }).unwrap();
        for (earlier, later) in [(&cut.train, first), (&cut.validation, second)] {
            let reach = earlier.end as i64 - 1 + i64::from(purge);
            prop_assert_eq!(reach, later, "the last label reads the last bar of its own split");
        }
        prop_assert_eq!(cut.validation.start as i64, first + 1 + i64::from(embargo));
        prop_assert_eq!(cut.test.start as i64, second + 1 + i64::from(embargo));
    }
}
