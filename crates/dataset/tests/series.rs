//! What is read in parts is what is read at once, to the digest.

#![allow(clippy::unwrap_used, reason = "a test panics when it fails")]

use std::path::Path;

use dataset::{DataError, Dataset, Part, Series, load, read_parquet, series, write_parquet, write_series};
use market::{Bar, Calendar, Interval, Symbol, Timestamp};
use spec::{Digest, Repair};

const MINUTE: i64 = 60_000_000;

fn symbol(text: &str) -> Symbol {
    Symbol::try_from(text.to_owned()).unwrap()
}

/// Minute bars whose prices tell them apart.
fn bars(count: u64, price: f64) -> impl Iterator<Item = Bar> {
    (0..count).map(move |index| {
        let close = price + (index % 1_009) as f64 / 1_000.0;
        let time = Timestamp::from_micros(index as i64 * MINUTE);
        Bar { time, open: close, high: close, low: close, close, volume: index as f64 }
    })
}

/// Three symbols: the first fills more than a group of rows, the second begins and ends within one.
const COUNTS: [(&str, u64, f64); 3] = [("A", 150_000, 10.0), ("B", 3_000, 20.0), ("C", 140_000, 30.0)];

fn write(path: &Path) -> Vec<Digest> {
    let all = COUNTS.map(|(name, count, price)| (symbol(name), count, bars(count, price)));
    write_series(path, (Interval::Minute, Calendar::Always), all).unwrap()
}

fn open(path: &Path, names: &[&str]) -> Vec<Series> {
    let symbols: Vec<Symbol> = names.iter().map(|name| symbol(name)).collect();
    series(path, &symbols, &[]).unwrap()
}

/// All parts of a series: their bars, how many there were, and the digest at the end.
fn read(series: &Series) -> Result<(Vec<Bar>, usize, Digest), DataError> {
    let (mut reader, mut all, mut parts) = (series.read()?, Vec::new(), 0);
    loop {
        match reader.part()? {
            Part::Bars(bars) => {
                assert!((1..=16_384).contains(&bars.len()), "a part of {} bars", bars.len());
                all.extend(bars);
                parts += 1;
            }
            Part::End(digest) => return Ok((all, parts, digest)),
        }
    }
}

#[test]
fn parts_are_together_what_is_read_at_once_whatever_stands_beside_it_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bars.parquet");
    let digests = write(&path);
    // In another order than that of the file.
    let all = open(&path, &["C", "A", "B"]);
    assert_eq!(all.iter().map(Series::bars).collect::<Vec<_>>(), [140_000, 150_000, 3_000]);
    for (series, digest) in all.iter().zip([digests[2], digests[0], digests[1]]) {
        let whole = read_parquet(&path, series.symbol()).unwrap();
        let (bars, parts, last) = read(series).unwrap();
        assert_eq!((bars.len(), last, last), (whole.bars.len(), digest, whole.digest), "{}", series.symbol());
        assert!(bars == whole.bars && (bars.len() < 16_384 || parts > 8), "{} in {parts} parts", series.symbol());
        assert_eq!((series.interval(), series.calendar()), (whole.interval, whole.calendar));
    }
    // Whoever stops early may begin again.
    let mut abandoned = all[0].read().unwrap();
    assert!(matches!(abandoned.part().unwrap(), Part::Bars(_)));
    drop(abandoned);
    assert_eq!(read(&all[0]).unwrap().2, digests[2]);
}

#[test]
fn symbols_that_come_one_after_the_other_are_written_as_those_that_are_there() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (folder.path().join("one.parquet"), folder.path().join("other.parquet"));
    write(&one);
    let set = |(name, count, price)| {
        let set = Dataset::new(symbol(name), Interval::Minute, bars(count, price).collect());
        set.on(Calendar::Always)
    };
    write_parquet(&other, &COUNTS.map(set)).unwrap();
    assert_eq!(std::fs::read(&one).unwrap(), std::fs::read(&other).unwrap());

    let short = [(symbol("A"), 3, bars(2, 10.0))];
    let error = write_series(&one, (Interval::Minute, Calendar::Always), short).unwrap_err();
    assert!(error.to_string().ends_with("3 bars of A were announced, 2 came"), "{error}");
    assert_eq!(std::fs::read(&one).unwrap(), std::fs::read(&other).unwrap(), "what was there stays");
}

#[test]
fn bars_that_are_not_those_of_the_import_never_come_to_an_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bars.parquet");
    write(&path);
    let bytes = std::fs::read(&path).unwrap();
    for share in [5, 3, 2] {
        let mut edited = bytes.clone();
        edited[bytes.len() / share] ^= 1;
        std::fs::write(&path, &edited).unwrap();
        let refused = |name: &str| match series(&path, &[symbol(name)], &[]) {
            Ok(all) => read(&all[0]).err(),
            Err(error) => Some(error),
        };
        let errors: Vec<DataError> = ["A", "B", "C"].into_iter().filter_map(refused).collect();
        assert!(!errors.is_empty(), "a bit in the first 1/{share} of the file is one of somebody's bars");
        for error in errors {
            assert!(matches!(error, DataError::Format { .. } | DataError::Changed { .. }), "{error}");
        }
    }
}

#[test]
fn repaired_bars_come_in_parts_as_well_and_a_stranger_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bars.parquet");
    let mut doubled: Vec<Bar> = bars(20_000, 10.0).collect();
    doubled.insert(17_000, doubled[16_999]);
    write_parquet(&path, &[Dataset::new(symbol("A"), Interval::Minute, doubled)]).unwrap();
    let (set, repaired) = load(&path, &symbol("A"), &[Repair::Duplicate]).unwrap();
    assert_eq!((set.bars.len(), repaired.len()), (20_000, 1));
    let mended = series(&path, &[symbol("A")], &[Repair::Duplicate]).unwrap();
    let (bars, parts, digest) = read(&mended[0]).unwrap();
    assert_eq!((parts, digest), (2, set.digest));
    assert!(bars == set.bars);
    assert_ne!(read(&open(&path, &["A"])[0]).unwrap().2, set.digest);

    let stranger = series(&path, &[symbol("A"), symbol("Z")], &[]).unwrap_err();
    assert!(matches!(&stranger, DataError::Symbol { symbol, .. } if symbol.as_str() == "Z"), "{stranger}");
}
