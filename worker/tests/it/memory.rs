//! Running out of memory: an attempt in a process that may have little of it fails, and the trial's next one computes fewer rows
//! at once.

use artifacts::Store;
use scheduler::event::Event;
use scheduler::journal::{Journal as _, SqliteJournal};
use scheduler::trial::Change;
use serde_json::json;
use spec::{Bytes, TrialOutcome, canonical_json};
use worker::{Apart, Command as Own, Hardware};

use super::*;

/// Mebibytes that an attempt may have beyond what its process begins with: more than the training below takes with one row
/// at once, about 350, and less than with 32, about 670. What threads of its process reserve comes on top, up to 128.
const ROOM: &str = "570";

/// A forecaster whose activations take more than its weights.
fn wide(home: &Path) -> Vec<u8> {
    let mut payload: serde_json::Value = serde_json::from_slice(&trial::payload(home)).unwrap();
    payload["data"]["split"] = json!({
        "train": ["2013-01-02", "2015-06-30"], "validation": ["2015-07-01", "2015-09-30"],
        "test": ["2016-01-04", "2016-06-30"], "purge": 5, "embargo": 0
    });
    payload["task"] =
        json!({"supervised": {"window": 500, "horizon": 5, "epochs": 1, "learning_rate": 0.001, "batch": 32}});
    payload["model"] = json!({"cnn_lstm": {"channels": 8, "hidden": 512, "dropout": 0.0}});
    payload["degrade"] = json!([{"micro_batch": 1}]);
    canonical_json(&payload)
}

/// What happened to trial 0, in words.
fn story(home: &Path) -> Vec<String> {
    let mut told = Vec::new();
    let journal = SqliteJournal::open_read_only(&scheduler::journal_path(home)).unwrap();
    journal
        .replay(&mut |record| {
            if let Event::Trial { change, .. } = record.event {
                match change {
                    Change::Fail { class, message, .. } => told.push(format!("{class}: {message}")),
                    Change::Lease { .. } | Change::Succeed { .. } | Change::Lose { .. } => {
                        told.push(change.name().to_owned());
                    }
                    Change::Unblock
                    | Change::Start { .. }
                    | Change::Checkpoint { .. }
                    | Change::Release { .. }
                    | Change::Pause { .. }
                    | Change::Resume
                    | Change::Prune
                    | Change::Cancel
                    | Change::Requeue => {}
                }
            }
            Ok(())
        })
        .unwrap();
    told
}

#[tokio::test]
async fn a_trial_that_runs_out_of_memory_goes_on_one_step_down_and_its_bundle_says_so() {
    let home = trial::home();
    // A machine that is busy with this must not lose the worker as well.
    let mut config = config(home.path());
    config.options.lease = Span::from_secs(30);
    let handle = scheduler::start(config, sweeps(), None).await.unwrap();
    let client = handle.client().await.unwrap();
    let gpu = protocol::Gpu { index: 0, memory: Bytes(1 << 30), name: "made up".to_owned() };
    let options = Options {
        hardware: Hardware { gpus: vec![gpu], ..Hardware::default() },
        ..Options::new(handle.url(), handle.token().clone(), "a".parse().unwrap())
    };
    let confined = rehearsal().with_file_name("confined");
    let words = ["attempt", "--home", home.path().to_str().unwrap(), "--room", ROOM];
    let command = Own { program: confined, args: words.map(Into::into).to_vec() };
    let _worker = tokio::spawn(worker::run(options, Apart::new(Rehearsal, command), std::future::pending()));
    let policy = Policy {
        gpus: 1,
        degrade_max: Some(1),
        retry: RetrySpec { attempts: 3, backoff: Span::from_millis(10) },
        timeout: Span::from_secs(300),
        ..Policy::default()
    };
    client.submit(Submission { payload: wide(home.path()), policy, ..scripts(&[]) }).await.unwrap();
    let mut updates = client.watch(Some(&id())).await.unwrap();
    let is_over = |update: &Update| matches!(update, Update::Experiment(view) if view.state.is_final());
    let seen = async { while !is_over(&updates.next().await.unwrap().expect("the scheduler watches on")) {} };
    tokio::time::timeout(Duration::from_secs(200), seen).await.expect("it takes seconds at most");

    let told = story(home.path());
    assert_eq!(told.len(), 4, "{told:#?}");
    assert!(told[1].starts_with("oom: memory would run out: the training takes "), "{told:#?}");
    assert_eq!([&told[0], &told[2], &told[3]], ["lease", "lease", "succeed"], "{told:#?}");
    let trial = client.show(&id()).await.unwrap().trials.remove(0);
    assert_eq!((trial.attempts, trial.worker_losses), (2, 0), "it cost an attempt, and no worker");
    let outcome: TrialOutcome = serde_json::from_slice(&trial.outcome.unwrap()).unwrap();
    let place = home.path().join("store");
    // A store waits by itself, which no task may.
    let degrade = std::thread::spawn(move || {
        let store = Store::open(place.to_str().unwrap()).unwrap();
        store.get_bundle(outcome.bundle).unwrap().manifest().kernel.degrade
    });
    assert_eq!(degrade.join().unwrap(), 1);
    handle.stop().await.unwrap();
}
