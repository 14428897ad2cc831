//! Real workers with a runner that trains nothing, on a real scheduler.
#![allow(clippy::unwrap_used, reason = "a test that cannot be set up fails by panic")]

use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Duration;

use protocol::{Client, ExperimentDetail, ExperimentState, Policy, Submission, TrialState, Update};
use scheduler::engines::{Command, Local};
use scheduler::{Ask, Config, Handle, OpenError, Sweep, SweepOutcome, Sweeps};
use spec::{ExperimentId, FailureClass, RetrySpec, Span};
use tokio::sync::oneshot;
use worker::{Options, Rehearsal, Served, WorkerError};

mod gpus;
mod learned;
mod members;
mod memory;
mod processes;
mod shelved;
mod traces;
mod trial;

/// One batch: the payload's lines, each the script of a trial.
struct Scripts(Vec<Vec<u8>>);

impl Sweep for Scripts {
    fn ask(&mut self) -> Ask {
        if self.0.is_empty() { Ask::Done } else { Ask::Batch(std::mem::take(&mut self.0)) }
    }

    fn tell(&mut self, _: u32, _: SweepOutcome) {}
}

fn sweeps() -> Box<dyn Sweeps> {
    Box::new(|submission: &Submission| -> Result<Box<dyn Sweep>, OpenError> {
        let lines = submission.payload.split(|byte| *byte == b'\n');
        Ok(Box::new(Scripts(lines.map(<[u8]>::to_vec).collect())))
    })
}

fn id() -> ExperimentId {
    "rehearsal".parse().unwrap()
}

fn scripts(lines: &[&str]) -> Submission {
    Submission {
        experiment: id(),
        name: "rehearsal".parse().unwrap(),
        payload: lines.join("\n").into_bytes(),
        policy: Policy {
            retry: RetrySpec { attempts: 2, backoff: Span::from_millis(10) },
            timeout: Span::from_millis(1_500),
            ..Policy::default()
        },
    }
}

fn config(home: &Path) -> Config {
    let mut config = Config::new(home);
    config.options.lease = Span::from_secs(1);
    config
}

async fn begin(home: &Path) -> (Handle, Client) {
    let handle = scheduler::start(config(home), sweeps(), None).await.unwrap();
    let client = handle.client().await.unwrap();
    (handle, client)
}

/// A worker in this process; dropping the sender stops it.
fn hire(
    handle: &Handle,
    name: &str,
) -> (oneshot::Sender<()>, impl Future<Output = Result<Served, WorkerError>> + use<>) {
    let (stop, stopped) = oneshot::channel::<()>();
    let options = Options {
        stop_grace: Span::from_millis(300),
        ..Options::new(handle.url(), handle.token().clone(), name.parse().unwrap())
    };
    let stopped = async move {
        let _ = stopped.await;
    };
    let running = tokio::spawn(worker::run(options, Rehearsal, stopped));
    (stop, async { running.await.unwrap() })
}

/// Waits until `enough` is seen by a watcher.
async fn until(client: &Client, mut enough: impl FnMut(&Update) -> bool) {
    let mut updates = client.watch(Some(&id())).await.unwrap();
    let seen = async {
        while let Some(update) = updates.next().await.unwrap() {
            if enough(&update) {
                return;
            }
        }
        panic!("scheduler ended the watch");
    };
    tokio::time::timeout(Duration::from_secs(30), seen).await.expect("it takes seconds at most");
}

async fn ended(client: &Client) -> ExperimentDetail {
    until(client, |update| matches!(update, Update::Experiment(view) if view.state.is_final())).await;
    client.show(&id()).await.unwrap()
}

#[tokio::test]
async fn each_way_a_runner_can_end_ends_its_trial_as_it_should() {
    let home = tempfile::tempdir().unwrap();
    let (handle, client) = begin(home.path()).await;
    let lines = ["succeed", "slow 30", "fail nan", "fail data", "panic", "fail-below 99999 oom"];
    client.submit(scripts(&lines)).await.unwrap();
    let (_a, _) = hire(&handle, "a");
    let (_b, _) = hire(&handle, "b");
    let detail = ended(&client).await;
    let ends: Vec<String> = detail
        .trials
        .iter()
        .map(|trial| {
            if let TrialState::Failed { class, message } = &trial.status {
                format!("{class}: {message} ({})", trial.attempts)
            } else {
                format!("{} ({})", trial.status.name(), trial.attempts)
            }
        })
        .collect();
    assert_eq!(
        ends,
        [
            "succeeded (1)",
            "succeeded (1)",
            "nan: as the script `fail nan` says (2)",
            "data: as the script `fail data` says (1)",
            "bug: panicked: as the script says (2)",
            "oom: as the script `fail-below 99999 oom` says (2)",
        ]
    );
    assert_eq!(detail.experiment.state, ExperimentState::Succeeded);
    assert!(detail.trials.iter().all(|trial| trial.worker_losses == 0));
    handle.stop().await.unwrap();
}

