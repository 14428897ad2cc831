//! The map of an explanation as SVG: features down, bars across, blue where a value raises the number and orange where it
//! lowers it, the stronger the more. Below it the attention of each bar, beside it the sum of each feature.
//!
//! It stands alone as a file and inside a page, and follows the reader's colour scheme.

use maud::{Markup, PreEscaped, html};

use crate::words::{change, moment, subject};
use crate::{Explanation, Grain};

/// Widths and heights in pixels of the view box.
const ROW: f64 = 24.0;
const MAP: f64 = 720.0;
const CELL_MAX: f64 = 36.0;
const LETTER: f64 = 7.2;
const SUMS: f64 = 108.0;
const TOP: f64 = 72.0;
const STRIP: f64 = 14.0;
/// Between two dates.
const DATES: f64 = 84.0;
/// Shades of each side of the legend.
const SHADES: i32 = 8;

const STYLE: &str = ".attribution{--ink:#151a21;--soft:#56616e;--up:#1d5bd0;--down:#c2660c;--line:#dfe3e9;\
font:12px system-ui,-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif}\
@media(prefers-color-scheme:dark){.attribution{--ink:#e7ebf0;--soft:#9ba7b4;--up:#78a9ff;--down:#f0a257;--line:#2a313b}}\
.attribution text{fill:var(--ink)}.attribution .soft{fill:var(--soft)}.attribution .title{font-size:14px;font-weight:600}\
.attribution .up{fill:var(--up)}.attribution .down{fill:var(--down)}.attribution .attended{fill:var(--soft)}\
.attribution .frame{fill:none;stroke:var(--line)}";

/// Where the parts of a map lie.
struct Plan {
    left: f64,
    cell: f64,
    columns: usize,
    rows: usize,
    most: f64,
}

impl Plan {
    fn of(explanation: &Explanation) -> Self {
        let (columns, rows) = explanation.shape();
        let names = names(explanation).iter().map(|name| name.chars().count()).max().unwrap_or(0);
        let most = explanation.values.iter().map(|value| value.abs()).fold(0.0, f64::max);
        let cell = (MAP / columns as f64).min(CELL_MAX);
        Self { left: 16.0 + LETTER * names as f64, cell, columns, rows, most }
    }

    fn right(&self) -> f64 {
        self.left + self.cell * self.columns as f64
    }

    fn bottom(&self) -> f64 {
        TOP + ROW * self.rows as f64
    }

    /// Wide enough for the title, whatever the map.
    fn width(&self) -> f64 {
        (self.right() + SUMS).max(520.0)
    }

    fn height(&self) -> f64 {
        self.bottom() + 112.0
    }

    /// How strongly a value is painted.
    fn strength(&self, value: f64) -> f64 {
        if self.most > 0.0 { value.abs() / self.most } else { 0.0 }
    }
}

/// The map as a file of its own.
#[must_use]
pub fn file(explanation: &Explanation) -> String {
    draw(explanation, Some("http://www.w3.org/2000/svg"))
}

/// The map as a part of an HTML page, which needs no namespace.
#[must_use]
pub fn inline(explanation: &Explanation) -> String {
    draw(explanation, None)
}

fn draw(explanation: &Explanation, namespace: Option<&str>) -> String {
    let plan = Plan::of(explanation);
    let (width, height) = (px(plan.width()), px(plan.height()));
    let title = format!("What drives {} at {}", subject(explanation.target), moment(explanation.bar));
    let map = html! {
        svg.attribution xmlns=[namespace] viewBox=(format!("0 0 {width} {height}")) role="img" aria-label=(title) {
            style { (PreEscaped(STYLE)) }
            text.title x="8" y="22" { (title) }
            text.soft x="8" y="42" { (explanation.method.sentence()) ", against the training mean" }
            (cells(explanation, &plan))
            rect.frame x=(px(plan.left)) y=(px(TOP)) width=(px(plan.right() - plan.left)) height=(px(plan.bottom() - TOP)) {}
            (margins(explanation, &plan))
            (bars(explanation, &plan))
            (legend(explanation, &plan))
        }
    };
    map.into_string()
}

/// What the rows of a map are called.
fn names(explanation: &Explanation) -> Vec<&str> {
    match explanation.grain {
        Grain::Cell | Grain::Feature => explanation.features.iter().map(String::as_str).collect(),
        Grain::Bar => vec!["all features"],
    }
}

