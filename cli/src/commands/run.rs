//! `run` and `resume`: composes experiment, scheduler and workers, watches, concludes.

use std::io::IsTerminal as _;

use anyhow::{Context as _, Result, anyhow};
use experiments::{CalibrationFigures, Conclusion, Machine, PrepareError, Prepared, Promotion, Summary};
use protocol::{Client, ClientError, ExperimentState, TrialView, Update};
use scheduler::engines::{Command, Local};
use scheduler::{Config, Options, Recovery, Scope};
use serde_json::json;
use spec::{ExperimentId, Span};

use crate::args::{Extend, Fallback, Place, Resume, Run, Submit};
use crate::commands::cluster::devices;
use crate::commands::{Audience, Context, clean, cluster, interrupted, logs, runtime, traced};
use crate::exit::{Exit, bad_input};
use crate::home::{code_version, now, user};
use crate::view::progress::Bars;
use crate::view::table::{Column, render};

/// Longest wait for a scheduler that is being restarted.
const PATIENCE: Span = Span::from_secs(60);

/// Longest wait for one before a fallback, where nobody says another.
const DEADLINE: Span = Span::from_secs(10);

/// A look whether the scheduler is back after a fallback.
const BACK_AGAIN: Span = Span::from_secs(1);

/// Runs an experiment file to its verdict.
pub(crate) fn run(context: &Context, options: &Run) -> Result<Exit> {
    let prepared = experiments::prepare(context.home.path(), &options.spec, &machine(&options.place)?);
    pursue(context, &owned(prepared.map_err(refusal)?, &options.place), &options.place)
}

/// The experiment of whoever asks for it, who is told first what it does otherwise than the file would have it.
fn owned(mut prepared: Prepared, place: &Place) -> Prepared {
    prepared.policy.owner = place.owner.clone().or_else(user);
    if let Some(notice) = &prepared.notice {
        // Said to machines as well: what agents learn from never changes silently.
        eprintln!("{}: {notice}", prepared.experiment);
    }
    prepared
}

/// What happens when a scheduler cannot be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unreachable {
    /// The command fails.
    Fails,
    /// The work is done here, once the scheduler was waited for so long.
    RunsHere { after: Span },
}

/// The command line goes before the file.
fn when_unreachable(prepared: &Prepared, place: &Place) -> Unreachable {
    let (of_file, after) = prepared.fallback;
    let here = Unreachable::RunsHere { after: place.deadline.or(after).unwrap_or(DEADLINE) };
    match (place.fallback, of_file) {
        (Some(Fallback::Local), _) | (None, Some(spec::Fallback::Local)) => here,
        (Some(Fallback::None), _) | (None, None) => Unreachable::Fails,
    }
}

/// Hands an experiment to a running scheduler and returns; where it cannot be reached, runs it here if so asked.
pub(crate) fn submit(context: &Context, options: &Submit) -> Result<Exit> {
    let prepared = experiments::prepare(context.home.path(), &options.spec, &machine(&options.place)?);
    let prepared = owned(prepared.map_err(refusal)?, &options.place);
    let unreachable = when_unreachable(&prepared, &options.place);
    if let Some(finished) = &prepared.finished {
        return known(context, &prepared, finished);
    }
    let at_work = cluster::find(context, options.place.scheduler.as_deref());
    let Some(url) = at_work else {
        let nobody = "no scheduler is at work on this home";
        if unreachable == Unreachable::Fails {
            return Err(bad_input(format!("{nobody}: name one with --scheduler, or use `tradewind run`")));
        }
        eprintln!("{nobody}: {} runs here as a cluster of one", prepared.experiment);
        return pursue(context, &prepared, &options.place);
    };
    prepared.begin()?;
    let runtime = runtime()?;
    let client = match runtime.block_on(reach(context, &url, unreachable))? {
        Reached::Scheduler(client) => client,
        Reached::Nobody(why) => return fall_back(context, &prepared, &options.place, &url, &why),
    };
    let view = runtime.block_on(traced::submit(&client, prepared.submission()))?;
    context.show(&json!({ "experiment": view.experiment, "state": view.state, "scheduler": url }), || {
        format!(
            "{} is {} at {url}: `tradewind run --scheduler` or `tradewind top` follows it",
            view.experiment, view.state
        )
    })?;
    Ok(Exit::Ok)
}

/// Continues an experiment from its record and the journal.
pub(crate) fn resume(context: &Context, options: &Resume) -> Result<Exit> {
    let prepared = experiments::resume(context.home.path(), &options.experiment, &machine(&options.place)?);
    pursue(context, &owned(prepared.map_err(refusal)?, &options.place), &options.place)
}

