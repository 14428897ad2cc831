//! Experiments and their trials as the journal tells them.

use market::Timestamp;
use protocol::{Descent, ExperimentState, Policy, Submission};
use spec::{AttemptId, CheckpointRef, FailureClass, Finite, NodeId, Share, WorkerId};

use crate::retry::BACKOFF_MAX;
use crate::simulation::question::{End, open};
use crate::simulation::twin::Twin;

/// A trial as the journal tells it.
#[derive(Debug)]
pub(in crate::simulation) struct Entry {
    pub(in crate::simulation) payload: Vec<u8>,
    pub(in crate::simulation) live: Option<Live>,
    pub(in crate::simulation) failures: u32,
    pub(super) losses: u32,
    pub(in crate::simulation) end: Option<End>,
    /// It holds at a rung.
    pub(in crate::simulation) held: bool,
    /// Rungs it reached, or its parent did.
    pub(super) reached: u32,
    /// What it measured at the last.
    pub(super) value: Option<Finite>,
    pub(super) cancelled: bool,
    /// Times it was tried again by somebody's word.
    pub(super) requeued: u32,
    /// What its sweep had decided when it last failed.
    pub(super) decided_by_then: usize,
    pub(in crate::simulation) not_before: Timestamp,
    /// Newest first.
    pub(in crate::simulation) checkpoints: Vec<CheckpointRef>,
    pub(super) parent: Option<Descent>,
    /// Checkpoints of it that its children begin with.
    pub(super) lent: Vec<CheckpointRef>,
}

impl Entry {
    pub(super) const fn new(payload: Vec<u8>, at: Timestamp) -> Self {
        Self {
            payload,
            live: None,
            failures: 0,
            losses: 0,
            end: None,
            held: false,
            reached: 0,
            value: None,
            cancelled: false,
            requeued: 0,
            decided_by_then: 0,
            not_before: at,
            checkpoints: Vec::new(),
            parent: None,
            lent: Vec::new(),
        }
    }

    pub(super) fn keep(&mut self, checkpoint: CheckpointRef) {
        self.checkpoints.retain(|kept| kept.digest != checkpoint.digest);
        self.checkpoints.insert(0, checkpoint);
        self.checkpoints.truncate(2);
    }

    /// Its own failure: within the budget, after its time if it timed out, and tried again when it should be.
    pub(super) fn fail(&mut self, at: Timestamp, class: FailureClass, retry: Option<Timestamp>, policy: &Policy) {
        let live = self.live.take().expect("it was checked that somebody is at it");
        self.failures += 1;
        if class == FailureClass::Timeout {
            let since = live.since.unwrap_or_else(|| panic!("attempt {} timed out unheard of", live.attempt));
            let ran = at.seconds_since(since) * 1_000.0;
            assert!(ran >= policy.timeout.millis() as f64 - 1e-3, "attempt {} timed out after {ran} ms", live.attempt);
        }
        let last = self.failures >= policy.retry.attempts || class == FailureClass::Data;
        assert_eq!(retry.is_none(), last, "failure {} of {} has the retry {retry:?}", self.failures, live.attempt);
        let Some(retry) = retry else {
            self.end = Some(End::Failed(class));
            return;
        };
        let doubled = policy.retry.backoff.millis() as f64 * 2_f64.powi(self.failures as i32 - 1);
        let least = doubled.min(BACKOFF_MAX.millis() as f64) / 1_000.0;
        let wait = retry.seconds_since(at);
        assert!(
            (least - 1e-5..=least * 1.1 + 1e-5).contains(&wait),
            "attempt {} waits {wait} s, not {least}",
            live.attempt
        );
        self.not_before = retry;
    }
}

/// The attempt at a trial.
#[derive(Clone, Debug)]
pub(in crate::simulation) struct Live {
    pub(in crate::simulation) attempt: AttemptId,
    pub(in crate::simulation) worker: WorkerId,
    /// The machine it runs on.
    pub(super) node: Option<NodeId>,
    pub(super) gpus: Vec<u32>,
    /// When this life of the scheduler last heard of it, by the scheduler's clock.
    pub(in crate::simulation) heard: Timestamp,
    /// Since when this life of the scheduler knows it at work.
    pub(in crate::simulation) since: Option<Timestamp>,
    /// Leases it has from `heard` on.
    pub(in crate::simulation) leases: u64,
    /// The last step it handed in.
    pub(super) step: u64,
}

/// An experiment as the journal tells it.
pub(in crate::simulation) struct Chapter {
    pub(in crate::simulation) submission: Submission,
    pub(in crate::simulation) trials: Vec<Entry>,
    pub(in crate::simulation) ended: Option<ExperimentState>,
    /// It had ended before, and was opened again.
    pub(super) reopened: bool,
    pub(super) rungs: Vec<Share>,
    /// Of an asynchronous sweep.
    pub(in crate::simulation) twin: Option<Twin>,
    /// Leases of its trials.
    pub(in crate::simulation) leases: u64,
    /// Trials and verdicts of its sweep so far.
    pub(super) decided: usize,
}

impl Chapter {
    pub(super) fn new(submission: &Submission) -> Self {
        let sweep = open(submission).expect("submissions of a world open");
        Self {
            submission: submission.clone(),
            trials: Vec::new(),
            ended: None,
            reopened: false,
            rungs: sweep.rungs(0),
            twin: Twin::of(submission),
            leases: 0,
            decided: 0,
        }
    }

    /// Attempts that count.
    pub(super) fn running(&self) -> usize {
        self.trials.iter().filter(|trial| trial.live.is_some()).count()
    }

    /// Its time is over.
    pub(super) fn is_late(&self, now: Timestamp) -> bool {
        self.submission.policy.deadline.is_some_and(|deadline| deadline <= now)
    }

    /// It ended, and nothing may follow it.
    pub(super) fn ended_in_vain(&self) -> bool {
        self.ended.is_some_and(|state| state != ExperimentState::Succeeded)
    }

    /// How often each of its trials was tried again by somebody's word.
    pub(in crate::simulation) fn requeued(&self) -> Vec<u32> {
        self.trials.iter().map(|trial| trial.requeued).collect()
    }

    /// Whether its sweep has decided nothing since a trial failed.
    pub(in crate::simulation) fn stands_since_failure(&self, index: u32) -> bool {
        self.trials.get(index as usize).is_some_and(|trial| trial.decided_by_then == self.decided)
    }

    pub(super) fn is_requeued(&self) -> bool {
        self.trials.iter().any(|trial| trial.requeued > 0)
    }

    /// Whether an attempt at one of its trials may ever begin: it is open, or somebody may want it tried again.
    pub(super) fn may_begin(&self, trial: &Entry) -> bool {
        match &trial.end {
            None => self.ended.is_none(),
            Some(End::Failed(_)) => matches!(self.ended, None | Some(ExperimentState::Failed)),
            Some(End::Succeeded(_) | End::Pruned) => false,
        }
    }

    /// Whether one of its trials is free to be leased now, whatever ties it to others.
    pub(super) fn is_ready(&self, now: Timestamp) -> bool {
        let running = self.running();
        let ready =
            |trial: &Entry| trial.live.is_none() && trial.end.is_none() && !trial.held && trial.not_before <= now;
        self.ended.is_none()
            && self.submission.policy.parallel.is_none_or(|limit| running < limit as usize)
            && self.trials.iter().any(ready)
    }
}
