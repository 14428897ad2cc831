//! Journals of few events: what is surplus, and above all what is not.

use market::Timestamp;
use protocol::{Descent, Policy, Submission};
use spec::{AttemptId, CheckpointRef, FailureClass};

use super::*;
use crate::journal::MemoryJournal;

/// A journal of one experiment, written by hand.
struct Story {
    journal: MemoryJournal,
    attempts: u64,
    at: i64,
}

fn digest(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

fn checkpoint(text: &str, step: u64) -> CheckpointRef {
    CheckpointRef { digest: digest(text), step }
}

impl Story {
    /// Of `trials` trials that are queued.
    fn of(trials: u32) -> Self {
        let mut story = Self { journal: MemoryJournal::default(), attempts: 0, at: 0 };
        story.push(Event::Submitted(Submission {
            experiment: "s".parse().unwrap(),
            name: "s".parse().unwrap(),
            payload: Vec::new(),
            policy: Policy::default(),
        }));
        for index in 0..trials {
            story.push(Event::Asked { trial: trial(index), parent: None, told: Vec::new(), payload: Vec::new() });
        }
        story
    }

    fn push(&mut self, event: Event) {
        self.at += 1;
        self.journal.append(&[Record { at: Timestamp::from_micros(self.at), event }]).unwrap();
    }

    fn change(&mut self, index: u32, change: Change) {
        self.push(Event::Trial { trial: trial(index), change });
    }

    /// Leases and starts; returns the attempt.
    fn run(&mut self, index: u32) -> AttemptId {
        self.attempts += 1;
        let attempt = AttemptId(self.attempts);
        let worker = "w".parse().unwrap();
        self.change(index, Change::Lease { attempt, worker, node: None, gpus: Vec::new() });
        self.change(index, Change::Start { attempt });
        attempt
    }

    /// Runs, and hands in `checkpoints`.
    fn trained(&mut self, index: u32, checkpoints: &[&str]) -> AttemptId {
        let attempt = self.run(index);
        for (step, text) in (1..).zip(checkpoints) {
            self.change(index, Change::Checkpoint { attempt, checkpoint: checkpoint(text, step) });
        }
        attempt
    }

    fn end(&mut self, state: ExperimentState) {
        self.push(Event::Ended { experiment: "s".parse().unwrap(), state, reason: None });
    }

    /// Panics unless exactly `expected` is surplus.
    fn leaves(&self, expected: &[&str]) {
        let expected: BTreeSet<Digest> = expected.iter().map(|text| digest(text)).collect();
        assert_eq!(checkpoints(&self.journal).unwrap(), expected);
    }
}

fn trial(index: u32) -> TrialId {
    TrialId { experiment: "s".parse().unwrap(), index }
}

#[test]
fn what_a_trial_goes_on_from_is_kept_wherever_it_stands() {
    let mut story = Story::of(4);
    story.trained(0, &["running-1", "running-2", "running-3"]);
    let lost = story.trained(1, &["queued"]);
    story.change(1, Change::Lose { attempt: lost, retry: Some(Timestamp::from_micros(0)) });
    let held = story.run(2);
    story.change(2, Change::Pause { attempt: held, rung: 0, checkpoint: checkpoint("paused", 3), value: None });
    let stopped = story.trained(3, &["released"]);
    story.change(3, Change::Release { attempt: stopped });
    story.leaves(&[]);
}

#[test]
fn what_ended_trials_handed_in_is_surplus_with_all_that_their_workers_left_behind() {
    let mut story = Story::of(2);
    let attempt = story.trained(0, &["a-1", "a-2", "a-3"]);
    story.change(0, Change::Succeed { attempt, outcome: Vec::new() });
    let attempt = story.run(1);
    story.change(1, Change::Pause { attempt, rung: 0, checkpoint: checkpoint("b", 1), value: None });
    story.leaves(&["a-1", "a-2", "a-3"]);
    story.change(1, Change::Prune);
    story.leaves(&["a-1", "a-2", "a-3", "b"]);
}

#[test]
fn what_a_child_begins_with_outlives_its_parent_and_not_the_child() {
    let mut story = Story::of(1);
    let attempt = story.run(0);
    let begun = checkpoint("rung", 3);
    story.change(0, Change::Pause { attempt, rung: 0, checkpoint: begun, value: None });
    let parent = Some(Descent { trial: 0, checkpoint: begun });
    story.push(Event::Asked { trial: trial(1), parent, told: Vec::new(), payload: Vec::new() });
    story.change(0, Change::Prune);
    let attempt = story.trained(1, &["own"]);
    story.leaves(&[]);
    story.change(1, Change::Succeed { attempt, outcome: Vec::new() });
    story.leaves(&["rung", "own"]);
}

#[test]
fn what_a_parent_lent_and_left_behind_outlives_no_child_while_the_parent_goes_on() {
    let mut story = Story::of(1);
    let attempt = story.run(0);
    let lent = checkpoint("rung", 3);
    story.change(0, Change::Pause { attempt, rung: 0, checkpoint: lent, value: None });
    let parent = Some(Descent { trial: 0, checkpoint: lent });
    for index in 1..3 {
        story.push(Event::Asked { trial: trial(index), parent, told: Vec::new(), payload: Vec::new() });
    }
    story.change(0, Change::Resume);
    let first = story.run(1);
    story.change(1, Change::Succeed { attempt: first, outcome: Vec::new() });
    story.trained(0, &["own-1", "own-2"]);
    story.leaves(&[]);
    let second = story.run(2);
    story.change(2, Change::Succeed { attempt: second, outcome: Vec::new() });
    story.leaves(&["rung"]);
}

#[test]
fn what_a_parent_lent_and_goes_on_from_itself_is_kept_after_its_child() {
    let mut story = Story::of(1);
    let attempt = story.run(0);
    let lent = checkpoint("rung", 3);
    story.change(0, Change::Pause { attempt, rung: 0, checkpoint: lent, value: None });
    let parent = Some(Descent { trial: 0, checkpoint: lent });
    story.push(Event::Asked { trial: trial(1), parent, told: Vec::new(), payload: Vec::new() });
    story.change(0, Change::Resume);
    let child = story.run(1);
    story.change(1, Change::Succeed { attempt: child, outcome: Vec::new() });
    // Newest of its own, and then the one before in case that is damaged.
    story.leaves(&[]);
    story.trained(0, &["own-1"]);
    story.leaves(&[]);
}

#[test]
fn a_failed_trial_keeps_its_checkpoint_for_as_long_as_it_may_be_requeued() {
    for (state, surplus) in [
        (ExperimentState::Failed, &[][..]),
        (ExperimentState::Succeeded, &["f"][..]),
        (ExperimentState::Cancelled, &["f"][..]),
    ] {
        let mut story = Story::of(1);
        let attempt = story.trained(0, &["f"]);
        let failed = Change::Fail { attempt, class: FailureClass::Nan, message: String::new(), retry: None };
        story.change(0, failed);
        story.leaves(&[]);
        story.end(state);
        story.leaves(surplus);
    }
}

#[test]
fn what_an_ended_trial_shares_with_one_that_goes_on_is_kept() {
    // Two trials with the same checkpoint: the member of a population that another one goes on from.
    let mut story = Story::of(2);
    let attempt = story.trained(0, &["own", "shared"]);
    story.trained(1, &["shared"]);
    story.change(0, Change::Succeed { attempt, outcome: Vec::new() });
    story.leaves(&["own"]);
}

#[test]
fn a_cancelled_experiment_needs_nothing() {
    let mut story = Story::of(2);
    story.trained(0, &["x"]);
    story.end(ExperimentState::Cancelled);
    story.leaves(&["x"]);
}
