//! The section on calibration: what the best trial's probabilities and intervals were worth on the test split.

use backtest::calibration::{CalibrationFigures, CoverageFigures};
use maud::{Markup, html};

use super::charts::reliability;
use crate::figure;

pub(super) fn section(figures: &CalibrationFigures) -> Markup {
    let [low, high] = figures.ece_interval;
    let parts =
        [("Noise in the data (aleatoric)", figures.aleatoric), ("Doubt of the network (epistemic)", figures.epistemic)];
    html! {
        section {
            h2 { "Calibration" }
            p.lead {
                "The best trial's forecasts against what came, over " (figures.rows) " rows of the test split; fitted on validation alone. "
                "The debiased calibration error lies in " (figure::percent(low)) " to " (figure::percent(high)) " with 95 % confidence."
            }
            div.pair {
                figure {
                    div.legend { span.key.on { i {} "15 bins, larger with more rows" } span.key { "dashed: means what it says" } }
                    (reliability::render(&figures.reliability))
                }
                div {
                    (scores(figures))
                    div.scroll { table {
                        thead { tr { th.text { "Deviation of the return (log)" } th { "Mean" } } }
                        tbody { @for (name, value) in parts { tr { td.text { (name) } td { (figure::significant(value)) } } } }
                    } }
                }
            }
            (coverage(figures))
        }
    }
}

fn scores(figures: &CalibrationFigures) -> Markup {
    let (before, after, followed) = (&figures.before, &figures.after, figures.followed.as_ref());
    let rows = [
        ("Calibration error, 15 bins", before.ece, after.ece, followed.map(|followed| followed.ece)),
        ("The same, debiased", before.ece_debiased, after.ece_debiased, followed.map(|followed| followed.ece_debiased)),
        ("Brier score", before.brier, after.brier, followed.map(|followed| followed.brier)),
        // Directions alone follow: the return is said as calibrated.
        ("CRPS (log return)", before.crps, after.crps, followed.map(|_| after.crps)),
    ];
    html! {
        div.scroll { table {
            thead { tr {
                th.text { "Score, less is better" } th { "Network" } th { "Calibrated" }
                @if followed.is_some() { th { "Adaptive" } }
            } }
            tbody {
                @for (name, before, after, followed) in rows {
                    tr {
                        td.text { (name) }
                        td { (figure::significant(before)) }
                        td { (figure::significant(after)) }
                        @if let Some(followed) = followed { td { (figure::significant(followed)) } }
                    }
                }
            }
        } }
    }
}

fn coverage(figures: &CalibrationFigures) -> Markup {
    let [calm, middle, wild] = &figures.terciles;
    let rows: [(&str, &CoverageFigures); 5] = [
        ("Fixed by validation (split conformal)", &figures.split),
        ("Adaptive", &figures.adaptive),
        ("Adaptive, calm third", calm),
        ("Adaptive, middle third", middle),
        ("Adaptive, wild third", wild),
    ];
    html! {
        div.scroll { table {
            thead { tr { th.text { (figure::percent(figures.coverage)) " intervals" } th { "Rows" } th { "Covered" } th { "Chance allows (99 %)" } th { "Mean width" } } }
            tbody {
                @for (name, held) in rows {
                    tr {
                        td.text { (name) }
                        td { (held.rows) }
                        td { (figure::percent(held.covered)) }
                        td { (figure::percent(held.band[0])) " to " (figure::percent(held.band[1])) }
                        td { (figure::percent(held.width)) }
                    }
                }
            }
        } }
    }
}
