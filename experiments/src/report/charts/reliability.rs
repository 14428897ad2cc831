//! The reliability diagram: how often a named direction came against how probable it was said to be.

use backtest::calibration::ReliabilityBin;
use maud::{Markup, html};

use crate::figure;
use crate::report::chart::{Axis, Frame, Plane, px};

const WIDTH: f64 = 490.0;
const HEIGHT: f64 = 400.0;
const FRAME: Frame = Frame { left: 58.0, right: 472.0, top: 30.0, bottom: 342.0 };
/// Radii of the smallest and the largest bin; areas go with the number of rows.
const RADII: (f64, f64) = (3.0, 14.0);

/// The diagram as inline SVG, with the diagonal of forecasts that mean what they say.
pub(in crate::report) fn render(bins: &[ReliabilityBin]) -> Markup {
    let both = || bins.iter().flat_map(|bin| [bin.confidence, bin.frequency]);
    let x = Axis::rounded(both(), 5, "Probability said of the direction named");
    let y = Axis::rounded(both(), 5, "Share of those that came");
    let ends = [x.ticks.first(), x.ticks.last()].map(|tick| tick.map_or(0.0, |tick| tick.value));
    let plane = Plane { frame: FRAME, x, y };
    let most = bins.iter().map(|bin| bin.count).max().unwrap_or(1).max(1) as f64;
    let radius = |bin: &ReliabilityBin| (RADII.1 * (bin.count as f64 / most).sqrt()).max(RADII.0);
    html! {
        svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label="Reliability diagram of the direction on the test split" {
            (plane.grid())
            path.curve.front d=(plane.path(ends.into_iter().map(|value| (value, value)))) {}
            @for bin in bins {
                @let (x, y) = plane.at(bin.confidence, bin.frequency);
                circle class="point on" cx=(px(x)) cy=(px(y)) r=(px(radius(bin))) {
                    title { (bin.count) " rows\nsaid " (figure::percent(bin.confidence)) "\ncame " (figure::percent(bin.frequency)) }
                }
            }
        }
    }
}
