//! How well the check finds planted faults, and how often it cries wolf, on files of real bars; one JSON line a file.
//!
//! `cargo run --release -p dataset --example faults -- CALENDAR INTERVAL FILE...`. Into each symbol of each file, a fault of one
//! kind is planted at a place of its own, many times over, and the report is compared with that of the file as it is.

#![allow(clippy::print_stdout, reason = "a measurement prints")]

use std::collections::BTreeMap;
use std::path::Path;

use dataset::{Adjustment, Dataset, FindingKind, ImportOptions, check_set, read_csv};
use market::{Bar, Calendar, Interval};

/// Places tried for each kind of fault in each symbol.
const PLACES: usize = 40;

/// Draws from a linear congruential generator, so that a run can be repeated.
struct Draws(u64);

impl Draws {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((u128::from(self.0 >> 11) * end as u128) >> 53) as usize
    }
}

fn scale(bars: &mut [Bar], price: f64, volume: f64) {
    for bar in bars {
        for value in [&mut bar.open, &mut bar.high, &mut bar.low, &mut bar.close] {
            *value *= price;
        }
        bar.volume *= volume;
    }
}

/// Each fault by name, the finding that it should be, and how it is planted; a fault starts at `row`.
type Plant = fn(&mut Vec<Bar>, usize, &mut Draws);

const FAULTS: [(&str, FindingKind, Plant); 10] = [
    ("unit ×100", FindingKind::Unit, |bars, row, draws| {
        let end = row + 1 + draws.below(5);
        scale(&mut bars[row..end], 100.0, 1.0);
    }),
    ("unit ÷1000", FindingKind::Unit, |bars, row, draws| {
        let end = row + 1 + draws.below(5);
        scale(&mut bars[row..end], 0.001, 1.0);
    }),
    ("split 2:1, 3:1, 4:1, 7:1", FindingKind::SplitLike, |bars, row, draws| {
        let ratio = [2.0, 3.0, 4.0, 7.0][draws.below(4)];
        scale(&mut bars[..row], ratio, 1.0 / ratio);
    }),
    ("split 3:2, reverse 1:5", FindingKind::SplitLike, |bars, row, draws| {
        let ratio = [1.5, 0.2][draws.below(2)];
        scale(&mut bars[..row], ratio, 1.0 / ratio);
    }),
    ("bad close ±20 %", FindingKind::Outlier, |bars, row, draws| {
        let bar = &mut bars[row];
        bar.close *= [0.8, 1.2][draws.below(2)];
        (bar.high, bar.low) = (bar.high.max(bar.close), bar.low.min(bar.close));
    }),
    ("bad high or low ±30 %", FindingKind::Outlier, |bars, row, draws| {
        if draws.below(2) == 0 {
            bars[row].high *= 1.3;
        } else {
            bars[row].low *= 0.7;
        }
    }),
    ("copied bar", FindingKind::Stale, |bars, row, _| bars[row] = Bar { time: bars[row].time, ..bars[row - 1] }),
    ("doubled bar", FindingKind::Duplicate, |bars, row, _| bars.insert(row, bars[row - 1])),
    ("high below low", FindingKind::Range, |bars, row, _| {
        let bar = &mut bars[row];
        (bar.high, bar.low) = (bar.low * 0.999, bar.high * 1.001);
    }),
    ("lost bar", FindingKind::Missing, |bars, row, _| {
        bars.remove(row);
    }),
];

fn main() {
    let mut arguments = std::env::args().skip(1);
    let calendar: Calendar = arguments.next().and_then(|text| text.parse().ok()).expect("CALENDAR INTERVAL FILE...");
    let interval: Interval = arguments.next().and_then(|text| text.parse().ok()).expect("CALENDAR INTERVAL FILE...");
    for file in arguments {
        let path = Path::new(&file);
        let options = ImportOptions { symbol: None, interval, adjustment: Adjustment::None };
        let sets = read_csv(path, &options).expect("a file of bars");
        let sets: Vec<Dataset> = sets.into_iter().map(|set| set.on(calendar)).collect();
        println!("{}", measure(&path.file_name().unwrap_or_default().to_string_lossy(), &sets));
    }
}

fn measure(name: &str, sets: &[Dataset]) -> serde_json::Value {
    let mut clean: BTreeMap<String, u64> = BTreeMap::new();
    let mut recall: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    let mut listed = Vec::new();
    for (number, set) in sets.iter().enumerate() {
        let before = check_set(set);
        for finding in &before.findings {
            *clean.entry(finding.kind.to_string()).or_default() += 1;
            if listed.len() < 60 {
                listed.push(format!("{} {} {}: {}", finding.symbol, finding.time.date(), finding.kind, finding.detail));
            }
        }
        let mut draws = Draws(number as u64 + 1);
        for (fault, kind, plant) in FAULTS {
            for _ in 0..PLACES.min(set.bars.len() / 20) {
                let row = 20 + draws.below(set.bars.len() - 30);
                let mut bars = set.bars.clone();
                plant(&mut bars, row, &mut draws);
                let planted = Dataset::new(set.symbol.clone(), set.interval, bars).on(set.calendar);
                let is_new = |report: &dataset::QualityReport| {
                    report.findings.iter().filter(|one| one.kind == kind && one.row.abs_diff(row) <= 1).count()
                };
                // An intraday bar that is lost is a hole within the session.
                let holes = |report: &dataset::QualityReport| {
                    report
                        .findings
                        .iter()
                        .filter(|one| one.kind == FindingKind::Hole && one.row.abs_diff(row) <= 1)
                        .count()
                };
                let report = check_set(&planted);
                let found = is_new(&report) > is_new(&before)
                    || kind == FindingKind::Missing && holes(&report) > holes(&before);
                let counts = recall.entry(fault).or_default();
                counts.0 += usize::from(found);
                counts.1 += 1;
            }
        }
    }
    let rows: usize = sets.iter().map(|set| set.bars.len()).sum();
    serde_json::json!({
        "file": name, "symbols": sets.len(), "rows": rows, "findings_as_it_is": clean,
        "found_of_planted": recall.iter().map(|(fault, (found, of))| (*fault, format!("{found}/{of}"))).collect::<BTreeMap<_, _>>(),
        "listed": listed,
    })
}
