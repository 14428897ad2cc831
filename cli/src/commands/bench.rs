//! `bench`: figures as JSON lines.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::json;

use crate::commands::{Context, runtime};
use crate::exit::Exit;

/// No-op trials from submission to the journalled result, through the real server, protocol and journal.
pub(crate) fn scheduler(context: &Context, trials: u32, workers: u32) -> Result<Exit> {
    let home = context.home.path().join("bench");
    match std::fs::remove_dir_all(&home) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("{} cannot be emptied", home.display())),
    }
    std::fs::create_dir_all(&home).with_context(|| format!("{} cannot be made", home.display()))?;
    let figures = runtime()?.block_on(scheduler::bench::dispatch(&home, trials, workers))?;
    let line = json!({
        "bench": "scheduler",
        "trials": figures.trials,
        "workers": workers,
        "trials_per_s": f64::from(figures.trials) / figures.seconds,
        "overhead_ms_per_trial": 1_000.0 * figures.seconds / f64::from(figures.trials),
        "journal_bytes_per_trial": figures.journal_bytes / u64::from(figures.trials.max(1)),
        "rss_mb": peak_rss_mb("self"),
        "worker_rss_mb": idle_worker_rss_mb(&home)?,
    });
    crate::view::line(&line);
    Ok(Exit::Ok)
}

/// Peak resident memory of a worker that waits for a scheduler: what each costs before it trains.
#[allow(clippy::disallowed_methods, reason = "gives another process time to start")]
fn idle_worker_rss_mb(home: &Path) -> Result<Option<f64>> {
    const START: Duration = Duration::from_secs(2);
    let program = std::env::current_exe().context("the program cannot find itself")?;
    let mut worker = std::process::Command::new(program)
        .arg("--home")
        .arg(home)
        // The scheduler of the bench has ended: the worker waits for it to come back.
        .args(["worker", "--scheduler", "http://127.0.0.1:9"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("a worker cannot be started")?;
    std::thread::sleep(START);
    let peak = peak_rss_mb(&worker.id().to_string());
    worker.kill().context("the worker cannot be stopped")?;
    worker.wait().context("the worker cannot be stopped")?;
    Ok(peak)
}

/// Peak resident memory of a process, megabytes; `self` is this one.
fn peak_rss_mb(process: &str) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: f64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some((kilobytes / 1_024.0 * 10.0).round() / 10.0)
}
