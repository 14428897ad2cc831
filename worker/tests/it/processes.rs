//! Worker processes of the local engine, killed for real.

use super::*;

/// Process ids of the children of this process that work for `home`.
fn workers_of(home: &Path) -> Vec<i32> {
    let home = home.display().to_string();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<i32>() else { continue };
        let command = std::fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default();
        if command.contains("rehearsal") && command.split('\0').any(|word| word == home) {
            found.push(pid);
        }
    }
    found
}

fn kill(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    // It may have ended by itself meanwhile.
    let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
}

#[tokio::test]
async fn killed_workers_are_replaced_and_every_trial_ends_once_without_paying() {
    let home = tempfile::tempdir().unwrap();
    let engine = local(home.path(), 2);
    let handle = scheduler::start(config(home.path()), sweeps(), Some(engine)).await.unwrap();
    let client = handle.client().await.unwrap();
    client.submit(scripts(&["slow 400"; 6])).await.unwrap();
    let mut kills = 0;
    until(&client, |update| {
        if kills < 3
            && matches!(update, Update::Progress { progress, .. } if progress.step >= 10)
            && let Some(pid) = workers_of(home.path()).first()
        {
            kill(*pid);
            kills += 1;
        }
        matches!(update, Update::Experiment(view) if view.state.is_final())
    })
    .await;
    let detail = client.show(&id()).await.unwrap();
    assert_eq!(detail.experiment.trials.succeeded, 6);
    assert!(detail.trials.iter().all(|trial| trial.attempts == 1));
    assert!(detail.trials.iter().map(|trial| trial.worker_losses).sum::<u32>() >= 1);
    handle.stop().await.unwrap();
    assert!(workers_of(home.path()).is_empty(), "workers outlived their scheduler");
}

#[tokio::test]
async fn a_trial_that_kills_its_worker_does_not_hold_up_the_others() {
    let home = tempfile::tempdir().unwrap();
    let engine = local(home.path(), 2);
    let handle = scheduler::start(config(home.path()), sweeps(), Some(engine)).await.unwrap();
    let client = handle.client().await.unwrap();
    client.submit(scripts(&["crash", "succeed", "slow 50", "succeed"])).await.unwrap();
    let mut well = std::collections::BTreeSet::new();
    until(&client, |update| {
        if let Update::Trial(view) = update
            && matches!(view.status, TrialState::Succeeded { .. })
        {
            well.insert(view.trial.index);
        }
        well.len() == 3
    })
    .await;
    let crashing = client.show(&id()).await.unwrap().trials.remove(0);
    assert!(crashing.worker_losses >= 1);
    assert_eq!(client.cancel(&id()).await.unwrap().state, ExperimentState::Cancelled);
    handle.stop().await.unwrap();
}

#[test]
fn a_worker_dies_with_its_parent_however_that_ends_and_does_not_start_without_it() {
    use std::process::{Command, Stdio};
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join("keys")).unwrap();
    std::fs::write(home.path().join("keys/scheduler.token"), "ab".repeat(32)).unwrap();
    // Nothing listens there: the worker waits for a scheduler until it is killed.
    let script = format!(
        "{} --scheduler http://127.0.0.1:1 --home {} --id w --parent $$ & wait",
        rehearsal().display(),
        home.path().display()
    );
    let mut parent = Command::new("/bin/sh").args(["-c", &script]).stderr(Stdio::null()).spawn().unwrap();
    let child_runs = |wanted: bool| {
        (0..500).any(|_| {
            std::thread::park_timeout(Duration::from_millis(10));
            let workers = workers_of(home.path());
            let children = workers.iter().filter(|pid| **pid != i32::try_from(parent.id()).unwrap()).count();
            (children == 1) == wanted
        })
    };
    assert!(child_runs(true), "the worker did not start");
    kill(i32::try_from(parent.id()).unwrap());
    assert!(child_runs(false), "the worker outlived its parent");
    parent.wait().unwrap();
    let orphan = Command::new(rehearsal())
        .args(["--scheduler", "http://127.0.0.1:1", "--home", "/", "--id", "w", "--parent", "1"])
        .output()
        .unwrap();
    assert!(!orphan.status.success());
    assert!(String::from_utf8_lossy(&orphan.stderr).contains("Gone"), "{orphan:?}");
}
