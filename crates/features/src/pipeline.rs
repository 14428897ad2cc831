//! The feature row of a bar, incrementally; and over history, by the same steps.

use market::{Bar, BarDefect, Timestamp, calendar};
use serde::{Deserialize, Serialize};
use spec::FeatureSpec;

use crate::indicators::{Atr, Bollinger, LogReturn, Macd, RealisedVolatility, Rsi, VolumeZ};

/// Longest look-back; keeps a bundle's state small.
const BARS_MAX: u32 = 1_000;

/// Why a row cannot be computed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum FeatureError {
    /// The spec lists nothing.
    #[error("no feature is listed: a row needs at least one")]
    NoFeatures,
    /// A parameter is outside its range.
    #[error("feature {name}: {why}")]
    Parameter {
        /// Which feature.
        name: String,
        /// What would be right.
        why: String,
    },
    /// The bar itself cannot be used.
    #[error("bar {time} cannot be used: {defect}")]
    Defect {
        /// Which bar.
        time: Timestamp,
        /// What is wrong.
        defect: BarDefect,
    },
    /// Bars must move forward in time.
    #[error("bar {time} does not come after {last}: send bars in order, each once")]
    OutOfOrder {
        /// Which bar.
        time: Timestamp,
        /// The last one taken.
        last: Timestamp,
    },
    /// Recursive indicators would silently run over the hole.
    #[error("bar {time} leaves a gap after {last}: session {missing} is missing, send it first")]
    Gap {
        /// Which bar.
        time: Timestamp,
        /// The last one taken.
        last: Timestamp,
        /// First session between them.
        missing: Timestamp,
    },
    /// The bars start neither at the training anchor nor right after the state's bar.
    #[error(
        "history too short: bars start at {first}, but must start at the anchor {anchor} or be the next after {resume}"
    )]
    HistoryTooShort {
        /// First bar given.
        first: Timestamp,
        /// First bar of training.
        anchor: Timestamp,
        /// Bar the state stands at.
        resume: Timestamp,
    },
    /// The normaliser's width is not the row's.
    #[error("the normaliser has {normaliser} columns, the feature row {row}")]
    Width {
        /// Columns fitted.
        normaliser: usize,
        /// Columns computed.
        row: usize,
    },
}

/// Whether a row is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Some indicator has not seen enough bars; the row is not written whole.
    WarmingUp,
    /// Every column is defined.
    Ready,
}

/// One column with its state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Column {
    LogReturn(LogReturn),
    RealisedVolatility(RealisedVolatility),
    Rsi(Rsi),
    Macd(Macd),
    Atr(Atr),
    Bollinger { bands: Bollinger, width: f64 },
    VolumeZ(VolumeZ),
}

impl Column {
    fn new(spec: &FeatureSpec) -> Result<Self, FeatureError> {
        let length = |bars: u32, least: u32| {
            if (least..=BARS_MAX).contains(&bars) {
                Ok(bars as usize)
            } else {
                Err(FeatureError::Parameter { name: name(spec), why: format!("use {least} to {BARS_MAX} bars") })
            }
        };
        Ok(match *spec {
            FeatureSpec::LogReturn { bars } => Self::LogReturn(LogReturn::new(length(bars, 1)?)),
            FeatureSpec::RealisedVolatility { bars } => {
                Self::RealisedVolatility(RealisedVolatility::new(length(bars, 2)?))
            }
            FeatureSpec::Rsi { bars } => Self::Rsi(Rsi::new(length(bars, 2)?)),
            FeatureSpec::Macd { fast, slow, signal } => {
                let slow = length(slow, fast.saturating_add(1))?;
                Self::Macd(Macd::new(length(fast, 1)?, slow, length(signal, 1)?))
            }
            FeatureSpec::Atr { bars } => Self::Atr(Atr::new(length(bars, 1)?)),
            FeatureSpec::Bollinger { bars, width } if width > 0.0 && width.is_finite() => {
                Self::Bollinger { bands: Bollinger::new(length(bars, 2)?), width }
            }
            FeatureSpec::Bollinger { .. } => {
                return Err(FeatureError::Parameter { name: name(spec), why: "use a width above 0".to_owned() });
            }
            FeatureSpec::VolumeZ { bars } => Self::VolumeZ(VolumeZ::new(length(bars, 2)?)),
        })
    }

    fn push(&mut self, bar: &Bar) -> Option<f64> {
        match self {
            Self::LogReturn(indicator) => indicator.push(bar.close),
            Self::RealisedVolatility(indicator) => indicator.push(bar.close),
            Self::Rsi(indicator) => indicator.push(bar.close).map(|rsi| rsi / 100.0),
            Self::Macd(indicator) => indicator.push(bar.close).map(|macd| macd.histogram / bar.close),
            Self::Atr(indicator) => indicator.push(bar.high, bar.low, bar.close).map(|range| range / bar.close),
            Self::Bollinger { bands, width } => bands.push(bar.close).map(|band| {
                let reach = *width * band.deviation;
                if reach > 0.0 { (bar.close - band.middle) / reach } else { 0.0 }
            }),
            Self::VolumeZ(indicator) => indicator.push(bar.volume),
        }
    }
}

