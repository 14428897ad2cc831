//! One trial: the table of its legal transitions, and the record that goes through it.

use market::Timestamp;
use protocol::{Descent, TrialState};
use serde::{Deserialize, Serialize};
use spec::{AttemptId, CheckpointRef, FailureClass, Finite, NodeId, WorkerId};

/// Checkpoints kept: the newest, and the one before in case the newest is damaged.
pub const CHECKPOINTS_KEPT: usize = 2;

/// What happens to a trial. Decisions are in it (`retry`), so applying one needs no policy and no randomness.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Change {
    /// The trial it needed handed in a checkpoint.
    Unblock,
    /// A worker gets it.
    Lease {
        /// The new fencing token.
        attempt: AttemptId,
        /// Who gets it.
        worker: WorkerId,
        /// The machine it runs on; `None` for one that held nothing of its machine in an older journal, or ran elsewhere.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        node: Option<NodeId>,
        /// Indices of the GPUs it holds there.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        gpus: Vec<u32>,
    },
    /// The worker speaks of it for the first time.
    Start {
        /// Which attempt.
        attempt: AttemptId,
    },
    /// A checkpoint is in the store.
    Checkpoint {
        /// Which attempt took it.
        attempt: AttemptId,
        /// Where it is.
        checkpoint: CheckpointRef,
    },
    /// It ended with a result.
    Succeed {
        /// Which attempt.
        attempt: AttemptId,
        /// The result.
        #[serde(skip)]
        outcome: Vec<u8>,
    },
    /// It failed by itself.
    Fail {
        /// Which attempt.
        attempt: AttemptId,
        /// As the worker, or the clock, said.
        class: FailureClass,
        /// For people.
        message: String,
        /// When it is tried again; `None`: never.
        retry: Option<Timestamp>,
    },
    /// Its worker vanished.
    Lose {
        /// Which attempt.
        attempt: AttemptId,
        /// When it is tried again; `None`: its bound is reached.
        retry: Option<Timestamp>,
    },
    /// The worker stopped it because it was asked to.
    Release {
        /// Which attempt.
        attempt: AttemptId,
    },
    /// It reached a rung and gave its worker back.
    Pause {
        /// Which attempt.
        attempt: AttemptId,
        /// Which rung.
        rung: u32,
        /// Where it goes on.
        checkpoint: CheckpointRef,
        /// What it measured there.
        #[serde(default)]
        value: Option<Finite>,
    },
    /// It goes on from its rung.
    Resume,
    /// It is stopped early, by decision.
    Prune,
    /// It is not wanted any more.
    Cancel,
    /// Somebody wants it tried again: it gets a new budget.
    Requeue,
}

impl Change {
    /// Its name, as in the journal.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Unblock => "unblock",
            Self::Lease { .. } => "lease",
            Self::Start { .. } => "start",
            Self::Checkpoint { .. } => "checkpoint",
            Self::Succeed { .. } => "succeed",
            Self::Fail { .. } => "fail",
            Self::Lose { .. } => "lose",
            Self::Release { .. } => "release",
            Self::Pause { .. } => "pause",
            Self::Resume => "resume",
            Self::Prune => "prune",
            Self::Cancel => "cancel",
            Self::Requeue => "requeue",
        }
    }

    /// The attempt it speaks of, if of a present one.
    const fn attempt(&self) -> Option<AttemptId> {
        match self {
            Self::Start { attempt }
            | Self::Checkpoint { attempt, .. }
            | Self::Succeed { attempt, .. }
            | Self::Fail { attempt, .. }
            | Self::Lose { attempt, .. }
            | Self::Release { attempt }
            | Self::Pause { attempt, .. } => Some(*attempt),
            Self::Unblock | Self::Lease { .. } | Self::Resume | Self::Prune | Self::Cancel | Self::Requeue => None,
        }
    }
}

/// A change that the table has no row for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a {from} trial cannot {change}")]
pub struct IllegalTransition {
    /// The state it is in.
    pub from: &'static str,
    /// What was to happen.
    pub change: &'static str,
}

/// A trial as the journal tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trial {
    /// What the sweep asked.
    pub payload: Vec<u8>,
    /// Where it stands.
    pub state: TrialState,
    /// Its own failures: these count against the budget.
    pub failures: u32,
    /// Attempts lost with their worker.
    pub losses: u32,
    /// Times it ran out of memory.
    pub degrade: u8,
    /// Newest first, at most [`CHECKPOINTS_KEPT`].
    pub checkpoints: Vec<CheckpointRef>,
    /// What it measured at each rung it reached; below where it began, what its parent did.
    pub rungs: Vec<Option<Finite>>,
    /// When it came to each of them: its place among all arrivals at rungs of its experiment.
    pub arrivals: Vec<u32>,
    /// Whose training it goes on from.
    pub parent: Option<Descent>,
    /// Checkpoints of it that other trials go on from.
    pub lent: Vec<CheckpointRef>,
    /// Ends that its sweep was told of just before it asked for this trial.
    pub told: Vec<u32>,
    /// Who handed in the newest, and its step.
    pub stored: Option<(AttemptId, u64)>,
    /// Why the last attempt ended, if it failed by itself.
    pub last_failure: Option<FailureClass>,
    /// What came of it.
    pub outcome: Option<Vec<u8>>,
}

