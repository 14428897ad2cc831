//! The page: header, verdict, charts and tables.

use std::collections::BTreeSet;

use maud::{DOCTYPE, Markup, PreEscaped, html};
use spec::{Dimension, Direction, Metric, ParamValue};

use super::charts::{curves, equity, importance, parallel, pareto, scatter};
use super::{Explained, Report, TestRun, Tone, TrialLine, calibration, folds};
use crate::figure;
use crate::sweep;

/// Rows of the trials table; beyond it the best ones are shown, and the page says so.
const ROWS_MAX: usize = 200;

/// The whole report as one HTML document.
#[must_use]
pub fn render(report: &Report<'_>) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (report.experiment) " · Tradewind" }
                style { (PreEscaped(include_str!("style.css"))) }
            }
            body {
                (header(report))
                main {
                    (tiles(report))
                    @if let Some(test) = &report.test { (test_section(test)) }
                    @if let Some(figures) = &report.calibration { (calibration::section(figures)) }
                    (gates(report))
                    (explained_section(&report.explained))
                    (curves_section(report))
                    (folds::section(report))
                    (scatter_section(report))
                    (parallel_section(report))
                    (importance_section(report))
                    (front_section(report))
                    (trials(report))
                    (environment(report))
                }
                footer { "Made by Tradewind. Past returns say little about future ones." }
            }
        }
    };
    page.into_string()
}

fn header(report: &Report<'_>) -> Markup {
    let (class, word) = match report.tone {
        Tone::Passed => ("verdict passed", "Passed"),
        Tone::Refused => ("verdict refused", "Not promoted"),
        Tone::Open => ("verdict open", "Open"),
    };
    let bundle = report.best_trial().map(|trial| trial.note.as_str());
    html! {
        header {
            p.over { "Tradewind · experiment report" }
            h1 { (report.experiment) }
            @if !report.question.is_empty() { p.question { (report.question) } }
            div class=(class) {
                span.word { (word) }
                div {
                    p { (report.sentence) }
                    @if !report.promotion.is_empty() { p.after { (report.promotion) } }
                }
            }
            dl.ids {
                div { dt { "Data" } dd { (report.data) } }
                div { dt { "Data digest" } dd.mono { (report.data_digest) } }
                @if let Some(bundle) = bundle { div { dt { "Bundle" } dd.mono { (bundle) } } }
            }
        }
    }
}

fn tiles(report: &Report<'_>) -> Markup {
    let succeeded = report.trials.iter().filter(|trial| trial.objective.is_some()).count();
    let objective = report.best_trial().map_or_else(|| "–".to_owned(), |trial| objective(report, trial));
    let model = report.test.as_ref().and_then(|test| test.figures.first());
    let hold = report.test.as_ref().and_then(|test| test.figures.get(1));
    html! {
        section.tiles {
            (tile(&head(sweep::metric(report.objective)), &objective, "best trial"))
            @if let Some(model) = model {
                (tile("Test return", &figure::change(model.total_return), &hold.map_or_else(String::new, |hold| format!("buy and hold {}", figure::change(hold.total_return)))))
                (tile("Test Sharpe", &figure::number(model.sharpe), &hold.map_or_else(String::new, |hold| format!("buy and hold {}", figure::number(hold.sharpe)))))
                (tile("Test max drawdown", &figure::percent(model.drawdown), &hold.map_or_else(String::new, |hold| format!("buy and hold {}", figure::percent(hold.drawdown)))))
            }
            (tile("Trials", &format!("{succeeded} / {}", report.trials.len()), "with a result"))
        }
    }
}

fn tile(label: &str, value: &str, note: &str) -> Markup {
    html! { div.tile { p.label { (label) } p.value { (value) } p.note { (note) } } }
}

fn test_section(test: &TestRun) -> Markup {
    html! {
        section {
            h2 { "Test split" }
            p.lead { "Equity of the best trial against buying on the first bar and holding. Same venue, same costs; seen once, after the choice was made." }
            figure.wide {
                div.legend { span.key.model { i {} "Model" } span.key.bench { i {} "Buy and hold" } }
                (equity::render(test))
            }
            div.scroll { table {
                thead { tr { th.text { "Strategy" } th { "Total return" } th { "Sharpe (a year)" } th { "Max drawdown" } th { "Fills" } th { "Costs (quote currency)" } } }
                tbody {
                    @for row in &test.figures {
                        tr {
                            td.text { (row.name) }
                            td { (figure::change(row.total_return)) }
                            td { (figure::number(row.sharpe)) }
                            td { (figure::percent(row.drawdown)) }
                            td { (figure::amount(row.fills as f64)) }
                            td { (figure::amount(row.costs)) }
                        }
                    }
                }
            } }
        }
    }
}

