//! Parallel coordinates: an axis for each swept dimension and the objective, a line for each trial.

use maud::{Markup, html};
use spec::{Dimension, Direction};

use crate::figure;
use crate::report::chart::{Axis, Tick, extent, px};
use crate::report::charts::curves::title;
use crate::report::charts::scatter::place;
use crate::report::{Report, TrialLine};
use crate::sweep;

const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 380.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 936.0;
const TOP: f64 = 56.0;
const BOTTOM: f64 = 352.0;
/// Dimensions shown: the most important, as far as that is known.
pub(in crate::report) const DIMENSIONS_MAX: usize = 8;
/// Lines drawn: the best.
pub(in crate::report) const TRIALS_MAX: usize = 200;
/// Steps of the colour ramp; the style sheet holds one class for each.
const SHADES: usize = 7;
/// Choices written beside an axis; of more, the first and the last.
const CHOICES_MAX: usize = 8;

/// What a trial says on an axis.
type Reading<'a> = Box<dyn Fn(&TrialLine) -> Option<f64> + 'a>;

/// An axis with its place, its ends and what a trial says on it.
struct Column<'a> {
    path: &'a str,
    axis: Axis,
    value: Reading<'a>,
}

/// The chart as inline SVG; nothing with fewer than two dimensions or measured trials.
pub(in crate::report) fn render(report: &Report<'_>) -> Option<Markup> {
    let mut trials: Vec<&TrialLine> = report.trials.iter().filter(|trial| trial.objective.is_some()).collect();
    if report.space.len() < 2 || trials.len() < 2 {
        return None;
    }
    // The best last, so that they lie on top.
    let merit = |trial: &TrialLine| match report.direction {
        Direction::Maximise => trial.objective.unwrap_or(f64::NEG_INFINITY),
        Direction::Minimise => -trial.objective.unwrap_or(f64::INFINITY),
    };
    trials.sort_by(|one, other| merit(one).total_cmp(&merit(other)).then(other.index.cmp(&one.index)));
    trials.drain(..trials.len().saturating_sub(TRIALS_MAX));
    let columns = columns(report);
    let x = |place: usize| LEFT + (RIGHT - LEFT) * place as f64 / (columns.len() - 1) as f64;
    let line = |trial: &TrialLine| {
        let mut path = String::new();
        let mut pen = 'M';
        for (place, column) in columns.iter().enumerate() {
            match (column.value)(trial).map(|value| column.axis.place(value, BOTTOM, TOP)).filter(|y| y.is_finite()) {
                Some(y) => {
                    path.push_str(&format!("{pen}{:.1} {y:.1}", x(place)));
                    pen = 'L';
                }
                // A dimension that does not count for this trial: the line has a gap.
                None => pen = 'M',
            }
        }
        path
    };
    let shade = |place: usize| place * SHADES / trials.len();
    Some(html! {
        svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label="Every trial as a line through its parameters to its objective" {
            @for (rank, trial) in trials.iter().enumerate() {
                @let best = Some(trial.index) == report.best;
                g {
                    path class=(if best { "curve model".to_owned() } else { format!("line l{}", shade(rank)) }) d=(line(trial)) {}
                    path.reach d=(line(trial)) { title { (tooltip(report, trial)) } }
                }
            }
            @for (place, column) in columns.iter().enumerate() { (upright(column, x(place), (place, columns.len()))) }
        }
    })
}

fn columns<'a>(report: &'a Report<'_>) -> Vec<Column<'a>> {
    let ranked: Vec<&str> = report
        .insight
        .importance
        .iter()
        .flat_map(|found| &found.dimensions)
        .map(|weight| weight.path.as_str())
        .collect();
    let rank = |path: &str| ranked.iter().position(|other| *other == path).unwrap_or(usize::MAX);
    let mut paths: Vec<&String> = report.space.keys().collect();
    paths.sort_by_key(|path| rank(path));
    paths.truncate(DIMENSIONS_MAX);
    // What matters most stands next to the objective.
    paths.reverse();
    let dimension = |path: &'a String| {
        let dimension = &report.space[path];
        let value = move |trial: &TrialLine| place(report, trial, path, dimension);
        Column { path, axis: range(report, &value, dimension), value: Box::new(value) }
    };
    let objective = Column {
        path: title(sweep::metric(report.objective)),
        axis: ends(report.trials.iter().filter_map(|trial| trial.objective)),
        value: Box::new(|trial: &TrialLine| trial.objective),
    };
    paths.into_iter().map(dimension).chain([objective]).collect()
}

