//! A real scheduler in this process, spoken to over its port.
#![allow(clippy::unwrap_used, reason = "a test that cannot be set up fails by panic")]

use std::path::Path;

use protocol::{
    Client, ClientError, Directive, ExperimentState, Policy, Refusal, Registration, Report, StopCause, Submission,
    Token, TrialState, Update,
};
use scheduler::{Ask, Config, Handle, OpenError, Recovery, SchedulerError, Sweep, SweepOutcome, Sweeps};
use spec::{Progress, ProgressUnit, Span, WorkerId};

mod exchange;
mod hostile;
mod members;
mod postgres;

/// As many trials as the payload says, in batches of two.
struct Pairs {
    left: u32,
    open: u32,
}

impl Sweep for Pairs {
    fn ask(&mut self) -> Ask {
        match (self.open, self.left.min(2)) {
            (1.., _) => Ask::Waiting,
            (0, 0) => Ask::Done,
            // More than any scheduler takes: all at once, as a sweep without batches would ask.
            (0, _) if self.left > 1_000_000 => Ask::Batch(vec![Vec::new(); self.left as usize]),
            (0, size) => {
                self.left -= size;
                self.open = size;
                Ask::Batch(vec![b"work".to_vec(); size as usize])
            }
        }
    }

    fn tell(&mut self, _: u32, _: SweepOutcome) {
        self.open -= 1;
    }
}

fn sweeps() -> Box<dyn Sweeps> {
    Box::new(|submission: &Submission| -> Result<Box<dyn Sweep>, OpenError> {
        let left = String::from_utf8_lossy(&submission.payload).parse();
        let left = left.map_err(|_| OpenError { why: "payload is not a number".to_owned() })?;
        Ok(Box::new(Pairs { left, open: 0 }))
    })
}

fn registration(name: &str) -> Registration {
    Registration::of(name.parse().unwrap(), 1)
}

fn submission(trials: &str) -> Submission {
    Submission {
        experiment: "pairs".parse().unwrap(),
        name: "pairs".parse().unwrap(),
        payload: trials.as_bytes().to_vec(),
        policy: Policy::default(),
    }
}

async fn begin(home: &Path) -> (Handle, Client) {
    // No grace: an attempt that runs is left as a crash would leave it.
    let config = Config { grace: Span::from_millis(1), ..Config::new(home) };
    let handle = scheduler::start(config, sweeps(), None).await.unwrap();
    let client = handle.client().await.unwrap();
    (handle, client)
}

async fn register(client: &Client, name: &str) -> WorkerId {
    let worker: WorkerId = name.parse().unwrap();
    client.register(registration(name)).await.unwrap();
    worker
}

#[tokio::test]
async fn an_experiment_goes_from_submission_to_its_end() {
    let home = tempfile::tempdir().unwrap();
    let (handle, client) = begin(home.path()).await;
    let id = submission("3").experiment;
    assert_eq!(client.submit(submission("3")).await.unwrap().trials.pending, 2);
    let mut updates = client.watch(Some(&id)).await.unwrap();
    let worker = register(&client, "w").await;
    for step in 0..3 {
        let assignment = client.lease(&worker).await.unwrap().unwrap();
        let progress = Progress { step, steps: 9, unit: ProgressUnit::Epoch, rate: 1.0, metrics: [].into() };
        let directive = client.heartbeat(&worker, assignment.attempt, Some(progress)).await.unwrap();
        assert_eq!(directive, Directive::Continue);
        client.finish(&worker, assignment.attempt, Report::Succeeded(vec![0, 255])).await.unwrap();
        let late = client.finish(&worker, assignment.attempt, Report::Stopped).await.unwrap_err();
        assert!(matches!(late, ClientError::Refused(Refusal::Fenced)));
    }
    let mut seen = Vec::new();
    loop {
        let update = updates.next().await.unwrap().unwrap();
        let ended = matches!(&update, Update::Experiment(view) if view.state.is_final());
        seen.push(update);
        if ended {
            break;
        }
    }
    assert_eq!(seen.iter().filter(|update| matches!(update, Update::Progress { .. })).count(), 3);
    let detail = client.show(&id).await.unwrap();
    assert_eq!(detail.experiment.state, ExperimentState::Succeeded);
    assert_eq!(detail.payload, b"3");
    assert!(detail.trials.iter().all(|trial| trial.outcome.as_deref() == Some(&[0, 255])));
    assert_eq!(client.explain(&"pairs.2".parse().unwrap()).await.unwrap().sentence, "pairs.2 has succeeded.");
    handle.stop().await.unwrap();
    let told = scheduler::history(home.path()).unwrap().detail(&id).unwrap();
    assert_eq!(told, detail);
    let metrics = std::fs::read_to_string(home.path().join("metrics/pairs.jsonl")).unwrap();
    assert_eq!(metrics.lines().count(), 3);
}

