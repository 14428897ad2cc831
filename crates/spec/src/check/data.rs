//! Symbols, splits and the number of bars.

use market::{Symbol, Timestamp};

use crate::check::DataFacts;
use crate::problem::{Finding, suggest};
use crate::resolve::reach;
use crate::{
    CALIBRATION_ROWS_MIN, CrossValidationSpec, DateRange, ExperimentSpec, FOLD_ROWS_MIN, FoldWindow, TaskSpec,
};

/// Rows below which a split has no standard deviation of returns.
const ROWS_MIN: usize = 3;

/// Rows that a symbol beside the traded one has to have: a deviation of fewer says nothing.
const COMPANION_ROWS_MIN: usize = 8;

/// What holds for every trial: symbols, and splits within the data and in order.
pub(super) fn findings(spec: &ExperimentSpec, data: Option<&DataFacts>) -> Vec<Finding> {
    let mut findings = order(spec);
    if let Some(data) = data {
        findings.extend(symbols(spec, data));
        findings.extend(outside(spec, data));
    }
    findings
}

/// What a trial's own horizon, window and episode ask of the splits.
pub(super) fn point_findings(spec: &ExperimentSpec, data: Option<&DataFacts>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let (purge, reach) = (spec.data.split.purge, reach(spec));
    if purge < reach {
        let what = format!("`purge` is {purge}");
        let why = format!("rows look {reach} bars ahead, into the next split");
        findings.push(Finding::new("data.split.purge", what, why, format!("use {reach} or more, or leave it out")));
    }
    if let Some(data) = data.filter(|data| !data.times.is_empty()) {
        findings.extend(splits(spec).into_iter().filter_map(|(name, range)| too_few(spec, data, (name, range))));
        findings.extend(small_folds(spec, data));
        findings.extend(small_companions(spec, data));
    }
    findings
}

