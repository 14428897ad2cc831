//! What an attempt sees of GPUs. None is needed: the scheduler leases made-up ones, and the process is asked what it was shown.

use worker::{Apart, Command as Own, Hardware};

use super::*;

/// A worker in this process with GPUs 2 and 3, whose attempts that lease some have processes of their own.
fn hire_with_gpus(
    handle: &Handle,
    name: &str,
) -> (oneshot::Sender<()>, tokio::task::JoinHandle<Result<Served, WorkerError>>) {
    let gpu = |index| protocol::Gpu { index, memory: spec::Bytes(1 << 30), name: "made up".to_owned() };
    let options = Options {
        hardware: Hardware { gpus: vec![gpu(2), gpu(3)], ..Hardware::default() },
        ..Options::new(handle.url(), handle.token().clone(), name.parse().unwrap())
    };
    let runner = Apart::new(Rehearsal, Own { program: rehearsal(), args: vec!["attempt".into()] });
    let (stop, stopped) = oneshot::channel::<()>();
    let stopped = async move {
        let _ = stopped.await;
    };
    (stop, tokio::spawn(worker::run(options, runner, stopped)))
}

fn with_gpus(name: &str, lines: &[&str], gpus: u32) -> Submission {
    let submission = scripts(lines);
    let policy = Policy { gpus, ..submission.policy.clone() };
    Submission { experiment: name.parse().unwrap(), policy, ..submission }
}

/// What the trials of an experiment handed in.
async fn outcomes(client: &Client, name: &str) -> Vec<String> {
    let experiment = name.parse().unwrap();
    let mut updates = client.watch(Some(&experiment)).await.unwrap();
    let is_over = |update: &Update| matches!(update, Update::Experiment(view) if view.state.is_final());
    let seen = async { while !is_over(&updates.next().await.unwrap().expect("the scheduler watches on")) {} };
    tokio::time::timeout(Duration::from_secs(30), seen).await.expect("it takes seconds at most");
    let trials = client.show(&experiment).await.unwrap().trials;
    trials.into_iter().map(|trial| String::from_utf8(trial.outcome.unwrap_or_default()).unwrap()).collect()
}

#[tokio::test]
async fn each_attempt_sees_the_gpus_of_its_lease_though_one_worker_runs_them_all() {
    let home = tempfile::tempdir().unwrap();
    let (handle, client) = begin(home.path()).await;
    let (_stop, _) = hire_with_gpus(&handle, "a");
    client.submit(with_gpus("one", &["gpus"], 1)).await.unwrap();
    assert_eq!(outcomes(&client, "one").await, ["2"]);
    client.submit(with_gpus("both", &["gpus"], 2)).await.unwrap();
    assert_eq!(outcomes(&client, "both").await, ["2,3"]);
    client.submit(with_gpus("one-again", &["gpus"], 1)).await.unwrap();
    assert_eq!(outcomes(&client, "one-again").await, ["2"]);
    handle.stop().await.unwrap();
}

#[tokio::test]
async fn a_worker_of_the_engine_shows_none_to_attempts_that_leased_none() {
    let home = tempfile::tempdir().unwrap();
    let engine = local(home.path(), 1);
    let handle = scheduler::start(config(home.path()), sweeps(), Some(engine)).await.unwrap();
    let client = handle.client().await.unwrap();
    client.submit(with_gpus("none", &["gpus"], 0)).await.unwrap();
    assert_eq!(outcomes(&client, "none").await, [""]);
    client.submit(with_gpus("two", &["gpus"], 2)).await.unwrap();
    assert_eq!(outcomes(&client, "two").await, ["0,1"]);
    handle.stop().await.unwrap();
}

#[tokio::test]
async fn an_attempt_in_a_process_of_its_own_stops_with_a_checkpoint_and_goes_on_from_it() {
    let home = tempfile::tempdir().unwrap();
    let (handle, client) = begin(home.path()).await;
    client.submit(with_gpus("rehearsal", &["slow 500"], 1)).await.unwrap();
    let (stop, served) = hire_with_gpus(&handle, "a");
    until(&client, |update| matches!(update, Update::Progress { progress, .. } if progress.step >= 10)).await;
    drop(stop);
    assert_eq!(served.await.unwrap().unwrap(), Served { attempts: 1 });
    let (_b, _) = hire_with_gpus(&handle, "b");
    let trial = ended(&client).await.trials.remove(0);
    let began: u64 = String::from_utf8(trial.outcome.unwrap()).unwrap().parse().unwrap();
    assert!(began >= 10, "it went on from step {began}");
    assert_eq!((trial.attempts, trial.worker_losses), (1, 0));
    handle.stop().await.unwrap();
}

#[tokio::test]
async fn failures_come_through_and_a_process_that_dies_takes_its_worker_along_at_no_cost() {
    let home = tempfile::tempdir().unwrap();
    let (handle, client) = begin(home.path()).await;
    client.submit(with_gpus("rehearsal", &["panic", "fail data", "crash"], 1)).await.unwrap();
    let (_stop, served) = hire_with_gpus(&handle, "a");
    let error = served.await.unwrap().unwrap_err();
    assert!(matches!(error, WorkerError::RunnerGone), "{error}");
    until(&client, |update| matches!(update, Update::Trial(view) if view.trial.index == 2 && view.worker_losses == 1))
        .await;
    let trials = client.show(&id()).await.unwrap().trials;
    assert!(matches!(&trials[1].status, TrialState::Failed { class: FailureClass::Data, .. }), "{:?}", trials[1]);
    assert_eq!(trials[2].attempts, 0, "{:?}", trials[2]);
    handle.stop().await.unwrap();
}
