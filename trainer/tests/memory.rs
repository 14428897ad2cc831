//! How much memory a training takes for its bars: measured on a process of its own, so this is the only test here.

#![allow(clippy::unwrap_used, reason = "a test panics when it fails")]

use std::path::Path;

use market::{Bar, Calendar, Interval, Symbol, Timestamp};
use serde_json::json;
use spec::{Progress, TrialSpec};
use trainer::{Ended, Kept, Material, Sink, SinkError, Start, prepare_among, shelve, train};

/// Symbols of a set.
const NAMES: [&str; 3] = ["A", "B", "C"];

const MINUTE: i64 = 60_000_000;

/// Bytes that a training may take for each bar of a shelved set: the order of rows, and a column while it is fitted.
const BAR_BYTES: u64 = 8;

/// What peaks differ by from one run to the next, whatever the bars: buffers, and what the allocator keeps back.
const SLACK_BYTES: u64 = 32 << 20;

/// Stops a training after its first step.
struct Once;

impl Sink for Once {
    fn progress(&mut self, _progress: Progress) {}

    fn checkpoint(&mut self, _step: u64, _bytes: Vec<u8>) -> Result<Kept, SinkError> {
        Ok(Kept::Not)
    }

    fn should_stop(&self) -> bool {
        true
    }
}

fn time(index: u64) -> Timestamp {
    Timestamp::from_micros(index as i64 * MINUTE)
}

/// Minute bars of a walk.
fn walk(count: u64, seed: u64) -> impl Iterator<Item = Bar> {
    let (mut state, mut close) = (seed, 100.0_f64);
    (0..count).map(move |index| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let open = close;
        close *= 1.0 + ((state >> 40) as f64 / (1_u64 << 24) as f64 - 0.5) / 1_000.0;
        Bar { time: time(index), open, high: open.max(close), low: open.min(close), close, volume: 1.0 }
    })
}

fn symbols() -> Vec<Symbol> {
    NAMES.iter().map(|name| Symbol::try_from((*name).to_owned()).unwrap()).collect()
}

/// Writes a set of so many bars a symbol. Returns the trial that learns from it.
fn at_rest(path: &Path, each: u64) -> TrialSpec {
    let all = symbols().into_iter().zip(1..).map(|(symbol, seed)| (symbol, each, walk(each, seed)));
    let digests = dataset::write_series(path, (Interval::Minute, Calendar::Always), all).unwrap();
    let range = |from: u64, to: u64| json!([time(from), time(to - 1)]);
    let (learned, compared) = (each * 7 / 10, each * 8 / 10);
    // 64 bytes a row: more than bars may take.
    let features: Vec<_> = (1..=16).map(|bars| json!({"log_return": {"bars": bars}})).collect();
    let trial = json!({
        "trial": "large-1.0", "params": {}, "seed": 1, "device": "cpu", "threads": 1,
        "data": {
            "source": "bars", "symbols": NAMES, "interval": "1m",
            "split": {
                "train": range(0, learned), "validation": range(learned, compared), "test": range(compared, each),
                "purge": 1, "embargo": 0
            }
        },
        "data_digest": digests[0], "companion_digests": digests[1..],
        "features": features,
        "task": {"supervised": {"window": 16, "horizon": 1, "epochs": 1, "learning_rate": 0.001}},
        "model": {"cnn_lstm": {"channels": 4, "hidden": 4, "dropout": 0.0}},
        "env": {}, "strategy": {}
    });
    serde_json::from_value(trial).unwrap()
}

fn begin(spec: &TrialSpec, material: Material<'_>) {
    assert!(matches!(train(spec, material, Start::Anew, &mut Once).unwrap(), Ended::Stopped));
}

/// Most bytes that were resident in this process so far.
fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap() << 10
}

#[test]
fn what_a_training_on_shelved_bars_takes_does_not_grow_with_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bars.parquet");
    let shelved = |each: u64| {
        let spec = at_rest(&path, each);
        let series = dataset::series(&path, &symbols(), &[]).unwrap();
        let shelves = shelve(&spec, &series, (folder.path(), &|| false)).unwrap().unwrap();
        begin(&spec, (&shelves).into());
        (spec, peak_bytes())
    };
    let (small, large) = (100_000, 600_000);
    let (_, before) = shelved(small);
    let (spec, after) = shelved(large);
    let more_bars = NAMES.len() as u64 * (large - small);
    let allowed = BAR_BYTES * more_bars + SLACK_BYTES;
    assert!(after - before <= allowed, "{} bytes more for {more_bars} bars more, {allowed} allowed", after - before);

    // The same bars whole: were bars or rows held above, it would have shown.
    let sets = dataset::load_all(&path, &symbols(), &[]).unwrap();
    let whole = prepare_among(&spec, &sets[0], &sets[1..]).unwrap();
    begin(&spec, (&whole).into());
    let held = peak_bytes() - before;
    assert!(held > 2 * allowed, "{held} bytes more where all is in memory, twice {allowed} expected");
}
