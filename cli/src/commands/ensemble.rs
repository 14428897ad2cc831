//! `ensemble`.

use std::path::Path;

use anyhow::{Result, anyhow};
use experiments::{EnsembleRunError, EnsembleSummary};
use spec::Weighting;

use crate::commands::Context;
use crate::commands::run::{calibration, gates};
use crate::exit::{Exit, bad_input};
use crate::home::{code_version, now};
use crate::view::table::{Column, render};

/// Combines the members of a file. A refused promotion is a result, not a failure.
pub(crate) fn ensemble(context: &Context, path: &Path) -> Result<Exit> {
    let summary = experiments::ensemble(context.home.path(), path, &code_version()?, now()).map_err(refusal)?;
    context.show(&summary, || text(&summary))?;
    Ok(Exit::Ok)
}

fn refusal(error: EnsembleRunError) -> anyhow::Error {
    if error.is_bad_input() { bad_input(format!("{:#}", anyhow!(error))) } else { error.into() }
}

fn text(summary: &EnsembleSummary) -> String {
    let mut lines = vec![members(summary), String::new(), together(summary)];
    if let Some(promotion) = &summary.promotion {
        lines.extend([String::new(), gates(promotion), String::new(), experiments::promotion_text(promotion)]);
    }
    if let Some(figures) = &summary.calibration {
        lines.extend([String::new(), calibration(figures), String::new()]);
    }
    lines.push(summary.verdict.clone());
    lines.push(format!("bundle {}", summary.bundle));
    lines.join("\n")
}

const fn name(weights: Weighting) -> &'static str {
    match weights {
        Weighting::Equal => "equal",
        Weighting::Thompson => "thompson",
        Weighting::MetaLearner => "meta_learner",
    }
}

fn percent(fraction: f64) -> String {
    format!("{:+.1} %", 100.0 * fraction)
}

fn members(summary: &EnsembleSummary) -> String {
    let mut columns = vec![Column::Text("member"), Column::Text("algorithm")];
    columns.extend(summary.together.iter().map(|together| Column::Number(name(together.weights))));
    columns.extend([Column::Number("validation"), Column::Number("test"), Column::Number("Sharpe")]);
    let rows = summary.members.iter().map(|member| {
        let mut row = vec![member.member.clone(), member.algorithm.clone()];
        row.extend(member.shares.iter().map(|share| format!("{share:.3}")));
        row.extend([percent(member.validation_return), percent(member.test_return)]);
        row.push(format!("{:.2}", member.test_sharpe));
        row
    });
    render(&columns, rows)
}

/// Regret is against the member that did best on the test split.
fn together(summary: &EnsembleSummary) -> String {
    let columns = [
        Column::Text("weights"),
        Column::Number("test"),
        Column::Number("Sharpe"),
        Column::Number("regret"),
        Column::Text(""),
    ];
    let rows = summary.together.iter().map(|together| {
        let chosen = if together.weights == summary.weights { "judged" } else { "" };
        vec![
            name(together.weights).to_owned(),
            percent(together.test_return),
            format!("{:.2}", together.test_sharpe),
            percent(together.regret),
            chosen.to_owned(),
        ]
    });
    render(&columns, rows)
}
