//! Scales, axes and paths for inline SVG.
//!
//! Why no plotting crate: the report follows the reader's colour scheme through CSS classes, carries tooltips as
//! `<title>` elements and uses the page's own type; the plotting crates at hand paint fixed colours and lay text out
//! with metrics of their own. What is needed beyond that is this file: two scales, three kinds of ticks, one path.
//! All coordinates are CSS pixels in the chart's view box.

use market::Timestamp;
use maud::{Markup, html};

use crate::figure;

const DAY: f64 = 86_400.0;

/// The plot area inside a chart, by its edges.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub(super) left: f64,
    pub(super) right: f64,
    pub(super) top: f64,
    pub(super) bottom: f64,
}

impl Frame {
    pub(super) fn width(&self) -> f64 {
        self.right - self.left
    }
}

/// How values spread over an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spread {
    Linear,
    Log,
}

/// A value on an axis that is written out.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tick {
    pub(super) value: f64,
    pub(super) text: String,
}

/// One axis: its range of values, its ticks and what it measures.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    low: f64,
    high: f64,
    spread: Spread,
    pub(super) ticks: Vec<Tick>,
    pub(super) label: String,
}

impl Axis {
    /// Round steps around all finite `values`; the range grows to full steps.
    pub(super) fn rounded(values: impl Iterator<Item = f64>, steps: usize, label: &str) -> Self {
        Self::stepped(values, steps, 0.0, label)
    }

    /// As [`Axis::rounded`], for what is counted: no step is smaller than one.
    pub(super) fn counted(values: impl Iterator<Item = f64>, steps: usize, label: &str) -> Self {
        Self::stepped(values, steps, 1.0, label)
    }

    fn stepped(values: impl Iterator<Item = f64>, steps: usize, step_min: f64, label: &str) -> Self {
        let (low, high) = extent(values).unwrap_or((0.0, 1.0));
        let (low, high) = if low == high { (low - 0.5, high + 0.5) } else { (low, high) };
        let step = round_step((high - low) / steps as f64).max(step_min);
        let (first, last) = ((low / step).floor(), (high / step).ceil());
        let decimals = (-step.log10().floor()).clamp(0.0, 9.0) as usize;
        let ticks = (0..=(last - first) as usize)
            .map(|place| (first + place as f64) * step)
            .map(|value| Tick { value, text: figure::minus(&format!("{value:.decimals$}")) })
            .collect();
        Self { low: first * step, high: last * step, spread: Spread::Linear, ticks, label: label.to_owned() }
    }

    /// Cut back to the range of its `values`, padded by a thirtieth, so that points use the whole width.
    pub(super) fn tight(mut self, values: impl Iterator<Item = f64>) -> Self {
        let (low, high) = extent(values).unwrap_or((0.0, 1.0));
        let pad = if low == high { 0.5 } else { (high - low) / 30.0 };
        (self.low, self.high) = (low - pad, high + pad);
        self.ticks.retain(|tick| (low - pad..=high + pad).contains(&tick.value));
        self
    }

    /// A logarithmic axis over positive `values`, padded, with 1, 2, 5 of each decade, or 1 alone over many decades.
    pub(super) fn logarithmic(values: impl Iterator<Item = f64>, label: &str) -> Self {
        let (low, high) = extent(values.filter(|value| *value > 0.0)).unwrap_or((1.0, 10.0));
        let (low, high) = if low == high { (low / 2.0, high * 2.0) } else { (low, high) };
        let pad = (high / low).powf(1.0 / 30.0);
        let (low, high) = (low / pad, high * pad);
        let decades = low.log10().floor() as i32..=high.log10().ceil() as i32;
        let leads: &[f64] = if (high / low).log10() > 3.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let ticks = decades
            .flat_map(|decade| leads.iter().map(move |lead| lead * 10f64.powi(decade)))
            .filter(|value| (low..=high).contains(value))
            .map(|value| Tick { value, text: figure::parameter(&spec::ParamValue::Real(value)) })
            .map(|tick| Tick { text: trimmed(&tick.text), ..tick })
            .collect();
        Self { low, high, spread: Spread::Log, ticks, label: label.to_owned() }
    }

    /// From the first to the last of `times`, with ticks at months, days or hours, at most about eight.
    pub(super) fn time(first: Timestamp, last: Timestamp) -> Self {
        let (low, high) = (figure::seconds(first), figure::seconds(last).max(figure::seconds(first) + 1.0));
        let ticks = if high - low > 90.0 * DAY { month_ticks(first, last) } else { even_ticks(first, last) };
        Self { low, high, spread: Spread::Linear, ticks, label: String::new() }
    }

