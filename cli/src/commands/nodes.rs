//! `nodes`, `cordon`, `uncordon`, `drain` and `requeue`: what operators see and say of machines and failed trials.

use anyhow::Result;
use protocol::{Cordon, NodeView, Target};
use serde_json::json;
use spec::TrialId;

use crate::args::Cordoned;
use crate::commands::cluster::connect;
use crate::commands::{Context, runtime};
use crate::exit::{Exit, bad_input};
use crate::view::table::{Column, render};

/// Lists machines.
pub(crate) fn list(context: &Context, scheduler: Option<&str>) -> Result<Exit> {
    let nodes =
        runtime()?.block_on(async { Ok::<_, anyhow::Error>(connect(context, scheduler).await?.nodes().await?) })?;
    context.show(&json!({ "nodes": nodes }), || table(&nodes))?;
    Ok(Exit::Ok)
}

/// The machines of a scheduler as a table.
pub(crate) fn table(nodes: &[NodeView]) -> String {
    if nodes.is_empty() {
        return "no worker is connected: `tradewind worker` starts one".to_owned();
    }
    let columns = [
        Column::Text("node"),
        Column::Number("workers"),
        Column::Number("cores held"),
        Column::Number("of"),
        Column::Number("memory held"),
        Column::Number("of"),
        Column::Number("GPUs"),
        Column::Text("new attempts"),
    ];
    let rows = nodes.iter().map(|node| {
        vec![
            node.node.to_string(),
            node.workers.len().to_string(),
            node.cpus_held.to_string(),
            node.cpus.to_string(),
            node.memory_held.to_string(),
            node.memory.map_or_else(|| "-".to_owned(), |memory| memory.to_string()),
            node.gpus.len().to_string(),
            standing(node),
        ]
    });
    render(&columns, rows)
}

fn standing(node: &NodeView) -> String {
    match (node.cordon, node.quarantined_until) {
        (Some(Cordon::Finish), _) => "cordoned".to_owned(),
        (Some(Cordon::Drain), _) => "draining".to_owned(),
        (None, Some(until)) => format!("after {until}: {} failed at once", node.quick_failures),
        (None, None) => "yes".to_owned(),
    }
}

/// What is said of a machine or a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    Cordon,
    Uncordon,
    Drain,
}

/// Cordons, drains, or takes it back.
pub(crate) fn cordon(context: &Context, options: &Cordoned, act: Act) -> Result<Exit> {
    let target = match (&options.target.node, &options.target.worker) {
        (Some(node), None) => Target::Node(node.clone()),
        (None, Some(worker)) => Target::Worker(worker.clone()),
        (None, None) | (Some(_), Some(_)) => return Err(bad_input("name one of --node and --worker")),
    };
    runtime()?.block_on(async {
        let client = connect(context, options.scheduler.as_deref()).await?;
        match act {
            Act::Cordon => client.cordon(target.clone(), Cordon::Finish).await?,
            Act::Drain => client.cordon(target.clone(), Cordon::Drain).await?,
            Act::Uncordon => client.uncordon(target.clone()).await?,
        }
        Ok::<_, anyhow::Error>(())
    })?;
    let done = match act {
        Act::Cordon => "cordoned",
        Act::Drain => "draining",
        Act::Uncordon => "open again",
    };
    context.show(&json!({ "target": target, "state": done }), || format!("{target} is {done}"))?;
    Ok(Exit::Ok)
}

/// Gives a failed trial a new budget.
pub(crate) fn requeue(context: &Context, trial: &TrialId, scheduler: Option<&str>) -> Result<Exit> {
    let view = runtime()?
        .block_on(async { Ok::<_, anyhow::Error>(connect(context, scheduler).await?.requeue(trial).await?) })?;
    context.show(&json!({ "trial": view.trial, "state": view.status.name() }), || {
        format!("{} is {}", view.trial, view.status.name())
    })?;
    Ok(Exit::Ok)
}
