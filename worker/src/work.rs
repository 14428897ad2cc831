//! The life of a worker: connect, register, lease, run, report, again. Survives restarts of the scheduler.

use std::collections::BTreeMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use protocol::{Assignment, Client, ClientError, Credentials, Directive, Refusal, Registration, Report, Terms};
use spec::{AttemptId, FailureClass, ResourceName, Span, WorkerId};
use telemetry::Tracer;
use tokio::sync::{mpsc, oneshot, watch};

use crate::machine::Hardware;
use crate::runner::{Ended, Failure, Reporter, Runner};

mod speech;
mod trail;

use speech::Speech;
use trail::Trail;

/// Wait before a call is tried again.
const RETRY_PAUSE: Duration = Duration::from_millis(250);

/// How a worker runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the scheduler listens: `http://HOST:PORT`, by TLS `https://HOST:PORT`.
    pub scheduler: String,
    /// What is shown to it.
    pub credentials: Credentials,
    /// The worker's id, unique for its life.
    pub id: WorkerId,
    /// CPU cores it may use.
    pub cpus: u32,
    /// What its machine has. Default: nothing is said of it.
    pub hardware: Hardware,
    /// Other resources it may use, such as licences. Default: none.
    pub custom: BTreeMap<ResourceName, u32>,
    /// Longest time without a word of the scheduler before the worker gives up. Default: 10m.
    pub patience: Span,
    /// Longest time a runner may take to stop when asked. Default: 15s.
    pub stop_grace: Span,
    /// Where traces go. Default: nowhere.
    pub tracer: Tracer,
}

impl Options {
    /// The defaults for a worker `id` with one core.
    #[must_use]
    pub fn new(scheduler: &str, credentials: impl Into<Credentials>, id: WorkerId) -> Self {
        Self {
            scheduler: scheduler.to_owned(),
            credentials: credentials.into(),
            id,
            cpus: 1,
            hardware: Hardware::default(),
            custom: BTreeMap::new(),
            patience: Span::from_secs(600),
            stop_grace: Span::from_secs(15),
            tracer: Tracer::default(),
        }
    }
}

/// What a worker did in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Served {
    /// Attempts it ended, one way or another.
    pub attempts: u64,
}

/// The worker cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The scheduler refuses it, or was silent for too long.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The runner did not stop when asked. Its thread still runs: the process must end.
    #[error("attempt {attempt} did not stop within {grace}: this worker ends, another takes over")]
    Deaf {
        /// Which attempt.
        attempt: AttemptId,
        /// How long it was given.
        grace: Span,
    },
    /// Its thread ended or could not start: a defect, or a machine out of threads.
    #[error("runner thread ended: this worker cannot run attempts")]
    RunnerGone,
}

/// Runs a worker until `stop` resolves; then the running attempt is asked to stop and handed back.
///
/// # Errors
/// [`WorkerError`]. After [`WorkerError::Deaf`] the process must end, for the runner's thread still runs.
pub async fn run(
    options: Options,
    runner: impl Runner + 'static,
    stop: impl Future<Output = ()>,
) -> Result<Served, WorkerError> {
    let client = Client::connect(&options.scheduler, &options.credentials, options.patience).await?;
    let (stopping, stopped) = watch::channel(false);
    let mut worker = Worker { client, options, jobs: spawn_runner(runner)?, stopped, served: Served::default() };
    let mut work = std::pin::pin!(worker.serve());
    tokio::select! {
        ended = &mut work => return ended,
        () = stop => {}
    }
    // Errs only when the worker has ended.
    let _ = stopping.send(true);
    work.await
}

/// An attempt on its way to the runner's thread.
struct Job {
    assignment: Assignment,
    reporter: Reporter,
    done: oneshot::Sender<Result<Ended, Failure>>,
}

