//! `top`: experiments, running trials and rates of a scheduler, drawn anew every second.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::time::Duration;

use anyhow::Result;
use console::Term;
use protocol::{Client, ExperimentView, NodeView, TrialState, TrialView, Update};
use serde_json::{Value, json};
use spec::{ExperimentId, Progress, TrialId};
use tokio::time::Instant;

use crate::commands::cluster::{connect, owner};
use crate::commands::{Audience, Context, interrupted, nodes, runtime};
use crate::exit::Exit;
use crate::view::line;
use crate::view::table::{Column, render};

/// Time between two frames.
const FRAME: Duration = Duration::from_secs(1);

/// Rates are over this time.
const RATE_OVER: Duration = Duration::from_secs(30);

/// Trials of a frame: more do not fit a screen.
const TRIALS_SHOWN: usize = 20;

/// Experiments of a frame; those that are open come first.
const EXPERIMENTS_SHOWN: usize = 15;

/// How many frames are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Frames {
    /// One.
    One,
    /// Until it is interrupted.
    All,
}

/// Draws.
pub(crate) fn top(context: &Context, scheduler: Option<&str>, frames: Frames) -> Result<Exit> {
    runtime()?.block_on(async {
        let client = connect(context, scheduler).await?;
        let frames =
            if std::io::stdout().is_terminal() && context.audience == Audience::People { frames } else { Frames::One };
        let mut scene = Scene::default();
        let mut updates = client.watch(None).await?;
        let mut next = Instant::now();
        if frames == Frames::One {
            // What a watcher is told at first is the present, whole; nothing marks its end but silence.
            next += Duration::from_millis(300);
        }
        let mut end = std::pin::pin!(interrupted());
        loop {
            tokio::select! {
                update = updates.next() => match update? {
                    Some(update) => scene.take(update, Instant::now()),
                    None => return Ok(Exit::Failed),
                },
                () = tokio::time::sleep_until(next) => {
                    scene.nodes = client.nodes().await?;
                    draw(context, &client, &mut scene, frames)?;
                    if frames == Frames::One {
                        return Ok(Exit::Ok);
                    }
                    next += FRAME;
                }
                () = &mut end => return Ok(Exit::Interrupted),
            }
        }
    })
}

fn draw(context: &Context, client: &Client, scene: &mut Scene, frames: Frames) -> Result<()> {
    scene.forget(Instant::now());
    match (context.audience, frames) {
        (Audience::Machines, _) => line(scene.object(client.url())),
        (Audience::People, Frames::One) => line(scene.text(client.url())),
        (Audience::People, Frames::All) => {
            let screen = Term::stdout();
            screen.clear_screen()?;
            screen.write_line(&scene.text(client.url()))?;
        }
    }
    Ok(())
}

/// What is known of a scheduler.
#[derive(Default)]
struct Scene {
    experiments: BTreeMap<ExperimentId, ExperimentView>,
    running: BTreeMap<TrialId, (TrialView, Option<Progress>)>,
    /// When trials ended, oldest first.
    ended: VecDeque<Instant>,
    states: BTreeMap<TrialId, &'static str>,
    nodes: Vec<NodeView>,
}

impl Scene {
    fn take(&mut self, update: Update, now: Instant) {
        match update {
            Update::Experiment(view) => {
                if view.state.is_final() {
                    self.states.retain(|trial, _| trial.experiment != view.experiment);
                    self.running.retain(|trial, _| trial.experiment != view.experiment);
                }
                self.experiments.insert(view.experiment.clone(), view);
            }
            Update::Trial(view) => {
                let before = self.states.insert(view.trial.clone(), view.status.name());
                if view.status.is_final() && before.is_some_and(|before| before != view.status.name()) {
                    self.ended.push_back(now);
                }
                if view.status.live_attempt().is_some() {
                    let progress = view.progress.clone();
                    self.running.insert(view.trial.clone(), (view, progress));
                } else {
                    self.running.remove(&view.trial);
                }
            }
            Update::Progress { trial, progress, .. } => {
                if let Some((_, known)) = self.running.get_mut(&trial) {
                    *known = Some(progress);
                }
            }
        }
    }

