//! What is wrong with bars is found where it is; splits never read one another.

#![allow(clippy::unwrap_used, reason = "a test panics when it fails")]

use dataset::{DataError, FindingKind, QualityReport, Severity, Splitter, Tally, check, check_on, quality_page, split};
use market::{Bar, Calendar, Interval, Symbol, Timestamp};
use proptest::prelude::*;
use spec::{DateRange, SplitSpec};

type Spoil = fn(&mut Bar);

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A bar that differs from those of other days.
fn bar(date: &str) -> Bar {
    let day: f64 = date[8..10].parse().unwrap();
    Bar { time: time(date), open: 2.0, high: 3.0, low: 1.0, close: 2.5 + day / 100.0, volume: 10.0 }
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
         "bars": 1, "detail": "open 2 high 3 low 0 close 2.52 volume 10"},
        {"row": 3, "time": "2018-07-04T00:00:00Z", "symbol": "A", "kind": "no_session", "severity": "warning",
         "bars": 1, "detail": "the exchange was closed"},
    ]);
    assert_eq!(json["findings"], wanted);
    assert_eq!(FindingKind::NoSession.severity(), Severity::Warning);
}

/// Bars that walk, `step` minutes apart.
fn walk(start: &str, step: i64, count: i64) -> Vec<Bar> {
    let mut state = 9u64;
    let mut close = 100.0;
    let bar = |n| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let open = close;
        close *= 1.0 + ((state >> 40) % 21) as f64 / 1_000.0 - 0.01;
        let time = Timestamp::from_micros(time(start).micros() + n * step * 60_000_000);
        Bar { time, open, high: open.max(close) + 0.1, low: open.min(close) - 0.1, close, volume: (n % 7 + 1) as f64 }
    };
    (0..count).map(bar).collect()
}

fn kinds(calendar: Calendar, interval: Interval, bars: &[Bar]) -> Vec<(usize, FindingKind, u64)> {
    let report = check_on(calendar, bars, &Symbol::try_from("A".to_owned()).unwrap(), interval);
    report.findings.into_iter().map(|finding| (finding.row, finding.kind, finding.bars)).collect()
}

#[test]
fn bars_of_another_interval_or_beside_the_grid_are_named() {
    let hours = walk("2021-01-04", 60, 100);
    assert_eq!(kinds(Calendar::Always, Interval::Hour, &hours), []);
    let mut mixed = hours.clone();
    mixed.insert(50, Bar { time: mixed[49].time.plus_seconds(1_800.0), ..walk("2021-01-04", 60, 60)[55] });
    let found = kinds(Calendar::Always, Interval::Hour, &mixed);
    assert_eq!(found, [(50, FindingKind::Spacing, 1), (51, FindingKind::Spacing, 1)]);
    // Daily bars that are said to be hours, and the other way round.
    let found = check_on(Calendar::Always, &walk("2021-01-04", 1_440, 100), &symbol(), Interval::Hour);
    let spacing = found.findings.iter().find(|finding| finding.kind == FindingKind::Spacing).unwrap();
    assert_eq!(spacing.detail, "the usual step between bars is 1d, not 1h: say so with --interval");
    assert_eq!(kinds(Calendar::Always, Interval::Day, &hours), [(0, FindingKind::Spacing, 100)]);
}

fn symbol() -> Symbol {
    Symbol::try_from("A".to_owned()).unwrap()
}

#[test]
fn holes_are_those_of_the_calendar() {
    let mut hours = walk("2021-01-04", 60, 200);
    hours.drain(50..53);
    assert_eq!(kinds(Calendar::Always, Interval::Hour, &hours), [(50, FindingKind::Hole, 3)]);
    // A week in foreign exchange: nothing from Friday 22:00 to Sunday 22:00.
    let mut week = walk("2021-01-04", 60, 24 * 7 + 30);
    week.retain(|bar| Calendar::Forex.is_open(bar.time));
    assert_eq!(kinds(Calendar::Forex, Interval::Hour, &week), []);
    let around = kinds(Calendar::Always, Interval::Hour, &week);
    assert_eq!(around, [(118, FindingKind::Missing, 1)], "a market that never closes owes the Saturday");
    // New York's minutes: a missing half hour at noon is a hole, the night is not.
    let mut minutes = walk("2021-01-04T14:30:00Z", 1, 1_440 * 2);
    minutes.retain(|bar| Calendar::Xnys.is_open(bar.time));
    assert_eq!(kinds(Calendar::Xnys, Interval::Minute, &minutes), []);
    minutes.drain(100..145);
    assert_eq!(kinds(Calendar::Xnys, Interval::Minute, &minutes), [(100, FindingKind::Hole, 45)]);
}

