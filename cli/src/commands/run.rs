//! `run` and `resume`: composes experiment, scheduler and workers, watches, concludes.

use std::io::IsTerminal as _;

use anyhow::{Context as _, Result, anyhow};
use experiments::{Conclusion, Machine, PrepareError, Prepared, Promotion, Summary};
use protocol::{Client, ExperimentState, Token, TrialView, Update};
use scheduler::engines::{Command, Local};
use scheduler::{Config, Options, Recovery, Scope};
use spec::{ExperimentId, Span};

use crate::args::{Place, Resume, Run};
use crate::commands::{Audience, Context, interrupted, runtime};
use crate::exit::{Exit, bad_input};
use crate::home::{code_version, now};
use crate::view::progress::Bars;
use crate::view::table::{Column, render};

/// Longest wait for a scheduler that is being restarted.
const PATIENCE: Span = Span::from_secs(60);

/// Runs an experiment file to its verdict.
pub(crate) fn run(context: &Context, options: &Run) -> Result<Exit> {
    let prepared =
        experiments::prepare(context.home.path(), &options.spec, &machine(&options.place)?).map_err(refusal)?;
    pursue(context, &prepared, &options.place)
}

/// Continues an experiment from its record and the journal.
pub(crate) fn resume(context: &Context, options: &Resume) -> Result<Exit> {
    let prepared =
        experiments::resume(context.home.path(), &options.experiment, &machine(&options.place)?).map_err(refusal)?;
    pursue(context, &prepared, &options.place)
}

/// A refused file is the user's to mend; a home that cannot be written is not.
fn refusal(error: PrepareError) -> anyhow::Error {
    if let PrepareError::Record(_) = error { error.into() } else { bad_input(format!("{:#}", anyhow!(error))) }
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
        context.say(format!(
            "{} has run before: same question, data, build and machine. Nothing was trained again, no trial counted.",
            prepared.experiment
        ));
        return report(context, finished);
    }
    prepared.begin()?;
    context.say(format!("experiment {}", prepared.experiment));
    let runtime = runtime()?;
    let ended = match &place.scheduler {
        None => runtime.block_on(here(context, prepared, place))?,
        Some(url) => runtime.block_on(there(context, prepared, url))?,
    };
    let Some((state, trials)) = ended else {
        eprintln!("interrupted: checkpoints are kept, `tradewind resume {}` goes on", prepared.experiment);
        return Ok(Exit::Interrupted);
    };
    let Conclusion { summary, .. } = experiments::conclude(prepared, state, trials, context.home.path(), now())?;
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
    let worker::Hardware { gpus, memory, .. } = worker::hardware();
    let has = protocol::Offer { gpus, memory, ..protocol::Offer::default() };
    let engine = Local::new(command, home.to_owned(), cpus, policy.cpus, policy.parallel)?.on(has);
    let options =
        Options { scope: Scope::Only(prepared.experiment.clone()), recovery: Recovery::Requeue, ..Options::default() };
    let config = Config { options, ..Config::new(home) };
    let mut handle = scheduler::start(config, Box::new(experiments::sweep::open), Some(Box::new(engine))).await?;
    let client = handle.client().await?;
    client.submit(prepared.submission()).await?;
    let ending = tokio::select! {
        ending = follow(context, prepared, &client) => ending,
        ended = handle.wait() => Err(ended.err().map_or_else(|| anyhow!("the scheduler ended"), Into::into)),
        () = interrupted() => Ok(None),
    };
    handle.stop().await?;
    ending
}

/// Hands the experiment to a running scheduler and waits; interrupting leaves it running there.
async fn there(context: &Context, prepared: &Prepared, url: &str) -> Result<Ending> {
    let token = Token::read(&scheduler::token_path(context.home.path()))?;
    let client = Client::connect(url, &token, PATIENCE).await?;
    client.submit(prepared.submission()).await?;
    loop {
        let ending = tokio::select! {
            ending = follow(context, prepared, &client) => ending,
            () = interrupted() => return Ok(None),
        };
        match ending {
            Ok(Some(ending)) => return Ok(Some(ending)),
            // The scheduler went away: wait for it to come back on the same address.
            Ok(None) => drop(Client::connect(url, &token, PATIENCE).await?),
            Err(error) => match error.downcast_ref::<protocol::ClientError>() {
                Some(lost) if lost.is_transient() => drop(Client::connect(url, &token, PATIENCE).await?),
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
        "{}  {}: {} succeeded, {} failed, {} cancelled",
        summary.experiment, summary.state, ended.succeeded, ended.failed, ended.cancelled
    )];
    if let Some(best) = &summary.best {
        lines
            .push(format!("best trial {} (objective {:.4}), bundle {}", best.trial.index, best.objective, best.bundle));
    }
    if let Some(promotion) = &summary.promotion {
        lines.push(String::new());
        lines.push(gates(promotion));
        lines.push(String::new());
        lines.push(experiments::promotion_text(promotion));
    }
    lines.push(summary.verdict.clone());
    if let Some(report) = &summary.report {
        lines.push(format!("report {}", report.display()));
    }
    lines.join("\n")
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
