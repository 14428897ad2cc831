//! `scheduler`, `worker`, `ls`, `show` and `explain`.

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use artifacts::Store;
use experiments::sweep::{Insight, Share};
use protocol::{Client, ExperimentDetail, ExperimentView, Token, TrialView};
use scheduler::{Config, Handle, JournalAt, Options, Recovery, SchedulerError, Scope};
use serde_json::{Value, json};
use spec::{ExperimentId, Span, TrialId, TrialOutcome, TrialSpec, WorkerId};

use crate::args::{Work, Worker};
use crate::commands::{Context, interrupted, runtime};
use crate::exit::{Exit, bad_input};
use crate::home::{code_version, random};
use crate::view::table::{Column, render};

/// Longest wait for a scheduler that is being restarted.
const PATIENCE: Span = Span::from_secs(10);

/// Runs a scheduler until it is interrupted. One that loses the lead stands by again.
pub(crate) fn scheduler(
    context: &Context,
    listen: SocketAddr,
    journal: Option<&str>,
    metrics: Option<SocketAddr>,
) -> Result<Exit> {
    if let Some(open) = metrics.filter(|address| !address.ip().is_loopback()) {
        return Err(bad_input(format!("figures are not served at {open}: only loopback addresses are, use 127.0.0.1")));
    }
    let options = Options { scope: Scope::All, recovery: Recovery::Readopt, ..Options::default() };
    let journal = journal.map_or(JournalAt::Home, |url| JournalAt::Postgres(url.to_owned()));
    let config = Config { listen, options, journal, ..Config::new(context.home.path()) };
    runtime()?.block_on(async {
        let mut end = std::pin::pin!(interrupted());
        loop {
            if config.journal != JournalAt::Home {
                context.say("standing by until this scheduler leads");
            }
            let mut handle = tokio::select! {
                started = scheduler::start(config.clone(), Box::new(experiments::sweep::open), None) => started?,
                () = &mut end => return Ok(Exit::Interrupted),
            };
            context.say(format!("scheduler at {}", handle.url()));
            context.say(format!("token file {}", scheduler::token_path(context.home.path()).display()));
            let figures = figures(&handle, metrics).await?;
            let ended = tokio::select! {
                ended = handle.wait() => ended,
                () = &mut end => {
                    handle.stop().await?;
                    return Ok(Exit::Interrupted);
                }
            };
            figures.abort();
            match ended {
                Err(SchedulerError::Journal(error)) if config.journal != JournalAt::Home => eprintln!("{error}"),
                ended => return ended.map(|()| Exit::Failed).map_err(Into::into),
            }
        }
    })
}

/// Serves figures beside a scheduler, where they are wanted.
async fn figures(handle: &Handle, metrics: Option<SocketAddr>) -> Result<tokio::task::JoinHandle<()>> {
    let Some(address) = metrics else { return Ok(tokio::spawn(async {})) };
    let listener = tokio::net::TcpListener::bind(address)
        .await
        .with_context(|| format!("port {address} cannot be listened on: choose another for --metrics"))?;
    let (client, refusals) = (handle.client().await?, handle.refusals().clone());
    Ok(tokio::spawn(async move {
        if let Err(error) = scheduler::metrics::serve(listener, client, refusals).await {
            eprintln!("figures are no longer served: {error}");
        }
    }))
}

/// Runs a worker until it is stopped or the scheduler is gone for too long.
pub(crate) fn worker(context: &Context, options: &Worker) -> Result<Exit> {
    if let Some(parent) = options.parent {
        worker::die_with_parent(parent)?;
    }
    let token = Token::read(&scheduler::token_path(context.home.path()))?;
    let id = match &options.id {
        Some(id) => id.clone(),
        None => drawn_id()?,
    };
    let settings = worker::Options {
        cpus: options.cpus,
        hardware: worker::hardware(),
        ..worker::Options::new(&options.scheduler, token, id)
    };
    let runtime = runtime()?;
    let served = match options.work {
        Work::Train => {
            let store = Store::open(&context.home.store())?;
            let trial = worker::Trial::new(context.home.path(), store, &code_version()?);
            runtime.block_on(worker::run(settings, trial, interrupted()))
        }
        Work::Noop => runtime.block_on(worker::run(settings, worker::Rehearsal, interrupted())),
    };
    // A runner that does not stop holds its thread: leave without waiting for it.
    runtime.shutdown_background();
    context.say(format!("{} attempts ended here", served?.attempts));
    Ok(Exit::Ok)
}

