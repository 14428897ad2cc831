//! One file a group of commands; each only calls the libraries and shows what they say.

mod bench;
mod clean;
mod cluster;
mod data;
mod ensemble;
mod explanations;
mod live;
mod logs;
mod members;
mod models;
mod nodes;
mod run;
mod serve;
mod top;
mod traced;

use anyhow::{Context as _, Result};
use artifacts::Registry;
use clap::CommandFactory as _;
use scheduler::Transport;
use serde::Serialize;

use crate::args::data::Data;
use crate::args::{Bench, Cli, Command};
use crate::exit::{Exit, bad_input};
use crate::home::Home;
use crate::view::line;

/// What every command gets.
pub(crate) struct Context {
    /// The home folder.
    pub(crate) home: Home,
    /// For whom the output is.
    pub(crate) audience: Audience,
}

/// For whom the output is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Audience {
    /// People: tables and sentences.
    People,
    /// Machines: one JSON object on the last line.
    Machines,
}

impl Context {
    /// Prints `object` for machines, `text` for people.
    pub(crate) fn show<T: Serialize>(&self, object: &T, text: impl FnOnce() -> String) -> Result<()> {
        match self.audience {
            Audience::Machines => line(serde_json::to_string(object)?),
            Audience::People => line(text()),
        }
        Ok(())
    }

    /// Prints a line for people alone.
    pub(crate) fn say(&self, text: impl std::fmt::Display) {
        if self.audience == Audience::People {
            line(text);
        }
    }
}

/// Runs the command.
pub(crate) fn dispatch(cli: &Cli) -> Result<Exit> {
    // These two need no home, so they make none.
    if let Command::Schema = &cli.command {
        line(serde_json::to_string_pretty(&spec::schema())?);
        return Ok(Exit::Ok);
    }
    if let Command::Completions { shell } = &cli.command {
        clap_complete::generate(*shell, &mut Cli::command(), "tradewind", &mut std::io::stdout());
        return Ok(Exit::Ok);
    }
    let audience = if cli.json { Audience::Machines } else { Audience::People };
    let context = Context { home: Home::open(&cli.home, cli.store.as_deref())?, audience };
    match &cli.command {
        Command::Run(options) => run::run(&context, options),
        Command::Submit(options) => run::submit(&context, options),
        Command::Resume(options) => run::resume(&context, options),
        Command::Ensemble { spec } => ensemble::ensemble(&context, spec),
        Command::Ls => cluster::list(&context),
        Command::Show { experiment } => cluster::show(&context, experiment),
        Command::Explain { trial, scheduler } => cluster::explain(&context, trial, scheduler.as_deref()),
        Command::Extend(options) => run::extend(&context, options),
        Command::Cancel { experiment, scheduler } => cluster::cancel(&context, experiment, scheduler.as_deref()),
        Command::Logs { of, follow } => {
            logs::logs(&context, of, if *follow { logs::Until::Ended } else { logs::Until::Now })
        }
        Command::Top { scheduler, once } => {
            top::top(&context, scheduler.as_deref(), if *once { top::Frames::One } else { top::Frames::All })
        }
        Command::Nodes { scheduler } => nodes::list(&context, scheduler.as_deref()),
        Command::Cordon(options) => nodes::cordon(&context, options, nodes::Act::Cordon),
        Command::Uncordon(options) => nodes::cordon(&context, options, nodes::Act::Uncordon),
        Command::Drain(options) => nodes::cordon(&context, options, nodes::Act::Drain),
        Command::Requeue { trial, scheduler } => nodes::requeue(&context, trial, scheduler.as_deref()),
        Command::Scheduler { listen, journal, metrics, tls, quota } => {
            let transport = if *tls { Transport::Tls } else { Transport::Plain };
            cluster::scheduler(&context, (*listen, transport), journal.as_deref(), (*metrics, quota.as_slice()))
        }
        Command::Token(token) => members::token(&context, token),
        Command::Join(options) => members::join(&context, options),
        Command::Worker(options) => cluster::worker(&context, options),
        Command::Attempt(options) => cluster::attempt(&context, options),
        Command::Clean => clean::clean(&context),
        Command::Models => models::models(&context),
        Command::History { model } => models::history(&context, model),
        Command::Serve(options) => serve::serve(&context, options),
        Command::Predict(options) => serve::predict(&context, options),
        Command::ExplainPrediction(options) => explanations::explain_prediction(&context, options),
        Command::Live(options) => live::live(&context, options),
        Command::Replay { journal } => live::replay(&context, journal),
        Command::Data(Data::Import(options)) => data::import(&context, options),
        Command::Data(Data::Check(options)) => data::check(&context, options),
        Command::Bench(Bench::Scheduler { trials, workers }) => bench::scheduler(&context, *trials, *workers),
        Command::Bench(Bench::Sweep(options)) => bench::sweep(&context, options),
        Command::Bench(Bench::Rl(options)) => bench::rl(&context, options),
        Command::Bench(Bench::Market(options)) => bench::market(&context, options),
        Command::Bench(Bench::Forecaster { mode, seconds }) => bench::forecaster(*mode, *seconds),
        Command::Bench(Bench::Shelved { held, bars, symbols, steps }) => {
            bench::shelved(&context, *held, (*bars, *symbols), *steps)
        }
        Command::Bench(Bench::Learnable { series, rows, epochs, precision, seeds, first_seed }) => {
            let seeds = *first_seed..first_seed + seeds;
            bench::learnable(&context, *series, (*rows as usize, *epochs, *precision), seeds)
        }
        Command::Bench(Bench::Explanations(options)) => explanations::bench(&context, options),
        Command::Bench(Bench::Env { env, envs }) => Ok(bench::env(*env, *envs)),
        Command::Schema | Command::Completions { .. } => Ok(Exit::Ok),
    }
}

/// The bundle that a reference names, or the one in its place, which is said to machines as well: who decides is never silent.
pub(crate) fn chosen(context: &Context, asked: &str, fallback: Option<&str>) -> Result<::models::Chosen> {
    let registry = Registry::open(&context.home.registry())?;
    let chosen = ::models::choose(&registry, &context.home.store()?, asked, fallback);
    let chosen = chosen.map_err(|error| if error.is_bad_input() { bad_input(error) } else { error.into() })?;
    if let Some(instead) = &chosen.instead {
        eprintln!("{instead}");
    }
    Ok(chosen)
}

/// A runtime for the commands that wait for sockets, a cluster of one among them. A call passes through several tasks:
/// on one thread that wakes no other. The command itself stays on the main thread, so what it prints holds up no task;
/// a task that logs to a terminal that stands still does wait, and all others with it.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime> {
    threads(1)
}

/// The same for the commands that serve many at once.
pub(crate) fn serving_runtime() -> Result<tokio::runtime::Runtime> {
    threads(2)
}

fn threads(count: usize) -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(count)
        .enable_all()
        .build()
        .context("the system gives no threads")
}

/// Resolves at Ctrl-C or SIGTERM.
pub(crate) async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = match signal(SignalKind::terminate()) {
        Ok(terminate) => terminate,
        Err(_) => return std::future::pending().await,
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}