/// Runs more points of an experiment that ran before, as an experiment of its own.
pub(crate) fn extend(context: &Context, options: &Extend) -> Result<Exit> {
    let machine = machine(&options.place)?;
    let prepared = experiments::extend(context.home.path(), &options.experiment, options.trials, &machine);
    pursue(context, &owned(prepared.map_err(refusal)?, &options.place), &options.place)
}

/// A refused file is the user's to mend; a home that cannot be written and a store that fails are not.
fn refusal(error: PrepareError) -> anyhow::Error {
    if error.is_bad_input() { bad_input(format!("{:#}", anyhow!(error))) } else { error.into() }
}

fn machine(place: &Place) -> Result<Machine> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let cores = u32::try_from(cores).unwrap_or(u32::MAX);
    Ok(Machine {
        cpus: place.cpus.map_or(cores, |cpus| cpus.clamp(1, cores)),
        gpus: u32::try_from(tch::Cuda::device_count()).unwrap_or(0),
        kernel: worker::kernel(1, 0),
        code_version: code_version()?,
    })
}

fn pursue(context: &Context, prepared: &Prepared, place: &Place) -> Result<Exit> {
    if let Some(finished) = &prepared.finished {
        return known(context, prepared, finished);
    }
    prepared.begin()?;
    context.say(format!("experiment {}", prepared.experiment));
    let runtime = runtime()?;
    let Some(url) = &place.scheduler else {
        let ended = runtime.block_on(here(context, prepared, place))?;
        return conclude(context, prepared, ended);
    };
    match runtime.block_on(reach(context, url, when_unreachable(prepared, place)))? {
        Reached::Scheduler(client) => {
            let ended = runtime.block_on(there(context, prepared, client))?;
            conclude(context, prepared, ended)
        }
        Reached::Nobody(why) => fall_back(context, prepared, place, url, &why),
    }
}

fn known(context: &Context, prepared: &Prepared, finished: &Summary) -> Result<Exit> {
    context.say(format!(
        "{} has run before: same question, data, build and machine. Nothing was trained again, no trial counted.",
        prepared.experiment
    ));
    report(context, finished)
}

/// Who is there to run an experiment.
enum Reached {
    Scheduler(Client),
    /// Nobody answered within the deadline, and the user asked for a fallback.
    Nobody(ClientError),
}

/// Connects; what earlier fallbacks owe this scheduler is handed over first.
async fn reach(context: &Context, url: &str, unreachable: Unreachable) -> Result<Reached> {
    let credentials = scheduler::credentials(context.home.path(), url);
    let (patience, may_run_here) = match unreachable {
        Unreachable::Fails => (PATIENCE, false),
        Unreachable::RunsHere { after } => (after, true),
    };
    let connected = match credentials {
        Ok(credentials) => Client::connect(url, &credentials, patience).await,
        // A scheduler that never ran on this home has left no token, and one that was never joined no certificate.
        Err(error) if may_run_here => Err(ClientError::Unreachable { url: url.to_owned(), why: error.to_string() }),
        Err(error) => return Err(error.into()),
    };
    match connected {
        Ok(client) => {
            hand_over(context, &client).await?;
            Ok(Reached::Scheduler(client))
        }
        Err(error @ ClientError::Unreachable { .. }) if may_run_here => Ok(Reached::Nobody(error)),
        Err(error) => Err(error.into()),
    }
}

/// The same work with the same bytes, by a cluster of one.
fn fall_back(context: &Context, prepared: &Prepared, place: &Place, url: &str, why: &ClientError) -> Result<Exit> {
    // Said to machines as well: where an experiment ran is never silent.
    eprintln!("{why}: {} runs here as a cluster of one and is reported to it later", prepared.experiment);
    prepared.record.owe(url)?;
    let runtime = runtime()?;
    let ended = runtime.block_on(here(context, prepared, place))?;
    let exit = conclude(context, prepared, ended)?;
    // A home that was never joined to it owes until it is.
    let Ok(credentials) = scheduler::credentials(context.home.path(), url) else { return Ok(exit) };
    runtime.block_on(async {
        match Client::connect(url, &credentials, BACK_AGAIN).await {
            Ok(client) => hand_over(context, &client).await,
            Err(_) => Ok(()),
        }
    })?;
    Ok(exit)
}

