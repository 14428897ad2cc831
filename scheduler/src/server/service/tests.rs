//! What a watcher hears, and what it is spared.

use protocol::{ExperimentState, Policy, TrialCounts};
use spec::{Progress, ProgressUnit};
use tokio::sync::broadcast;

use super::*;

fn experiment(name: &str, succeeded: u32) -> Update {
    Update::Experiment(ExperimentView {
        experiment: name.parse().unwrap(),
        name: "s".parse().unwrap(),
        state: ExperimentState::Running,
        submitted: Timestamp::default(),
        policy: Policy::default(),
        trials: TrialCounts { succeeded, ..TrialCounts::default() },
        reason: None,
    })
}

fn progress(name: &str, step: u64) -> Update {
    let (steps, unit, rate) = (100, ProgressUnit::Epoch, 0.0);
    let progress = Progress { step, steps, unit, rate, metrics: [].into() };
    Update::Progress { trial: format!("{name}.0").parse().unwrap(), attempt: AttemptId(1), progress }
}

/// What a watcher of `wanted` hears after the present, once there is nothing more.
async fn heard(wanted: Option<&str>, news: Vec<Update>) -> Vec<Update> {
    let (calls, _core) = mpsc::channel(1);
    let (announce, receiver) = broadcast::channel(1_024);
    let (sender, mut updates) = mpsc::channel(WATCH_BUFFER);
    let wanted = wanted.map(|name| name.parse().unwrap());
    tokio::spawn(follow(calls.downgrade(), wanted, (vec![experiment("a", 0)], receiver), sender));
    assert_eq!(updates.recv().await, Some(experiment("a", 0)));
    for update in news {
        announce.send(update).unwrap();
    }
    drop(announce);
    let mut heard = Vec::new();
    while let Some(update) = updates.recv().await {
        heard.push(update);
    }
    heard
}

#[tokio::test]
async fn of_a_burst_a_watcher_hears_all_that_trials_did_and_how_experiments_stand_after_it() {
    let burst = (1..=100).flat_map(|n| [experiment("a", n), progress("a", n.into()), experiment("b", n)]).collect();
    let mut expected: Vec<Update> = (1..=99).map(|step| progress("a", step)).collect();
    expected.extend([experiment("a", 100), progress("a", 100), experiment("b", 100)]);
    assert_eq!(heard(None, burst).await, expected);
}

#[tokio::test]
async fn a_watcher_of_one_experiment_hears_nothing_of_another() {
    let news = vec![experiment("b", 1), progress("b", 1), progress("a", 2), experiment("b", 2)];
    assert_eq!(heard(Some("a"), news).await, [progress("a", 2)]);
}

#[tokio::test]
async fn a_watcher_that_fell_behind_gets_the_present_again() {
    let (calls, mut core) = mpsc::channel(1);
    let (announce, receiver) = broadcast::channel(4);
    let (sender, mut updates) = mpsc::channel(WATCH_BUFFER);
    tokio::spawn(follow(calls.downgrade(), None, (vec![experiment("a", 0)], receiver), sender));
    assert_eq!(updates.recv().await, Some(experiment("a", 0)));
    for step in 1..=100 {
        announce.send(progress("a", step)).unwrap();
    }
    let Some(Call::Watch(None, answer)) = core.recv().await else { panic!("it does not ask again") };
    assert!(answer.send(Ok((vec![experiment("a", 9)], announce.subscribe()))).is_ok());
    assert_eq!(updates.recv().await, Some(experiment("a", 9)));
    announce.send(progress("a", 101)).unwrap();
    assert_eq!(updates.recv().await, Some(progress("a", 101)));
}
