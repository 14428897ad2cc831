//! The section on cross-validation: what each trial came to on folds, and the folds of the best.

use maud::{Markup, html};
use spec::{FoldScore, Metric};

use super::page::ranked;
use super::{Report, TrialLine};
use crate::figure;

/// Nothing where no trial has folds.
pub(super) fn section(report: &Report<'_>) -> Markup {
    let trials: Vec<&TrialLine> = ranked(report).into_iter().filter(|trial| !trial.folds.is_empty()).collect();
    html! {
        @if let Some(widest) = trials.iter().map(|trial| trial.folds.len()).max() {
            section {
                h2 { "Cross-validation" }
                p.lead {
                    "Each trial was trained anew on every fold of train and validation, purged and embargoed, and judged on rows that the training never saw. "
                    "Folds share training rows, so the deviation says how far they are apart, not how sure the mean is."
                }
                (means(report, &trials, widest))
                @if let Some(best) = report.best_trial().filter(|trial| !trial.folds.is_empty()) { (tested(best)) }
            }
        }
    }
}

/// Mean and deviation of each trial, and the loss of each fold.
fn means(report: &Report<'_>, trials: &[&TrialLine], widest: usize) -> Markup {
    let spread = |trial: &TrialLine, mean: Metric, deviation: Metric| {
        let values = trial.metrics.get(&mean).zip(trial.metrics.get(&deviation));
        values.map_or_else(|| "–".to_owned(), |(mean, deviation)| figure::spread(*mean, *deviation))
    };
    html! {
        div.scroll { table.dense {
            thead { tr {
                th { "Trial" } th { "Seed" } th.chief { "Loss, mean ± deviation" } th.chief { "Sharpe, mean ± deviation" }
                @for fold in 0..widest { th { "Loss of fold " (fold) } }
            } }
            tbody {
                @for trial in trials {
                    tr.best[Some(trial.index) == report.best] {
                        td { (trial.index) }
                        td { (trial.seed) }
                        td.chief { (spread(trial, Metric::CrossValidationLoss, Metric::CrossValidationLossDeviation)) }
                        td.chief { (spread(trial, Metric::CrossValidationSharpe, Metric::CrossValidationSharpeDeviation)) }
                        @for fold in &trial.folds { td { (figure::number(fold.loss)) } }
                    }
                }
            }
        } }
    }
}

/// Where the folds lie.
fn tested(best: &TrialLine) -> Markup {
    html! {
        h3 { "Folds of the best trial" }
        div.scroll { table {
            thead { tr { th.text { "Fold" } th.text { "Tested" } th { "Rows fitted on" } th { "Rows stopped by" } th { "Rows tested" } th { "Loss" } th { "Sharpe (a year)" } } }
            tbody {
                @for (index, fold) in best.folds.iter().enumerate() {
                    tr {
                        td.text { (index) }
                        td.text { (stretches(fold)) }
                        td { (fold.fit_rows) }
                        td { (fold.stop_rows) }
                        td { (fold.test_rows) }
                        td { (figure::number(fold.loss)) }
                        td { (fold.sharpe.map_or_else(|| "–".to_owned(), figure::number)) }
                    }
                }
            }
        } }
    }
}

fn stretches(fold: &FoldScore) -> String {
    let spans = fold.tested.iter().map(|span| format!("{} to {}", figure::moment(span.from), figure::moment(span.to)));
    spans.collect::<Vec<_>>().join(", ")
}
