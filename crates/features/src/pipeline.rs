//! The feature row of a bar, incrementally; and over history, by the same steps.

use market::{Bar, BarDefect, Calendar, Timestamp};
use serde::{Deserialize, Serialize};
use spec::FeatureSpec;

use crate::column::{Column, warm_up_bars};
use crate::step::Step;

/// Bars that a batch takes through one column before the next: their steps stay in the first cache.
const BLOCK: usize = 64;

/// Prices that rows are made of. Beyond, sums of powers would leave what a float can hold.
const PRICES: std::ops::RangeInclusive<f64> = 1e-12..=1e12;

/// Largest volume that rows are made of.
const VOLUME_MAX: f64 = 1e18;

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
    /// A feature of several symbols where there is one.
    #[error("feature {name} compares symbols, and there is one: leave it out, or compute a panel")]
    CrossSection {
        /// Which feature.
        name: String,
    },
    /// No feature is defined for such numbers.
    #[error("bar {time}: prices must lie in 1e-12 to 1e12 and the volume below 1e18: rescale the series")]
    Extreme {
        /// Which bar.
        time: Timestamp,
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

/// Turns bars into rows, one at a time. Its state is data: cloned, compared, stored, resumed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pipeline {
    names: Vec<String>,
    columns: Vec<Column>,
    warm_up: usize,
    last: Option<Bar>,
}

impl Pipeline {
    /// An empty pipeline.
    ///
    /// # Errors
    /// [`FeatureError::NoFeatures`], [`FeatureError::Parameter`], [`FeatureError::CrossSection`]: the spec is wrong.
    pub fn new(specs: &[FeatureSpec]) -> Result<Self, FeatureError> {
        if specs.is_empty() {
            return Err(FeatureError::NoFeatures);
        }
        let columns = specs.iter().map(Column::new).collect::<Result<_, _>>()?;
        let warm_up = specs.iter().map(warm_up_bars).max().unwrap_or(0);
        Ok(Self { names: specs.iter().map(FeatureSpec::column).collect(), columns, warm_up, last: None })
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
        let step = Step::new(bar, self.last.as_ref());
        self.last = Some(*bar);
        let mut readiness = Readiness::Ready;
        for (column, value) in self.columns.iter_mut().zip(row) {
            match column.push(&step) {
                Some(defined) => *value = defined,
                None => readiness = Readiness::WarmingUp,
            }
        }
        readiness
    }

    /// Takes in several closed bars, column by column, and appends their complete rows.
    fn push_block(&mut self, bars: &[Bar], rows: &mut Vec<f64>) {
        let width = self.columns.len();
        let mut steps = [Step::new(&bars[0], None); BLOCK];
        for (step, bar) in steps.iter_mut().zip(bars) {
            *step = Step::new(bar, self.last.as_ref());
            self.last = Some(*bar);
        }
        let start = rows.len();
        rows.resize(start + bars.len() * width, 0.0);
        let block = &mut rows[start..];
        let columns = self.columns.iter_mut().enumerate();
        let undefined = columns.map(|(at, column)| column.run(&steps[..bars.len()], &mut block[at..], width)).max();
        // Bars without a complete row are the first ones: nothing stands before them.
        rows.drain(start..start + undefined.unwrap_or(0) * width);
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

/// Runs the pipeline over a history of US equities.
///
/// # Errors
/// As [`compute_on`].
pub fn compute(specs: &[FeatureSpec], bars: &[Bar]) -> Result<Matrix, FeatureError> {
    compute_on(Calendar::Xnys, specs, bars)
}

/// Runs the pipeline over history, whose gaps are those of `calendar`.
///
/// # Errors
/// As [`Pipeline::new`]; [`FeatureError::Defect`], [`FeatureError::Extreme`], [`FeatureError::OutOfOrder`] and
/// [`FeatureError::Gap`] for bars no row may be made of.
pub fn compute_on(calendar: Calendar, specs: &[FeatureSpec], bars: &[Bar]) -> Result<Matrix, FeatureError> {
    let mut history = History::new(calendar, specs)?;
    let width = history.pipeline.width();
    let expected = bars.len().saturating_sub(history.pipeline.warm_up);
    let mut values = Vec::with_capacity((expected + BLOCK) * width);
    history.push(bars, &mut values)?;
    Ok(Matrix { width, first: bars.len() - values.len() / width, values })
}

/// The pipeline over a history that comes in parts, which are taken in wherever it was cut: [`compute_on`] is one of them.
#[derive(Clone, Debug)]
pub struct History {
    calendar: Calendar,
    pub(crate) pipeline: Pipeline,
    pub(crate) last: Option<Timestamp>,
}

impl History {
    /// Before the first bar.
    ///
    /// # Errors
    /// As [`Pipeline::new`].
    pub fn new(calendar: Calendar, specs: &[FeatureSpec]) -> Result<Self, FeatureError> {
        Ok(Self { calendar, pipeline: Pipeline::new(specs)?, last: None })
    }

    /// Columns of a row.
    #[must_use]
    pub fn width(&self) -> usize {
        self.pipeline.width()
    }

    /// Takes in the next bars and appends their complete rows, row-major. Bars without one are the first of all.
    ///
    /// # Errors
    /// As [`compute_on`]; nothing may be taken in after one.
    pub fn push(&mut self, bars: &[Bar], rows: &mut Vec<f64>) -> Result<(), FeatureError> {
        for block in bars.chunks(BLOCK) {
            for bar in block {
                admit(self.calendar, bar, self.last)?;
                self.last = Some(bar.time);
            }
            self.pipeline.push_block(block, rows);
        }
        Ok(())
    }
}

/// Refuses a bar that is defective, does not come after `last`, or skips a session after it.
pub(crate) fn admit(calendar: Calendar, bar: &Bar, last: Option<Timestamp>) -> Result<(), FeatureError> {
    if let Some(defect) = bar.defect() {
        return Err(FeatureError::Defect { time: bar.time, defect });
    }
    if !PRICES.contains(&bar.low) || !PRICES.contains(&bar.high) || bar.volume > VOLUME_MAX {
        return Err(FeatureError::Extreme { time: bar.time });
    }
    let (time, Some(last)) = (bar.time, last) else { return Ok(()) };
    if time <= last {
        return Err(FeatureError::OutOfOrder { time, last });
    }
    skipped(calendar, last, time).map_or(Ok(()), |missing| Err(FeatureError::Gap { time, last, missing }))
}

/// The first whole session between two bars. Holes within a session are not seen: minutes without a trade have no bar.
pub(crate) fn skipped(calendar: Calendar, last: Timestamp, time: Timestamp) -> Option<Timestamp> {
    calendar.sessions_between(last, time).next()
}
