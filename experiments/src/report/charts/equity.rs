//! Equity of the model against buy-and-hold on the test split, the position held, and the drawdown beneath.

use maud::{Markup, html};

use crate::figure;
use crate::report::TestRun;
use crate::report::chart::{Axis, Frame, Plane, px};

const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 560.0;
const EQUITY: Frame = Frame { left: 64.0, right: 880.0, top: 34.0, bottom: 330.0 };
const HELD: Frame = Frame { left: 64.0, right: 880.0, top: 344.0, bottom: 354.0 };
const DRAWDOWN: Frame = Frame { left: 64.0, right: 880.0, top: 398.0, bottom: 520.0 };
/// More points than this would lie closer than half a pixel.
const POINTS_MAX: usize = 1_600;
/// Hover areas across the chart.
const ZONES_MAX: usize = 200;
/// Height of a line of text at the end of a curve.
const LABEL_GAP: f64 = 34.0;

/// The chart as inline SVG.
pub(in crate::report) fn render(test: &TestRun) -> Markup {
    let (Some(first), Some(last)) = (test.times.first(), test.times.last()) else {
        return html! { p.empty { "The test backtest has no bars." } };
    };
    let time = Axis::time(*first, *last);
    let bare = time.clone().with_ticks(Vec::new());
    let values = test.model.iter().chain(&test.benchmark).copied();
    let money = Axis::rounded(values, 5, "Equity after costs (quote currency)").written(figure::amount);
    let equity = Plane { frame: EQUITY, x: bare, y: money };
    let falls = (drawdowns(&test.model), drawdowns(&test.benchmark));
    let depth = Axis::rounded(
        falls.0.iter().chain(&falls.1).copied().chain([0.0, -0.01]),
        3,
        "Drawdown (% below the peak so far)",
    )
    .written(|value| figure::percent(value).replace(".0", ""));
    let drawdown = Plane { frame: DRAWDOWN, x: time, y: depth };
    html! {
        svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label="Equity of the model and of buy-and-hold on the test split, with drawdown" {
            (equity.grid())
            (drawdown.grid())
            (held(test, &equity))
            path.curve.bench d=(equity.path(thinned(test, &test.benchmark))) {}
            path.curve.model d=(equity.path(thinned(test, &test.model))) {}
            (ends(test, &equity))
            path.fill.model d=(area(&drawdown, test, &falls.0)) {}
            path.curve.thin.bench d=(drawdown.path(thinned(test, &falls.1))) {}
            path.curve.thin.model d=(drawdown.path(thinned(test, &falls.0))) {}
            (zones(test, &equity, &falls.0))
        }
    }
}

/// Fraction below the highest value so far, per value: at most 0.
fn drawdowns(equity: &[f64]) -> Vec<f64> {
    let mut peak = f64::NEG_INFINITY;
    let mut fall = |value: &f64| {
        peak = peak.max(*value);
        value / peak - 1.0
    };
    equity.iter().map(&mut fall).collect()
}

/// At most [`POINTS_MAX`] points: lowest and highest of each stretch, in time order.
fn thinned<'a>(test: &'a TestRun, values: &'a [f64]) -> impl Iterator<Item = (f64, f64)> + 'a {
    let stretch = (2 * values.len()).div_ceil(POINTS_MAX).max(1);
    let starts = (0..values.len()).step_by(stretch);
    starts.flat_map(move |start| {
        let places = start..(start + stretch).min(values.len());
        let low = places.clone().min_by(|a, b| values[*a].total_cmp(&values[*b])).unwrap_or(start);
        let high = places.max_by(|a, b| values[*a].total_cmp(&values[*b])).unwrap_or(start);
        let pair = [low.min(high), low.max(high)];
        let kept = if low == high { 1 } else { 2 };
        pair.into_iter().take(kept).map(move |place| (figure::seconds(test.times[place]), values[place]))
    })
}

/// The drawdown path closed along zero.
fn area(plane: &Plane, test: &TestRun, falls: &[f64]) -> String {
    let edge = |place: Option<&market::Timestamp>| place.map(|time| (figure::seconds(*time), 0.0));
    let points = edge(test.times.first()).into_iter().chain(thinned(test, falls)).chain(edge(test.times.last()));
    format!("{}Z", plane.path(points))
}