fn drawn_id() -> Result<WorkerId> {
    let drawn = random()?;
    Ok(format!("worker-{}", hex::encode(&drawn[..6])).parse()?)
}

/// Lists experiments.
pub(crate) fn list(context: &Context) -> Result<Exit> {
    let experiments = scheduler::history(context.home.path())?.list();
    let object: Vec<Value> = experiments
        .iter()
        .map(|view| json!({ "experiment": view.experiment, "name": view.name, "state": view.state }))
        .collect();
    context.show(&json!({ "experiments": object }), || experiments_table(&experiments))?;
    Ok(Exit::Ok)
}

fn experiments_table(experiments: &[ExperimentView]) -> String {
    if experiments.is_empty() {
        return "no experiment yet: `tradewind run FILE.yaml` starts one".to_owned();
    }
    let columns = [
        Column::Text("experiment"),
        Column::Text("state"),
        Column::Number("succeeded"),
        Column::Number("failed"),
        Column::Number("running"),
        Column::Number("pending"),
        Column::Text("submitted"),
    ];
    let rows = experiments.iter().map(|view| {
        let counts = &view.trials;
        vec![
            view.experiment.to_string(),
            view.state.to_string(),
            counts.succeeded.to_string(),
            counts.failed.to_string(),
            counts.running.to_string(),
            counts.pending.to_string(),
            view.submitted.to_string(),
        ]
    });
    render(&columns, rows)
}

/// Shows an experiment's trials.
pub(crate) fn show(context: &Context, experiment: &ExperimentId) -> Result<Exit> {
    let detail = scheduler::history(context.home.path())?
        .detail(experiment)
        .ok_or_else(|| bad_input(format!("no experiment {experiment}: `tradewind ls` lists what there is")))?;
    let trials = detail.trials.iter().map(Shown::read).collect::<Result<Vec<_>>>()?;
    let objects: Vec<Value> = trials.iter().map(Shown::object).collect();
    let insight = experiments::sweep::insight(&detail).unwrap_or_default();
    let object = json!({
        "experiment": experiment, "state": detail.experiment.state, "trials": objects,
        "importance": insight.importance, "front": insight.front,
    });
    context.show(&object, || format!("{}{}", trials_table(&detail, &trials), insights(&insight)))?;
    Ok(Exit::Ok)
}

/// A trial with its bytes read.
struct Shown<'a> {
    view: &'a TrialView,
    spec: Option<TrialSpec>,
    outcome: Option<TrialOutcome>,
}

impl<'a> Shown<'a> {
    fn read(view: &'a TrialView) -> Result<Self> {
        let damaged = || format!("trial {}: the journal holds what this build cannot read", view.trial);
        let outcome = view.outcome.as_deref().map(serde_json::from_slice).transpose().with_context(damaged)?;
        Ok(Self { view, spec: serde_json::from_slice(&view.payload).ok(), outcome })
    }

    fn object(&self) -> Value {
        json!({
            "trial": self.view.trial,
            "state": self.view.status.name(),
            "attempts": self.view.attempts + self.view.worker_losses,
            "rungs": self.view.rungs,
            "parent": self.view.parent,
            "told": self.view.told,
            "seed": self.spec.as_ref().map(|spec| spec.seed),
            "params": self.spec.as_ref().map(|spec| &spec.params),
            "metrics": self.outcome.as_ref().map(|outcome| &outcome.metrics),
            "bundle": self.outcome.as_ref().map(|outcome| outcome.bundle),
        })
    }
}

fn trials_table(detail: &ExperimentDetail, trials: &[Shown<'_>]) -> String {
    let columns = [
        Column::Number("trial"),
        Column::Text("state"),
        Column::Number("attempts"),
        Column::Number("seed"),
        Column::Number("sharpe"),
        Column::Number("return"),
        Column::Text("bundle"),
        Column::Text("parameters"),
    ];
    let metric = |shown: &Shown<'_>, metric| {
        let value = shown.outcome.as_ref().and_then(|outcome| outcome.metrics.get(&metric));
        value.map_or_else(|| "-".to_owned(), |value| format!("{value:.3}"))
    };
    let rows = trials.iter().map(|shown| {
        let params = shown.spec.as_ref().map(|spec| &spec.params);
        let params = params.map(|params| serde_json::to_string(params).unwrap_or_default()).unwrap_or_default();
        vec![
            shown.view.trial.index.to_string(),
            shown.view.status.name().to_owned(),
            (shown.view.attempts + shown.view.worker_losses).to_string(),
            shown.spec.as_ref().map_or_else(String::new, |spec| spec.seed.to_string()),
            metric(shown, spec::Metric::ValidationSharpe),
            metric(shown, spec::Metric::ValidationReturn),
            shown.outcome.as_ref().map_or_else(|| "-".to_owned(), |outcome| outcome.bundle.short()),
            params.trim_matches(['{', '}']).replace('"', ""),
        ]
    });
    format!("{}  {}\n{}", detail.experiment.experiment, detail.experiment.state, render(&columns, rows))
}

