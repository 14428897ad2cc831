//! Forecasts with what came of them.

use dataset::outcome::{bars_before, direction, log_return};
use models::CLASSES;
use spec::{Output, SupervisedSpec};

use super::CalibrationError;
use crate::run::Windows;
use crate::{BacktestError, Model, Setting};

/// A forecast with what came of it.
pub(super) struct Row {
    /// The bar it was made at.
    pub(super) bar: usize,
    /// `[input_width]`.
    pub(super) window: Vec<f32>,
    /// What the network itself said, before any calibration.
    pub(super) said: Output,
    /// Log return over the horizon.
    pub(super) outcome: f64,
    /// Its direction: 0 down, 1 flat, 2 up.
    pub(super) class: u8,
}

/// The rows of `setting`'s bars whose window is full and whose outcome is in the data, in order of time.
pub(super) fn rows(model: &Model, setting: &Setting<'_>, task: &SupervisedSpec) -> Result<Vec<Row>, CalibrationError> {
    let unit = model.predictor.return_unit().ok_or(CalibrationError::NoForecast)?;
    let (bars, horizon) = (&setting.dataset.bars, task.horizon as usize);
    let windows = Windows::over(&model.sight, setting.dataset, setting.range.clone())?;
    let first = setting.range.start + windows.warming();
    let known = bars.len().saturating_sub(horizon).saturating_sub(first);
    let inputs: Vec<&[f32]> = windows.ready().take(known).collect();
    let said = model.predictor.outputs(&inputs).map_err(BacktestError::Model)?;
    let row = |(place, (window, said)): (usize, (&&[f32], Output))| {
        let bar = first + place;
        let (outcome, class) = (log_return(bars, bar, bar + horizon), direction(bars, bar, task, unit));
        Row { bar, window: window.to_vec(), said, outcome, class }
    };
    Ok(inputs.iter().zip(said).enumerate().map(row).collect())
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