/// A strip that is filled while a position is held: up-coloured when long, down-coloured when short.
fn held(test: &TestRun, plane: &Plane) -> Markup {
    let mut spans: Vec<(usize, usize, bool)> = Vec::new();
    for (bar, exposure) in test.exposure.iter().enumerate().filter(|(_, exposure)| **exposure != 0.0) {
        match spans.last_mut() {
            Some((_, end, long)) if *end == bar && *long == (*exposure > 0.0) => *end = bar + 1,
            _ => spans.push((bar, bar + 1, *exposure > 0.0)),
        }
    }
    let x = |bar: usize| {
        let time = test.times[bar.min(test.times.len() - 1)];
        plane.at(figure::seconds(time), 0.0).0
    };
    html! {
        @if !test.exposure.is_empty() {
            rect.held-track x=(px(HELD.left)) y=(px(HELD.top)) width=(px(HELD.width())) height=(px(HELD.bottom - HELD.top)) rx="2" {
                title { "Position held: filled while in the market" }
            }
            text.tick x=(px(HELD.right + 12.0)) y=(px(HELD.bottom)) {
                "held"
                @if spans.iter().any(|span| span.2) { tspan.long { " long" } }
                @if spans.iter().any(|span| !span.2) { tspan.short { " short" } }
            }
        }
        @for (from, to, long) in spans {
            rect class=(if long { "held" } else { "held short" }) x=(px(x(from))) y=(px(HELD.top)) width=(px((x(to) - x(from)).max(1.0))) height=(px(HELD.bottom - HELD.top)) {}
        }
    }
}

/// A dot, a name and the final amount at the end of each curve, kept apart.
fn ends(test: &TestRun, plane: &Plane) -> Markup {
    let end = |values: &[f64]| values.last().map_or((0.0, 0.0), |value| (*value, plane.at(0.0, *value).1));
    let ((model, model_y), (bench, bench_y)) = (end(&test.model), end(&test.benchmark));
    let shift = ((LABEL_GAP - (model_y - bench_y).abs()) / 2.0).max(0.0);
    let (model_shift, bench_shift) = if model_y <= bench_y { (-shift, shift) } else { (shift, -shift) };
    let label = |class: &str, name: &str, value: f64, y: f64, moved: f64| {
        html! {
            circle class=(format!("dot {class}")) cx=(px(EQUITY.right)) cy=(px(y)) r="3.5" {}
            text class=(format!("end {class}")) x=(px(EQUITY.right + 12.0)) y=(px(y + moved - 3.0)) { (name) }
            text.tick x=(px(EQUITY.right + 12.0)) y=(px(y + moved + 12.0)) { (figure::amount(value)) }
        }
    };
    html! {
        (label("bench", "Buy and hold", bench, bench_y, bench_shift))
        (label("model", "Model", model, model_y, model_shift))
    }
}

/// Invisible columns that say the figures of their bar on hover.
fn zones(test: &TestRun, plane: &Plane, falls: &[f64]) -> Markup {
    let stride = test.times.len().div_ceil(ZONES_MAX).max(1);
    let width = EQUITY.width() / test.times.len().div_ceil(stride) as f64;
    html! {
        @for bar in (0..test.times.len()).step_by(stride) {
            @let x = plane.at(figure::seconds(test.times[bar]), 0.0).0;
            rect.zone x=(px((x - width / 2.0).max(EQUITY.left))) y=(px(EQUITY.top)) width=(px(width)) height=(px(DRAWDOWN.bottom - EQUITY.top)) {
                title {
                    (figure::moment(test.times[bar])) "\nmodel " (figure::amount(test.model[bar]))
                    @if let Some(value) = test.benchmark.get(bar) { "\nbuy and hold " (figure::amount(*value)) }
                    "\nmodel drawdown " (figure::percent(falls[bar]))
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawdown_is_measured_from_the_highest_point_so_far() {
        let falls = drawdowns(&[100.0, 120.0, 90.0, 150.0, 75.0]);
        assert_eq!(falls, [0.0, 0.0, -0.25, 0.0, -0.5]);
    }

    #[test]
    fn a_long_series_is_thinned_and_keeps_its_extremes() {
        let times: Vec<market::Timestamp> =
            (0..50_000).map(|bar| market::Timestamp::from_micros(bar * 60_000_000)).collect();
        let mut model: Vec<f64> = (0..50_000).map(|bar| f64::from(bar % 100)).collect();
        (model[12_345], model[40_001]) = (5_000.0, -5_000.0);
        let test =
            TestRun { times, benchmark: Vec::new(), exposure: Vec::new(), model: Vec::new(), figures: Vec::new() };
        let points: Vec<(f64, f64)> = thinned(&test, &model).collect();
        assert!(points.len() <= POINTS_MAX, "{}", points.len());
        assert!(points.windows(2).all(|pair| pair[0].0 < pair[1].0), "time goes forward");
        assert!(points.iter().any(|point| point.1 == 5_000.0) && points.iter().any(|point| point.1 == -5_000.0));
    }
}
