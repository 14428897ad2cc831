//! Faults planted in real rows are found where they are, and their repair brings back what was there.

#![allow(clippy::unwrap_used, reason = "a test panics when it fails")]

use std::path::{Path, PathBuf};

use dataset::{
    Action, ActionKind, Actions, Adjustment, DataError, Dataset, Existing, FindingKind, ImportJob, ImportOptions,
    Reading, check_set, import, load, read_csv, write_parquet,
};
use market::{Bar, Calendar, Interval, Symbol};
use spec::Repair;

fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data").join(name)
}

fn options(adjustment: Adjustment) -> ImportOptions {
    ImportOptions { symbol: None, interval: Interval::Day, adjustment }
}

/// Real daily bars, adjusted for splits and dividends.
fn real() -> Dataset {
    read_csv(&shipped("aapl_daily_2013_2023.csv"), &options(Adjustment::AdjustedClose)).unwrap().remove(0)
}

fn with(set: &Dataset, plant: impl FnOnce(&mut Vec<Bar>)) -> Dataset {
    let mut bars = set.bars.clone();
    plant(&mut bars);
    Dataset::new(set.symbol.clone(), set.interval, bars).on(set.calendar)
}

/// Writes a set and loads it repaired.
fn repaired(set: &Dataset, repairs: &[Repair]) -> (Dataset, u64) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bars.parquet");
    write_parquet(&path, std::slice::from_ref(set)).unwrap();
    let (repaired, report) = load(&path, &set.symbol, repairs).unwrap();
    (repaired, report.iter().map(|one| one.bars).sum())
}

/// Largest relative difference of any value of any row.
fn distance(ours: &[Bar], theirs: &[Bar]) -> f64 {
    assert_eq!(ours.len(), theirs.len());
    let values = |bar: &Bar| [bar.open, bar.high, bar.low, bar.close, bar.volume];
    let off = |(a, b): (&Bar, &Bar)| {
        assert_eq!(a.time, b.time);
        values(a).iter().zip(values(b)).map(|(a, b)| (a - b).abs() / b.abs().max(1e-300)).fold(0.0, f64::max)
    };
    ours.iter().zip(theirs).map(off).fold(0.0, f64::max)
}

fn found(set: &Dataset) -> Vec<(usize, FindingKind, u64)> {
    check_set(set).findings.into_iter().map(|finding| (finding.row, finding.kind, finding.bars)).collect()
}

fn scale(bars: &mut [Bar], price: f64, volume: f64) {
    for bar in bars {
        for value in [&mut bar.open, &mut bar.high, &mut bar.low, &mut bar.close] {
            *value *= price;
        }
        bar.volume *= volume;
    }
}

#[test]
fn clean_rows_have_no_finding_and_no_repair_changes_them() {
    let real = real();
    assert_eq!(found(&real), []);
    let (same, changed) = repaired(&real, &[Repair::Split, Repair::UnitError, Repair::Duplicate, Repair::Gap]);
    assert_eq!((same, changed), (real, 0));
}

#[test]
fn rows_in_another_unit_are_found_and_brought_back() {
    let real = real();
    for (row, count, power) in [(400, 1, 2), (900, 3, -2), (1_500, 40, 3), (2_000, 7, -3), (2_600, 2, 1)] {
        let factor = 10f64.powi(power);
        let planted = with(&real, |bars| scale(&mut bars[row..row + count], factor, 1.0));
        assert_eq!(found(&planted), [(row, FindingKind::Unit, count as u64)], "row {row}");
        let (back, changed) = repaired(&planted, &[Repair::UnitError]);
        assert_eq!(changed, count as u64);
        assert!(distance(&back.bars, &real.bars) < 4e-16, "{}", distance(&back.bars, &real.bars));
        assert_eq!(back.bars[..row], real.bars[..row], "rows before are not touched");
        assert_eq!(back.bars[row + count..], real.bars[row + count..], "rows after are not touched");
    }
    // A unit that changes for good: the shorter part gives way.
    let planted = with(&real, |bars| scale(&mut bars[..300], 100.0, 1.0));
    assert_eq!(found(&planted), [(300, FindingKind::Unit, 1)]);
    assert!(distance(&repaired(&planted, &[Repair::UnitError]).0.bars, &real.bars) < 4e-16);
}

#[test]
fn splits_that_were_not_adjusted_are_found_and_taken_out() {
    let real = real();
    for (row, new, old) in
        [(500, 2.0, 1.0), (1_000, 7.0, 1.0), (1_700, 3.0, 2.0), (2_300, 1.0, 10.0), (2_500, 4.0, 1.0)]
    {
        let planted = with(&real, |bars| scale(&mut bars[..row], new / old, old / new));
        assert_eq!(found(&planted), [(row, FindingKind::SplitLike, 1)], "{new} for {old}");
        let (back, changed) = repaired(&planted, &[Repair::Split]);
        assert_eq!(changed, row as u64);
        assert!(distance(&back.bars, &real.bars) < 1e-15, "{}", distance(&back.bars, &real.bars));
        assert_eq!(back.bars[row..], real.bars[row..], "rows after are not touched");
    }
    let planted = with(&real, |bars| {
        scale(&mut bars[..1_200], 2.0, 0.5);
        scale(&mut bars[..600], 3.0, 1.0 / 3.0);
    });
    assert!(distance(&repaired(&planted, &[Repair::Split]).0.bars, &real.bars) < 1e-15, "two splits");
}