/// A column's name, such as `macd_12_26_9`.
fn name(spec: &FeatureSpec) -> String {
    match spec {
        FeatureSpec::LogReturn { bars } => format!("log_return_{bars}"),
        FeatureSpec::RealisedVolatility { bars } => format!("realised_volatility_{bars}"),
        FeatureSpec::Rsi { bars } => format!("rsi_{bars}"),
        FeatureSpec::Macd { fast, slow, signal } => format!("macd_{fast}_{slow}_{signal}"),
        FeatureSpec::Atr { bars } => format!("atr_{bars}"),
        FeatureSpec::Bollinger { bars, width } => format!("bollinger_{bars}_{width}"),
        FeatureSpec::VolumeZ { bars } => format!("volume_z_{bars}"),
    }
}

/// Bars before a column's first value.
fn warm_up(spec: &FeatureSpec) -> usize {
    let bars = match *spec {
        FeatureSpec::LogReturn { bars }
        | FeatureSpec::RealisedVolatility { bars }
        | FeatureSpec::Rsi { bars }
        | FeatureSpec::Atr { bars } => bars,
        FeatureSpec::Bollinger { bars, .. } | FeatureSpec::VolumeZ { bars } => bars - 1,
        FeatureSpec::Macd { slow, signal, .. } => slow + signal - 2,
    };
    bars as usize
}

/// Turns bars into rows, one at a time. Its state is data: cloned, compared, stored, resumed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pipeline {
    names: Vec<String>,
    columns: Vec<Column>,
    warm_up: usize,
}

impl Pipeline {
    /// An empty pipeline.
    ///
    /// # Errors
    /// [`FeatureError::NoFeatures`], [`FeatureError::Parameter`]: the spec is wrong.
    pub fn new(specs: &[FeatureSpec]) -> Result<Self, FeatureError> {
        if specs.is_empty() {
            return Err(FeatureError::NoFeatures);
        }
        let columns = specs.iter().map(Column::new).collect::<Result<_, _>>()?;
        let warm_up = specs.iter().map(warm_up).max().unwrap_or(0);
        Ok(Self { names: specs.iter().map(name).collect(), columns, warm_up })
    }

    /// Columns of a row.
    #[must_use]
    pub fn width(&self) -> usize {
        self.columns.len()
    }

    /// Bars an empty pipeline takes in before its first complete row.
    #[must_use]
    pub fn warm_up_bars(&self) -> usize {
        self.warm_up
    }

    /// Names of the columns.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Takes in a closed bar and writes its row.
    ///
    /// # Shapes
    /// `row`: `[width]`.
    pub fn push(&mut self, bar: &Bar, row: &mut [f64]) -> Readiness {
        let mut readiness = Readiness::Ready;
        for (column, value) in self.columns.iter_mut().zip(row) {
            match column.push(bar) {
                Some(defined) => *value = defined,
                None => readiness = Readiness::WarmingUp,
            }
        }
        readiness
    }
}

/// Raw rows over history, row-major from the first complete one.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    /// Columns.
    pub width: usize,
    /// Index of the bar of the first row; the number of bars when none is complete.
    pub first: usize,
    /// `[bars − first, width]`.
    pub values: Vec<f64>,
}

impl Matrix {
    /// The row of a bar, or `None` during warm-up and past the end.
    #[must_use]
    pub fn row(&self, bar: usize) -> Option<&[f64]> {
        let at = bar.checked_sub(self.first)? * self.width;
        self.values.get(at..at + self.width)
    }

    /// Complete rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.values.len() / self.width
    }
}

/// Runs the pipeline over history.
///
/// # Errors
/// As [`Pipeline::new`]; [`FeatureError::Defect`], [`FeatureError::OutOfOrder`] and [`FeatureError::Gap`] for bars no row
/// may be made of.
pub fn compute(specs: &[FeatureSpec], bars: &[Bar]) -> Result<Matrix, FeatureError> {
    let mut pipeline = Pipeline::new(specs)?;
    let width = pipeline.width();
    let mut matrix = Matrix { width, first: bars.len(), values: Vec::with_capacity(bars.len() * width) };
    let mut row = vec![0.0; width];
    let mut last = None;
    for (index, bar) in bars.iter().enumerate() {
        admit(bar, last)?;
        last = Some(bar.time);
        if pipeline.push(bar, &mut row) == Readiness::Ready {
            matrix.first = matrix.first.min(index);
            matrix.values.extend_from_slice(&row);
        }
    }
    Ok(matrix)
}

/// Refuses a bar that is defective, does not come after `last`, or skips a session after it.
pub(crate) fn admit(bar: &Bar, last: Option<Timestamp>) -> Result<(), FeatureError> {
    if let Some(defect) = bar.defect() {
        return Err(FeatureError::Defect { time: bar.time, defect });
    }
    let (time, Some(last)) = (bar.time, last) else { return Ok(()) };
    if time <= last {
        return Err(FeatureError::OutOfOrder { time, last });
    }
    skipped(last, time).map_or(Ok(()), |missing| Err(FeatureError::Gap { time, last, missing }))
}

/// The first whole session between two bars. Holes within a session are not seen: minutes without a trade have no bar.
pub(crate) fn skipped(last: Timestamp, time: Timestamp) -> Option<Timestamp> {
    calendar::us_equity_sessions_between(last, time).next()
}