fn splits(spec: &ExperimentSpec) -> [(&'static str, DateRange); 3] {
    let split = &spec.data.split;
    [("train", split.train), ("validation", split.validation), ("test", split.test)]
}

fn order(spec: &ExperimentSpec) -> Vec<Finding> {
    let splits = splits(spec);
    let mut findings = Vec::new();
    for (name, range) in splits {
        if range.to < range.from {
            let what = format!("`{name}` ends {} before it starts {}", range.to, range.from);
            findings.push(Finding::new(
                format!("data.split.{name}"),
                what,
                "a split runs forward",
                "swap the two dates",
            ));
        }
    }
    for pair in splits.windows(2) {
        let [(earlier, before), (later, after)] = [pair[0], pair[1]];
        if after.from <= before.to {
            let what = format!("`{later}` starts {} and `{earlier}` ends {}", after.from, before.to);
            let why = "splits follow each other without overlap";
            let hint = format!("start `{later}` after {}", before.to.date());
            findings.push(Finding::new(format!("data.split.{later}"), what, why, hint));
        }
    }
    findings
}

fn symbols(spec: &ExperimentSpec, data: &DataFacts) -> Vec<Finding> {
    let missing = |(index, symbol): (usize, &Symbol)| {
        let hint = suggest(symbol.as_str(), data.symbols.iter().map(Symbol::as_str));
        let why = format!("`{}` has no bars of it", spec.data.source);
        Finding::new(format!("data.symbols.{index}"), format!("unknown symbol `{symbol}`"), why, hint)
    };
    spec.data.symbols.iter().enumerate().filter(|(_, symbol)| !data.symbols.contains(symbol)).map(missing).collect()
}

fn outside(spec: &ExperimentSpec, data: &DataFacts) -> Vec<Finding> {
    let (Some(first), Some(last)) = (data.times.first(), data.times.last()) else { return Vec::new() };
    let mut findings = Vec::new();
    let mut refuse = |name: &str, end: usize, date: Timestamp, edge: String| {
        let what = format!("{} lies outside the data", date.date());
        findings.push(Finding::new(format!("data.split.{name}.{end}"), what, edge, "use a date within the data"));
    };
    for (name, range) in splits(spec) {
        if range.from < *first || range.from > *last {
            refuse(name, 0, range.from, format!("bars run from {} to {}", first.date(), last.date()));
        }
        if range.to > *last || range.to < *first {
            refuse(name, 1, range.to, format!("bars run from {} to {}", first.date(), last.date()));
        }
    }
    findings
}

/// Folds that keep too few rows: blocks, and what trains before the first block of a walk, which is the least there is.
fn small_folds(spec: &ExperimentSpec, data: &DataFacts) -> Option<Finding> {
    let TaskSpec::Supervised(task) = &spec.task else { return None };
    let folds = task.cross_validation.as_ref()?;
    let (blocks, horizon) = ((folds.blocks() as usize).max(1), task.horizon as usize);
    let [train, validation, _] = splits(spec);
    let validation = rows(spec, data, validation);
    let all = rows(spec, data, train) + validation;
    let refuse = |kept: String| {
        let why = format!("{FOLD_ROWS_MIN} are needed of {all} rows of `train` and `validation` in {blocks} blocks");
        let hint = "use fewer folds, a shorter horizon or longer splits";
        Finding::new("task.supervised.cross_validation", kept, why, hint)
    };
    if all < FOLD_ROWS_MIN * blocks {
        return Some(refuse(format!("a fold tests {} rows", all / blocks)));
    }
    let CrossValidationSpec::WalkForward { window, .. } = folds else { return None };
    let first = match *window {
        FoldWindow::Expanding => all.div_ceil(blocks),
        FoldWindow::Rolling { rows } => all.div_ceil(blocks).min(rows as usize),
    };
    let trains = first.saturating_sub(horizon);
    let stops = trains * validation / all;
    let fitted = (trains - stops).saturating_sub(horizon);
    (fitted.min(stops) < FOLD_ROWS_MIN)
        .then(|| refuse(format!("the first fold keeps {fitted} rows to fit on and {stops} to stop by after purging")))
}

/// Bars left out at the start of a split.
fn embargo(spec: &ExperimentSpec, name: &str) -> usize {
    if name == "train" { 0 } else { spec.data.split.embargo as usize }
}

/// Bars of a split that are decided on.
fn rows(spec: &ExperimentSpec, data: &DataFacts, split: (&str, DateRange)) -> usize {
    rows_among(&data.times, spec, data.warm_up_bars, split)
}

fn rows_among(
    times: &[Timestamp],
    spec: &ExperimentSpec,
    warm_up_bars: usize,
    (name, range): (&str, DateRange),
) -> usize {
    let begin = times.partition_point(|time| *time < range.from) + embargo(spec, name);
    let end = times.partition_point(|time| *time <= range.to).saturating_sub(spec.data.split.purge as usize);
    let ready = warm_up_bars + spec.task.window().saturating_sub(1);
    end.saturating_sub(begin.max(ready))
}

/// Symbols beside the traded one that teach too little, such as those that were listed later.
fn small_companions(spec: &ExperimentSpec, data: &DataFacts) -> Vec<Finding> {
    let [train, ..] = splits(spec);
    let small = |(index, times): (usize, &Vec<Timestamp>)| {
        let rows = rows_among(times, spec, data.warm_up_bars, train);
        (rows < COMPANION_ROWS_MIN).then(|| {
            let symbol = &spec.data.symbols[index];
            let what = format!("`{symbol}` has {rows} rows in `train`");
            let why = format!("{COMPANION_ROWS_MIN} are needed to learn from it, after warm-up, window and purge");
            Finding::new(format!("data.symbols.{index}"), what, why, "leave it out, or lengthen `train`")
        })
    };
    (1..spec.data.symbols.len()).zip(&data.companions).filter_map(small).collect()
}

fn too_few(spec: &ExperimentSpec, data: &DataFacts, (name, range): (&'static str, DateRange)) -> Option<Finding> {
    let (rows, window) = (rows(spec, data, (name, range)), spec.task.window());
    let (purge, embargo) = (spec.data.split.purge, embargo(spec, name));
    let needed = match (&spec.task, name) {
        (TaskSpec::Rl(_), "train") => (spec.env.episode_bars as usize + 1).max(ROWS_MIN),
        (TaskSpec::Supervised(task), "validation") if task.calibration.is_some() => CALIBRATION_ROWS_MIN,
        (TaskSpec::Rl(_) | TaskSpec::Supervised(_), _) => ROWS_MIN,
    };
    (rows < needed && range.from <= range.to).then(|| {
        let what = format!("`{name}` has {rows} rows");
        let why = format!(
            "{needed} are needed after {} bars of warm-up, a window of {window}, purge {purge} and embargo {embargo}",
            data.warm_up_bars
        );
        Finding::new(format!("data.split.{name}"), what, why, "lengthen it, or shorten window, features or episodes")
    })
}