/// Whether this process has a thread of that name.
fn has_thread(name: &str) -> bool {
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    threads
        .flatten()
        .any(|thread| std::fs::read_to_string(thread.path().join("comm")).is_ok_and(|comm| comm.trim_end() == name))
}

#[tokio::test]
async fn no_thread_is_left_at_work_in_the_home_of_a_scheduler_that_was_stopped() {
    let home = tempfile::tempdir().unwrap();
    let (handle, _client) = begin(home.path()).await;
    // A thread takes a moment to give itself its name, and the system one to forget a thread that was joined; one that was not
    // would look again in five seconds.
    let until = |there: fn() -> bool| async move {
        while !there() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    let second = std::time::Duration::from_secs(1);
    tokio::time::timeout(second, until(|| has_thread("snapshot"))).await.expect("it begins with its scheduler");
    handle.stop().await.unwrap();
    tokio::time::timeout(second, until(|| !has_thread("snapshot"))).await.expect("it ends with its scheduler");
}

#[tokio::test]
async fn a_wrong_token_is_refused_and_the_token_file_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = tempfile::tempdir().unwrap();
    let (handle, _) = begin(home.path()).await;
    let forged = Token::from_random([1; 32]);
    let client = Client::connect(handle.url(), &forged, Span::from_secs(5)).await.unwrap();
    assert!(matches!(client.list().await, Err(ClientError::Refused(Refusal::Unauthenticated))));
    let path = scheduler::token_path(home.path());
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let token = Token::read(&path).unwrap();
    let client = Client::connect(handle.url(), &token, Span::from_secs(5)).await.unwrap();
    assert!(client.list().await.unwrap().is_empty());
    assert_eq!(scheduler::address(home.path()).as_deref(), Some(handle.url()));
    client.shutdown().await.unwrap();
    let mut handle = handle;
    handle.wait().await.unwrap();
    assert_eq!(scheduler::address(home.path()), None);
    assert!(matches!(
        Client::connect("http://127.0.0.1:1", &token, Span::from_millis(100)).await,
        Err(ClientError::Unreachable { .. })
    ));
}

#[tokio::test]
async fn what_cannot_be_had_is_said_before_anything_starts() {
    let home = tempfile::tempdir().unwrap();
    let (handle, client) = begin(home.path()).await;
    let second = scheduler::start(Config::new(home.path()), sweeps(), None).await.err().unwrap();
    assert!(second.to_string().ends_with("is in use by another scheduler: use that one, or another --home"));
    let other = tempfile::tempdir().unwrap();
    let listen = handle.url().strip_prefix("http://").unwrap().parse().unwrap();
    let taken = Config { listen, ..Config::new(other.path()) };
    let error = scheduler::start(taken, sweeps(), None).await.err().unwrap();
    assert!(error.to_string().starts_with(&format!("port {listen} cannot be listened on: ")), "{error}");
    let open = Config { listen: "0.0.0.0:0".parse().unwrap(), ..Config::new(other.path()) };
    assert!(matches!(scheduler::start(open, sweeps(), None).await, Err(SchedulerError::NotLoopback(_))));
    let refused = client.submit(submission("many")).await.unwrap_err();
    assert_eq!(refused.to_string(), "payload is not a number");
    handle.stop().await.unwrap();
}

#[tokio::test]
async fn a_worker_goes_on_with_its_token_after_a_restart_on_the_same_port() {
    let home = tempfile::tempdir().unwrap();
    let (handle, client) = begin(home.path()).await;
    client.submit(submission("1")).await.unwrap();
    let worker = register(&client, "w").await;
    let assignment = client.lease(&worker).await.unwrap().unwrap();
    let listen = handle.url().strip_prefix("http://").unwrap().parse().unwrap();
    handle.stop().await.unwrap();
    let config = Config { listen, grace: Span::from_millis(1), ..Config::new(home.path()) };
    let handle = scheduler::start(config, sweeps(), None).await.unwrap();
    let client = handle.client().await.unwrap();
    assert_eq!(client.heartbeat(&worker, assignment.attempt, None).await.unwrap(), Directive::Continue);
    let unknown = client.lease(&worker).await.unwrap_err();
    assert!(matches!(unknown, ClientError::Refused(Refusal::NotRegistered)));
    client.finish(&worker, assignment.attempt, Report::Succeeded(Vec::new())).await.unwrap();
    let trial = client.show(&submission("1").experiment).await.unwrap().trials.remove(0);
    assert_eq!((trial.attempts, trial.worker_losses), (1, 0));
    handle.stop().await.unwrap();
}