/// Attempts run on one thread for the worker's life: what libtorch keeps per thread is set up once.
fn spawn_runner(mut runner: impl Runner + 'static) -> Result<mpsc::Sender<Job>, WorkerError> {
    let (jobs, mut received) = mpsc::channel::<Job>(1);
    let serve = move || {
        while let Some(Job { assignment, mut reporter, done }) = received.blocking_recv() {
            let Assignment { trial, attempt, .. } = &assignment;
            // What the runner logs says which attempt it is of.
            let span = tracing::info_span!("attempt", experiment = %trial.experiment, %trial, %attempt);
            let _entered = span.entered();
            let run = AssertUnwindSafe(|| runner.run(&assignment, &mut reporter));
            let ended = std::panic::catch_unwind(run).unwrap_or_else(|panic| Err(bug(panic.as_ref())));
            if let Err(Failure { class: FailureClass::WorkerLost, message }) = &ended {
                // Said by nobody but a runner that lost its process: the worker ends, and the attempt with it.
                tracing::error!("{message}");
                return;
            }
            // Errs when the worker gave the attempt up.
            let _ = done.send(ended);
        }
    };
    std::thread::Builder::new().name("runner".to_owned()).spawn(serve).map_err(|_| WorkerError::RunnerGone)?;
    Ok(jobs)
}

pub(crate) fn bug(panic: &(dyn std::any::Any + Send)) -> Failure {
    let words = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    Failure { class: FailureClass::Bug, message: format!("panicked: {}", words.unwrap_or("no message")) }
}

struct Worker {
    client: Client,
    options: Options,
    jobs: mpsc::Sender<Job>,
    stopped: watch::Receiver<bool>,
    served: Served,
}

impl Worker {
    async fn serve(&mut self) -> Result<Served, WorkerError> {
        let mut terms = self.register().await?;
        let mut next = None;
        loop {
            let came = match next.take() {
                Some(assignment) => {
                    let came = self.attempt(assignment, terms).await;
                    self.served.attempts += 1;
                    came
                }
                None => {
                    let mut stopped = self.stopped.clone();
                    tokio::select! {
                        biased;
                        // Errs when `run` was dropped: stop as well.
                        _ = stopped.wait_for(|stopped| *stopped) => return Ok(self.served),
                        leased = self.client.lease(&self.options.id) => leased.map_err(Into::into),
                    }
                }
            };
            match came {
                Ok(assignment) => next = assignment,
                Err(WorkerError::Client(error)) if is_restart(&error) => terms = self.register().await?,
                Err(error) => return Err(error),
            }
        }
    }