    /// With ticks written by `text` instead.
    pub(super) fn written(mut self, text: impl Fn(f64) -> String) -> Self {
        for tick in &mut self.ticks {
            tick.text = text(tick.value);
        }
        self
    }

    /// With exactly these ticks.
    pub(super) fn with_ticks(mut self, ticks: Vec<Tick>) -> Self {
        self.ticks = ticks;
        self
    }

    /// Where `value` lies between `from` and `to`; not finite where the value is not on the axis.
    pub(super) fn place(&self, value: f64, from: f64, to: f64) -> f64 {
        let share = match self.spread {
            Spread::Linear => (value - self.low) / (self.high - self.low),
            Spread::Log => (value.ln() - self.low.ln()) / (self.high.ln() - self.low.ln()),
        };
        from + share * (to - from)
    }
}

/// A pair of axes over a frame.
#[derive(Clone, Debug)]
pub(super) struct Plane {
    pub(super) frame: Frame,
    pub(super) x: Axis,
    pub(super) y: Axis,
}

impl Plane {
    /// The pixel of a point.
    pub(super) fn at(&self, x: f64, y: f64) -> (f64, f64) {
        let Frame { left, right, top, bottom } = self.frame;
        (self.x.place(x, left, right), self.y.place(y, bottom, top))
    }

    /// An SVG path through `points`; what is not finite breaks it.
    pub(super) fn path(&self, points: impl Iterator<Item = (f64, f64)>) -> String {
        let mut path = String::new();
        let mut pen = 'M';
        for (x, y) in points.map(|(x, y)| self.at(x, y)) {
            if x.is_finite() && y.is_finite() {
                path.push_str(&format!("{pen}{x:.1} {y:.1}"));
                pen = 'L';
            } else {
                pen = 'M';
            }
        }
        path
    }

    /// Gridlines, tick labels and axis labels. The label of y stands above the axis, that of x below its middle.
    pub(super) fn grid(&self) -> Markup {
        let Frame { left, right, top, bottom } = self.frame;
        html! {
            @for tick in &self.y.ticks {
                @let y = px(self.y.place(tick.value, bottom, top));
                line.grid x1=(px(left)) x2=(px(right)) y1=(y) y2=(y) {}
                text.tick x=(px(left - 10.0)) y=(y) dy="0.32em" text-anchor="end" { (tick.text) }
            }
            text.axis x="0" y=(px(top - 14.0)) { (self.y.label) }
            (self.x_axis())
        }
    }

    /// The x axis alone.
    pub(super) fn x_axis(&self) -> Markup {
        let Frame { left, right, bottom, .. } = self.frame;
        html! {
            line.base x1=(px(left)) x2=(px(right)) y1=(px(bottom)) y2=(px(bottom)) {}
            @for tick in &self.x.ticks {
                @let x = px(self.x.place(tick.value, left, right));
                line.base x1=(x) x2=(x) y1=(px(bottom)) y2=(px(bottom + 5.0)) {}
                text.tick x=(x) y=(px(bottom + 20.0)) text-anchor="middle" { (tick.text) }
            }
            text.axis x=(px((left + right) / 2.0)) y=(px(bottom + 40.0)) text-anchor="middle" { (self.x.label) }
        }
    }
}

/// A coordinate with one decimal.
pub(super) fn px(value: f64) -> String {
    format!("{value:.1}")
}

/// Smallest and largest finite value.
pub(super) fn extent(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.filter(|value| value.is_finite()).fold(None, |range, value| {
        let (low, high) = range.unwrap_or((value, value));
        Some((low.min(value), high.max(value)))
    })
}

/// 1, 2 or 5 times a power of ten, at least `raw`.
fn round_step(raw: f64) -> f64 {
    let power = 10f64.powf(raw.log10().floor());
    let lead = raw / power;
    power * [1.0, 2.0, 5.0].into_iter().find(|step| lead <= *step + 1e-9).unwrap_or(10.0)
}

fn trimmed(text: &str) -> String {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text.to_owned() }
}

