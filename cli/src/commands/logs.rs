//! `logs`: what trials measured, step by step, from the scheduler's side log.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::time::Duration;

use anyhow::{Context as _, Result};
use artifacts::StoreError;
use scheduler::{History, LogLine};
use spec::ExperimentId;

use crate::args::Logged;
use crate::commands::cluster::connect;
use crate::commands::{Audience, Context, runtime};
use crate::exit::{Exit, bad_input};
use crate::view::line;

/// Wait between two looks at the file.
const PAUSE: Duration = Duration::from_millis(250);

/// How far a log is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Until {
    /// To its present end.
    Now,
    /// Until its experiment has ended.
    Ended,
}

/// Prints a log.
pub(crate) fn logs(context: &Context, of: &Logged, until: Until) -> Result<Exit> {
    let experiment = match of {
        Logged::Experiment(experiment) => experiment,
        Logged::Trial(trial) => &trial.experiment,
    };
    let path = scheduler::log_path(context.home.path(), experiment);
    let mut teller = Teller::new(context, experiment)?;
    // What was measured for another home's scheduler is kept in the store, if anywhere.
    if teller.ended()?.is_none() {
        return stored(context, of, experiment);
    }
    let mut reader = None;
    let mut text = Vec::new();
    loop {
        // Asked before reading: what is written until then is printed.
        let ended = until == Until::Now || teller.ended()? == Some(true);
        if reader.is_none() {
            reader = std::fs::File::open(&path).ok().map(BufReader::new);
        }
        if let Some(reader) = &mut reader {
            let unreadable = || format!("log {} cannot be read", path.display());
            while reader.read_until(b'\n', &mut text).with_context(unreadable)? > 0 {
                // A line that is still being written is read on at the next look.
                if !text.ends_with(b"\n") {
                    break;
                }
                print(context, of, &String::from_utf8_lossy(&text));
                text.clear();
            }
        }
        if ended {
            return Ok(Exit::Ok);
        }
        pause();
    }
}

/// What the store keeps of an experiment that ran elsewhere.
fn stored(context: &Context, of: &Logged, experiment: &ExperimentId) -> Result<Exit> {
    match context.home.store()?.get_log(experiment) {
        Ok(log) => String::from_utf8_lossy(&log).split_inclusive('\n').for_each(|text| print(context, of, text)),
        Err(StoreError::NotFound { .. }) => {
            return Err(bad_input(format!("no experiment {experiment}: `tradewind ls` lists what there is")));
        }
        Err(error) => return Err(error.into()),
    }
    Ok(Exit::Ok)
}

/// Keeps the log of an experiment beside its artifacts, where these do not lie in the home.
pub(crate) fn keep(context: &Context, experiment: &ExperimentId) -> Result<()> {
    let store = context.home.store()?;
    if !store.is_remote() {
        return Ok(());
    }
    match std::fs::read(scheduler::log_path(context.home.path(), experiment)) {
        Ok(log) => Ok(store.put_log(experiment, &log)?),
        // Nothing was measured here.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Longest time, in looks, that a scheduler may be gone: its database or its lead may be on the way back.
const LOOKS_MISSED_MAX: u32 = 240;

/// Who is asked whether an experiment of this home has ended.
enum Teller<'a> {
    Journal { history: History, experiment: &'a ExperimentId },
    Scheduler { runtime: tokio::runtime::Runtime, client: protocol::Client, missed: u32, experiment: &'a ExperimentId },
}

impl<'a> Teller<'a> {
    fn new(context: &'a Context, experiment: &'a ExperimentId) -> Result<Self> {
        let home = context.home.path();
        if !scheduler::journals_elsewhere(home)? {
            return Ok(Self::Journal { history: History::of(home), experiment });
        }
        let runtime = runtime()?;
        let client = runtime.block_on(connect(context, None))?;
        Ok(Self::Scheduler { runtime, client, missed: 0, experiment })
    }

    /// `None` of an experiment that is not known.
    fn ended(&mut self) -> Result<Option<bool>> {
        match self {
            Self::Journal { history, experiment } => {
                let known = history.look()?.experiment(experiment);
                Ok(known.map(|experiment| experiment.state.is_final()))
            }
            Self::Scheduler { runtime, client, missed, experiment } => match runtime.block_on(client.list()) {
                Ok(listed) => {
                    *missed = 0;
                    Ok(listed.iter().find(|view| view.experiment == **experiment).map(|view| view.state.is_final()))
                }
                Err(error) if error.is_transient() && *missed < LOOKS_MISSED_MAX => {
                    *missed += 1;
                    Ok(Some(false))
                }
                Err(error) => Err(error.into()),
            },
        }
    }
}

fn print(context: &Context, of: &Logged, text: &str) {
    // The last line of a crash may be cut: the log is for people, and loses nothing that decides.
    let Ok(entry) = serde_json::from_str::<LogLine>(text) else { return };
    if matches!(of, Logged::Trial(trial) if *trial != entry.trial) {
        return;
    }
    match context.audience {
        Audience::Machines => line(text.trim_end()),
        Audience::People => line(sentence(&entry)),
    }
}

fn sentence(entry: &LogLine) -> String {
    let metrics: BTreeMap<_, _> =
        entry.progress.metrics.iter().map(|(metric, value)| (metric.as_str(), value)).collect();
    let metrics: Vec<String> = metrics.into_iter().map(|(metric, value)| format!("{metric} {value:.4}")).collect();
    format!(
        "{}  trial {} attempt {}  {}/{} {}  {}",
        entry.at,
        entry.trial.index,
        entry.attempt,
        entry.progress.step,
        entry.progress.steps,
        entry.progress.unit.as_str(),
        metrics.join(" · ")
    )
}

#[allow(clippy::disallowed_methods, reason = "following a file is waiting for it")]
fn pause() {
    std::thread::sleep(PAUSE);
}