fn gates(report: &Report<'_>) -> Markup {
    html! {
        @if !report.gates.is_empty() {
            section {
                h2 { "Promotion gates" }
                p.lead { "All must pass before " code { "champion" } " moves. A refused model may stand as " code { "challenger" } " for paper trading." }
                div.scroll { table {
                    thead { tr { th.text { "Gate" } th { "Figure" } th { "Threshold" } th.text { "Verdict" } } }
                    tbody {
                        @for gate in &report.gates {
                            tr {
                                td.text { (gate.name.replace('_', " ")) }
                                td { (figure::number(gate.value)) }
                                td { (figure::number(gate.threshold)) }
                                td.text { @if gate.passed { span.pill.good { "passed" } } @else { span.pill.bad { "refused" } } }
                            }
                        }
                    }
                } }
            }
        }
    }
}

fn explained_section(explained: &Explained) -> Markup {
    html! {
        @match explained {
            Explained::Nothing => {}
            Explained::Refused(why) => {
                section { h2 { "What drives a forecast" } p.lead { "The forecast of the last bar of the test split has no explanation: " (why) "." } }
            }
            Explained::Shown(explanation) => {
                section {
                    h2 { "What drives a forecast" }
                    p.lead { "The best trial's forecast of the last bar of the test split; " code { "tradewind explain-prediction" } " explains any other." }
                    figure.wide { (PreEscaped(explain::heat_map::inline(explanation))) }
                    @for sentence in explain::sentences(explanation) { p { (sentence) } }
                }
            }
        }
    }
}

fn curves_section(report: &Report<'_>) -> Markup {
    let charts = curves::render(report);
    let drawn = report.trials.iter().filter(|trial| !trial.curve.is_empty()).count();
    html! {
        @if !charts.is_empty() {
            section {
                h2 { "Learning curves" }
                div.legend {
                    @if report.best.is_some() { span.key.model { i {} "Best trial" } }
                    span.key.other { i {} "Other trials" }
                    @if drawn > curves::TRIALS_MAX { span.key { "the first " (curves::TRIALS_MAX) " of " (drawn) " are drawn" } }
                }
                div.pair { @for chart in charts { figure { (chart) } } }
            }
        }
    }
}

fn scatter_section(report: &Report<'_>) -> Markup {
    html! {
        @if report.trials.iter().any(|trial| trial.objective.is_some()) {
            section {
                h2 { "Trials" }
                div.legend { (scatter::legend(report)) @if report.best.is_some() { span.key.best { i {} "best" } } }
                div.pair { @for chart in scatter::render(report) { figure { (chart) } } }
            }
        }
    }
}

fn parallel_section(report: &Report<'_>) -> Markup {
    let measured = report.trials.iter().filter(|trial| trial.objective.is_some()).count();
    html! {
        @if let Some(chart) = parallel::render(report) {
            section {
                h2 { "Parameters and objective" }
                p.lead {
                    "A line for each trial, darker the better its rank."
                    @if report.space.len() > parallel::DIMENSIONS_MAX { " " (parallel::DIMENSIONS_MAX) " of " (report.space.len()) " dimensions are shown." }
                    @if measured > parallel::TRIALS_MAX { " The best " (parallel::TRIALS_MAX) " of " (measured) " trials are drawn." }
                }
                div.legend {
                    span.key.ramp { "worst" @for shade in 0..7 { i class=(format!("s{shade}")) {} } "best" }
                    @if report.best.is_some() { span.key.model { i {} "Best trial" } }
                }
                figure.wide { (chart) }
            }
        }
    }
}

fn importance_section(report: &Report<'_>) -> Markup {
    html! {
        @if let Some(found) = &report.insight.importance {
            section {
                h2 { "Which parameters mattered" }
                p.lead {
                    "How much of the variance of the objective over the whole space each explains (functional analysis of variance over a random forest), from " (found.points) " points. "
                    "The thin lines span the middle 80 % of twenty forests grown on as many points drawn anew from these, with replacement: what luck with the points moves."
                    @if found.dimensions.len() > importance::DIMENSIONS_MAX { " The " (importance::DIMENSIONS_MAX) " largest of " (found.dimensions.len()) " are drawn." }
                }
                figure.wide { (importance::render(found)) }
                div.scroll { table {
                    thead { tr { th.text { "Parameter" } th { "Share" } th { "Middle 80 %" } } }
                    tbody {
                        @for weight in &found.dimensions {
                            tr { td.text { (weight.path) } td { (figure::percent(weight.share.value)) } td { (importance::span(&weight.share)) } }
                        }
                        tr { td.text { "several together" } td { (figure::percent(found.together.value)) } td { (importance::span(&found.together)) } }
                    }
                } }
            }
        }
    }
}

