//! Figures for Prometheus, in its text format, on a port of their own.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use protocol::{Client, ExperimentState, ExperimentView, NodeView, Refusals};
use tokio::net::TcpListener;

/// Serves `GET /metrics` of a scheduler until the listener fails.
///
/// # Errors
/// As the listener says.
pub async fn serve(listener: TcpListener, client: Client, refusals: Refusals) -> std::io::Result<()> {
    let figures = move || {
        let (client, refusals) = (client.clone(), refusals.clone());
        async move {
            match (client.list().await, client.nodes().await) {
                (Ok(experiments), Ok(nodes)) => {
                    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4")];
                    (kind, text(&experiments, &nodes, &refusals.counts())).into_response()
                }
                (Err(error), _) | (_, Err(error)) => {
                    (StatusCode::SERVICE_UNAVAILABLE, error.to_string()).into_response()
                }
            }
        }
    };
    axum::serve(listener, Router::new().route("/metrics", get(figures))).await
}

/// The figures.
#[must_use]
pub fn text(experiments: &[ExperimentView], nodes: &[NodeView], refusals: &BTreeMap<String, u64>) -> String {
    let mut page = Page::default();
    page.head("tradewind_experiments", "gauge", "Experiments by state.");
    for state in STATES {
        let count = experiments.iter().filter(|view| view.state == state).count();
        page.line("tradewind_experiments", &[("state", state.name())], count as f64);
    }
    page.head("tradewind_trials", "gauge", "Trials of all experiments by state.");
    let sum = |count: fn(&ExperimentView) -> u32| experiments.iter().map(|view| u64::from(count(view))).sum::<u64>();
    for (state, count) in [
        ("pending", sum(|view| view.trials.pending)),
        ("running", sum(|view| view.trials.running)),
        ("succeeded", sum(|view| view.trials.succeeded)),
        ("pruned", sum(|view| view.trials.pruned)),
        ("failed", sum(|view| view.trials.failed)),
        ("cancelled", sum(|view| view.trials.cancelled)),
    ] {
        page.line("tradewind_trials", &[("state", state)], count as f64);
    }
    for (name, help, figure) in NODE_FIGURES {
        page.head(name, "gauge", help);
        for node in nodes {
            page.line(name, &[("node", node.node.as_str())], figure(node));
        }
    }
    page.head("tradewind_refusals_total", "counter", "Calls that were refused, by kind.");
    for (kind, count) in refusals {
        page.line("tradewind_refusals_total", &[("kind", kind)], *count as f64);
    }
    page.0
}

const STATES: [ExperimentState; 5] = [
    ExperimentState::Queued,
    ExperimentState::Running,
    ExperimentState::Succeeded,
    ExperimentState::Failed,
    ExperimentState::Cancelled,
];

/// A figure of a node: name, help and value.
type NodeFigure = (&'static str, &'static str, fn(&NodeView) -> f64);

const NODE_FIGURES: [NodeFigure; 7] = [
    ("tradewind_node_workers", "Connected workers of a node.", |node| node.workers.len() as f64),
    ("tradewind_node_cpus", "CPU cores of the workers of a node.", |node| f64::from(node.cpus)),
    ("tradewind_node_cpus_held", "CPU cores that attempts hold.", |node| f64::from(node.cpus_held)),
    ("tradewind_node_memory_held_bytes", "Memory that attempts hold.", |node| node.memory_held.0 as f64),
    ("tradewind_node_gpus", "GPUs of a node.", |node| node.gpus.len() as f64),
    ("tradewind_node_cordoned", "1 where no attempt starts by an operator's word.", |node| {
        f64::from(u8::from(node.cordon.is_some()))
    }),
    ("tradewind_node_quarantined", "1 where no attempt starts because attempts fail there at once.", |node| {
        f64::from(u8::from(node.quarantined_until.is_some()))
    }),
];

#[derive(Default)]
struct Page(String);

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        let labels: Vec<String> = labels.iter().map(|(key, value)| format!("{key}=\"{}\"", escaped(value))).collect();
        let _ = writeln!(self.0, "{name}{{{}}} {value}", labels.join(","));
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_figure_has_its_kind_and_labels_cannot_break_out() {
        let refusals = BTreeMap::from([("fen\"ced".to_owned(), 3)]);
        let page = text(&[], &[], &refusals);
        assert!(page.contains("tradewind_refusals_total{kind=\"fen\\\"ced\"} 3\n"), "{page}");
        assert!(page.contains("# TYPE tradewind_trials gauge\ntradewind_trials{state=\"pending\"} 0\n"), "{page}");
        for line in page.lines().filter(|line| !line.starts_with('#')) {
            let name = line.split('{').next().unwrap();
            assert!(page.contains(&format!("# TYPE {name} ")), "{name} has no type");
        }
    }
}
