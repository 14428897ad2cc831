//! A training that really runs out of memory: the kernel refuses this process more of it, and the trial is tried again in
//! smaller parts.

use artifacts::{Bundle, Store};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use spec::{Metric, TrialOutcome};

use super::*;

/// Rows of a mini-batch, and what it is split into after the step down.
const BATCH: u32 = 1_024;
const MICRO_BATCH: u32 = 16;

/// Memory above what the process has: the activations of a whole mini-batch need several times that.
const ROOM: u64 = 128 << 20;

/// Address space of this process.
fn mapped() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmSize:")).unwrap();
    line.trim().strip_suffix("kB").unwrap().trim().parse::<u64>().unwrap() << 10
}

/// Lets this process have `most` bytes. Each test has a process of its own.
fn limit(most: Option<u64>) {
    let maximum = getrlimit(Resource::As).maximum;
    setrlimit(Resource::As, Rlimit { current: most.or(maximum), maximum }).unwrap();
}

/// A trial with large activations and few weights, so that its batch is what memory is spent on.
fn payload(home: &Path) -> Vec<u8> {
    let mut spec: serde_json::Value = serde_json::from_slice(&trial::payload(home)).unwrap();
    spec["task"] = json!({"supervised": {
        "window": 128, "horizon": 5, "epochs": 1, "batch": BATCH, "learning_rate": 0.003
    }});
    spec["model"] = json!({"cnn_lstm": {"channels": 64, "hidden": 8, "dropout": 0}});
    spec["degrade"] = json!([{"micro_batch": MICRO_BATCH}]);
    spec::canonical_json(&spec)
}

/// Runs the one trial to its end; the trial and its bundle.
async fn run(home: &Path, room: Option<u64>) -> (protocol::TrialView, Bundle) {
    let payload = payload(home);
    let (handle, client) = begin(home).await;
    let store = Store::of(home).unwrap();
    let runner = worker::Trial::new(home, store.clone(), "test");
    let options = Options::new(handle.url(), handle.token().clone(), "a".parse().unwrap());
    let running = tokio::spawn(worker::run(options, runner, std::future::pending()));
    limit(room.map(|room| mapped() + room));
    let submission = scripts(&[std::str::from_utf8(&payload).unwrap()]);
    let policy = Policy { degrade_max: Some(1), timeout: Span::from_secs(120), ..submission.policy.clone() };
    client.submit(Submission { policy, ..submission }).await.unwrap();
    let trial = ended(&client).await.trials.remove(0);
    limit(None);
    let said = format!("{:?}", trial.status);
    let outcome: TrialOutcome = serde_json::from_slice(trial.outcome.as_ref().expect(&said)).unwrap();
    let bundle = store.get_bundle(outcome.bundle).unwrap();
    running.abort();
    handle.stop().await.unwrap();
    (trial, bundle)
}

#[tokio::test]
async fn a_trial_that_runs_out_of_memory_is_tried_again_in_parts_and_learns_the_same() {
    let home = trial::home();
    let (trial, degraded) = run(home.path(), Some(ROOM)).await;
    assert_eq!((trial.attempts, trial.worker_losses), (2, 0), "the first attempt failed, the second did not");
    assert_eq!(degraded.manifest().kernel.degrade, 1, "the manifest says how it was computed");

    let home = trial::home();
    let (trial, whole) = run(home.path(), None).await;
    assert_eq!((trial.attempts, whole.manifest().kernel.degrade), (1, 0));
    for metric in [Metric::ValidationLoss, Metric::Loss] {
        let (parts, whole) = (degraded.manifest().metrics[&metric], whole.manifest().metrics[&metric]);
        assert!((parts - whole).abs() < 1e-4, "{metric}: {parts} in parts, {whole} as a whole");
    }
}
