//! `scheduler`, `worker`, `ls`, `show` and `explain`.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result};
use experiments::sweep::{Insight, Share as Part};
use protocol::{Client, Credentials, ExperimentDetail, ExperimentView, TrialView};
use scheduler::{Config, Handle, JournalAt, Options, Quota, Recovery, SchedulerError, Scope, Transport};
use serde_json::{Value, json};
use spec::{ExperimentId, Metric, Owner, Span, TrialId, TrialOutcome, TrialSpec, WorkerId};

use crate::args::{Attempt, Share, Work, Worker};
use crate::commands::{Context, interrupted, runtime, serving_runtime, traced};
use crate::exit::{Exit, bad_input};
use crate::home::{code_version, random};
use crate::view::table::{Column, render};

/// Longest wait for a scheduler that is being restarted.
const PATIENCE: Span = Span::from_secs(10);

/// Wait before a scheduler stands by again whose database gave way while it began: no longer than a person notices.
const AGAIN: Duration = Duration::from_millis(500);

/// Runs a scheduler until it is interrupted. One that loses the lead, or cannot begin for a reason that passes, stands
/// by again.
pub(crate) fn scheduler(
    context: &Context,
    (listen, transport): (SocketAddr, Transport),
    journal: Option<&str>,
    (metrics, quota): (Option<SocketAddr>, &[Share]),
) -> Result<Exit> {
    if let Some(open) = metrics.filter(|address| !address.ip().is_loopback()) {
        return Err(bad_input(format!("figures are not served at {open}: only loopback addresses are, use 127.0.0.1")));
    }
    let quota = shares(quota)?;
    let options = Options { scope: Scope::All, recovery: Recovery::Readopt, quota, ..Options::default() };
    let journal = journal.map_or(JournalAt::Home, |url| JournalAt::Postgres(url.to_owned()));
    scheduler::tell_journal(context.home.path(), &journal)?;
    let config = Config { listen, transport, options, journal, ..Config::new(context.home.path()) };
    serving_runtime()?.block_on(async {
        let config = Config { tracer: traced::tracer("tradewind-scheduler")?, ..config };
        let mut end = std::pin::pin!(interrupted());
        loop {
            if config.journal != JournalAt::Home {
                context.say("standing by until this scheduler leads");
            }
            let started = tokio::select! {
                started = scheduler::start(config.clone(), Box::new(experiments::sweep::open), None) => started,
                () = &mut end => return Ok(Exit::Interrupted),
            };
            let mut handle = match started {
                // It led, and could not read its journal to the end: as long as that passes, it stands by again.
                Err(SchedulerError::Journal(error)) if config.journal != JournalAt::Home && error.passes() => {
                    eprintln!("{error}");
                    tokio::time::sleep(AGAIN).await;
                    continue;
                }
                started => started?,
            };
            context.say(format!("scheduler at {}", handle.url()));
            context.say(match transport {
                Transport::Plain => {
                    format!("token file {}", scheduler::token_path(context.home.path()).display())
                }
                Transport::Tls => "machines join by invitation: `tradewind token create --role worker --name NAME \
                                   --url https://HOST:PORT` here, `tradewind join NAME.join` there"
                    .to_owned(),
            });
            let figures = figures(&handle, metrics).await?;
            let ended = tokio::select! {
                ended = handle.wait() => ended,
                () = &mut end => {
                    handle.stop().await?;
                    return Ok(Exit::Interrupted);
                }
            };
            figures.abort();
            // Only then is its port free for the next lead.
            let _ = figures.await;
            match ended {
                Err(SchedulerError::Journal(error)) if config.journal != JournalAt::Home => eprintln!("{error}"),
                ended => return ended.map(|()| Exit::Failed).map_err(Into::into),
            }
        }
    })
}