    fn forget(&mut self, now: Instant) {
        while self.ended.front().is_some_and(|ended| now.duration_since(*ended) > RATE_OVER) {
            self.ended.pop_front();
        }
    }

    /// Trials that ended a minute, of late.
    fn per_minute(&self) -> f64 {
        self.ended.len() as f64 * 60.0 / RATE_OVER.as_secs_f64()
    }

    /// Open ones first, then those submitted last.
    fn ordered(&self) -> Vec<&ExperimentView> {
        let mut all: Vec<_> = self.experiments.values().collect();
        all.sort_by_key(|view| (view.state.is_final(), std::cmp::Reverse(view.submitted)));
        all
    }

    fn object(&self, url: &str) -> Value {
        let running: Vec<Value> = self
            .running
            .values()
            .map(|(view, progress)| json!({ "trial": view.trial, "state": view.status.name(), "progress": progress }))
            .collect();
        json!({
            "scheduler": url, "trials_per_minute": self.per_minute(),
            "experiments": self.ordered(), "running": running, "nodes": self.nodes,
        })
    }

    fn text(&self, url: &str) -> String {
        let open = self.experiments.values().filter(|view| !view.state.is_final()).count();
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{url}  ·  {open} of {} experiments open  ·  {} trials running  ·  {:.0} ended a minute\n",
            self.experiments.len(),
            self.running.len(),
            self.per_minute()
        );
        let columns = [
            Column::Text("experiment"),
            Column::Text("owner"),
            Column::Text("state"),
            Column::Number("priority"),
            Column::Number("done"),
            Column::Number("failed"),
            Column::Number("running"),
            Column::Number("pending"),
        ];
        let rows = self.ordered().into_iter().take(EXPERIMENTS_SHOWN).map(|view| {
            let counts = &view.trials;
            vec![
                view.experiment.to_string(),
                owner(view),
                view.state.to_string(),
                view.policy.priority.to_string(),
                (counts.succeeded + counts.pruned).to_string(),
                counts.failed.to_string(),
                counts.running.to_string(),
                counts.pending.to_string(),
            ]
        });
        let _ = writeln!(text, "{}\n\n{}\n", render(&columns, rows), nodes::table(&self.nodes));
        let columns = [
            Column::Text("trial"),
            Column::Text("worker"),
            Column::Number("step"),
            Column::Number("of"),
            Column::Number("a second"),
            Column::Text("measures"),
        ];
        let rows = self.running.values().take(TRIALS_SHOWN).map(|(view, progress)| running(view, progress.as_ref()));
        text + &render(&columns, rows)
    }
}

fn running(view: &TrialView, progress: Option<&Progress>) -> Vec<String> {
    let worker = match &view.status {
        TrialState::Leased { worker, .. } | TrialState::Running { worker, .. } => worker.to_string(),
        TrialState::Waiting { .. }
        | TrialState::Queued { .. }
        | TrialState::Paused { .. }
        | TrialState::Succeeded { .. }
        | TrialState::Pruned
        | TrialState::Failed { .. }
        | TrialState::Cancelled => String::new(),
    };
    let Some(progress) = progress else {
        return vec![view.trial.to_string(), worker, "-".to_owned(), "-".to_owned(), "-".to_owned(), String::new()];
    };
    let metrics: Vec<String> =
        progress.metrics.iter().take(3).map(|(metric, value)| format!("{metric} {value:.3}")).collect();
    vec![
        view.trial.to_string(),
        worker,
        progress.step.to_string(),
        progress.steps.to_string(),
        format!("{:.1}", progress.rate),
        metrics.join(" · "),
    ]
}