fn front_section(report: &Report<'_>) -> Markup {
    html! {
        @if !report.also.is_empty() && !report.insight.front.is_empty() {
            section {
                h2 { "Pareto front" }
                p.lead { (report.insight.front.len()) " trials are beaten by no other in every objective. Which of them is promoted is decided by the first objective alone." }
                div.legend {
                    span.key.on { i {} "on the front" } span.key.off { i {} "beaten" }
                    @if report.best.is_some() { span.key.best { i {} "best by the first objective" } }
                }
                div.pair { @for chart in pareto::render(report) { figure { (chart) } } }
            }
        }
    }
}

fn trials(report: &Report<'_>) -> Markup {
    let rows = ranked(report);
    let metrics: BTreeSet<Metric> = report.trials.iter().flat_map(|trial| trial.metrics.keys().copied()).collect();
    let objective = sweep::metric(report.objective);
    // The deviation of the objective stands beside it.
    let beside = [Some(objective), sweep::deviation(report.objective)];
    let metrics: Vec<Metric> = metrics.into_iter().filter(|metric| !beside.contains(&Some(*metric))).collect();
    html! {
        section {
            h2 { "All trials" }
            @if rows.len() < report.trials.len() { p.lead { "The best " (rows.len()) " of " (report.trials.len()) "." } }
            div.scroll { table.dense {
                thead { tr {
                    th { "Trial" } th { "Seed" }
                    @for path in report.space.keys() { th title=(path) { (path.rsplit('.').next().unwrap_or(path).replace('_', " ")) } }
                    th.chief { (head(objective)) }
                    @for metric in &metrics { th { (head(*metric)) } }
                    th.text { "State" } th { "Attempts" } th.text { "Bundle" }
                } }
                tbody { @for trial in rows { (row(report, trial, &metrics)) } }
            } }
        }
    }
}

fn row(report: &Report<'_>, trial: &TrialLine, metrics: &[Metric]) -> Markup {
    let best = Some(trial.index) == report.best;
    html! {
        tr.best[best] {
            td { (trial.index) @if let Some(parent) = trial.parent { span.from title=(format!("goes on from trial {parent}")) { " ← " (parent) } } @if best { span.star title="best trial" { " ★" } } }
            td { (trial.seed) }
            @for (path, dimension) in report.space { td { (cell(trial.params.get(path), dimension)) } }
            td.chief { (objective(report, trial)) }
            @for metric in metrics { td { (trial.metrics.get(metric).map_or_else(|| "–".to_owned(), |value| figure::number(*value))) } }
            td.text { span class=(if trial.state == "succeeded" { "state good" } else { "state bad" }) { (trial.state.replace('_', " ")) } }
            td { (trial.attempts) }
            td.text.mono.note title=(trial.note) { (short(&trial.note)) }
        }
    }
}

/// The objective of a trial, with its deviation where it is a mean over folds.
fn objective(report: &Report<'_>, trial: &TrialLine) -> String {
    let Some(mean) = trial.objective else { return "–".to_owned() };
    let deviation = sweep::deviation(report.objective).and_then(|metric| trial.metrics.get(&metric));
    deviation.map_or_else(|| figure::number(mean), |deviation| figure::spread(mean, *deviation))
}

/// A parameter with as many decimals as its column needs to line up.
fn cell(value: Option<&ParamValue>, dimension: &Dimension) -> String {
    match (value, dimension) {
        (Some(ParamValue::Real(real)), Dimension::Uniform(low, high)) => figure::decimals(*real, high - low),
        (Some(value), _) => figure::parameter(value),
        (None, _) => "–".to_owned(),
    }
}

/// The trials of the table: all in order, or the best ones when there are too many.
pub(super) fn ranked<'a>(report: &'a Report<'_>) -> Vec<&'a TrialLine> {
    let mut rows: Vec<&TrialLine> = report.trials.iter().collect();
    if rows.len() > ROWS_MAX {
        let merit = |trial: &TrialLine| match (trial.objective, report.direction) {
            (Some(value), Direction::Maximise) => value,
            (Some(value), Direction::Minimise) => -value,
            (None, _) => f64::NEG_INFINITY,
        };
        rows.sort_by(|a, b| merit(b).total_cmp(&merit(a)).then(a.index.cmp(&b.index)));
        rows.truncate(ROWS_MAX);
    }
    rows
}

fn head(metric: Metric) -> String {
    let title = curves::title(metric);
    title.split(" (").next().unwrap_or(title).to_owned()
}

/// A digest by its first eight digits, a message by its start.
fn short(note: &str) -> String {
    let digest = note.len() == 64 && note.chars().all(|c| c.is_ascii_hexdigit());
    let kept = if digest { 8 } else { 40 };
    let cut: String = note.chars().take(kept).collect();
    if digest || cut.len() == note.len() { cut } else { format!("{cut}…") }
}

fn environment(report: &Report<'_>) -> Markup {
    html! {
        section {
            h2 { "Environment" }
            dl.facts { @for (name, value) in &report.facts { div { dt { (name) } dd { (value) } } } }
            h3 { "Run it again" }
            pre { code { (report.command) } }
        }
    }
}