/// The quotas of all owners; each may be named once.
fn shares(shares: &[Share]) -> Result<Quota> {
    let mut quota = Quota::default();
    for Share { owner, cores } in shares {
        let before = match owner {
            Some(owner) => quota.owners.insert(owner.clone(), *cores),
            None => quota.default.replace(*cores),
        };
        if before.is_some() {
            let whose = owner.as_ref().map_or("everyone else", Owner::as_str);
            return Err(bad_input(format!("--quota names {whose} twice: leave one out")));
        }
    }
    Ok(quota)
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
    let url = at_work(context, options.scheduler.as_deref())?;
    let credentials = scheduler::credentials(context.home.path(), &url)?;
    let id = match &options.id {
        Some(id) => id.clone(),
        None => drawn_id(&credentials)?,
    };
    // A worker is one life, with nobody to look at: all its tasks are on this thread, and attempts on the runner's.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("the system gives no runtime")?;
    let tracer = {
        let _inside = runtime.enter();
        traced::tracer("tradewind-worker")?
    };
    let settings = worker::Options {
        cpus: options.cpus,
        hardware: worker::hardware(&devices(options.devices.as_deref())),
        tracer: tracer.clone(),
        ..worker::Options::new(&url, credentials, id)
    };
    let work = if options.work == Work::Noop { "noop" } else { "train" };
    let home = context.home.path().as_os_str().to_owned();
    let program = std::env::current_exe().context("the program cannot find itself")?;
    let apart =
        worker::Command { program, args: vec!["attempt".into(), "--home".into(), home, "--work".into(), work.into()] };
    let served = match options.work {
        Work::Train => {
            let runner = worker::Apart::new(trial(context)?, apart);
            runtime.block_on(worker::run(settings, runner, interrupted()))
        }
        Work::Noop => {
            let runner = worker::Apart::new(worker::Rehearsal, apart);
            runtime.block_on(worker::run(settings, runner, interrupted()))
        }
    };
    runtime.block_on(tracer.flush());
    // A runner that does not stop holds its thread: leave without waiting for it.
    runtime.shutdown_background();
    context.say(format!("{} attempts ended here", served?.attempts));
    Ok(Exit::Ok)
}

/// The runner that trains.
fn trial(context: &Context) -> Result<worker::Trial> {
    Ok(worker::Trial::new(context.home.path(), context.home.store()?, &code_version()?))
}

/// GPUs of this machine that may be used: as named, as the environment says, or all.
pub(crate) fn devices(named: Option<&str>) -> String {
    let environment = || std::env::var("CUDA_VISIBLE_DEVICES").ok();
    named.map(str::to_owned).or_else(environment).unwrap_or_else(|| worker::ALL_DEVICES.to_owned())
}

/// Runs the attempt that a worker sends.
pub(crate) fn attempt(context: &Context, options: &Attempt) -> Result<Exit> {
    worker::die_with_parent(options.parent)?;
    match options.work {
        Work::Train => worker::attempt(trial(context)?)?,
        Work::Noop => worker::attempt(worker::Rehearsal)?,
    }
    Ok(Exit::Ok)
}

/// A name that nobody else has; a member's begins with its own.
fn drawn_id(credentials: &Credentials) -> Result<WorkerId> {
    let drawn = random()?;
    let whose = match credentials {
        Credentials::Member(identity) => identity.member().map_or("worker", |(name, _)| name.as_str()),
        Credentials::Token(_) => "worker",
    };
    Ok(format!("{whose}-{}", hex::encode(&drawn[..6])).parse()?)
}

/// Who knows what happened in a home.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Witness {
    /// Its own journal, also while nobody is at work.
    Journal,
    /// A scheduler: one that this home joined, or its own, which keeps its journal in a database.
    Scheduler,
}

impl Witness {
    fn of(context: &Context) -> Result<Self> {
        let home = context.home.path();
        let elsewhere = scheduler::joined(home).is_some() || scheduler::journals_elsewhere(home)?;
        Ok(if elsewhere { Self::Scheduler } else { Self::Journal })
    }
}

/// Lists experiments.
pub(crate) fn list(context: &Context) -> Result<Exit> {
    let experiments = match Witness::of(context)? {
        Witness::Scheduler => {
            runtime()?.block_on(async { Ok::<_, anyhow::Error>(connect(context, None).await?.list().await?) })?
        }
        Witness::Journal => scheduler::history(context.home.path())?.list(),
    };
    let object: Vec<Value> = experiments
        .iter()
        .map(|view| json!({ "experiment": view.experiment, "name": view.name, "state": view.state, "owner": view.policy.owner }))
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
        Column::Text("owner"),
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
            owner(view),
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

/// Whose an experiment is.
pub(crate) fn owner(view: &ExperimentView) -> String {
    view.policy.owner.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string)
}