#[test]
fn series_that_teach_nothing_are_named() {
    let mut still = walk("2021-01-04", 1_440, 30);
    still.iter_mut().for_each(|bar| (bar.high, bar.low, bar.close) = (bar.high + 9.0, 90.0, 100.0));
    let found = kinds(Calendar::Always, Interval::Day, &still);
    assert!(found.contains(&(0, FindingKind::Constant, 1)), "{found:?}");
    let mut silent = walk("2021-01-04", 1_440, 30);
    silent.iter_mut().for_each(|bar| bar.volume = 0.0);
    assert_eq!(kinds(Calendar::Always, Interval::Day, &silent), [(0, FindingKind::NoVolume, 1)]);
    assert_eq!(kinds(Calendar::Always, Interval::Day, &silent[..1]), [(0, FindingKind::Short, 1)]);
    assert_eq!(kinds(Calendar::Always, Interval::Day, &[]), []);
}

#[test]
fn bars_that_repeat_are_one_finding_a_run() {
    let mut bars = walk("2021-01-04", 1_440, 60);
    for row in [20, 21] {
        bars[row] = Bar { time: bars[row].time, ..bars[19] };
    }
    for row in 40..43 {
        let close = bars[39].close;
        bars[row] = Bar { open: close, high: close, low: close, close, volume: 0.0, ..bars[row] };
    }
    let found = kinds(Calendar::Always, Interval::Day, &bars);
    assert_eq!(found, [(20, FindingKind::Stale, 2), (40, FindingKind::Stale, 3)]);
}

#[test]
fn a_score_falls_with_the_share_of_faulty_bars_and_the_page_names_them() {
    let mut bars = walk("2021-01-04", 1_440, 1_000);
    let report = |bars: &[Bar]| check_on(Calendar::Always, bars, &symbol(), Interval::Day);
    assert_eq!(report(&bars).score(), 100.0);
    bars[500].low = -1.0;
    bars[700].close = f64::NAN;
    let report = report(&bars);
    assert_eq!(report.score(), 98.0);
    assert_eq!(report.tally[&FindingKind::NonPositivePrice], Tally { findings: 1, bars: 1 });
    let page = quality_page("<bars>", &report);
    assert!(page.contains("Quality of &lt;bars&gt;") && page.contains("98.0 of 100"), "{page}");
    assert!(page.contains("<td class=\"n\">700</td>") && page.contains("A run refuses this data."));
}

#[test]
fn findings_without_end_are_counted_and_not_kept() {
    let mut bars = walk("2021-01-04", 1_440, 25_000);
    bars.iter_mut().for_each(|bar| bar.volume = -1.0);
    let report = check_on(Calendar::Always, &bars, &symbol(), Interval::Day);
    assert_eq!((report.findings.len(), report.found(), report.fatal()), (10_000, 25_000, 25_000));
    assert_eq!(report.score(), 0.0);
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

    #[test]
    fn bars_that_come_one_by_one_are_cut_as_those_that_are_there(
        days in prop::collection::btree_set(0i64..120, 0..100), ends in (20i64..40, 60i64..80), embargo in 0u32..8,
    ) {
        let (first, second) = ends;
        // The first and the last bars lie outside all splits.
        let spec = SplitSpec { embargo, ..spec((5, first), (first + 1, second), (second + 1, 99)) };
        let bars: Vec<Bar> =
            days.iter().map(|day| Bar { time: Timestamp::from_micros(day * DAY), ..bar("2018-07-02") }).collect();
        let mut splitter = Splitter::new(&spec);
        let entries: Vec<usize> =
            bars.iter().enumerate().filter(|(_, bar)| splitter.push(bar.time)).map(|(place, _)| place).collect();
        match (split(&bars, &spec), splitter.split()) {
            (Ok(whole), Ok(cut)) => {
                prop_assert_eq!(&entries, &[whole.test.start]);
                prop_assert_eq!(whole, cut);
            }
            (whole, cut) => {
                let [whole, cut] = [whole, cut].map(|refused| refused.unwrap_err().to_string());
                prop_assert_eq!(whole, cut);
            }
        }
    }
}
