//! Forecasts with what came of them.

use dataset::outcome::{bars_before, direction, log_return};
use models::CLASSES;
use spec::{Output, SupervisedSpec};

use super::CalibrationError;
use crate::windows::in_batches;
use crate::{BacktestError, Model, Setting};

/// A forecast with what came of it.
pub(super) struct Row {
    /// The bar it was made at.
    pub(super) bar: usize,
    /// What the network itself said, before any calibration.
    pub(super) said: Output,
    /// Log return over the horizon.
    pub(super) outcome: f64,
    /// Its direction: 0 down, 1 flat, 2 up.
    pub(super) class: u8,
}

/// The rows of `setting`'s bars whose window is full and whose outcome is in the data, in order of time. Windows are not kept:
/// `see` is shown each, with what the network itself said of it.
pub(super) fn rows(
    model: &Model,
    setting: &Setting<'_>,
    task: &SupervisedSpec,
    mut see: impl FnMut(&[f32], &Output) -> Result<(), BacktestError>,
) -> Result<Vec<Row>, CalibrationError> {
    let unit = model.predictor.return_unit().ok_or(CalibrationError::NoForecast)?;
    let (bars, horizon) = (&setting.dataset.bars, task.horizon as usize);
    let known = setting.range.start..setting.range.end.min(bars.len().saturating_sub(horizon));
    let mut rows = Vec::with_capacity(known.len());
    in_batches((&model.sight, setting.dataset), known, |first, windows| {
        let outputs = model.predictor.outputs(windows)?;
        for ((bar, &window), said) in (first..).zip(windows).zip(outputs) {
            see(window, &said)?;
            let (outcome, class) = (log_return(bars, bar, bar + horizon), direction(bars, bar, task, unit));
            rows.push(Row { bar, said, outcome, class });
        }
        Ok(())
    })?;
    Ok(rows)
}

/// How often each direction came, of all bars up to the end of `setting`'s: those it was trained on and any before them too,
/// since what is asked is how often it comes in the long run.
pub(super) fn base_rates(
    model: &Model,
    setting: &Setting<'_>,
    task: &SupervisedSpec,
) -> Result<[f64; CLASSES], CalibrationError> {
    let unit = model.predictor.return_unit().ok_or(CalibrationError::NoForecast)?;
    let (bars, horizon) = (&setting.dataset.bars, task.horizon as usize);
    // Before that barriers are drawn by fewer returns than asked for.
    let (first, end) =
        (bars_before(task).min(setting.range.start), setting.range.end.min(bars.len().saturating_sub(horizon)));
    let mut counts = [0_usize; CLASSES];
    for bar in first..end {
        counts[usize::from(direction(bars, bar, task, unit))] += 1;
    }
    let all: usize = counts.iter().sum();
    Ok(counts.map(|count| count as f64 / all as f64))
}
