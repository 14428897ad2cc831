//! The past that a trading environment replays: prices as integers, feature rows as a network sees them.

use std::ops::Range;

use features::{Matrix, Normaliser};
use market::{Bar, Instrument, InstrumentError, Interval, Price, Symbol, Timestamp};
use spec::Digest;

/// Normalised feature rows of consecutive bars, and how many of them an observation holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Rows {
    /// Index of the bar that the first row belongs to.
    pub first: usize,
    /// Values in a row.
    pub width: usize,
    /// Rows in an observation.
    pub window: usize,
    /// Row-major, `[bars − first, width]`.
    pub values: Vec<f32>,
}

impl Rows {
    /// Normalises a feature matrix.
    #[must_use]
    pub fn normalised(matrix: &Matrix, normaliser: &Normaliser, window: usize) -> Self {
        let mut values = vec![0.0; matrix.values.len()];
        for (raw, row) in matrix.values.chunks_exact(matrix.width).zip(values.chunks_exact_mut(matrix.width)) {
            normaliser.apply(raw, row);
        }
        Self { first: matrix.first, width: matrix.width, window, values }
    }

    /// The first bar with a full window.
    #[must_use]
    pub const fn first_full(&self) -> usize {
        self.first + self.window - 1
    }

    /// The window that ends with `bar`, `[window × width]`, oldest first; `None` where it is not full.
    #[must_use]
    pub fn ending(&self, bar: usize) -> Option<&[f32]> {
        let from = bar.checked_sub(self.first_full())? * self.width;
        self.values.get(from..from + self.window * self.width)
    }

    /// The same rows with those of `other` behind them, for the bars that have both.
    #[must_use]
    pub fn beside(&self, other: &Self) -> Self {
        let first = self.first.max(other.first);
        let from = |rows: &Self| ((first - rows.first) * rows.width).min(rows.values.len());
        let (own, its) =
            (self.values[from(self)..].chunks_exact(self.width), other.values[from(other)..].chunks_exact(other.width));
        let values = own.zip(its).flat_map(|(own, its)| own.iter().chain(its)).copied().collect();
        Self { first, width: self.width + other.width, window: self.window, values }
    }
}

/// Why an environment cannot be built.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum EnvError {
    /// A price is outside the instrument's range.
    #[error("bar {time} cannot be traded")]
    Price {
        /// The bar.
        time: Timestamp,
        /// What is wrong.
        source: InstrumentError,
    },
    /// Rows and bars do not belong together.
    #[error("{values} feature values make no rows of {width} for bars {first}..{bars}")]
    Rows {
        /// Values given.
        values: usize,
        /// Values a row.
        width: usize,
        /// First bar with a row.
        first: usize,
        /// Bars given.
        bars: usize,
    },
    /// A feature is NaN or infinite.
    #[error("a feature of bar {time} is not a finite number")]
    NotFinite {
        /// The bar.
        time: Timestamp,
    },
    /// An episode needs a bar to decide on and one to fill on.
    #[error(
        "bars {}..{} make no episode: two bars at least are needed, from bar {ready} on, where windows are full, to bar {bars}",
        .range.start, .range.end
    )]
    Range {
        /// What was asked for.
        range: Range<usize>,
        /// First bar with a full window.
        ready: usize,
        /// Bars there are.
        bars: usize,
    },
    /// Assets must be traded on the same bars.
    #[error("{first} and {other} do not have the same bars: keep those that both have")]
    Unaligned {
        /// The first asset.
        first: Symbol,
        /// The one that differs.
        other: Symbol,
    },
    /// There must be something to trade.
    #[error("no asset is given: at least one is needed")]
    NoAssets,
    /// There must be something to step.
    #[error("no environment is asked for: at least one is needed")]
    NoEnvs,
}

/// Bars and feature rows, shared by all environments over them.
#[derive(Clone, Debug, PartialEq)]
pub struct History {
    instrument: Instrument,
    bars_per_year: u32,
    times: Vec<Timestamp>,
    opens: Vec<Price>,
    closes: Vec<Price>,
    rows: Rows,
    digest: Digest,
}

