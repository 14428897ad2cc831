//! `logs`: what trials measured, step by step, from the scheduler's side log.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use artifacts::StoreError;
use scheduler::LogLine;
use spec::ExperimentId;

use crate::args::Logged;
use crate::commands::cluster::{Witness, connect};
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
    if !is_known(context, experiment, &path)? {
        return stored(context, of, experiment);
    }
    let mut reader = None;
    let mut text = Vec::new();
    loop {
        // Asked before reading: what is written until then is printed.
        let ended = until == Until::Now || has_ended(context, experiment)?;
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

/// Whether an experiment is one of this home, so that its log lies or will lie here.
fn is_known(context: &Context, experiment: &ExperimentId, path: &Path) -> Result<bool> {
    match Witness::of(context) {
        Witness::Journal => Ok(scheduler::history(context.home.path())?.experiment(experiment).is_some()),
        Witness::Scheduler => path.try_exists().with_context(|| format!("log {} cannot be read", path.display())),
    }
}

fn has_ended(context: &Context, experiment: &ExperimentId) -> Result<bool> {
    match Witness::of(context) {
        Witness::Journal => {
            let ledger = scheduler::history(context.home.path())?;
            Ok(ledger.experiment(experiment).is_none_or(|experiment| experiment.state.is_final()))
        }
        Witness::Scheduler => runtime()?.block_on(async {
            let detail = connect(context, None).await?.show(experiment).await?;
            Ok(detail.experiment.state.is_final())
        }),
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