fn cells(explanation: &Explanation, plan: &Plan) -> Markup {
    let names = names(explanation);
    let when = |column: usize| match explanation.grain {
        Grain::Cell | Grain::Bar => format!(", {}", moment(explanation.bars[column])),
        Grain::Feature => String::new(),
    };
    html! {
        @for column in 0..plan.columns {
            @for (row, name) in names.iter().enumerate() {
                @let value = explanation.at(column, row);
                @let (x, y) = (plan.left + plan.cell * column as f64, TOP + ROW * row as f64);
                rect class=(side(value)) fill-opacity=(format!("{:.3}", plan.strength(value)))
                    x=(px(x)) y=(px(y)) width=(px(plan.cell)) height=(px(ROW)) {
                    title { (name) (when(column)) ": " (change(explanation.target, value)) }
                }
            }
        }
    }
}

/// Names on the left, sums on the right.
fn margins(explanation: &Explanation, plan: &Plan) -> Markup {
    let sum = |row: usize| (0..plan.columns).map(|column| explanation.at(column, row)).sum::<f64>();
    html! {
        text.soft x=(px(plan.right() + SUMS - 12.0)) y=(px(TOP - 8.0)) text-anchor="end" { "together" }
        @for (row, name) in names(explanation).into_iter().enumerate() {
            @let y = px(TOP + ROW * row as f64 + ROW / 2.0);
            text x=(px(plan.left - 8.0)) y=(y) dy="0.32em" text-anchor="end" { (name) }
            text x=(px(plan.right() + SUMS - 12.0)) y=(y) dy="0.32em" text-anchor="end" { (change(explanation.target, sum(row))) }
        }
    }
}

/// Attention and dates, where columns are bars.
fn bars(explanation: &Explanation, plan: &Plan) -> Markup {
    let dated = match explanation.grain {
        Grain::Cell | Grain::Bar => explanation.bars.as_slice(),
        Grain::Feature => &[],
    };
    let attention = explanation.attention.as_deref().filter(|_| !dated.is_empty()).unwrap_or_default();
    let most = attention.iter().copied().fold(0.0, f32::max);
    let every = (DATES / plan.cell).ceil() as usize;
    let (strip, dates) = (plan.bottom() + 8.0, plan.bottom() + 42.0);
    html! {
        @if !attention.is_empty() {
            text.soft x=(px(plan.left - 8.0)) y=(px(strip + STRIP / 2.0)) dy="0.32em" text-anchor="end" { "attention" }
        }
        @for (column, share) in attention.iter().enumerate() {
            rect.attended fill-opacity=(format!("{:.3}", share / most)) x=(px(plan.left + plan.cell * column as f64)) y=(px(strip))
                width=(px(plan.cell)) height=(px(STRIP)) {
                title { "attention, " (moment(dated[column])) ": " (format!("{:.1} %", 100.0 * share)) }
            }
        }
        // From the newest bar back, so that it always has its date.
        @for (back, bar) in dated.iter().rev().enumerate().step_by(every) {
            @let x = plan.right() - plan.cell * (back as f64 + 0.5);
            text.soft x=(px(x)) y=(px(dates)) text-anchor="middle" { (moment(*bar)) }
        }
    }
}

fn legend(explanation: &Explanation, plan: &Plan) -> Markup {
    let (y, shade) = (plan.bottom() + 66.0, 10.0);
    let middle = plan.left + shade * f64::from(SHADES) + 84.0;
    html! {
        text.soft x=(px(middle - shade * f64::from(SHADES) - 8.0)) y=(px(y + 10.0)) text-anchor="end" { (change(explanation.target, -plan.most)) }
        @for step in -SHADES..SHADES {
            @let value = f64::from(step) + 0.5;
            rect class=(side(value)) fill-opacity=(format!("{:.3}", value.abs() / f64::from(SHADES))) x=(px(middle + shade * f64::from(step))) y=(px(y)) width=(px(shade)) height="12" {}
        }
        text.soft x=(px(middle + shade * f64::from(SHADES) + 8.0)) y=(px(y + 10.0)) { (change(explanation.target, plan.most)) }
        text.soft x=(px(middle)) y=(px(y + 30.0)) text-anchor="middle" { "lowers it · raises it" }
    }
}

const fn side(value: f64) -> &'static str {
    if value < 0.0 { "down" } else { "up" }
}

/// A coordinate with one decimal.
fn px(value: f64) -> String {
    format!("{value:.1}")
}

#[cfg(test)]
pub(crate) mod tests;
