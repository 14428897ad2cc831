//! What clients see: states, summaries, updates and explanations. Their JSON is what `--json` prints.

use std::fmt;

use market::Timestamp;
use serde::{Deserialize, Serialize};
use spec::{
    AttemptId, CheckpointRef, ExperimentId, FailureClass, Finite, ModelName, NodeId, Owner, Progress, TrialId, WorkerId,
};

use crate::{Policy, Shortage};

/// Where a trial stands. A variant holds only what is true while the trial is there.
///
/// ```text
/// Waiting → Queued ─lease→ Leased ─start→ Running ─succeed→ Succeeded
///             ↑ ↑─ lost · released · failed, budget left ─┘ ├─fail→ Failed, budget spent
///             └──────── resumed ── Paused ←─── at a rung ───┴─prune→ Pruned
/// any state that is not final → Cancelled
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case", deny_unknown_fields)]
pub enum TrialState {
    /// Needs a checkpoint of another trial first.
    Waiting {
        /// Index of that trial.
        on: u32,
    },
    /// Ready to be leased from `not_before` on.
    Queued {
        /// Back-off is data, not a timer.
        not_before: Timestamp,
        /// Where the next attempt goes on.
        from: Option<CheckpointRef>,
    },
    /// Given to a worker that has not spoken of it yet.
    Leased {
        /// The fencing token.
        attempt: AttemptId,
        /// Who holds it.
        worker: WorkerId,
        /// Since when; the attempt's time limit counts from here.
        since: Timestamp,
    },
    /// A worker is at it.
    Running {
        /// The fencing token.
        attempt: AttemptId,
        /// Who runs it.
        worker: WorkerId,
        /// Since when it is leased.
        since: Timestamp,
    },
    /// Holds at a rung for a decision about its batch; costs no worker and no attempt.
    Paused {
        /// Which rung.
        rung: u32,
        /// Where it goes on.
        checkpoint: CheckpointRef,
    },
    /// Final: with a result.
    Succeeded {
        /// The attempt that handed it in.
        attempt: AttemptId,
    },
    /// Final: stopped early, by decision.
    Pruned,
    /// Final: its own failures spent its budget, or one was not worth a retry.
    Failed {
        /// The last failure's class.
        class: FailureClass,
        /// The last failure, for people.
        message: String,
    },
    /// Final: asked to stop.
    Cancelled,
}

impl TrialState {
    /// Its name, as in JSON.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Waiting { .. } => "waiting",
            Self::Queued { .. } => "queued",
            Self::Leased { .. } => "leased",
            Self::Running { .. } => "running",
            Self::Paused { .. } => "paused",
            Self::Succeeded { .. } => "succeeded",
            Self::Pruned => "pruned",
            Self::Failed { .. } => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Nothing follows.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::Succeeded { .. } | Self::Pruned | Self::Failed { .. } | Self::Cancelled)
    }

    /// The attempt at it now, if any.
    #[must_use]
    pub const fn live_attempt(&self) -> Option<AttemptId> {
        match self {
            Self::Leased { attempt, .. } | Self::Running { attempt, .. } => Some(*attempt),
            Self::Waiting { .. }
            | Self::Queued { .. }
            | Self::Paused { .. }
            | Self::Succeeded { .. }
            | Self::Pruned
            | Self::Failed { .. }
            | Self::Cancelled => None,
        }
    }
}

/// Where an experiment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExperimentState {
    /// No trial was leased yet.
    Queued,
    /// Its trials are run.
    Running,
    /// Final: its sweep ended and some trial succeeded.
    Succeeded,
    /// Final: its sweep ended and no trial succeeded.
    Failed,
    /// Final: asked to stop.
    Cancelled,
}

impl ExperimentState {
    /// Its name, as in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Nothing follows.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

impl fmt::Display for ExperimentState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How many trials of an experiment stand where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrialCounts {
    /// Waiting, queued or paused.
    pub pending: u32,
    /// Leased or running.
    pub running: u32,
    /// Succeeded.
    pub succeeded: u32,
    /// Pruned.
    pub pruned: u32,
    /// Failed.
    pub failed: u32,
    /// Cancelled.
    pub cancelled: u32,
}

/// An experiment, in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExperimentView {
    /// Its id.
    pub experiment: ExperimentId,
    /// Its name.
    pub name: ModelName,
    /// Where it stands.
    pub state: ExperimentState,
    /// When it was submitted.
    pub submitted: Timestamp,
    /// How its trials are run.
    pub policy: Policy,
    /// Its trials so far.
    pub trials: TrialCounts,
    /// Why it was cancelled, where that was not asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A trial, with what it was asked and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrialView {
    /// Its id.
    pub trial: TrialId,
    /// Where it stands.
    pub status: TrialState,
    /// Attempts that count against its budget.
    pub attempts: u32,
    /// Attempts lost with their worker: these count against nothing but a bound of their own.
    pub worker_losses: u32,
    /// What it measured at the rungs it reached; `None` where it had nothing to measure.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rungs: Vec<Option<Finite>>,
    /// When it came to each of them: its place among all arrivals at rungs of its experiment, from 0.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arrivals: Vec<u32>,
    /// Trials whose ends an asynchronous sweep was told of just before it asked for this one, in that order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub told: Vec<u32>,
    /// The trial whose training it goes on from, and at which checkpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Descent>,
    /// Last word of the present attempt.
    pub progress: Option<Progress>,
    /// What the sweep asked; filled by `show` only.
    #[serde(skip)]
    pub payload: Vec<u8>,
    /// What came of it; filled by `show` only.
    #[serde(skip)]
    pub outcome: Option<Vec<u8>>,
}