fn month_ticks(first: Timestamp, last: Timestamp) -> Vec<Tick> {
    const NAMES: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let months = (figure::seconds(last) - figure::seconds(first)) / (30.4375 * DAY);
    let stride = [1, 2, 3, 6, 12, 24, 60, 120].into_iter().find(|stride| months / f64::from(*stride) <= 9.0);
    let stride = stride.unwrap_or(240);
    let start: i32 = first.date().get(..4).and_then(|year| year.parse().ok()).unwrap_or(1970);
    let mut ticks = Vec::new();
    for month in (0..).step_by(stride as usize) {
        let (year, name) = (start + month / 12, NAMES[(month % 12) as usize]);
        let Ok(time) = format!("{year:04}-{:02}-01", month % 12 + 1).parse::<Timestamp>() else { break };
        if time > last {
            break;
        }
        // January carries the year, so a row of ticks reads as a calendar.
        let text = if stride >= 12 {
            year.to_string()
        } else if month % 12 == 0 {
            format!("{name} {year}")
        } else {
            name.to_owned()
        };
        if time >= first {
            ticks.push(Tick { value: figure::seconds(time), text });
        }
    }
    ticks
}

fn even_ticks(first: Timestamp, last: Timestamp) -> Vec<Tick> {
    const STEPS: [f64; 11] =
        [60.0, 300.0, 900.0, 3_600.0, 10_800.0, 21_600.0, DAY, 2.0 * DAY, 7.0 * DAY, 14.0 * DAY, 30.0 * DAY];
    let (low, high) = (figure::seconds(first), figure::seconds(last));
    let step = STEPS.into_iter().find(|step| (high - low) / step <= 8.0).unwrap_or(90.0 * DAY);
    let from = (low / step).ceil() as i64;
    let to = (high / step).floor() as i64;
    (from..=to)
        .map(|place| place as f64 * step)
        .map(|value| Tick { value, text: figure::moment(Timestamp::default().plus_seconds(value)) })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|tick| tick.text.as_str()).collect()
    }

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_rounded_axis_covers_its_values_with_round_steps() {
        let axis = Axis::rounded([0.13, 0.97, f64::NAN].into_iter(), 4, "loss");
        assert_eq!(texts(&axis), ["0.0", "0.5", "1.0"]);
        assert_eq!(axis.place(0.5, 0.0, 100.0), 50.0);
        assert_eq!(texts(&Axis::rounded([-3.0, 7.0].into_iter(), 5, "")), ["−4", "−2", "0", "2", "4", "6", "8"]);
        assert!(Axis::rounded(std::iter::empty(), 4, "").ticks.len() > 1, "an empty chart still has an axis");
    }

    #[test]
    fn what_is_counted_has_whole_ticks_and_a_tight_axis_keeps_those_within() {
        assert_eq!(texts(&Axis::counted([1.0, 3.0].into_iter(), 5, "epoch")), ["1", "2", "3"]);
        assert_eq!(texts(&Axis::counted([2.0].into_iter(), 5, "trial").tight([2.0].into_iter())), ["2"]);
        let (values, wide) = ([0.07, 0.93], Axis::rounded([0.07, 0.93].into_iter(), 5, ""));
        assert_eq!(texts(&wide.tight(values.into_iter())), ["0.2", "0.4", "0.6", "0.8"]);
    }

    #[test]
    fn a_logarithmic_axis_is_even_in_ratios() {
        let axis = Axis::logarithmic([1e-3, 1e-1].into_iter(), "rate");
        assert_eq!(texts(&axis), ["0.001", "0.002", "0.005", "0.01", "0.02", "0.05", "0.1"]);
        assert!((axis.place(1e-2, 0.0, 1.0) - 0.5).abs() < 1e-9);
    }

    #[test]
    fn years_months_and_hours_label_a_time_axis_by_its_length() {
        assert_eq!(
            texts(&Axis::time(time("2021-01-04"), time("2023-09-21"))),
            ["Jul", "Jan 2022", "Jul", "Jan 2023", "Jul"]
        );
        assert_eq!(texts(&Axis::time(time("2013-01-02"), time("2020-06-01"))).len(), 7);
        assert_eq!(
            texts(&Axis::time(time("2021-03-01T12:00:00Z"), time("2021-03-03"))),
            [
                "2021-03-01 12:00",
                "2021-03-01 18:00",
                "2021-03-02",
                "2021-03-02 06:00",
                "2021-03-02 12:00",
                "2021-03-02 18:00",
                "2021-03-03"
            ]
        );
    }

    #[test]
    fn a_missing_value_breaks_a_path_instead_of_bending_it() {
        let frame = Frame { left: 0.0, right: 100.0, top: 0.0, bottom: 100.0 };
        let x = Axis::rounded([0.0, 10.0].into_iter(), 5, "");
        let plane = Plane { frame, y: x.clone(), x };
        let points = [(0.0, 0.0), (1.0, f64::NAN), (5.0, 10.0), (10.0, 0.0)];
        assert_eq!(plane.path(points.into_iter()), "M0.0 100.0M50.0 0.0L100.0 100.0");
    }
}
