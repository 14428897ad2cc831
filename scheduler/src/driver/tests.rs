//! What words of single trials cost in a batch of many, and what becomes of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use market::Timestamp;
use protocol::{Policy, Submission};
use spec::Share;

use super::*;
use crate::trial::Trial;

const TRIALS: u32 = 2_000;

/// One large batch; counts how often it is asked for the rungs of a trial.
struct Counted {
    left: u32,
    rungs: Vec<Share>,
    asked: Arc<AtomicU32>,
}

impl Sweep for Counted {
    fn ask(&mut self) -> Ask {
        match std::mem::take(&mut self.left) {
            0 => Ask::Done,
            left => Ask::Batch((0..left).map(|index| index.to_le_bytes().to_vec()).collect()),
        }
    }

    fn tell(&mut self, _: u32, _: SweepOutcome) {}

    fn rungs(&self, _: u32) -> Vec<Share> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.rungs.clone()
    }
}

/// Lets trial after trial end; how often the sweep was asked for rungs, and what was judged.
fn ends(rungs: Vec<Share>, reach: fn(&mut Trial)) -> (u32, usize) {
    let asked = Arc::new(AtomicU32::new(0));
    let mut driver = Driver::new(Box::new(Counted { left: TRIALS, rungs, asked: Arc::clone(&asked) }));
    let submission = Submission {
        experiment: "s".parse().unwrap(),
        name: "s".parse().unwrap(),
        payload: Vec::new(),
        policy: Policy::default(),
    };
    let mut experiment = Experiment::proposed(&submission);
    let new = driver.drive(&experiment).unwrap().new;
    experiment.trials.extend(new.into_iter().map(|New { payload, .. }| Trial::new(payload, Timestamp::default())));
    let (mut judged, mut over) = (0, false);
    for index in 0..TRIALS as usize {
        assert!(!over, "it ends before trial {index} does");
        reach(&mut experiment.trials[index]);
        let driven = driver.drive(&experiment).unwrap();
        (judged, over) = (judged + driven.judged.len(), driven.ended);
    }
    assert_eq!(over, judged == 0, "the sweep ends with its last trial, or holds it at a rung");
    (asked.load(Ordering::Relaxed), judged)
}

#[test]
fn a_batch_is_gone_through_once_and_not_for_each_of_its_ends() {
    let (asked, judged) = ends(Vec::new(), |trial| trial.state = TrialState::Cancelled);
    assert!(asked <= 2 * TRIALS, "{asked} questions for {TRIALS} trials");
    assert_eq!(judged, 0);
}

#[test]
fn arrivals_at_a_rung_are_kept_until_the_last_and_each_is_judged_once() {
    let (_, judged) = ends(vec![Share(500_000)], |trial| {
        let checkpoint = CheckpointRef { digest: spec::Digest::of(b"held"), step: 1 };
        trial.rungs.push(Finite::new(0.5));
        trial.state = TrialState::Paused { rung: 0, checkpoint };
    });
    assert_eq!(judged, TRIALS as usize);
}
