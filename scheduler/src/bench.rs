//! What dispatching costs: trials that do nothing, through the real server, journal and protocol.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

mod disk;
mod load;

pub use disk::sync_after;
pub use load::{Heartbeats, Scale, heartbeats, scale};

use market::Timestamp;
use protocol::{Assignment, Client, ClientError, ExperimentState, Policy, Registration, Report, Submission};

use crate::clock::Clock;
use crate::config::{Config, SchedulerError, journal_path};
use crate::server::start;
use crate::snapshot::RenewError;
use crate::sweep::{Ask, OpenError, Sweep, SweepOutcome, Sweeps};

/// Workers of a bench, at most: each is a task and a connection of this process.
const WORKERS_MAX: u32 = 256;

/// What was measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dispatch {
    /// Trials that ended.
    pub trials: u32,
    /// Time from submission to the end of the last.
    pub seconds: f64,
    /// Time that the trials took by themselves, in all.
    pub work_seconds: f64,
    /// Size of the journal after the scheduler ended.
    pub journal_bytes: u64,
}

/// The bench did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The scheduler failed.
    #[error(transparent)]
    Scheduler(#[from] SchedulerError),
    /// A call failed.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The process's own figures cannot be read.
    #[error("{what} of this process cannot be read: the bench needs Linux and its /proc")]
    Process {
        /// Which figure.
        what: &'static str,
    },
    /// A snapshot cannot be written.
    #[error(transparent)]
    Snapshot(#[from] RenewError),
    /// A trial got lost.
    #[error("{succeeded} of {trials} trials succeeded: that is a defect of the scheduler")]
    Lost {
        /// Trials that succeeded.
        succeeded: u32,
        /// Trials asked.
        trials: u32,
    },
}

/// A sweep of `trials` trials, all in one batch.
struct Flood {
    trials: u32,
}

impl Sweep for Flood {
    fn ask(&mut self) -> Ask {
        match std::mem::take(&mut self.trials) {
            0 => Ask::Done,
            trials => Ask::Batch((0..trials).map(|index| index.to_le_bytes().to_vec()).collect()),
        }
    }

    fn tell(&mut self, _: u32, _: SweepOutcome) {}
}

/// What a trial does with its payload.
pub type Work = fn(&[u8]) -> Worked;

/// What came of a trial.
#[derive(Clone, Debug, Default)]
pub struct Worked {
    /// Its outcome.
    pub outcome: Vec<u8>,
    /// What it took by itself: a sleep lasts longer than it was asked to, and that is nobody's overhead.
    pub took: Duration,
}

/// An experiment whose trials are dispatched.
pub struct Load {
    /// Opens its sweep.
    pub sweeps: Box<dyn Sweeps>,
    /// The experiment.
    pub submission: Submission,
    /// Trials its sweep asks for in all.
    pub trials: u32,
    /// What each does, on a thread of its worker; `None`: nothing.
    pub work: Option<Work>,
}

impl Load {
    /// `trials` trials that do nothing, all in one batch.
    #[must_use]
    pub fn nothing(trials: u32) -> Self {
        let sweeps = move |_: &Submission| -> Result<Box<dyn Sweep>, OpenError> { Ok(Box::new(Flood { trials })) };
        let submission = Submission {
            experiment: "bench-dispatch".parse().expect("it is a name"),
            name: "bench".parse().expect("it is a name"),
            payload: Vec::new(),
            policy: Policy::default(),
        };
        Self { sweeps: Box::new(sweeps), submission, trials, work: None }
    }
}

/// Runs `load` on `workers` workers that are already there, with the journal in `home`.
///
/// # Errors
/// [`BenchError`].
pub async fn dispatch(home: &Path, load: Load, workers: u32) -> Result<Dispatch, BenchError> {
    let Load { sweeps, submission, trials, work } = load;
    let handle = start(Config::new(home), sweeps, None).await?;
    let client = handle.client().await?;
    let (ready, mut all) = tokio::sync::mpsc::channel(WORKERS_MAX as usize);
    let mut tasks = tokio::task::JoinSet::new();
    let worked_ns = Arc::new(AtomicU64::new(0));
    for index in 0..workers.clamp(1, WORKERS_MAX) {
        let work = work.map(|work| (work, Arc::clone(&worked_ns)));
        tasks.spawn(serve(handle.client().await?, index, work, ready.clone()));
    }
    drop(ready);
    while all.recv().await.is_some() {}
    let clock = Clock::start(Timestamp::default());
    let experiment = submission.experiment.clone();
    client.submit(submission).await?;
    let mut updates = client.watch(Some(&experiment)).await?;
    while let Some(update) = updates.next().await? {
        if matches!(&update, protocol::Update::Experiment(view) if view.state.is_final()) {
            break;
        }
    }
    let seconds = clock.elapsed().as_secs_f64();
    let ended = client.show(&experiment).await?.experiment;
    tasks.shutdown().await;
    handle.stop().await?;
    if ended.state != ExperimentState::Succeeded || ended.trials.succeeded != trials {
        return Err(BenchError::Lost { succeeded: ended.trials.succeeded, trials });
    }
    let journal = journal_path(home);
    let size = std::fs::metadata(&journal).map_err(|why| SchedulerError::Home { path: journal, why })?.len();
    let work_seconds = Duration::from_nanos(worked_ns.load(Ordering::Relaxed)).as_secs_f64();
    Ok(Dispatch { trials, seconds, work_seconds, journal_bytes: size })
}

async fn serve(
    client: Client,
    index: u32,
    work: Option<(Work, Arc<AtomicU64>)>,
    ready: tokio::sync::mpsc::Sender<()>,
) -> Result<(), ClientError> {
    let worker: spec::WorkerId = format!("bench-{index}").parse().expect("it is a name");
    client.register(Registration::of(worker.clone(), 1)).await?;
    drop(ready);
    let mut held = None;
    loop {
        held = match held {
            None => client.lease(&worker).await?,
            Some(Assignment { attempt, payload, .. }) => {
                let outcome = match &work {
                    None => Vec::new(),
                    Some((work, worked_ns)) => {
                        let work = *work;
                        // Errs only when the work panics or the bench is over: the trial is handed in without an outcome.
                        let Worked { outcome, took } =
                            tokio::task::spawn_blocking(move || work(&payload)).await.unwrap_or_default();
                        worked_ns.fetch_add(took.as_nanos() as u64, Ordering::Relaxed);
                        outcome
                    }
                };
                client.exchange(&worker, attempt, Report::Succeeded(outcome)).await?
            }
        };
    }
}