/// Which dimensions mattered and which trials are on the front; nothing where neither is known.
fn insights(insight: &Insight) -> String {
    let mut text = String::new();
    if let Some(found) = &insight.importance {
        let columns =
            [Column::Text("parameter"), Column::Number("importance"), Column::Number("middle 80 %"), Column::Text("")];
        let row = |name: &str, share: &Share| {
            let percent = |value: f64| format!("{:.0} %", 100.0 * value);
            let bar = "█".repeat((20.0 * share.value).round() as usize);
            vec![
                name.to_owned(),
                percent(share.value),
                format!("{} to {}", percent(share.low), percent(share.high)),
                bar,
            ]
        };
        let named = found.dimensions.iter().map(|weight| row(&weight.path, &weight.share));
        text += &format!("\n\n{}", render(&columns, named.chain([row("several together", &found.together)])));
    }
    if !insight.front.is_empty() {
        let indices: Vec<String> = insight.front.iter().map(u32::to_string).collect();
        text += &format!("\n\nPareto front: trials {}", indices.join(", "));
    }
    text
}

/// Says why a trial is where it is.
pub(crate) fn explain(context: &Context, trial: &TrialId, scheduler: Option<&str>) -> Result<Exit> {
    let at_work = scheduler.map(str::to_owned).or_else(|| scheduler::address(context.home.path()));
    let Some(url) = at_work else {
        return explain_offline(context, trial);
    };
    let token = Token::read(&scheduler::token_path(context.home.path()))?;
    let explanation = runtime()?.block_on(async {
        let client = Client::connect(&url, &token, PATIENCE).await?;
        client.explain(trial).await
    })?;
    context.show(&explanation, || explanation.sentence.clone())?;
    Ok(Exit::Ok)
}

/// A client of the scheduler asked for, or of the one at work on this home.
pub(crate) async fn connect(context: &Context, scheduler: Option<&str>) -> Result<Client> {
    let at_work = scheduler.map(str::to_owned).or_else(|| scheduler::address(context.home.path()));
    let url = at_work.ok_or_else(|| {
        bad_input("no scheduler is at work on this home: name one with --scheduler, or start `tradewind scheduler`")
    })?;
    let token = Token::read(&scheduler::token_path(context.home.path()))?;
    Ok(Client::connect(&url, &token, PATIENCE).await?)
}

/// Cancels an experiment; its running attempts are told to stop.
pub(crate) fn cancel(context: &Context, experiment: &ExperimentId, scheduler: Option<&str>) -> Result<Exit> {
    let view = runtime()?
        .block_on(async { Ok::<_, anyhow::Error>(connect(context, scheduler).await?.cancel(experiment).await?) })?;
    context.show(&json!({ "experiment": view.experiment, "state": view.state }), || {
        format!("{} is {}", view.experiment, view.state)
    })?;
    Ok(Exit::Ok)
}

/// Without a scheduler nothing moves; the journal says where things stand.
fn explain_offline(context: &Context, trial: &TrialId) -> Result<Exit> {
    let ledger = scheduler::history(context.home.path())?;
    let detail = ledger.detail(&trial.experiment);
    let view = detail.and_then(|detail| detail.trials.into_iter().find(|view| view.trial == *trial));
    let view = view.ok_or_else(|| bad_input(format!("no trial {trial}: `tradewind show EXPERIMENT` lists them")))?;
    let sentence = if view.status.is_final() {
        format!("trial {trial} has {}", view.status.name())
    } else {
        format!(
            "trial {trial} is {} and no scheduler is at work on this home: `tradewind resume {}` goes on",
            view.status.name(),
            trial.experiment
        )
    };
    let object =
        json!({ "trial": trial, "status": view.status, "why": { "cause": "no_scheduler" }, "sentence": sentence });
    context.show(&object, || sentence.clone())?;
    Ok(Exit::Ok)
}