#[test]
fn the_real_split_of_2005_is_found_and_taken_out_and_no_other_row_is() {
    let mut sets = read_csv(&shipped("us_daily_unadjusted_2005_h1.csv"), &options(Adjustment::None)).unwrap();
    let (ibm, apple) = (sets.remove(1), sets.remove(0));
    assert_eq!(found(&ibm), []);
    let row = apple.bars.iter().position(|bar| bar.time.date() == "2005-02-28").unwrap();
    assert_eq!(found(&apple), [(row, FindingKind::SplitLike, 1)]);
    let (back, _) = repaired(&apple, &[Repair::Split]);
    assert_eq!(back.bars[row - 1].close, apple.bars[row - 1].close / 2.0);
    assert_eq!(back.bars[row..], apple.bars[row..]);
    assert_eq!(repaired(&ibm, &[Repair::Split]).0, ibm);
}

#[test]
fn copies_of_bars_are_found_and_left_out_and_bars_that_differ_are_not_chosen_between() {
    let real = real();
    let planted = with(&real, |bars| {
        bars.insert(100, bars[99]);
        bars.insert(2_000, bars[1_999]);
    });
    assert_eq!(found(&planted), [(100, FindingKind::Duplicate, 1), (2_000, FindingKind::Duplicate, 1)]);
    assert_eq!(repaired(&planted, &[Repair::Duplicate]), (real.clone(), 2));
    let differing = with(&real, |bars| bars.insert(100, Bar { close: bars[99].low, ..bars[99] }));
    assert_eq!(repaired(&differing, &[Repair::Duplicate]), (differing.clone(), 0));
}

#[test]
fn gaps_are_found_and_filled_without_trade() {
    let real = real();
    let planted = with(&real, |bars| {
        bars.drain(1_000..1_003);
        bars.remove(200);
    });
    let kinds: Vec<_> = found(&planted).into_iter().map(|(row, kind, _)| (row, kind)).collect();
    let missing = FindingKind::Missing;
    assert_eq!(kinds, [(200, missing), (999, missing), (999, missing), (999, missing)]);
    let (filled, changed) = repaired(&planted, &[Repair::Gap]);
    assert_eq!(changed, 4);
    for (row, (ours, theirs)) in filled.bars.iter().zip(&real.bars).enumerate() {
        assert_eq!(ours.time, theirs.time);
        if row == 200 || (1_000..1_003).contains(&row) {
            let before = filled.bars[row - 1].close;
            assert_eq!(
                (ours.open, ours.high, ours.low, ours.close, ours.volume),
                (before, before, before, before, 0.0)
            );
        } else {
            assert_eq!(ours, theirs, "row {row} is not touched");
        }
    }
}

#[test]
fn bars_without_trade_that_were_lost_come_back_exactly() {
    let path = shipped("asml_daily_2010_2013.csv");
    let real = read_csv(&path, &options(Adjustment::None)).unwrap().remove(0).on(Calendar::Weekdays);
    let still: Vec<usize> = (1..real.bars.len())
        .filter(|row| real.bars[*row].volume == 0.0 && real.bars[*row].close == real.bars[row - 1].close)
        .collect();
    assert!(still.len() >= 3, "{still:?}");
    let row = still[1];
    let planted = with(&real, |bars| {
        bars.remove(row);
    });
    let (filled, _) = repaired(&planted, &[Repair::Gap]);
    assert_eq!(filled.bars[row], real.bars[row]);
    assert_eq!(filled.bars[..row], real.bars[..row]);
}

#[test]
fn the_real_faults_of_a_file_from_amsterdam_are_named() {
    let path = shipped("asml_daily_2010_2013.csv");
    let set = read_csv(&path, &options(Adjustment::None)).unwrap().remove(0).on(Calendar::Weekdays);
    let report = check_set(&set);
    let missing: Vec<_> = report.findings.iter().filter(|one| one.kind == FindingKind::Missing).collect();
    // Good Friday and Easter Monday, on which Amsterdam is closed, and a session that the vendor lost.
    assert_eq!(
        missing.iter().map(|one| one.time.date()).collect::<Vec<_>>(),
        ["2011-04-22", "2011-04-25", "2011-06-28"]
    );
    let still: u64 = report.findings.iter().filter(|one| one.kind == FindingKind::Stale).map(|one| one.bars).sum();
    assert!((8..=10).contains(&still), "{still} of 10 bars without trade");
    assert!(!report.is_usable());
}

