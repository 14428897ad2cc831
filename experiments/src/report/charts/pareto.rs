//! One objective against another: the trials that no other beats in everything, and the rest.

use maud::{Markup, html};
use spec::{Direction, Objective};

use crate::figure;
use crate::report::chart::{Axis, Frame, Plane, px};
use crate::report::charts::curves::title;
use crate::report::{Report, TrialLine};
use crate::sweep;

const WIDTH: f64 = 490.0;
const HEIGHT: f64 = 320.0;
const FRAME: Frame = Frame { left: 58.0, right: 472.0, top: 30.0, bottom: 262.0 };

/// One chart for each further objective.
pub(in crate::report) fn render(report: &Report<'_>) -> Vec<Markup> {
    report.also.iter().map(|other| chart(report, *other)).collect()
}

fn value(report: &Report<'_>, trial: &TrialLine, objective: Objective) -> Option<f64> {
    let measured = trial.metrics.get(&sweep::metric(objective)).copied();
    let measured = if objective == report.objective { trial.objective.or(measured) } else { measured };
    measured.filter(|value| value.is_finite())
}

fn chart(report: &Report<'_>, other: Objective) -> Markup {
    let points: Vec<(&TrialLine, f64, f64)> = report
        .trials
        .iter()
        .filter_map(|trial| Some((trial, value(report, trial, report.objective)?, value(report, trial, other)?)))
        .collect();
    let axis = |objective: Objective, values: Vec<f64>| {
        Axis::rounded(values.iter().copied(), 5, &label(objective)).tight(values.iter().copied())
    };
    let x = axis(report.objective, points.iter().map(|point| point.1).collect());
    let plane = Plane { frame: FRAME, x, y: axis(other, points.iter().map(|point| point.2).collect()) };
    let is_front = |trial: &TrialLine| report.insight.front.contains(&trial.index);
    let mut front: Vec<(f64, f64)> =
        points.iter().filter(|(trial, ..)| is_front(trial)).map(|(_, x, y)| (*x, *y)).collect();
    front.sort_by(|one, other| one.0.total_cmp(&other.0).then(one.1.total_cmp(&other.1)));
    html! {
        svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label=(format!("{} against {}, with the Pareto front", title(sweep::metric(report.objective)), title(sweep::metric(other)))) {
            (plane.grid())
            // With more than two objectives the front is no line here.
            @if report.also.len() == 1 { path.curve.front d=(plane.path(stairs(&front, report.objective))) {} }
            @for (trial, x, y) in points.iter().filter(|(trial, ..)| !is_front(trial)).chain(points.iter().filter(|(trial, ..)| is_front(trial))) {
                @let (px_x, px_y) = plane.at(*x, *y);
                @if Some(trial.index) == report.best { circle.ring cx=(px(px_x)) cy=(px(px_y)) r="9" {} }
                circle class=(if is_front(trial) { "point on" } else { "point off" }) cx=(px(px_x)) cy=(px(px_y)) r=(if is_front(trial) { "5.5" } else { "4" }) {
                    title { (tooltip(trial, (plane.x.label.as_str(), *x), (plane.y.label.as_str(), *y))) }
                }
            }
        }
    }
}

/// From point to point by way of the corner that is worse than both: between two trials of the front nothing better than
/// that is known.
fn stairs(front: &[(f64, f64)], objective: Objective) -> impl Iterator<Item = (f64, f64)> + '_ {
    front.iter().enumerate().flat_map(move |(place, &(x, y))| {
        let corner = place.checked_sub(1).map(|before| match objective.better() {
            Direction::Maximise => (front[before].0, y),
            Direction::Minimise => (x, front[before].1),
        });
        corner.into_iter().chain([(x, y)])
    })
}

fn label(objective: Objective) -> String {
    let better = match objective.better() {
        Direction::Maximise => "more is better",
        Direction::Minimise => "less is better",
    };
    format!("{}, {better}", title(sweep::metric(objective)).split(" (").next().unwrap_or_default())
}

fn tooltip(trial: &TrialLine, x: (&str, f64), y: (&str, f64)) -> String {
    let named =
        |(name, value): (&str, f64)| format!("{}: {}", name.split(',').next().unwrap_or(name), figure::number(value));
    format!("trial {}, seed {}\n{}\n{}", trial.index, trial.seed, named(x), named(y))
}
