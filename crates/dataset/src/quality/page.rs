//! The quality report as one HTML file without scripts or links.

use maud::{DOCTYPE, html};

use super::{FindingKind, QualityReport, Severity};

/// Rows that the page lists.
const LISTED_MAX: usize = 2_000;

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}\
    table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}\
    th,td{text-align:left;padding:.2rem .8rem .2rem 0;border-bottom:1px solid #ddd;vertical-align:top}\
    .n{text-align:right}.fatal{color:#b00020}.score{font-size:2rem}";

/// Renders a report about the file `title`.
#[must_use]
pub fn page(title: &str, report: &QualityReport) -> String {
    let verdict = if report.is_usable() { "A run takes this data." } else { "A run refuses this data." };
    let word = |kind: FindingKind| match kind.severity() {
        Severity::Fatal => "stops a run",
        Severity::Warning => "warning",
    };
    let class = |kind: FindingKind| match kind.severity() {
        Severity::Fatal => "fatal",
        Severity::Warning => "warning",
    };
    let listed = report.findings.len().min(LISTED_MAX) as u64;
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                title { "Quality of " (title) }
                style { (STYLE) }
            }
            body {
                h1 { "Quality of " (title) }
                p.score { (format!("{:.1}", report.score())) " of 100" }
                p { (report.rows) " bars, " (report.found()) " findings, " (report.fatal()) " stop a run. " (verdict) }
                h2 { "By kind" }
                table {
                    tr { th { "kind" } th { "" } th.n { "findings" } th.n { "bars" } }
                    @for (kind, tally) in &report.tally {
                        tr class=(class(*kind)) {
                            td { (kind) } td { (word(*kind)) } td.n { (tally.findings) } td.n { (tally.bars) }
                        }
                    }
                }
                h2 { "Row by row" }
                table {
                    tr { th.n { "row" } th { "symbol" } th { "time" } th { "kind" } th { "detail" } }
                    @for finding in report.findings.iter().take(LISTED_MAX) {
                        tr class=(class(finding.kind)) {
                            td.n { (finding.row) } td { (finding.symbol) } td { (finding.time) }
                            td { (finding.kind) } td { (finding.detail) }
                        }
                    }
                }
                @if report.found() > listed {
                    p { (report.found() - listed) " more findings are not listed here." }
                }
            }
        }
    }
    .into_string()
}