/// Where a trial goes on that another of its experiment began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Descent {
    /// Index of the other.
    pub trial: u32,
    /// Where the other was.
    pub checkpoint: CheckpointRef,
}

/// An experiment with its trials, in the order asked.
#[derive(Clone, Debug, PartialEq)]
pub struct ExperimentDetail {
    /// In short.
    pub experiment: ExperimentView,
    /// What was submitted.
    pub payload: Vec<u8>,
    /// Its trials.
    pub trials: Vec<TrialView>,
}

/// Something a watcher sees. After (re)connecting, the present state of everything comes first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Update {
    /// An experiment is new or changed its state.
    Experiment(ExperimentView),
    /// A trial is new or changed its state; without payload and outcome.
    Trial(TrialView),
    /// An attempt got on.
    Progress {
        /// Which trial.
        trial: TrialId,
        /// Which attempt of it.
        attempt: AttemptId,
        /// How far it is.
        progress: Progress,
    },
}

impl Update {
    /// The experiment it is about.
    #[must_use]
    pub const fn experiment(&self) -> &ExperimentId {
        match self {
            Self::Experiment(view) => &view.experiment,
            Self::Trial(view) => &view.trial.experiment,
            Self::Progress { trial, .. } => &trial.experiment,
        }
    }
}

/// Why a trial is where it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "cause", rename_all = "snake_case", deny_unknown_fields)]
pub enum Cause {
    /// It needs another trial's checkpoint.
    NeedsTrial {
        /// Index of that trial.
        index: u32,
    },
    /// It failed or lost its worker and waits before the next attempt.
    BackingOff {
        /// Until when.
        until: Timestamp,
        /// The last failure; `None` after a lost worker.
        after: Option<FailureClass>,
    },
    /// As many trials of its experiment run as its spec allows.
    ParallelLimit {
        /// The limit.
        limit: u32,
    },
    /// No worker is connected.
    NoWorker,
    /// No connected worker has what it needs.
    TooLarge {
        /// What it needs.
        needs: String,
        /// What there is too little of; empty when no worker has all of it together.
        short: Vec<Shortage>,
    },
    /// Its owner holds as many CPU cores as the quota allows.
    Quota {
        /// Whose quota; `None`: of experiments without an owner.
        owner: Option<Owner>,
        /// CPU cores that it may hold.
        limit: u32,
    },
    /// Its experiment waits for others.
    After {
        /// Which have not succeeded yet.
        experiments: Vec<ExperimentId>,
    },
    /// The workers that could take it are cordoned or in quarantine.
    Closed {
        /// The cordons and quarantines, in words.
        why: Vec<String>,
    },
    /// Machines large enough are shared with others that hold too much of them.
    Shared {
        /// What it needs.
        needs: String,
        /// The machine that is kept free for it by now.
        reserved: Option<NodeId>,
        /// Attempts that are asked to stop for it.
        preempting: Vec<AttemptId>,
    },
    /// Every worker that could take it is busy, and others are ahead.
    Busy {
        /// Workers that could take it.
        workers: u32,
        /// Trials ahead of it.
        ahead: u32,
    },
    /// The scheduler is stopping, or runs another experiment only.
    NotDispatching,
    /// A worker has it.
    WithWorker {
        /// Which.
        worker: WorkerId,
        /// Since when.
        since: Timestamp,
        /// When its lease ends if nothing is heard.
        expires: Option<Timestamp>,
    },
    /// It holds at a rung for its batch.
    AtRung {
        /// Which rung.
        rung: u32,
    },
    /// It has ended.
    Ended,
}

/// Why a trial is where it is, as data and as one sentence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Explanation {
    /// Which trial.
    pub trial: TrialId,
    /// Where it stands.
    pub status: TrialState,
    /// Why.
    pub why: Cause,
    /// The same for people.
    pub sentence: String,
}