#[tokio::test]
async fn a_stopped_worker_hands_its_trial_back_and_another_goes_on_from_the_checkpoint() {
    let home = tempfile::tempdir().unwrap();
    let (handle, client) = begin(home.path()).await;
    client.submit(scripts(&["slow 500"])).await.unwrap();
    let (stop, served) = hire(&handle, "a");
    until(&client, |update| matches!(update, Update::Progress { progress, .. } if progress.step >= 10)).await;
    drop(stop);
    assert_eq!(served.await.unwrap(), Served { attempts: 1 });
    let (_b, _) = hire(&handle, "b");
    let trial = ended(&client).await.trials.remove(0);
    let began: u64 = String::from_utf8(trial.outcome.unwrap()).unwrap().parse().unwrap();
    assert!(began >= 10, "it went on from step {began}");
    assert_eq!((trial.attempts, trial.worker_losses), (1, 0));
    handle.stop().await.unwrap();
}

#[tokio::test]
async fn the_last_word_of_a_short_attempt_is_in_the_log_before_its_end_is_told() {
    let home = tempfile::tempdir().unwrap();
    let (handle, client) = begin(home.path()).await;
    client.submit(scripts(&["epochs 7"; 3])).await.unwrap();
    let (_a, _) = hire(&handle, "a");
    ended(&client).await;
    let log = std::fs::read_to_string(scheduler::log_path(home.path(), &id())).unwrap();
    let lines: Vec<scheduler::LogLine> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for trial in 0..3 {
        let last = lines.iter().rfind(|line| line.trial.index == trial).expect("each trial said something");
        assert_eq!(last.progress.step, 7, "trial {trial}");
    }
    handle.stop().await.unwrap();
}

#[tokio::test]
async fn an_attempt_past_its_limit_is_stopped_and_counts_as_a_timeout() {
    let home = tempfile::tempdir().unwrap();
    let (handle, client) = begin(home.path()).await;
    let mut submission = scripts(&["slow 60000"]);
    submission.policy.retry.attempts = 1;
    submission.policy.timeout = Span::from_millis(300);
    client.submit(submission).await.unwrap();
    let (stop, served) = hire(&handle, "a");
    let trial = ended(&client).await.trials.remove(0);
    assert!(matches!(trial.status, TrialState::Failed { class: FailureClass::Timeout, .. }), "{:?}", trial.status);
    drop(stop);
    assert_eq!(served.await.unwrap(), Served { attempts: 1 });
    handle.stop().await.unwrap();
}

#[tokio::test]
async fn a_runner_that_does_not_stop_ends_its_worker() {
    let home = tempfile::tempdir().unwrap();
    let (handle, client) = begin(home.path()).await;
    client.submit(scripts(&["deaf 3000"])).await.unwrap();
    let (_stop, served) = hire(&handle, "a");
    until(&client, |update| matches!(update, Update::Trial(view) if view.status.name() == "running")).await;
    client.cancel(&id()).await.unwrap();
    let error = served.await.unwrap_err();
    assert_eq!(error.to_string(), "attempt 1 did not stop within 300ms: this worker ends, another takes over");
    handle.stop().await.unwrap();
}

#[tokio::test]
async fn a_worker_finds_a_restarted_scheduler_and_its_attempt_goes_on() {
    let home = tempfile::tempdir().unwrap();
    let quick = |config: Config| Config { grace: Span::from_millis(1), ..config };
    let handle = scheduler::start(quick(config(home.path())), sweeps(), None).await.unwrap();
    let client = handle.client().await.unwrap();
    client.submit(scripts(&["slow 1000", "succeed"])).await.unwrap();
    let (stop, served) = hire(&handle, "a");
    until(&client, |update| matches!(update, Update::Progress { progress, .. } if progress.step >= 10)).await;
    let listen = handle.url().strip_prefix("http://").unwrap().parse().unwrap();
    // The grace is over before the worker hears of the end: to it this is a crash.
    handle.stop().await.unwrap();
    let handle = scheduler::start(Config { listen, ..config(home.path()) }, sweeps(), None).await.unwrap();
    let client = handle.client().await.unwrap();
    let detail = ended(&client).await;
    assert_eq!(detail.experiment.trials.succeeded, 2);
    assert!(detail.trials.iter().all(|trial| trial.attempts == 1 && trial.worker_losses == 0));
    assert_eq!(detail.trials[0].outcome.as_deref(), Some(&b"0"[..]), "it ran through in one attempt");
    drop(stop);
    assert_eq!(served.await.unwrap(), Served { attempts: 2 });
    handle.stop().await.unwrap();
}

/// The example beside the test binary: cargo builds examples with the tests.
fn rehearsal() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().and_then(Path::parent).unwrap().join("examples/rehearsal")
}

fn local(home: &Path, workers: u32) -> Box<Local> {
    let command = Command { program: rehearsal(), args: ["--gpus", "2"].map(Into::into).to_vec() };
    Box::new(Local::new(command, home.to_owned(), workers, 1, None).unwrap())
}