impl History {
    /// Brings bars and rows together.
    ///
    /// # Errors
    /// [`EnvError`]: a price or a feature cannot be used, or rows and bars differ in number.
    pub fn new(instrument: Instrument, interval: Interval, bars: &[Bar], rows: Rows) -> Result<Self, EnvError> {
        let fits = rows.width > 0
            && rows.window > 0
            && bars.len().checked_sub(rows.first).is_some_and(|count| count * rows.width == rows.values.len());
        if !fits {
            let (values, width, first) = (rows.values.len(), rows.width, rows.first);
            return Err(EnvError::Rows { values, width, first, bars: bars.len() });
        }
        if let Some(at) = rows.values.iter().position(|value| !value.is_finite()) {
            return Err(EnvError::NotFinite { time: bars[rows.first + at / rows.width].time });
        }
        let ticks = |of: fn(&Bar) -> f64| {
            let price =
                |bar: &Bar| instrument.price(of(bar)).map_err(|source| EnvError::Price { time: bar.time, source });
            bars.iter().map(price).collect::<Result<Vec<_>, _>>()
        };
        let (opens, closes) = (ticks(|bar| bar.open)?, ticks(|bar| bar.close)?);
        let times = bars.iter().map(|bar| bar.time).collect();
        let bars_per_year = interval.periods_per_year() as u32;
        let digest = digest(&instrument, bars_per_year, [&opens, &closes], &rows);
        Ok(Self { instrument, bars_per_year, times, opens, closes, rows, digest })
    }

    /// What is traded.
    #[must_use]
    pub const fn instrument(&self) -> &Instrument {
        &self.instrument
    }

    /// Bars in a year, for borrow costs.
    #[must_use]
    pub const fn bars_per_year(&self) -> u32 {
        self.bars_per_year
    }

    /// How many bars.
    #[must_use]
    pub const fn bars(&self) -> usize {
        self.times.len()
    }

    /// Whether `other` has the same bars.
    #[must_use]
    pub fn aligned(&self, other: &Self) -> bool {
        self.bars_per_year == other.bars_per_year && self.times == other.times
    }

    /// Label of a bar.
    #[must_use]
    pub fn time(&self, bar: usize) -> Timestamp {
        self.times[bar]
    }

    /// First price of a bar.
    #[must_use]
    pub fn open(&self, bar: usize) -> Price {
        self.opens[bar]
    }

    /// Last price of a bar.
    #[must_use]
    pub fn close(&self, bar: usize) -> Price {
        self.closes[bar]
    }

    /// The first bar whose window is full.
    #[must_use]
    pub const fn ready(&self) -> usize {
        self.rows.first + self.rows.window - 1
    }

    /// Values in a window.
    #[must_use]
    pub const fn window_width(&self) -> usize {
        self.rows.window * self.rows.width
    }

    /// The rows up to and including `bar`'s, oldest first: `[window × width]`.
    ///
    /// # Panics
    /// Before [`History::ready`] and after the last bar.
    #[must_use]
    pub fn window(&self, bar: usize) -> &[f32] {
        let start = (bar - self.ready()) * self.rows.width;
        &self.rows.values[start..start + self.window_width()]
    }

    /// Digest of all that an environment reads of it.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }
}

fn digest(instrument: &Instrument, bars_per_year: u32, prices: [&[Price]; 2], rows: &Rows) -> Digest {
    let mut bytes = instrument.symbol().as_str().as_bytes().to_vec();
    bytes.extend(instrument.notional(Price(1), market::Quantity(1)).0.to_le_bytes());
    bytes.extend(bars_per_year.to_le_bytes());
    for count in [rows.first, rows.width, rows.window, prices[0].len()] {
        bytes.extend((count as u64).to_le_bytes());
    }
    bytes.extend(prices.into_iter().flatten().flat_map(|price| price.0.to_le_bytes()));
    bytes.extend(rows.values.iter().flat_map(|value| value.to_le_bytes()));
    Digest::of(&bytes)
}
