//! A model over history: forecasts in batches, policies bar by bar, since what they see depends on what they hold.

use std::ops::Range;

use dataset::Dataset;
use features::observation;
use market::Bar;
use models::{Predictor, Sight};
use spec::{Decision, Output, Reason};

use crate::desk::Desk;
use crate::windows::{Windows, in_batches};
use crate::{Backtest, BacktestError, Setting};

/// Trades the bars of `setting` with a network. What it sees is computed from the training anchor on, with the fit in
/// `sight`; where its recursion stands is not used.
///
/// # Errors
/// [`BacktestError`]: the bars, the features or the network do not fit.
pub fn run(predictor: &Predictor, sight: &Sight, setting: &Setting<'_>) -> Result<Backtest, BacktestError> {
    setting.bars()?;
    if predictor.spec().observes_position() {
        policy(predictor, sight, setting)
    } else {
        forecaster(predictor, sight, setting)
    }
}

/// The windows of a network over some bars, warm-up left out: what [`crate::parity`] takes.
///
/// # Errors
/// [`BacktestError::Feature`] when a bar is defective, or the data do not start at the training anchor.
pub fn forecast_rows(sight: &Sight, dataset: &Dataset, range: Range<usize>) -> Result<Vec<Vec<f32>>, BacktestError> {
    let mut rows = Vec::new();
    in_batches((sight, dataset), range, |_, windows| {
        rows.extend(windows.iter().map(|window| window.to_vec()));
        Ok(())
    })?;
    Ok(rows)
}

fn forecaster(predictor: &Predictor, sight: &Sight, setting: &Setting<'_>) -> Result<Backtest, BacktestError> {
    let mut decisions: Vec<Decision> = Vec::with_capacity(setting.range.len());
    in_batches((sight, setting.dataset), setting.range.clone(), |first, windows| {
        let outputs = predictor.predict(windows)?;
        for ((bar, &window), output) in setting.dataset.bars[first..].iter().zip(windows).zip(outputs) {
            decisions.push(decide(predictor, setting, bar, (window, output)));
        }
        Ok(())
    })?;
    let mut decided = decisions.into_iter().peekable();
    Desk::trade(setting, |bar, _| {
        Ok(decided.next_if(|decision| decision.bar == bar.time).unwrap_or_else(|| warming_up(bar)))
    })
}

fn policy(predictor: &Predictor, sight: &Sight, setting: &Setting<'_>) -> Result<Backtest, BacktestError> {
    let mut windows = Windows::over(sight, setting.dataset)?;
    let mut observed = vec![0.0; sight.input_width() + observation::POSITION_WIDTH];
    let mut bars = setting.range.clone();
    Desk::trade(setting, |bar, position| {
        let index = bars.next().expect("a desk asks once for each bar of the range");
        let Some(window) = windows.at(index)? else { return Ok(warming_up(bar)) };
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
