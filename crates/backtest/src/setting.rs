//! What is run over what, and why that can be impossible.

use std::ops::Range;

use dataset::Dataset;
use features::FeatureError;
use market::{Bar, Instrument, InstrumentError, Money, Price, Timestamp};
use models::{ModelError, SightError};
use spec::{EnvSpec, StrategySpec};

/// A stretch of bars and the rules of trading it.
#[derive(Clone, Debug)]
pub struct Setting<'a> {
    /// The bars, from the training anchor on.
    pub dataset: &'a Dataset,
    /// Indices of the bars decided on. A decision fills at the next bar's open, so the last one never does.
    pub range: Range<usize>,
    /// Costs, starting cash and allowed positions.
    pub env: &'a EnvSpec,
    /// From forecast to exposure.
    pub strategy: &'a StrategySpec,
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum BacktestError {
    /// Fewer than three bars, or bars that are not there.
    #[error("bars {}..{} of {bars} make no backtest: three bars at least are needed, all of them in the data", .range.start, .range.end)]
    Range {
        /// What was asked for.
        range: Range<usize>,
        /// What there is.
        bars: usize,
    },
    /// The features cannot be computed over these bars.
    #[error(transparent)]
    Feature(#[from] FeatureError),
    /// The network failed.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The bundle's network cannot see: its features or its encoder are not of this build.
    #[error(transparent)]
    Sight(#[from] SightError),
    /// A price is outside the instrument's range.
    #[error("bar {time} cannot be traded")]
    Price {
        /// The bar.
        time: Timestamp,
        /// What is wrong.
        source: InstrumentError,
    },
    /// The fill core refuses an order: a defect, since sizes are computed from the account.
    #[error("the simulated exchange refused an order")]
    Rejected(#[from] venue::Rejection),
}

impl Setting<'_> {
    /// The bars decided on.
    pub(crate) fn bars(&self) -> Result<&[Bar], BacktestError> {
        let all = &self.dataset.bars;
        let error = || BacktestError::Range { range: self.range.clone(), bars: all.len() };
        all.get(self.range.clone()).filter(|bars| bars.len() >= 3).ok_or_else(error)
    }

    /// Cash at the start.
    pub(crate) fn cash(&self) -> Money {
        Money::units(i64::from(self.env.cash))
    }

    /// What is traded.
    pub(crate) fn instrument(&self) -> Instrument {
        Instrument::share(self.dataset.symbol.clone())
    }
}

/// `value` in ticks.
pub(crate) fn price(instrument: &Instrument, time: Timestamp, value: f64) -> Result<Price, BacktestError> {
    instrument.price(value).map_err(|source| BacktestError::Price { time, source })
}
