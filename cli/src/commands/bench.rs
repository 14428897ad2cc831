//! `bench`: figures as JSON lines.

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
        "rss_mb": peak_rss_mb(),
    });
    crate::view::line(&line);
    Ok(Exit::Ok)
}

/// Peak resident memory of this process, megabytes.
fn peak_rss_mb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: f64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some((kilobytes / 1_024.0 * 10.0).round() / 10.0)
}
