//! What a training takes of memory and time where its bars are many: made-up symbols in a file, prepared and learned from for
//! some steps of the benchmark network, from disk or from memory. Memory itself is read by whoever owns the process.

use std::cell::RefCell;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use market::{Bar, Calendar, Interval, Symbol};
use serde::Serialize;
use serde_json::json;
use spec::{FeatureSpec, TrialSpec};
use trainer::{Kept, Material, Sink, SinkError, Start, TrainError};

use crate::clock::{Elapsed, Moment};
use crate::forecast::time;

/// Rows of a step.
const BATCH: usize = 256;

/// Features of a bar.
const WIDTH: u32 = 16;

/// Shares of the bars that are learned from, and compared by.
const SHARES: [f64; 2] = [0.8, 0.1];

/// Where rows and labels lie while they are learned from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Held {
    /// In files without a name, read part by part.
    Disk,
    /// All of them in memory, and the bars.
    Memory,
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Disk => "disk",
            Self::Memory => "memory",
        })
    }
}

impl FromStr for Held {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Disk, Self::Memory]
            .into_iter()
            .find(|place| place.to_string() == text)
            .ok_or_else(|| "use disk or memory".to_owned())
    }
}

/// A set of bars in a file, and the trial that learns from it.
#[derive(Clone, Debug)]
pub struct AtRest {
    folder: PathBuf,
    path: PathBuf,
    spec: TrialSpec,
    bars: u64,
}

/// What was measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Learned {
    /// Bars of all symbols.
    pub bars: u64,
    /// Symbols.
    pub symbols: usize,
    /// Where rows and labels lay.
    pub held: Held,
    /// Size of the file, megabytes.
    pub parquet_mb: f64,
    /// What bars, rows and labels take together in memory, megabytes.
    pub whole_mb: f64,
    /// From the file to the first step, seconds on the wall.
    pub prepare_s: f64,
    /// The same, of all threads, in CPU seconds.
    pub prepare_cpu_s: f64,
    /// Steps after the first.
    pub steps: usize,
    /// Rows learned from in a second on the wall.
    pub rows_per_s: f64,
    /// Rows learned from in a CPU second.
    pub rows_per_cpu_s: f64,
}

/// Minute bars of a walk, of which every value differs.
fn walk(count: u64, seed: u64) -> impl Iterator<Item = Bar> {
    let (mut state, mut close) = (seed, 100.0_f64);
    (0..count).map(move |index| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let share = (state >> 40) as f64 / (1_u64 << 24) as f64;
        let open = close;
        // Back towards 100, or so many steps would leave the range of prices.
        close *= 1.0 + (share - 0.5) / 1_000.0 + (100.0 - close) / 1e6;
        let (high, low, volume) = (open.max(close), open.min(close), 1_000.0 * share);
        Bar { time: time(index as usize), open, high, low, close, volume }
    })
}

/// Writes `bars` bars of some symbols into a file in `folder`.
///
/// # Errors
/// As [`dataset::write_series`].
pub fn write(folder: &Path, bars: u64, symbols: u32) -> Result<AtRest, TrainError> {
    let (path, each) = (folder.join("bars.parquet"), bars / u64::from(symbols));
    let name = |place: u32| Symbol::try_from(format!("S{place:03}")).expect("a letter and digits make a symbol");
    let all = (0..symbols).map(|place| (name(place), each, walk(each, u64::from(place))));
    let digests = dataset::write_series(&path, (Interval::Minute, Calendar::Always), all)?;
    let [learned, compared] = SHARES.map(|share| (share * each as f64) as usize);
    let range = |from: usize, to: usize| json!([time(from), time(to - 1)]);
    let features: Vec<FeatureSpec> = (1..=WIDTH).map(|bars| FeatureSpec::LogReturn { bars }).collect();
    let trial = json!({
        "trial": "shelved-1.0", "params": {}, "seed": 1, "device": "cpu", "threads": 1,
        "data": {
            "source": "bars", "symbols": (0..symbols).map(name).collect::<Vec<_>>(), "interval": "1m",
            "split": {
                "train": range(0, learned), "validation": range(learned, learned + compared),
                "test": range(learned + compared, each as usize), "purge": 1, "embargo": 0
            }
        },
        "data_digest": digests[0], "companion_digests": digests[1..], "features": features,
        "task": { "supervised": { "window": 60, "horizon": 1, "epochs": 1, "batch": BATCH, "learning_rate": 0.001 } },
        "model": { "cnn_lstm": { "channels": 64, "kernel": 3, "hidden": 128, "layers": 2, "dropout": 0.2 } },
        "env": {}, "strategy": {}
    });
    let spec: TrialSpec = serde_json::from_value(trial).expect("the spec is written here");
    Ok(AtRest { folder: folder.to_owned(), path, spec, bars: each * u64::from(symbols) })
}