impl Trial {
    /// A trial that was just asked for.
    #[must_use]
    pub const fn new(payload: Vec<u8>, now: Timestamp) -> Self {
        Self {
            payload,
            state: TrialState::Queued { not_before: now, from: None },
            failures: 0,
            losses: 0,
            degrade: 0,
            checkpoints: Vec::new(),
            rungs: Vec::new(),
            arrivals: Vec::new(),
            parent: None,
            lent: Vec::new(),
            told: Vec::new(),
            stored: None,
            last_failure: None,
            outcome: None,
        }
    }

    /// A trial that goes on from where `descent` says, with what its parent showed so far behind it.
    #[must_use]
    pub fn descended(payload: Vec<u8>, now: Timestamp, (parent, descent): (&Self, Descent)) -> Self {
        Self {
            state: TrialState::Queued { not_before: now, from: Some(descent.checkpoint) },
            rungs: parent.rungs.clone(),
            arrivals: parent.arrivals.clone(),
            parent: Some(descent),
            ..Self::new(payload, now)
        }
    }

    /// Where it goes on.
    fn newest(&self) -> Option<&CheckpointRef> {
        self.checkpoints.first().or(self.parent.as_ref().map(|descent| &descent.checkpoint))
    }

    /// Attempts that count against the budget: own failures, and the present or successful one.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        let present = self.state.live_attempt().is_some() || matches!(self.state, TrialState::Succeeded { .. });
        self.failures + u32::from(present)
    }

    /// Lets `change` happen at `at`.
    ///
    /// # Errors
    /// [`IllegalTransition`]; the trial is as before.
    pub fn apply(&mut self, at: Timestamp, change: &Change) -> Result<(), IllegalTransition> {
        let next = transition(&self.state, at, change, self.newest())?;
        match change {
            Change::Checkpoint { attempt, checkpoint } | Change::Pause { attempt, checkpoint, .. } => {
                self.stored = Some((*attempt, checkpoint.step));
                self.keep(*checkpoint);
                if let Change::Pause { value, .. } = change {
                    self.rungs.push(*value);
                }
            }
            Change::Succeed { outcome, .. } => self.outcome = Some(outcome.clone()),
            Change::Fail { class, .. } => {
                self.failures += 1;
                self.last_failure = Some(*class);
                self.degrade = self.degrade.saturating_add(u8::from(*class == FailureClass::Oom));
            }
            Change::Lose { .. } => {
                self.losses += 1;
                self.last_failure = None;
            }
            Change::Requeue => {
                (self.failures, self.losses, self.last_failure) = (0, 0, None);
            }
            Change::Unblock
            | Change::Lease { .. }
            | Change::Start { .. }
            | Change::Release { .. }
            | Change::Resume
            | Change::Prune
            | Change::Cancel => {}
        }
        self.state = next;
        Ok(())
    }

    fn keep(&mut self, checkpoint: CheckpointRef) {
        self.checkpoints.retain(|kept| kept.digest != checkpoint.digest);
        self.checkpoints.insert(0, checkpoint);
        self.checkpoints.truncate(CHECKPOINTS_KEPT);
    }
}

/// The table: one row per legal pair.
fn transition(
    state: &TrialState,
    at: Timestamp,
    change: &Change,
    newest: Option<&CheckpointRef>,
) -> Result<TrialState, IllegalTransition> {
    use TrialState::{Cancelled, Failed, Leased, Paused, Pruned, Queued, Running, Succeeded, Waiting};
    let illegal = || IllegalTransition { from: state.name(), change: change.name() };
    if change.attempt().is_some() && change.attempt() != state.live_attempt() {
        return Err(illegal());
    }
    let from = newest.copied();
    Ok(match (state, change) {
        (Waiting { .. }, Change::Unblock) => Queued { not_before: at, from },
        (Queued { .. }, Change::Lease { attempt, worker, .. }) => {
            Leased { attempt: *attempt, worker: worker.clone(), since: at }
        }
        (Leased { attempt, worker, since }, Change::Start { .. }) => {
            Running { attempt: *attempt, worker: worker.clone(), since: *since }
        }
        (Running { .. }, Change::Checkpoint { .. }) => state.clone(),
        // A short attempt may end before its first heartbeat: Leased and Running end alike.
        (Leased { .. } | Running { .. }, Change::Succeed { attempt, .. }) => Succeeded { attempt: *attempt },
        (Leased { .. } | Running { .. }, Change::Fail { class, message, retry, .. }) => match retry {
            Some(not_before) => Queued { not_before: *not_before, from },
            None => Failed { class: *class, message: message.clone() },
        },
        (Leased { .. } | Running { .. }, Change::Lose { retry, .. }) => match retry {
            Some(not_before) => Queued { not_before: *not_before, from },
            None => Failed { class: FailureClass::WorkerLost, message: "its worker vanished too often".to_owned() },
        },
        (Leased { .. } | Running { .. }, Change::Release { .. }) => Queued { not_before: at, from },
        (Leased { .. } | Running { .. }, Change::Pause { rung, checkpoint, .. }) => {
            Paused { rung: *rung, checkpoint: *checkpoint }
        }
        (Paused { checkpoint, .. }, Change::Resume) => Queued { not_before: at, from: Some(*checkpoint) },
        (Paused { .. } | Running { .. }, Change::Prune) => Pruned,
        (Failed { .. }, Change::Requeue) => Queued { not_before: at, from },
        (Waiting { .. } | Queued { .. } | Leased { .. } | Running { .. } | Paused { .. }, Change::Cancel) => Cancelled,
        _ => return Err(illegal()),
    })
}

#[cfg(test)]
mod tests;