    /// Registers, trying again until the patience is over.
    async fn register(&self) -> Result<Terms, WorkerError> {
        let Hardware { node, gpus, memory } = self.options.hardware.clone();
        let registration = Registration {
            worker: self.options.id.clone(),
            cpus: self.options.cpus,
            custom: self.options.custom.clone(),
            node,
            gpus,
            memory,
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let register = || {
            let (client, registration) = (self.client.clone(), registration.clone());
            async move { client.register(registration).await }
        };
        self.persist(register).await
    }

    /// Calls until there is an answer or the patience is over. A stop ends the waiting as well.
    async fn persist<T, F: Future<Output = Result<T, ClientError>>>(
        &self,
        call: impl Fn() -> F,
    ) -> Result<T, WorkerError> {
        let mut waited = Duration::ZERO;
        loop {
            match call().await {
                Err(error) if error.is_transient() => {
                    if waited >= self.options.patience.as_duration() || *self.stopped.borrow() {
                        return Err(error.into());
                    }
                }
                answered => return answered.map_err(Into::into),
            }
            tokio::time::sleep(RETRY_PAUSE).await;
            waited += RETRY_PAUSE;
        }
    }

    /// Runs one attempt to its end and reports it; returns the next, if one came at once.
    async fn attempt(&self, assignment: Assignment, terms: Terms) -> Result<Option<Assignment>, WorkerError> {
        let (attempt, trial) = (assignment.attempt, assignment.trial.clone());
        let rung = assignment.rung.map_or(0, |rung| rung.index);
        tracing::info!(experiment = %trial.experiment, %trial, %attempt, "attempt starts");
        let trail = Trail::begin(&self.options, &assignment);
        let stop = Arc::new(AtomicBool::new(false));
        let mut speech = Speech::new(self.client.clone(), self.options.id.clone(), attempt, terms);
        let reporter = speech.reporter(Arc::clone(&stop));
        let (done, ended) = oneshot::channel();
        self.jobs.send(Job { assignment, reporter, done }).await.map_err(|_| WorkerError::RunnerGone)?;
        let ended = self.accompany(attempt, &mut speech, &stop, ended).await?;
        speech.last_word().await;
        let report = match ended {
            Ok(Ended::Succeeded(outcome)) => Report::Succeeded(outcome),
            Ok(Ended::Held { checkpoint, value }) => Report::Paused { rung, checkpoint, value },
            Ok(Ended::Stopped) => Report::Stopped,
            Err(Failure { class, message }) => Report::Failed { class, message },
        };
        trail.end(&self.options.tracer, &report);
        match self.hand_in(attempt, report).await {
            Err(WorkerError::Client(ClientError::Refused(Refusal::Fenced))) => {
                tracing::warn!(%trial, %attempt, "attempt had ended for the scheduler: reported before, or fenced");
                Ok(None)
            }
            Ok(next) => {
                tracing::info!(%trial, %attempt, "attempt ended");
                Ok(next)
            }
            Err(error) => Err(error),
        }
    }

    /// Reports the end of `attempt` and asks for the next in one call. A worker that stops asks for none.
    async fn hand_in(&self, attempt: AttemptId, report: Report) -> Result<Option<Assignment>, WorkerError> {
        let exchange = || {
            let (client, worker, report) = (self.client.clone(), self.options.id.clone(), report.clone());
            async move { client.exchange(&worker, attempt, report).await }
        };
        let mut stopped = self.stopped.clone();
        tokio::select! {
            biased;
            _ = stopped.wait_for(|stopped| *stopped) => {}
            next = self.persist(exchange) => return next,
        }
        // Whether it was heard is not known: an end may be reported again.
        let finish = || {
            let (client, worker, report) = (self.client.clone(), self.options.id.clone(), report.clone());
            async move { client.finish(&worker, attempt, report).await }
        };
        self.persist(finish).await.map(|()| None)
    }

    /// Heartbeats until the runner is done; asks it to stop when told to, and gives it up when it does not.
    async fn accompany(
        &self,
        attempt: AttemptId,
        speech: &mut Speech,
        stop: &AtomicBool,
        mut ended: oneshot::Receiver<Result<Ended, Failure>>,
    ) -> Result<Result<Ended, Failure>, WorkerError> {
        let mut stopped = self.stopped.clone();
        let asked = async {
            tokio::select! {
                directive = speech.beat(self.options.patience) => match directive {
                    Directive::Stop(cause) => tracing::info!(%attempt, ?cause, "attempt is asked to stop"),
                    Directive::Continue => tracing::warn!(%attempt, "scheduler is silent: attempt is given up"),
                },
                _ = stopped.wait_for(|stopped| *stopped) => {}
            }
        };
        tokio::select! {
            done = &mut ended => return done.map_err(|_| WorkerError::RunnerGone),
            () = asked => stop.store(true, Ordering::Relaxed),
        }
        // The lease is kept while the runner stores its checkpoint.
        let grace = self.options.stop_grace;
        tokio::select! {
            done = ended => done.map_err(|_| WorkerError::RunnerGone),
            () = speech.keep() => Err(WorkerError::RunnerGone),
            () = tokio::time::sleep(grace.as_duration()) => Err(WorkerError::Deaf { attempt, grace }),
        }
    }
}

/// The scheduler went away and may be back, not knowing this worker.
const fn is_restart(error: &ClientError) -> bool {
    error.is_transient() || matches!(error, ClientError::Refused(Refusal::NotRegistered))
}