/// Stops after some steps, and says when each was done.
struct Steps {
    wanted: usize,
    began: Moment,
    done: RefCell<Vec<Elapsed>>,
}

impl Sink for Steps {
    fn progress(&mut self, _progress: spec::Progress) {}

    fn checkpoint(&mut self, _step: u64, _bytes: Vec<u8>) -> Result<Kept, SinkError> {
        Ok(Kept::Not)
    }

    fn should_stop(&self) -> bool {
        let mut done = self.done.borrow_mut();
        done.push(self.began.elapsed());
        done.len() > self.wanted
    }

    fn keeps_checkpoints(&self) -> bool {
        false
    }
}

/// Prepares a set and learns from it for `steps` steps after the first.
///
/// # Errors
/// As [`trainer::shelve`], [`trainer::prepare_among`] and [`trainer::train`].
pub fn learn(set: &AtRest, held: Held, steps: usize) -> Result<Learned, TrainError> {
    let (spec, symbols) = (&set.spec, &set.spec.data.symbols);
    let began = Moment::now();
    let times = match held {
        Held::Disk => {
            let series = dataset::series(&set.path, symbols, &[])?;
            let shelves = trainer::shelve(spec, &series, (&set.folder, &|| false))?;
            let shelves = shelves.expect("nobody asks it to stop");
            step((spec, (&shelves).into()), began, steps)?
        }
        Held::Memory => {
            let sets = dataset::load_all(&set.path, symbols, &[])?;
            let data = trainer::prepare_among(spec, &sets[0], &sets[1..])?;
            // What a worker has dropped by then.
            drop(sets);
            step((spec, (&data).into()), began, steps)?
        }
    };
    let (first, last) = (times[0], times[times.len() - 1]);
    let (rows, parquet) = ((times.len() - 1) * BATCH, std::fs::metadata(&set.path).map_or(0, |file| file.len()));
    Ok(Learned {
        bars: set.bars,
        symbols: symbols.len(),
        held,
        parquet_mb: parquet as f64 / 1e6,
        whole_mb: trainer::whole_bytes(spec, set.bars) as f64 / 1e6,
        prepare_s: first.wall_s,
        prepare_cpu_s: first.cpu_s,
        steps: times.len() - 1,
        rows_per_s: rows as f64 / (last.wall_s - first.wall_s),
        rows_per_cpu_s: rows as f64 / (last.cpu_s - first.cpu_s),
    })
}

/// When each of the first steps was done; at least one is.
fn step((spec, data): (&TrialSpec, Material<'_>), began: Moment, steps: usize) -> Result<Vec<Elapsed>, TrainError> {
    let mut sink = Steps { wanted: steps, began, done: RefCell::default() };
    trainer::train(spec, data, Start::Anew, &mut sink)?;
    Ok(sink.done.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_places_take_the_same_steps() {
        let folder = tempfile::tempdir().unwrap();
        let set = write(folder.path(), 6_000, 2).unwrap();
        for held in [Held::Disk, Held::Memory] {
            let figures = learn(&set, held, 1).unwrap();
            assert_eq!((figures.bars, figures.symbols, figures.steps), (6_000, 2, 1), "{figures:?}");
            assert!(figures.rows_per_cpu_s > 0.0 && figures.parquet_mb > 0.1, "{figures:?}");
        }
    }
}
