//! What a full scheduler costs: with many trials queued, and with many workers that only say that they live.

use std::path::Path;
use std::time::Duration;

use market::Timestamp;
use protocol::{Client, Policy, Registration, Submission};
use serde::Serialize;
use spec::{AttemptId, ExperimentId, Progress, ProgressUnit, WorkerId};

use super::{BenchError, Flood};
use crate::clock::Clock;
use crate::config::{Config, SchedulerError, journal_path};
use crate::journal::SqliteJournal;
use crate::server::{Handle, start};
use crate::snapshot::{self, RenewError};
use crate::sweep::{OpenError, Sweep};

/// Small experiments submitted into a full queue, to measure what one costs.
const SUBMISSIONS: u32 = 200;

/// Connections that all workers share: a process has only so many files.
const CONNECTIONS: u32 = 16;

/// What a queue of many trials costs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Scale {
    /// Trials queued.
    pub trials: u32,
    /// Time until the experiment that asks for all of them is durable, milliseconds.
    pub fill_ms: f64,
    /// Median time of a small submission into the full queue, at the client, milliseconds.
    pub submit_ms_p50: f64,
    /// 99th percentile of that.
    pub submit_ms_p99: f64,
    /// CPU time of the whole process for one of them, milliseconds; client and transport are in it.
    pub submit_cpu_ms: f64,
    /// CPU time of the whole process in a second in which nothing happens, as a share of one core.
    pub idle_core: f64,
    /// Memory of the process above what it had before, MiB.
    pub rss_mb: f64,
    /// Time from start to serving again with that journal, milliseconds.
    pub restart_ms: f64,
    /// The same from a snapshot of all of it, milliseconds.
    pub resume_ms: f64,
    /// Time until such a snapshot is written, from the journal, beside the scheduler, milliseconds.
    pub snapshot_ms: f64,
    /// Size of the journal, MiB.
    pub journal_mb: f64,
}

/// What workers that only say that they live cost.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Heartbeats {
    /// Workers, each with an attempt.
    pub workers: u32,
    /// Trials queued beside those.
    pub queued: u32,
    /// How long was measured, seconds.
    pub seconds: f64,
    /// Heartbeats answered in that time.
    pub heartbeats: u64,
    /// CPU time of the scheduler's own thread, as a share of one core.
    pub scheduler_core: f64,
    /// CPU time of the whole process, as a share of one core: transport and the workers themselves are in it.
    pub process_core: f64,
}

fn sweeps(submission: &Submission) -> Result<Box<dyn Sweep>, OpenError> {
    let trials = String::from_utf8_lossy(&submission.payload).parse();
    let trials = trials.map_err(|_| OpenError { why: "payload is no number of trials".to_owned() })?;
    Ok(Box::new(Flood { trials }))
}

fn flood(name: &str, trials: u32) -> Submission {
    Submission {
        experiment: name.parse().expect("it is a name"),
        name: "bench".parse().expect("it is a name"),
        payload: trials.to_string().into_bytes(),
        policy: Policy::default(),
    }
}

async fn begin(home: &Path) -> Result<Handle, SchedulerError> {
    start(Config::new(home), Box::new(sweeps), None).await
}

/// Fills a queue with `trials` trials, submits small experiments into it, and restarts from its journal in `home`.
///
/// # Errors
/// [`BenchError`].
pub async fn scale(home: &Path, trials: u32) -> Result<Scale, BenchError> {
    let clock = Clock::start(Timestamp::default());
    let handle = begin(home).await?;
    let client = handle.client().await?;
    let rss_before = resident_mb()?;
    let began = clock.elapsed();
    client.submit(flood("bench-full", trials)).await?;
    let fill = clock.elapsed() - began;
    let rss = resident_mb()? - rss_before;
    let cpu_before = cpu_seconds("self")?;
    let mut each = Vec::new();
    for index in 0..SUBMISSIONS {
        let began = clock.elapsed();
        client.submit(flood(&format!("bench-small-{index}"), 4)).await?;
        each.push((clock.elapsed() - began).as_secs_f64() * 1e3);
    }
    let submit_cpu = (cpu_seconds("self")? - cpu_before) / f64::from(SUBMISSIONS);
    each.sort_by(f64::total_cmp);
    let idle_before = cpu_seconds("self")?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let idle = (cpu_seconds("self")? - idle_before) / 2.0;
    handle.stop().await?;
    // The thread that keeps it may have written one by now.
    let _ = std::fs::remove_file(snapshot::beside(&journal_path(home)));
    let all = trials + 4 * SUBMISSIONS;
    let restart = restarted(home, (&clock, all)).await?;
    let began = clock.elapsed();
    let journal = SqliteJournal::open_read_only(&journal_path(home)).map_err(RenewError::from)?;
    snapshot::renew(&snapshot::beside(&journal_path(home)), &journal)?;
    drop(journal);
    let written = clock.elapsed() - began;
    let resume = restarted(home, (&clock, all)).await?;
    let journal = journal_path(home);
    let size = std::fs::metadata(&journal).map_err(|why| SchedulerError::Home { path: journal, why })?.len();
    Ok(Scale {
        trials,
        fill_ms: fill.as_secs_f64() * 1e3,
        submit_ms_p50: each[each.len() / 2],
        submit_ms_p99: each[each.len() * 99 / 100],
        submit_cpu_ms: submit_cpu * 1e3,
        idle_core: idle,
        rss_mb: rss,
        restart_ms: restart.as_secs_f64() * 1e3,
        resume_ms: resume.as_secs_f64() * 1e3,
        snapshot_ms: written.as_secs_f64() * 1e3,
        journal_mb: size as f64 / f64::from(1 << 20),
    })
}

