//! A model over history: forecasts in one batch, policies bar by bar, since what they see depends on what they hold.

use std::ops::Range;

use dataset::Dataset;
use features::observation;
use market::Bar;
use models::{Predictor, Sight};
use spec::{Decision, Output, Reason};

use crate::desk::Desk;
use crate::{Backtest, BacktestError, Setting};

/// Trades the bars of `setting` with a network. What it sees is computed from the training anchor on, with the fit in
/// `sight`; where its recursion stands is not used.
///
/// # Errors
/// [`BacktestError`]: the bars, the features or the network do not fit.
pub fn run(predictor: &Predictor, sight: &Sight, setting: &Setting<'_>) -> Result<Backtest, BacktestError> {
    setting.bars()?;
    let windows = Windows::over(sight, setting.dataset, setting.range.clone())?;
    if predictor.spec().observes_position() {
        policy(predictor, &windows, setting)
    } else {
        forecaster(predictor, &windows, setting)
    }
}

/// The windows of a network over some bars, warm-up left out: what [`crate::parity`] takes.
///
/// # Errors
/// [`BacktestError::Feature`] when a bar is defective, or the data do not start at the training anchor.
pub fn forecast_rows(sight: &Sight, dataset: &Dataset, range: Range<usize>) -> Result<Vec<Vec<f32>>, BacktestError> {
    let windows = Windows::over(sight, dataset, range)?;
    Ok(windows.ready().map(<[f32]>::to_vec).collect())
}

/// The window of each bar, in one allocation.
pub(crate) struct Windows {
    width: usize,
    /// Bars at the start whose window is not full.
    warming: usize,
    values: Vec<f32>,
}

impl Windows {
    pub(crate) fn over(sight: &Sight, dataset: &Dataset, range: Range<usize>) -> Result<Self, BacktestError> {
        let mut stream = sight.from_anchor()?;
        let anchor = dataset.bars.partition_point(|bar| bar.time < sight.features().anchor);
        let mut windows = Self { width: sight.input_width(), warming: 0, values: Vec::new() };
        for (index, bar) in dataset.bars.iter().enumerate().take(range.end).skip(anchor) {
            stream.advance(bar)?;
            if !range.contains(&index) {
                continue;
            }
            match stream.look()? {
                Some(window) => windows.values.extend_from_slice(window),
                None => windows.warming += 1,
            }
        }
        Ok(windows)
    }

    /// Bars at the start whose window is not full.
    pub(crate) const fn warming(&self) -> usize {
        self.warming
    }

    /// The full windows, in order.
    pub(crate) fn ready(&self) -> impl Iterator<Item = &[f32]> {
        self.values.chunks_exact(self.width)
    }

    fn of(&self, index: usize) -> Option<&[f32]> {
        let at = index.checked_sub(self.warming)? * self.width;
        self.values.get(at..at + self.width)
    }
}

fn forecaster(predictor: &Predictor, windows: &Windows, setting: &Setting<'_>) -> Result<Backtest, BacktestError> {
    let rows: Vec<&[f32]> = windows.ready().collect();
    let outputs = predictor.predict(&rows)?;
    let mut forecasts = rows.into_iter().zip(outputs);
    let mut warming = windows.warming;
    Desk::trade(setting, |bar, _| {
        if warming > 0 {
            warming -= 1;
            return Ok(warming_up(bar));
        }
        Ok(forecasts
            .next()
            .map_or_else(|| warming_up(bar), |(row, output)| decide(predictor, setting, bar, (row, output))))
    })
}

fn policy(predictor: &Predictor, windows: &Windows, setting: &Setting<'_>) -> Result<Backtest, BacktestError> {
    let mut observed = vec![0.0; windows.width + observation::POSITION_WIDTH];
    let mut index = 0..;
    Desk::trade(setting, |bar, position| {
        let Some(window) = index.next().and_then(|index| windows.of(index)) else { return Ok(warming_up(bar)) };
        observation::write(window, &position.observed(), &mut observed);
        let output = predictor.predict(&[&observed])?.remove(0);
        Ok(decide(predictor, setting, bar, (&observed, output)))
    })
}

fn decide(predictor: &Predictor, setting: &Setting<'_>, bar: &Bar, (row, output): (&[f32], Output)) -> Decision {
    let prediction = predictor.prediction(bar.time, row, output);
    strategy::decide(setting.strategy, setting.env, &prediction)
}

fn warming_up(bar: &Bar) -> Decision {
    Decision { bar: bar.time, target: None, reason: Reason::WarmUp }
}