/// Shows an experiment's trials.
pub(crate) fn show(context: &Context, experiment: &ExperimentId) -> Result<Exit> {
    let detail = match Witness::of(context)? {
        Witness::Scheduler => runtime()?
            .block_on(async { Ok::<_, anyhow::Error>(connect(context, None).await?.show(experiment).await?) })?,
        Witness::Journal => scheduler::history(context.home.path())?
            .detail(experiment)
            .ok_or_else(|| bad_input(format!("no experiment {experiment}: `tradewind ls` lists what there is")))?,
    };
    let trials = detail.trials.iter().map(Shown::read).collect::<Result<Vec<_>>>()?;
    let objects: Vec<Value> = trials.iter().map(Shown::object).collect();
    let insight = experiments::sweep::insight(&detail).unwrap_or_default();
    let found = experiments::Record::new(context.home.path(), experiment).finished()?;
    let object = json!({
        "experiment": experiment, "state": detail.experiment.state, "trials": objects,
        "importance": insight.importance, "front": insight.front,
        "calibration": found.and_then(|summary| summary.calibration),
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

    fn metric(&self, metric: Metric) -> Option<f64> {
        self.outcome.as_ref()?.metrics.get(&metric).copied()
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
            "folds": self.outcome.as_ref().map(|outcome| &outcome.folds),
            "bundle": self.outcome.as_ref().map(|outcome| outcome.bundle),
        })
    }
}

fn trials_table(detail: &ExperimentDetail, trials: &[Shown<'_>]) -> String {
    let mut columns = vec![
        Column::Number("trial"),
        Column::Text("state"),
        Column::Number("attempts"),
        Column::Number("seed"),
        Column::Number("sharpe"),
        Column::Number("return"),
    ];
    let on_folds = trials.iter().any(|shown| shown.metric(Metric::CrossValidationFolds).is_some());
    if on_folds {
        columns.extend([Column::Number("loss on folds"), Column::Number("sharpe on folds")]);
    }
    columns.extend([Column::Text("bundle"), Column::Text("parameters")]);
    let figure = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.3}"));
    let spread = |shown: &Shown<'_>, mean, deviation| match shown.metric(mean).zip(shown.metric(deviation)) {
        Some((mean, deviation)) => format!("{mean:.3} ± {deviation:.3}"),
        None => "-".to_owned(),
    };
    let rows = trials.iter().map(|shown| {
        let params = shown.spec.as_ref().map(|spec| &spec.params);
        let params = params.map(|params| serde_json::to_string(params).unwrap_or_default()).unwrap_or_default();
        let mut row = vec![
            shown.view.trial.index.to_string(),
            shown.view.status.name().to_owned(),
            (shown.view.attempts + shown.view.worker_losses).to_string(),
            shown.spec.as_ref().map_or_else(String::new, |spec| spec.seed.to_string()),
            figure(shown.metric(Metric::ValidationSharpe)),
            figure(shown.metric(Metric::ValidationReturn)),
        ];
        if on_folds {
            row.push(spread(shown, Metric::CrossValidationLoss, Metric::CrossValidationLossDeviation));
            row.push(spread(shown, Metric::CrossValidationSharpe, Metric::CrossValidationSharpeDeviation));
        }
        row.push(shown.outcome.as_ref().map_or_else(|| "-".to_owned(), |outcome| outcome.bundle.short()));
        row.push(params.trim_matches(['{', '}']).replace('"', ""));
        row
    });
    format!("{}  {}\n{}", detail.experiment.experiment, detail.experiment.state, render(&columns, rows))
}

/// Which dimensions mattered and which trials are on the front; nothing where neither is known.
fn insights(insight: &Insight) -> String {
    let mut text = String::new();
    if let Some(found) = &insight.importance {
        let columns =
            [Column::Text("parameter"), Column::Number("importance"), Column::Number("middle 80 %"), Column::Text("")];
        let row = |name: &str, share: &Part| {
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
    if find(context, scheduler).is_none() {
        return explain_offline(context, trial);
    }
    let explanation = runtime()?
        .block_on(async { Ok::<_, anyhow::Error>(connect(context, scheduler).await?.explain(trial).await?) })?;
    context.show(&explanation, || explanation.sentence.clone())?;
    Ok(Exit::Ok)
}

/// A client of the scheduler asked for, of the one at work on this home, or of the one that it joined.
pub(crate) async fn connect(context: &Context, scheduler: Option<&str>) -> Result<Client> {
    let url = at_work(context, scheduler)?;
    let credentials = scheduler::credentials(context.home.path(), &url)?;
    Ok(Client::connect(&url, &credentials, PATIENCE).await?)
}

/// The scheduler asked for, the one at work on this home, or the one that it joined.
pub(crate) fn find(context: &Context, scheduler: Option<&str>) -> Option<String> {
    let home = context.home.path();
    scheduler.map(str::to_owned).or_else(|| scheduler::address(home)).or_else(|| scheduler::joined(home))
}

fn at_work(context: &Context, scheduler: Option<&str>) -> Result<String> {
    find(context, scheduler).ok_or_else(|| {
        bad_input("no scheduler is at work on this home: name one with --scheduler, or start `tradewind scheduler`")
    })
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