/// Tells a scheduler what ran without it, each experiment once. What it refuses stays owed and keeps nothing else waiting.
async fn hand_over(context: &Context, client: &Client) -> Result<()> {
    let home = context.home.path();
    for record in experiments::Record::owed(home, client.url())? {
        let Some(asked) = record.asked()? else { continue };
        let experiment = asked.question.experiment();
        let Some(detail) = scheduler::history(home)?.detail(&experiment) else { continue };
        let Some(trials) = experiments::endings(&detail) else { continue };
        let submission = experiments::submission(&asked.question, detail.experiment.policy.clone());
        match client.record(submission, trials).await {
            Ok(_) => {
                record.settle()?;
                eprintln!("reported {experiment}, which ran here, to {}", client.url());
            }
            Err(ClientError::Refused(why)) => eprintln!("{experiment}, which ran here, is not reported: {why}"),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Judges what ended, or says how an interrupted experiment goes on.
fn conclude(context: &Context, prepared: &Prepared, ended: Ending) -> Result<Exit> {
    let Some((state, trials)) = ended else {
        eprintln!("interrupted: checkpoints are kept, `tradewind resume {}` goes on", prepared.experiment);
        return Ok(Exit::Interrupted);
    };
    let Conclusion { summary, .. } = experiments::conclude(prepared, state, trials, context.home.path(), now())?;
    // The answer stands whatever becomes of what is beside it.
    if let Err(error) = logs::keep(context, &prepared.experiment) {
        eprintln!("the log of {} is not kept in the store: {error:#}", prepared.experiment);
    }
    if let Err(error) = clean::collect(context) {
        eprintln!("checkpoints that nothing needs are left, `tradewind clean` deletes them: {error:#}");
    }
    report(context, &summary)
}

type Ending = Option<(ExperimentState, Vec<TrialView>)>;

/// Runs scheduler and workers in this process and below it; both end with the command.
async fn here(context: &Context, prepared: &Prepared, place: &Place) -> Result<Ending> {
    let home = context.home.path();
    let program = std::env::current_exe().context("the program cannot find itself")?;
    let command = Command { program, args: vec!["worker".into()] };
    let cpus = machine(place)?.cpus;
    let policy = &prepared.policy;
    let worker::Hardware { gpus, memory, .. } = worker::hardware(&devices(None));
    let has = protocol::Offer { gpus, memory, ..protocol::Offer::default() };
    let engine = Local::new(command, home.to_owned(), cpus, policy.cpus, policy.parallel)?.on(has);
    let options =
        Options { scope: Scope::Only(prepared.experiment.clone()), recovery: Recovery::Requeue, ..Options::default() };
    let tracer = traced::tracer("tradewind-scheduler")?;
    let config = Config { options, tracer, ..Config::new(home) };
    let mut handle = scheduler::start(config, Box::new(experiments::sweep::open), Some(Box::new(engine))).await?;
    let client = handle.client().await?;
    traced::submit(&client, prepared.submission()).await?;
    let ending = tokio::select! {
        ending = follow(context, prepared, &client) => ending,
        ended = handle.wait() => Err(ended.err().map_or_else(|| anyhow!("the scheduler ended"), Into::into)),
        () = interrupted() => Ok(None),
    };
    handle.stop().await?;
    ending
}

/// Hands the experiment to a running scheduler and waits; interrupting leaves it running there.
async fn there(context: &Context, prepared: &Prepared, client: Client) -> Result<Ending> {
    let url = client.url();
    let credentials = scheduler::credentials(context.home.path(), url)?;
    traced::submit(&client, prepared.submission()).await?;
    loop {
        let ending = tokio::select! {
            ending = follow(context, prepared, &client) => ending,
            () = interrupted() => return Ok(None),
        };
        match ending {
            Ok(Some(ending)) => return Ok(Some(ending)),
            // The scheduler went away: wait for it to come back on the same address.
            Ok(None) => drop(Client::connect(url, &credentials, PATIENCE).await?),
            Err(error) => match error.downcast_ref::<protocol::ClientError>() {
                Some(lost) if lost.is_transient() => drop(Client::connect(url, &credentials, PATIENCE).await?),
                _ => return Err(error),
            },
        }
    }
}

/// Watches until the experiment has ended; `None` when the stream ends before.
async fn follow(context: &Context, prepared: &Prepared, client: &Client) -> Result<Ending> {
    let experiment = &prepared.experiment;
    let mut bars =
        (context.audience == Audience::People || std::io::stderr().is_terminal()).then(|| Bars::new(prepared.trials()));
    let mut updates = client.watch(Some(experiment)).await?;
    while let Some(update) = updates.next().await? {
        if let Some(bars) = &mut bars {
            bars.update(&update);
        }
        if let Update::Experiment(view) = &update
            && view.state.is_final()
        {
            if let Some(bars) = &bars {
                bars.finish();
            }
            return ending(client, experiment).await.map(Some);
        }
    }
    Ok(None)
}

async fn ending(client: &Client, experiment: &ExperimentId) -> Result<(ExperimentState, Vec<TrialView>)> {
    let detail = client.show(experiment).await?;
    Ok((detail.experiment.state, detail.trials))
}

/// Prints how the experiment ended. A refused promotion is a result, not a failure.
fn report(context: &Context, summary: &Summary) -> Result<Exit> {
    context.show(summary, || text(summary))?;
    Ok(match summary.state {
        ExperimentState::Succeeded => Exit::Ok,
        ExperimentState::Queued | ExperimentState::Running | ExperimentState::Failed | ExperimentState::Cancelled => {
            Exit::Failed
        }
    })
}

fn text(summary: &Summary) -> String {
    let ended = &summary.trials;
    let mut lines = vec![format!(
        "{}  {}: {} succeeded, {} stopped early, {} failed, {} cancelled",
        summary.experiment, summary.state, ended.succeeded, ended.pruned, ended.failed, ended.cancelled
    )];
    if let Some(best) = &summary.best {
        let spread = best.deviation.map(|deviation| format!(" ± {deviation:.4} over folds")).unwrap_or_default();
        let (index, objective, bundle) = (best.trial.index, best.objective, best.bundle);
        lines.push(format!("best trial {index} (objective {objective:.4}{spread}), bundle {bundle}"));
    }
    if let Some(promotion) = &summary.promotion {
        lines.push(String::new());
        lines.push(gates(promotion));
        lines.push(String::new());
        lines.push(experiments::promotion_text(promotion));
    }
    if let Some(figures) = &summary.calibration {
        lines.extend([String::new(), calibration(figures), String::new()]);
    }
    if let Some(used) = &summary.encoder {
        let (share, short) = (100.0 * used.remembered, used.bundle.short());
        lines.push(format!("encoder {short}: {share:.1} % of {} bars asked for were remembered", used.asked));
    }
    lines.extend(summary.notice.clone());
    lines.push(summary.verdict.clone());
    if let Some(report) = &summary.report {
        lines.push(format!("report {}", report.display()));
    }
    lines.join("\n")
}

/// Calibration on the test split, in two tables.
pub(crate) fn calibration(figures: &CalibrationFigures) -> String {
    let percent = |share: f64| format!("{:.1} %", 100.0 * share);
    let error = |value: f64| format!("{value:.4}");
    let row = |name: &str, [ece, debiased, brier]: [f64; 3], crps: f64| {
        vec![name.to_owned(), error(ece), error(debiased), error(brier), format!("{crps:.5}")]
    };
    let (before, after) = (&figures.before, &figures.after);
    let mut scores = vec![
        row("network", [before.ece, before.ece_debiased, before.brier], before.crps),
        row("calibrated", [after.ece, after.ece_debiased, after.brier], after.crps),
    ];
    // Directions alone follow: the return is said as calibrated.
    let followed = figures.followed.as_ref();
    scores.extend(followed.map(|each| row("following", [each.ece, each.ece_debiased, each.brier], after.crps)));
    let columns = [
        Column::Text("forecasts"),
        Column::Number("ECE"),
        Column::Number("debiased"),
        Column::Number("Brier"),
        Column::Number("CRPS"),
    ];
    let [calm, middle, wild] = &figures.terciles;
    let held = [
        ("fixed", &figures.split),
        ("adaptive", &figures.adaptive),
        ("calm third", calm),
        ("middle third", middle),
        ("wild third", wild),
    ]
    .map(|(name, held)| {
        let band = format!("{} to {}", percent(held.band[0]), percent(held.band[1]));
        vec![name.to_owned(), held.rows.to_string(), percent(held.covered), band, percent(held.width)]
    });
    let intervals = [
        Column::Text("interval"),
        Column::Number("rows"),
        Column::Number("covered"),
        Column::Number("chance allows"),
        Column::Number("width"),
    ];
    format!("{}\n\n{}", render(&columns, scores), render(&intervals, held))
}

pub(crate) fn gates(promotion: &Promotion) -> String {
    let columns =
        [Column::Text("gate"), Column::Number("figure"), Column::Number("threshold"), Column::Text("verdict")];
    let figure = |value: Option<f64>| value.map_or_else(|| "undefined".to_owned(), |value| format!("{value:.4}"));
    let rows = promotion.gates.iter().map(|gate| {
        let verdict = if gate.passed { "passed" } else { "refused" };
        vec![gate.name.clone(), figure(gate.value), figure(gate.threshold), verdict.to_owned()]
    });
    render(&columns, rows)
}