fn range(report: &Report<'_>, value: &dyn Fn(&TrialLine) -> Option<f64>, dimension: &Dimension) -> Axis {
    let drawn = || report.trials.iter().filter_map(value);
    match dimension {
        Dimension::LogUniform(..) | Dimension::LogInteger(..) => {
            let axis = Axis::logarithmic(drawn(), "");
            let (low, high) = extent(drawn()).unwrap_or((1.0, 10.0));
            axis.with_ticks(few(low, high, |share| low * (high / low).powf(share)))
        }
        Dimension::Uniform(..) | Dimension::Integer(..) => ends(drawn()),
        Dimension::Choice(choices) => {
            let last = choices.len().saturating_sub(1);
            let shown = |place: &usize| choices.len() <= CHOICES_MAX || *place == 0 || *place == last;
            let tick = |place: usize| Tick { value: place as f64, text: cut(&figure::parameter(&choices[place])) };
            Axis::counted([0.0, last as f64].into_iter(), 4, "")
                .tight([0.0, last as f64].into_iter())
                .with_ticks((0..=last).filter(shown).map(tick).collect())
        }
    }
}

/// From the least to the largest of the values, both written out, with two between.
fn ends(values: impl Iterator<Item = f64> + Clone) -> Axis {
    let (low, high) = extent(values.clone()).unwrap_or((0.0, 1.0));
    Axis::rounded(values.clone(), 4, "").tight(values).with_ticks(few(low, high, |share| low + share * (high - low)))
}

fn few(low: f64, high: f64, at: impl Fn(f64) -> f64) -> Vec<Tick> {
    let shares: &[f64] = if low == high { &[0.0] } else { &[0.0, 1.0 / 3.0, 2.0 / 3.0, 1.0] };
    shares.iter().map(|share| at(*share)).map(|value| Tick { value, text: figure::significant(value) }).collect()
}

fn upright(column: &Column<'_>, x: f64, (place, count): (usize, usize)) -> Markup {
    let name = column.path.rsplit('.').next().unwrap_or(column.path).replace('_', " ");
    let name = name.split(" (").next().unwrap_or_default();
    let is_last = place + 1 == count;
    // Names of neighbours stand in two rows where they would run into each other.
    let row = if count > 5 && !is_last && place % 2 == 1 { 34.0 } else { 16.0 };
    let anchor = if is_last {
        "end"
    } else if place == 0 {
        "start"
    } else {
        "middle"
    };
    let at = if is_last {
        x + 56.0
    } else if place == 0 {
        x - 56.0
    } else {
        x
    };
    html! {
        line.upright x1=(px(x)) x2=(px(x)) y1=(px(TOP)) y2=(px(BOTTOM)) {}
        text class=(if is_last { "axis chief" } else { "axis" }) x=(px(at)) y=(px(row)) text-anchor=(anchor) { (name) title { (column.path) } }
        @for tick in &column.axis.ticks {
            @let y = column.axis.place(tick.value, BOTTOM, TOP);
            text.tick.halo x=(px(if is_last { x + 8.0 } else { x - 8.0 })) y=(px(y)) dy="0.32em" text-anchor=(if is_last { "start" } else { "end" }) { (tick.text) }
        }
    }
}

fn cut(text: &str) -> String {
    const CHARS_MAX: usize = 12;
    if text.chars().count() <= CHARS_MAX {
        text.to_owned()
    } else {
        format!("{}…", text.chars().take(CHARS_MAX - 1).collect::<String>())
    }
}

fn tooltip(report: &Report<'_>, trial: &TrialLine) -> String {
    let params = trial.params.iter().map(|(path, value)| format!("\n{path} = {}", figure::parameter(value)));
    let objective = trial.objective.map_or_else(|| "–".to_owned(), figure::number);
    format!(
        "trial {}, seed {}{}\n{}: {objective}",
        trial.index,
        trial.seed,
        params.collect::<String>(),
        title(sweep::metric(report.objective))
    )
}