#[test]
fn dividends_that_were_recorded_are_taken_out() {
    let real = real();
    let folder = tempfile::tempdir().unwrap();
    let (row, cash) = (1_500, 0.8);
    // Before the day the shares were worth the cash more.
    let factor = (real.bars[row - 1].close + cash) / real.bars[row - 1].close;
    let planted = with(&real, |bars| scale(&mut bars[..row], factor, 1.0));
    let csv = folder.path().join("raw.csv");
    let line = |bar: &Bar| {
        format!("{},AAPL,{},{},{},{},{}\n", bar.time.date(), bar.open, bar.high, bar.low, bar.close, bar.volume)
    };
    let text: String = planted.bars.iter().map(line).collect();
    std::fs::write(&csv, format!("date,symbol,open,high,low,close,volume\n{text}")).unwrap();
    let actions = |kind| Actions::from([(real.symbol.clone(), vec![Action { date: real.bars[row].time, kind }])]);
    let job = |adjustment, actions| ImportJob {
        files: vec![csv.clone()],
        target: folder.path().join("bars.parquet"),
        existing: Existing::Replace,
        options: options(adjustment),
        reading: Reading::default(),
        calendar: Calendar::Xnys,
        actions,
    };
    // Recorded at the import, taken out when a spec asks.
    let raw = job(Adjustment::None, actions(ActionKind::Dividend(cash)));
    import(&raw, &mut |_| {}).unwrap();
    let asked = |repairs: &[Repair]| load(&raw.target, &real.symbol, repairs);
    assert_eq!(asked(&[]).unwrap().0.bars, planted.bars);
    let (back, report) = asked(&[Repair::Dividend]).unwrap();
    assert!(distance(&back.bars, &real.bars) < 1e-14, "{}", distance(&back.bars, &real.bars));
    assert_eq!(back.bars[row..], real.bars[row..]);
    assert_eq!((report.len(), report[0].bars), (1, row as u64));
    // Taken out at the import.
    import(&job(Adjustment::Actions, actions(ActionKind::Dividend(cash))), &mut |_| {}).unwrap();
    assert_eq!(asked(&[]).unwrap().0.bars, back.bars);
    let error = asked(&[Repair::Dividend]).unwrap_err();
    assert!(matches!(error, DataError::NoActions { .. }), "{error}");
    let error = import(&job(Adjustment::Actions, actions(ActionKind::Dividend(1e6))), &mut |_| {}).unwrap_err();
    assert!(matches!(error, DataError::Dividend { .. }), "{error}");
}

#[test]
fn a_split_and_a_dividend_are_taken_out_together_in_the_shares_of_their_day() {
    let real = real();
    let (early, late, cash) = (1_000, 2_000, 3.0);
    // As traded: shares were four times as dear before the late split, and worth the cash more before the early date.
    let traded = real.bars[early - 1].close * 4.0 + cash;
    let planted = with(&real, |bars| {
        scale(&mut bars[..late], 4.0, 0.25);
        scale(&mut bars[..early], traded / (traded - cash), 1.0);
    });
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("source.parquet");
    write_parquet(&source, std::slice::from_ref(&planted)).unwrap();
    let at = |row: usize, kind| Action { date: real.bars[row].time, kind };
    let actions = vec![at(early, ActionKind::Dividend(cash)), at(late, ActionKind::Split(4.0))];
    let job = ImportJob {
        files: vec![source],
        target: folder.path().join("bars.parquet"),
        existing: Existing::Replace,
        options: options(Adjustment::None),
        reading: Reading::default(),
        calendar: Calendar::Xnys,
        actions: Actions::from([(real.symbol.clone(), actions)]),
    };
    import(&job, &mut |_| {}).unwrap();
    for repairs in [[Repair::Split, Repair::Dividend], [Repair::Dividend, Repair::Split]] {
        let (back, _) = load(&job.target, &real.symbol, &repairs).unwrap();
        assert!(distance(&back.bars, &real.bars) < 1e-14, "{}", distance(&back.bars, &real.bars));
    }
}

#[test]
fn a_bad_print_is_found_and_a_real_crash_is_not_called_one() {
    let real = real();
    let planted = with(&real, |bars| bars[1_234].close *= 0.8);
    let planted = with(&planted, |bars| bars[1_234].low = bars[1_234].close);
    assert_eq!(found(&planted), [(1_234, FindingKind::Outlier, 1)]);
    let planted = with(&real, |bars| bars[2_222].high *= 1.6);
    assert_eq!(found(&planted), [(2_222, FindingKind::Outlier, 1)]);
    // A fall of a third that stays, with five times the usual volume, is news.
    let planted = with(&real, |bars| {
        scale(&mut bars[1_800..], 0.66, 1.0);
        bars[1_800].volume *= 6.0;
    });
    assert_eq!(found(&planted), []);
}

#[test]
fn a_symbol_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bars.parquet");
    write_parquet(&path, &[real()]).unwrap();
    let error = load(&path, &Symbol::try_from("IBM".to_owned()).unwrap(), &[Repair::Gap]).unwrap_err();
    assert!(matches!(error, DataError::Symbol { .. }), "{error}");
}
