//! The trading environment from Python: bars from a file or from arrays, features and market in the words of an
//! experiment file.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use dataset::{Adjustment, Dataset, ImportOptions, read_csv};
use envs::{Autoreset, Episodes, History, Rows, TradingEnv};
use features::Normaliser;
use market::{Bar, Instrument, Interval, Symbol, Timestamp};
use numpy::{PyReadonlyArray1, PyReadonlyArray2};
use pyo3::exceptions::PyValueError;
use pyo3::{PyErr, PyResult, Python, pyclass, pyfunction, pymethods};
use serde::Deserialize;
use spec::{DateRange, Problem};

use crate::copies::{Copies, counted, named};
use crate::refused;

/// One symbol's bars.
#[pyclass(module = "tradewind_envs._native", frozen)]
pub(crate) struct Bars(Dataset);

#[pymethods]
impl Bars {
    /// Reads a CSV file with the columns timestamp, open, high, low, close and volume.
    ///
    /// `symbol` may be left out where the file holds one alone. `adjustment` is `adjusted_close` or `none`.
    #[staticmethod]
    fn from_csv(path: PathBuf, symbol: Option<String>, interval: &str, adjustment: &str) -> PyResult<Self> {
        let symbol = symbol.map(Symbol::try_from).transpose().map_err(refused)?;
        let adjustment: Adjustment = named(adjustment)?;
        let options = ImportOptions { symbol, interval: named(interval)?, adjustment };
        let mut sets = read_csv(&path, &options).map_err(refused)?;
        if sets.len() > 1 {
            let symbols: Vec<_> = sets.iter().map(|set| set.symbol.as_str()).collect();
            let text = format!("{}: several symbols, choose one: {}", path.display(), symbols.join(", "));
            return Err(PyValueError::new_err(text));
        }
        sets.pop().map(Self).ok_or_else(|| PyValueError::new_err(format!("{}: no bars", path.display())))
    }

    /// Takes over arrays: `times` in microseconds since 1970 UTC, `[bars]`; `values` `[bars, 5]`, the columns open, high,
    /// low, close and volume.
    #[staticmethod]
    fn from_arrays(
        times: PyReadonlyArray1<'_, i64>,
        values: PyReadonlyArray2<'_, f64>,
        symbol: String,
        interval: &str,
    ) -> PyResult<Self> {
        let (times, values) = (times.as_array(), values.as_array());
        if values.shape() != [times.len(), 5] {
            let text =
                format!("{} times and values of shape {:?}: use [bars] and [bars, 5]", times.len(), values.shape());
            return Err(PyValueError::new_err(text));
        }
        let bar = |(time, row): (&i64, numpy::ndarray::ArrayView1<'_, f64>)| Bar {
            time: Timestamp::from_micros(*time),
            open: row[0],
            high: row[1],
            low: row[2],
            close: row[3],
            volume: row[4],
        };
        let bars = times.iter().zip(values.rows()).map(bar).collect();
        let interval: Interval = named(interval)?;
        Ok(Self(Dataset::new(Symbol::try_from(symbol).map_err(refused)?, interval, bars)))
    }

    fn __len__(&self) -> usize {
        self.0.bars.len()
    }

    fn __repr__(&self) -> String {
        format!("Bars({}, {}, {} bars)", self.0.symbol, self.0.interval, self.0.bars.len())
    }
}

/// What is no section of an experiment file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    num_envs: usize,
    autoreset: Autoreset,
    /// Bars in an observation.
    window: usize,
    episodes: EpisodeStart,
    /// Bars to trade over; all of them when absent.
    period: Option<DateRange>,
    /// Bars that features are normalised by; those of `period` when absent.
    fit: Option<DateRange>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum EpisodeStart {
    Random,
    OnePass,
}

/// Copies of the trading environment. `features` and `env` are the YAML of those sections; `settings` is JSON.
#[pyfunction]
pub(crate) fn trading(py: Python<'_>, bars: &Bars, features: &str, env: &str, settings: &str) -> PyResult<Copies> {
    let settings: Settings = serde_json::from_str(settings).map_err(refused)?;
    let features = spec::parse_features(features).map_err(|problems| all(&problems))?;
    let env = spec::parse_env(env).map_err(|problems| all(&problems))?;
    let copies = counted(settings.num_envs)?;
    let episodes = match settings.episodes {
        EpisodeStart::Random => Episodes::Random { envs: copies },
        EpisodeStart::OnePass if copies == 1 => Episodes::OnePass,
        EpisodeStart::OnePass => {
            return Err(PyValueError::new_err("episodes of one pass are all the same: use num_envs=1"));
        }
    };
    let (history, range) = history(&bars.0, &features, &settings)?;
    let env = TradingEnv::new(Arc::new(history), &env, range, episodes).map_err(refused)?;
    Ok(Copies::new(py, Box::new(env.with_autoreset(settings.autoreset))))
}

/// The bars with their normalised features, and those to trade over.
fn history(set: &Dataset, specs: &[spec::FeatureSpec], settings: &Settings) -> PyResult<(History, Range<usize>)> {
    let matrix = features::compute(specs, &set.bars).map_err(refused)?;
    let bars = |dates: &Option<DateRange>| dates.map_or(0..set.bars.len(), |dates| within(&set.bars, dates));
    let fit = bars(settings.fit.as_ref().map_or(&settings.period, |_| &settings.fit));
    if !fit.clone().any(|bar| matrix.row(bar).is_some()) {
        let text = format!(
            "bars {}..{} to fit on have no complete feature row: rows begin at {}",
            fit.start, fit.end, matrix.first
        );
        return Err(PyValueError::new_err(text));
    }
    let rows = Rows::normalised(&matrix, &Normaliser::fit(&matrix, fit), settings.window);
    let history =
        History::new(Instrument::share(set.symbol.clone()), set.interval, &set.bars, rows).map_err(refused)?;
    let period = bars(&settings.period);
    let range = period.start.max(history.ready())..period.end;
    Ok((history, range))
}

fn within(bars: &[Bar], dates: DateRange) -> Range<usize> {
    let start = bars.partition_point(|bar| bar.time < dates.from);
    start..bars.partition_point(|bar| bar.time <= dates.to).max(start)
}

fn all(problems: &[Problem]) -> PyErr {
    let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
    PyValueError::new_err(lines.join("\n"))
}
