//! The table, whole, and what a trial remembers.

use expect_test::expect;
use spec::Digest;

use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

fn checkpoint(step: u64) -> CheckpointRef {
    CheckpointRef { digest: Digest::of(&step.to_le_bytes()), step }
}

fn every_state() -> Vec<TrialState> {
    let (attempt, worker, since) = (AttemptId(7), "w".parse::<WorkerId>().unwrap(), at(0));
    vec![
        TrialState::Waiting { on: 0 },
        TrialState::Queued { not_before: at(0), from: None },
        TrialState::Leased { attempt, worker: worker.clone(), since },
        TrialState::Running { attempt, worker, since },
        TrialState::Paused { rung: 1, checkpoint: checkpoint(1) },
        TrialState::Succeeded { attempt },
        TrialState::Pruned,
        TrialState::Failed { class: FailureClass::Bug, message: String::new() },
        TrialState::Cancelled,
    ]
}

fn lease(attempt: AttemptId) -> Change {
    Change::Lease { attempt, worker: "w".parse().unwrap(), node: None, gpus: Vec::new() }
}

fn every_change(attempt: AttemptId) -> Vec<Change> {
    vec![
        Change::Unblock,
        lease(AttemptId(attempt.0 + 1)),
        Change::Start { attempt },
        Change::Checkpoint { attempt, checkpoint: checkpoint(1) },
        Change::Succeed { attempt, outcome: Vec::new() },
        Change::Fail { attempt, class: FailureClass::Nan, message: String::new(), retry: None },
        Change::Lose { attempt, retry: Some(at(1)) },
        Change::Release { attempt },
        Change::Pause { attempt, rung: 1, checkpoint: checkpoint(1), value: None },
        Change::Resume,
        Change::Prune,
        Change::Cancel,
        Change::Requeue,
    ]
}

fn trial(state: TrialState) -> Trial {
    Trial { state, ..Trial::new(Vec::new(), at(0)) }
}

#[test]
fn the_table_has_these_rows_and_no_others() {
    let mut rows = String::new();
    for state in every_state() {
        for change in every_change(AttemptId(7)) {
            let mut trial = trial(state.clone());
            if trial.apply(at(5), &change).is_ok() {
                rows += &format!("{} + {} = {}\n", state.name(), change.name(), trial.state.name());
            }
        }
    }
    expect![[r#"
        waiting + unblock = queued
        waiting + cancel = cancelled
        queued + lease = leased
        queued + cancel = cancelled
        leased + start = running
        leased + succeed = succeeded
        leased + fail = failed
        leased + lose = queued
        leased + release = queued
        leased + pause = paused
        leased + cancel = cancelled
        running + checkpoint = running
        running + succeed = succeeded
        running + fail = failed
        running + lose = queued
        running + release = queued
        running + pause = paused
        running + prune = pruned
        running + cancel = cancelled
        paused + resume = queued
        paused + prune = pruned
        paused + cancel = cancelled
        failed + requeue = queued
    "#]]
    .assert_eq(&rows);
}

#[test]
fn a_change_with_another_token_has_no_row_and_changes_nothing() {
    for state in every_state() {
        for change in every_change(AttemptId(6)) {
            if change.attempt().is_none() {
                continue;
            }
            let mut trial = trial(state.clone());
            let before = trial.clone();
            let refused = trial.apply(at(5), &change).unwrap_err();
            assert_eq!(refused.to_string(), format!("a {} trial cannot {}", state.name(), change.name()));
            assert_eq!(trial, before);
        }
    }
}

#[test]
fn the_last_two_checkpoints_are_kept_and_the_newest_is_where_it_goes_on() {
    let attempt = AttemptId(7);
    let mut trial = trial(every_state().remove(3));
    for step in [10, 20, 30, 30] {
        trial.apply(at(1), &Change::Checkpoint { attempt, checkpoint: checkpoint(step) }).unwrap();
    }
    assert_eq!(trial.checkpoints, [checkpoint(30), checkpoint(20)]);
    trial.apply(at(2), &Change::Release { attempt }).unwrap();
    assert_eq!(trial.state, TrialState::Queued { not_before: at(2), from: Some(checkpoint(30)) });
}

#[test]
fn only_own_failures_count_and_only_memory_degrades() {
    let mut trial = trial(every_state().remove(3));
    let attempt = AttemptId(7);
    trial.apply(at(1), &Change::Lose { attempt, retry: Some(at(1)) }).unwrap();
    assert_eq!((trial.attempts(), trial.losses, trial.degrade), (0, 1, 0));
    for (token, class) in [(8, FailureClass::Oom), (9, FailureClass::Nan)] {
        let attempt = AttemptId(token);
        trial.apply(at(2), &lease(attempt)).unwrap();
        let message = String::new();
        trial.apply(at(3), &Change::Fail { attempt, class, message, retry: Some(at(4)) }).unwrap();
    }
    assert_eq!((trial.attempts(), trial.losses, trial.degrade), (2, 1, 1));
}

#[test]
fn a_requeued_trial_has_a_new_budget_and_its_checkpoints() {
    let mut trial = trial(every_state().remove(3));
    let attempt = AttemptId(7);
    trial.apply(at(1), &Change::Checkpoint { attempt, checkpoint: checkpoint(10) }).unwrap();
    let message = String::new();
    trial.apply(at(2), &Change::Fail { attempt, class: FailureClass::Oom, message, retry: None }).unwrap();
    trial.apply(at(3), &Change::Requeue).unwrap();
    assert_eq!(trial.state, TrialState::Queued { not_before: at(3), from: Some(checkpoint(10)) });
    assert_eq!((trial.attempts(), trial.losses, trial.degrade), (0, 0, 1));
}
