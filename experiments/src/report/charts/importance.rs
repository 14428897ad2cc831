//! How much of the objective's variance each dimension explains, as bars with the spread of other draws of the trials.

use maud::{Markup, html};

use crate::figure;
use crate::report::chart::{Axis, Frame, Plane, px};
use crate::sweep::{Importance, Share};

const WIDTH: f64 = 1000.0;
const LEFT: f64 = 330.0;
const RIGHT: f64 = 900.0;
const TOP: f64 = 8.0;
/// From one bar to the next.
const ROW: f64 = 30.0;
const BAR: f64 = 16.0;
/// Dimensions shown; those that explain least are left out.
pub(in crate::report) const DIMENSIONS_MAX: usize = 12;

/// The chart as inline SVG.
pub(in crate::report) fn render(importance: &Importance) -> Markup {
    let named =
        importance.dimensions.iter().take(DIMENSIONS_MAX).map(|weight| (weight.path.as_str(), weight.share, "bar"));
    let rows: Vec<(&str, Share, &str)> = named.chain([("several together", importance.together, "bar rest")]).collect();
    let bottom = TOP + ROW * rows.len() as f64;
    let share = Axis::rounded([0.0, 1.0].into_iter(), 5, "Share of the variance of the objective")
        .written(|value| figure::percent(value).replace(".0", ""));
    let nothing = Axis::rounded([0.0, 1.0].into_iter(), 1, "").with_ticks(Vec::new());
    let plane = Plane { frame: Frame { left: LEFT, right: RIGHT, top: TOP, bottom }, x: share, y: nothing };
    let at = |value: f64| plane.at(value, 0.0).0;
    html! {
        svg viewBox=(format!("0 0 {WIDTH} {}", bottom + 48.0)) role="img" aria-label="Importance of each dimension" {
            @for tick in &plane.x.ticks {
                line.grid x1=(px(at(tick.value))) x2=(px(at(tick.value))) y1=(px(TOP)) y2=(px(bottom)) {}
            }
            @for (place, (name, share, class)) in rows.iter().enumerate() {
                @let middle = TOP + ROW * (place as f64 + 0.5);
                text.tick x=(px(LEFT - 12.0)) y=(px(middle)) dy="0.32em" text-anchor="end" { (short(name)) title { (name) } }
                rect class=(class) x=(px(LEFT)) y=(px(middle - BAR / 2.0)) width=(px((at(share.value) - LEFT).max(1.0))) height=(px(BAR)) rx="2" {
                    title { (name) ": " (figure::percent(share.value)) ", " (span(share)) }
                }
                line.whisker x1=(px(at(share.low))) x2=(px(at(share.high))) y1=(px(middle)) y2=(px(middle)) {}
                @for end in [share.low, share.high] {
                    line.whisker x1=(px(at(end))) x2=(px(at(end))) y1=(px(middle - 4.0)) y2=(px(middle + 4.0)) {}
                }
                text x=(px(RIGHT + 16.0)) y=(px(middle)) dy="0.32em" { (figure::percent(share.value)) }
            }
            (plane.x_axis())
        }
    }
}

/// Low to high, as percentages.
pub(in crate::report) fn span(share: &Share) -> String {
    format!("{} to {}", figure::percent(share.low), figure::percent(share.high))
}

/// The end of a path that does not fit; the tooltip has all of it.
fn short(path: &str) -> String {
    const CHARS_MAX: usize = 44;
    let all = path.chars().count();
    if all <= CHARS_MAX {
        path.to_owned()
    } else {
        format!("…{}", path.chars().skip(all - CHARS_MAX + 1).collect::<String>())
    }
}
