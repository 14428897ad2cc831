//! Objective of every trial against each swept parameter; colour tells a second measurement.

use maud::{Markup, html};
use spec::{Dimension, Metric, Objective, ParamValue};

use crate::figure;
use crate::report::chart::{Axis, Frame, Plane, Tick, extent, px};
use crate::report::charts::curves::title;
use crate::report::{Report, TrialLine};
use crate::sweep;

const WIDTH: f64 = 490.0;
const HEIGHT: f64 = 290.0;
const FRAME: Frame = Frame { left: 52.0, right: 472.0, top: 30.0, bottom: 232.0 };
/// Swept parameters shown.
const PANELS_MAX: usize = 6;
/// Steps of the colour ramp; the style sheet holds one class for each.
const SHADES: usize = 7;

/// One chart per swept parameter; one against the trial's index where nothing is swept.
pub(in crate::report) fn render(report: &Report<'_>) -> Vec<Markup> {
    let mut panels: Vec<Markup> = report
        .space
        .iter()
        .take(PANELS_MAX)
        .map(|(path, dimension)| {
            chart(report, &parameter_axis(report, path, dimension), &|trial| place(report, trial, path, dimension))
        })
        .collect();
    // By index as well, where it fills the row of two.
    if panels.len().is_multiple_of(2) && !panels.is_empty() {
        return panels;
    }
    let indices = || report.trials.iter().map(|trial| f64::from(trial.index));
    let axis = Axis::counted(indices(), 6, "Trial (index)").tight(indices());
    panels.push(chart(report, &axis, &|trial| Some(f64::from(trial.index))));
    panels
}

/// What the colour means, as a legend; empty where nothing is left to show.
pub(in crate::report) fn legend(report: &Report<'_>) -> Markup {
    let Some((low, high)) = extent(report.trials.iter().filter_map(|trial| tint(report, trial))) else {
        return html! {};
    };
    html! {
        span.key { (tint_title(report)) }
        span.key.ramp { (figure::number(low)) @for shade in 0..SHADES { i class=(format!("s{shade}")) {} } (figure::number(high)) }
    }
}

/// The metric in colour: the loss, the Sharpe ratio where the loss is the objective, or how far folds are apart.
fn tint_metric(report: &Report<'_>) -> Metric {
    match report.objective {
        Objective::ValidationSharpe | Objective::ValidationReturn | Objective::ValidationDrawdown => {
            let measured = |trial: &TrialLine| trial.metrics.contains_key(&Metric::ValidationLoss);
            if report.trials.iter().any(measured) { Metric::ValidationLoss } else { Metric::ValidationDrawdown }
        }
        Objective::ValidationLoss => Metric::ValidationSharpe,
        Objective::CrossValidationLoss => Metric::CrossValidationLossDeviation,
        Objective::CrossValidationSharpe => Metric::CrossValidationSharpeDeviation,
    }
}

fn tint(report: &Report<'_>, trial: &TrialLine) -> Option<f64> {
    trial.metrics.get(&tint_metric(report)).copied().filter(|value| value.is_finite())
}

fn tint_title(report: &Report<'_>) -> &'static str {
    title(tint_metric(report))
}

/// Where a trial stands on a parameter's axis: its number, or its place in the list of choices.
pub(in crate::report) fn place(
    report: &Report<'_>,
    trial: &TrialLine,
    path: &str,
    dimension: &Dimension,
) -> Option<f64> {
    let value = trial.params.get(path)?;
    match (dimension, value) {
        (Dimension::Choice(choices), value) => {
            choices.iter().position(|choice| choice == value).map(|place| place as f64)
        }
        (_, ParamValue::Real(real)) => Some(*real),
        (_, ParamValue::Integer(whole)) => Some(*whole as f64),
        (_, ParamValue::Bool(_) | ParamValue::Text(_) | ParamValue::List(_)) => {
            Some(f64::from(trial.index)).filter(|_| report.space.is_empty())
        }
    }
}

fn parameter_axis(report: &Report<'_>, path: &str, dimension: &Dimension) -> Axis {
    let drawn = || report.trials.iter().filter_map(|trial| place(report, trial, path, dimension));
    match dimension {
        Dimension::LogUniform(..) | Dimension::LogInteger(..) => Axis::logarithmic(drawn(), path),
        Dimension::Uniform(..) => Axis::rounded(drawn(), 6, path).tight(drawn()),
        Dimension::Integer(..) => Axis::counted(drawn(), 6, path).tight(drawn()),
        Dimension::Choice(choices) => {
            let name =
                |(place, choice): (usize, &ParamValue)| Tick { value: place as f64, text: figure::parameter(choice) };
            let ends = [-0.5, choices.len() as f64 - 0.5];
            Axis::counted(ends.into_iter(), 6, path)
                .tight(ends.into_iter())
                .with_ticks(choices.iter().enumerate().map(name).collect())
        }
    }
}

fn chart(report: &Report<'_>, x: &Axis, place: &dyn Fn(&TrialLine) -> Option<f64>) -> Markup {
    let y = Axis::rounded(
        report.trials.iter().filter_map(|trial| trial.objective),
        4,
        title(sweep::metric(report.objective)),
    );
    let plane = Plane { frame: FRAME, x: x.clone(), y };
    let range = extent(report.trials.iter().filter_map(|trial| tint(report, trial)));
    let dot = |trial: &TrialLine| -> Option<(f64, f64, String)> {
        let (px, py) = plane.at(place(trial)?, trial.objective?);
        let shade = tint(report, trial).zip(range).map_or(0, |(value, range)| shade(value, range));
        (px.is_finite() && py.is_finite()).then(|| (px, py, format!("point s{shade}")))
    };
    html! {
        svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label=(format!("{} by {}", plane.y.label, plane.x.label)) {
            (plane.grid())
            @for trial in report.trials.iter() {
                @if let Some((x, y, class)) = dot(trial) {
                    @if Some(trial.index) == report.best { circle.ring cx=(px(x)) cy=(px(y)) r="9" {} }
                    circle class=(class) cx=(px(x)) cy=(px(y)) r="5.5" { title { (tooltip(report, trial)) } }
                }
            }
        }
    }
}

fn shade(value: f64, (low, high): (f64, f64)) -> usize {
    if high > low { (((value - low) / (high - low) * SHADES as f64) as usize).min(SHADES - 1) } else { SHADES / 2 }
}

fn tooltip(report: &Report<'_>, trial: &TrialLine) -> String {
    let mut text = format!("trial {}, seed {}", trial.index, trial.seed);
    for (path, value) in &trial.params {
        text.push_str(&format!("\n{path} = {}", figure::parameter(value)));
    }
    let objective = trial.objective.map_or_else(|| "–".to_owned(), figure::number);
    text.push_str(&format!("\n{}: {objective}", title(sweep::metric(report.objective))));
    if let Some(value) = tint(report, trial) {
        text.push_str(&format!("\n{}: {}", tint_title(report), figure::number(value)));
    }
    text
}
