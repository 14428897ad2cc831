//! The report of an explanation: one HTML file that needs nothing else.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::words::{change, moment, subject};
use crate::{Explanation, drivers, heat_map, sentences};

const STYLE: &str = ":root{color-scheme:light dark;--page:#f5f6f8;--card:#fff;--ink:#151a21;--soft:#56616e;--line:#dfe3e9}\
@media(prefers-color-scheme:dark){:root{--page:#0e1116;--card:#161b22;--ink:#e7ebf0;--soft:#9ba7b4;--line:#2a313b}}\
*{box-sizing:border-box;margin:0}body{background:var(--page);color:var(--ink);padding:40px 24px 56px;\
font:15px/1.55 system-ui,-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif;font-variant-numeric:tabular-nums}\
main{max-width:1080px;margin:0 auto}h1{font-size:28px;line-height:1.25;letter-spacing:-.02em}h2{font-size:20px}\
section{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:24px;margin-top:24px}\
.soft{color:var(--soft)}ol,ul{padding-left:0;list-style:none}svg{display:block;width:100%;height:auto;margin-top:16px}\
table{border-collapse:collapse;margin-top:12px}th,td{padding:4px 16px 4px 0;text-align:right;border-bottom:1px solid var(--line)}\
th:first-child,td:first-child{text-align:left}dl{display:grid;grid-template-columns:max-content 1fr;gap:4px 16px;margin-top:12px}\
dt{color:var(--soft)}dd{overflow-wrap:anywhere}";

/// The report of an explanation as one HTML document.
#[must_use]
pub fn page(explanation: &Explanation) -> String {
    let title = format!("What drives {} at {}", subject(explanation.target), moment(explanation.bar));
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · Tradewind" }
                style { (PreEscaped(STYLE)) }
            }
            body { main {
                p.soft { "Tradewind · explanation of a forecast" }
                h1 { (title) }
                section { ul { @for sentence in sentences(explanation) { li { (sentence) } } } }
                section { h2 { "Where it comes from" } (PreEscaped(heat_map::inline(explanation))) }
                (drivers_section(explanation))
                (reliance_section(explanation))
                (facts(explanation))
            } }
        }
    };
    page.into_string()
}

fn drivers_section(explanation: &Explanation) -> Markup {
    let target = explanation.target;
    html! {
        section {
            h2 { "All drivers" }
            table {
                thead { tr { th { "driver" } th { "adds" } th { "standard error" } th { "share of pull" } th { "most at" } } }
                tbody {
                    @for driver in drivers(explanation) {
                        tr {
                            td { (driver.name) }
                            td { (change(target, driver.value)) }
                            td { (driver.error.map_or_else(|| "–".to_owned(), |error| change(target, error))) }
                            td { (format!("{:.1} %", 100.0 * driver.share)) }
                            td { (driver.peak.map_or_else(|| "–".to_owned(), |(bar, value)| format!("{} ({})", moment(bar), change(target, value)))) }
                        }
                    }
                }
            }
        }
    }
}

fn reliance_section(explanation: &Explanation) -> Markup {
    let mut rows: Vec<_> = explanation.reliance.iter().collect();
    rows.sort_by(|a, b| b.moved.total_cmp(&a.moved));
    html! {
        section {
            h2 { "What the model relies on" }
            p.soft {
                "How far its answers move, root mean square, when a feature's windows are exchanged among the "
                (explanation.windows) " bars up to this one. It speaks of the model, not of this bar."
            }
            table {
                thead { tr { th { "feature" } th { "moves it by" } } }
                tbody { @for row in rows { tr { td { (row.feature) } td { (change(explanation.target, row.moved)) } } } }
            }
        }
    }
}

fn facts(explanation: &Explanation) -> Markup {
    let target = explanation.target;
    let [low, high] = explanation.range.map(|value| crate::words::level(target, value));
    html! {
        section {
            h2 { "What it rests on" }
            dl {
                dt { "Bundle" } dd { (explanation.bundle) }
                dt { "Row" } dd { (explanation.row) }
                dt { "Bar" } dd { (explanation.bar) }
                dt { "Method" } dd { (explanation.method.sentence()) ", by " (explanation.grain) }
                dt { "Residual" } dd { (format!("{:.3e}", explanation.residual)) ", tolerated " (format!("{:.3e}", explanation.tolerance)) }
                dt { "Range" } dd { (low) " to " (high) " over " (explanation.windows) " windows" }
            }
        }
    }
}