#[tokio::test]
async fn the_end_of_an_attempt_and_the_next_come_in_one_call() {
    let home = tempfile::tempdir().unwrap();
    let (handle, client) = begin(home.path()).await;
    client.submit(submission("2")).await.unwrap();
    let worker = register(&client, "w").await;
    let first = client.lease(&worker).await.unwrap().unwrap();
    let end = || Report::Succeeded(b"once".to_vec());
    let second = client.exchange(&worker, first.attempt, end()).await.unwrap().unwrap();
    assert_ne!(first.trial, second.trial);
    // As a worker does whose answer was lost: the end counts once, and what was granted is granted again.
    let again = client.exchange(&worker, first.attempt, Report::Succeeded(b"twice".to_vec())).await.unwrap_err();
    assert!(matches!(again, ClientError::Refused(Refusal::Fenced)), "{again}");
    assert_eq!(client.lease(&worker).await.unwrap().unwrap().attempt, second.attempt);
    let trial = client.show(&submission("2").experiment).await.unwrap().trials.remove(0);
    assert_eq!(trial.outcome.as_deref(), Some(b"once".as_slice()));
    handle.stop().await.unwrap();
}

#[tokio::test]
async fn an_end_is_taken_in_though_its_worker_must_register_again() {
    let home = tempfile::tempdir().unwrap();
    let (handle, client) = begin(home.path()).await;
    client.submit(submission("1")).await.unwrap();
    let worker = register(&client, "w").await;
    let assignment = client.lease(&worker).await.unwrap().unwrap();
    let listen = handle.url().strip_prefix("http://").unwrap().parse().unwrap();
    handle.stop().await.unwrap();
    let config = Config { listen, grace: Span::from_millis(1), ..Config::new(home.path()) };
    let handle = scheduler::start(config, sweeps(), None).await.unwrap();
    let client = handle.client().await.unwrap();
    let refused = client.exchange(&worker, assignment.attempt, Report::Succeeded(Vec::new())).await.unwrap_err();
    assert!(matches!(refused, ClientError::Refused(Refusal::NotRegistered)), "{refused}");
    let trial = client.show(&submission("1").experiment).await.unwrap().trials.remove(0);
    assert!(matches!(trial.status, TrialState::Succeeded { .. }));
    handle.stop().await.unwrap();
}

#[tokio::test]
async fn a_restart_that_requeues_fences_the_old_attempt() {
    let home = tempfile::tempdir().unwrap();
    let (handle, client) = begin(home.path()).await;
    client.submit(submission("1")).await.unwrap();
    let worker = register(&client, "w").await;
    let assignment = client.lease(&worker).await.unwrap().unwrap();
    handle.stop().await.unwrap();
    let mut requeue = Config::new(home.path());
    requeue.options.recovery = Recovery::Requeue;
    let handle = scheduler::start(requeue, sweeps(), None).await.unwrap();
    let client = handle.client().await.unwrap();
    let heard = client.heartbeat(&worker, assignment.attempt, None).await.unwrap();
    assert_eq!(heard, Directive::Stop(StopCause::Fenced));
    let trial = client.show(&submission("1").experiment).await.unwrap().trials.remove(0);
    assert!(matches!(trial.status, TrialState::Queued { .. }));
    assert_eq!((trial.attempts, trial.worker_losses), (0, 1));
    handle.stop().await.unwrap();
}

#[tokio::test]
async fn five_hundred_trials_that_do_nothing_all_end() {
    let home = tempfile::tempdir().unwrap();
    let measured = scheduler::bench::dispatch(home.path(), scheduler::bench::Load::nothing(500), 4).await.unwrap();
    assert_eq!(measured.trials, 500);
    assert!(measured.seconds > 0.0);
    let per_trial = measured.journal_bytes / 500;
    assert!((100..2_000).contains(&per_trial), "{per_trial} journal bytes per trial");
}