/// Starts on `home`, lists and stops; the time until the list came, in which `trials` must wait.
async fn restarted(home: &Path, (clock, trials): (&Clock, u32)) -> Result<Duration, BenchError> {
    let began = clock.elapsed();
    let handle = begin(home).await?;
    let listed = handle.client().await?.list().await?;
    let restart = clock.elapsed() - began;
    handle.stop().await?;
    let queued: u32 = listed.iter().map(|view| view.trials.pending).sum();
    if queued == trials { Ok(restart) } else { Err(BenchError::Lost { succeeded: queued, trials }) }
}

/// Lets `workers` workers, each at an attempt, say that they live five times a lease for `seconds`, with `queued` more
/// trials waiting.
///
/// # Errors
/// [`BenchError`].
pub async fn heartbeats(home: &Path, workers: u32, queued: u32, seconds: u64) -> Result<Heartbeats, BenchError> {
    let handle = begin(home).await?;
    let client = handle.client().await?;
    let experiment: ExperimentId = "bench-full".parse().expect("it is a name");
    client.submit(flood(experiment.as_str(), workers + queued)).await?;
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS.min(workers.max(1)) {
        connections.push(handle.client().await?);
    }
    let (ready, mut all) = tokio::sync::mpsc::channel(1_024);
    let mut tasks = tokio::task::JoinSet::new();
    for index in 0..workers {
        let client = connections[index as usize % connections.len()].clone();
        tasks.spawn(live(client, index, ready.clone()));
    }
    drop(ready);
    for _ in 0..workers {
        all.recv().await;
    }
    let clock = Clock::start(Timestamp::default());
    let thread = scheduler_thread()?;
    let (began, thread_before, process_before) = (clock.elapsed(), cpu_seconds(&thread)?, cpu_seconds("self")?);
    let mut answered = 0;
    let end = tokio::time::sleep(Duration::from_secs(seconds));
    tokio::pin!(end);
    loop {
        tokio::select! {
            () = &mut end => break,
            beat = all.recv() => answered += u64::from(beat.is_some()),
        }
    }
    let spent = (clock.elapsed() - began).as_secs_f64();
    let (thread_cpu, process_cpu) = (cpu_seconds(&thread)? - thread_before, cpu_seconds("self")? - process_before);
    let running = client.show(&experiment).await?.experiment.trials.running;
    tasks.shutdown().await;
    handle.stop().await?;
    if running != workers {
        return Err(BenchError::Lost { succeeded: running, trials: workers });
    }
    Ok(Heartbeats {
        workers,
        queued,
        seconds: spent,
        heartbeats: answered,
        scheduler_core: thread_cpu / spent,
        process_core: process_cpu / spent,
    })
}

/// A worker that leases once and then only lives. Tells when it holds its attempt, and each time it was answered.
async fn live(client: Client, index: u32, tell: tokio::sync::mpsc::Sender<()>) -> Result<(), BenchError> {
    let worker: WorkerId = format!("bench-{index}").parse().expect("it is a name");
    let terms = client.register(Registration::of(worker.clone(), 1)).await?;
    let assignment = loop {
        if let Some(assignment) = client.lease(&worker).await? {
            break assignment;
        }
    };
    // Errs only when the bench has ended.
    let _ = tell.send(()).await;
    // Spread over the period, as workers that started at different times are.
    let period = terms.heartbeat.as_duration();
    tokio::time::sleep(period.mul_f64(f64::from(index % 100) / 100.0)).await;
    let mut ticks = tokio::time::interval(period);
    let mut step = 0;
    loop {
        ticks.tick().await;
        step += 1;
        beat(&client, &worker, assignment.attempt, step).await?;
        let _ = tell.send(()).await;
    }
}

async fn beat(client: &Client, worker: &WorkerId, attempt: AttemptId, step: u64) -> Result<(), BenchError> {
    let metrics = [(spec::Metric::Loss, 0.5)].into();
    let progress = Progress { step, steps: 1_000_000, unit: ProgressUnit::EnvStep, rate: 1.0, metrics };
    client.heartbeat(worker, attempt, Some(progress)).await?;
    Ok(())
}

/// CPU time of a process or of one of its threads.
fn cpu_seconds(of: &str) -> Result<f64, BenchError> {
    const TICKS_PER_SECOND: f64 = 100.0;
    let error = BenchError::Process { what: "CPU time" };
    let Ok(line) = std::fs::read_to_string(format!("/proc/{of}/stat")) else { return Err(error) };
    // The name may hold anything, so fields are counted after it: user and system time are the 12th and 13th.
    let fields = line.rsplit_once(')').map(|(_, fields)| fields.split_whitespace().skip(11).take(2));
    let ticks: Option<Vec<f64>> = fields.and_then(|fields| fields.map(|field| field.parse().ok()).collect());
    ticks.map(|ticks| ticks.iter().sum::<f64>() / TICKS_PER_SECOND).ok_or(error)
}

/// The thread that decides, by its name.
fn scheduler_thread() -> Result<String, BenchError> {
    let threads = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let named = |id: &String| {
        std::fs::read_to_string(format!("/proc/self/task/{id}/comm")).is_ok_and(|name| name.trim() == "scheduler")
    };
    let mut ids = threads.map(|thread| thread.file_name().to_string_lossy().into_owned());
    let found = ids.find(named).map(|id| format!("self/task/{id}"));
    found.ok_or(BenchError::Process { what: "scheduler thread" })
}

fn resident_mb() -> Result<f64, BenchError> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok());
    kibibytes.map(|kibibytes| kibibytes / 1024.0).ok_or(BenchError::Process { what: "memory" })
}
