//! What is asked of the scheduler and of a worker.

use serde::{Deserialize, Serialize};
use spec::{
    AttemptId, CheckpointRef, ExperimentId, FailureClass, Finite, ModelName, RetrySpec, Rung, Span, TrialId, WorkerId,
};

/// How the trials of an experiment are run. Changes no result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Most trials running at once; `None`: as many as fit.
    pub parallel: Option<u32>,
    /// Budget of attempts and the wait between them.
    pub retry: RetrySpec,
    /// Longest time one attempt may run.
    pub timeout: Span,
    /// Higher runs first.
    pub priority: i32,
    /// CPU cores one trial needs.
    pub cpus: u32,
}

impl Default for Policy {
    fn default() -> Self {
        Self { parallel: None, retry: RetrySpec::default(), timeout: Span::from_secs(3_600), priority: 0, cpus: 1 }
    }
}

/// An experiment handed to the scheduler.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Submission {
    /// Its id. The same id with the same payload is the same submission, however often it is sent.
    pub experiment: ExperimentId,
    /// For people.
    pub name: ModelName,
    /// What the sweep is opened from; the scheduler does not read it.
    #[serde(skip)]
    pub payload: Vec<u8>,
    /// How its trials are run.
    pub policy: Policy,
}

/// How a trial ended that another cluster ran.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// What was asked, as the sweep asked it.
    pub payload: Vec<u8>,
    /// What it measured at the rungs it reached.
    pub rungs: Vec<Option<Finite>>,
    /// How it ended.
    pub end: End,
}

/// How a trial ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// With a result; the scheduler does not read it.
    Succeeded(Vec<u8>),
    /// With a failure of its own.
    Failed {
        /// Its class.
        class: FailureClass,
        /// For people.
        message: String,
    },
    /// Stopped early, by decision.
    Pruned,
}

/// A worker introduces itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// Its id.
    pub worker: WorkerId,
    /// CPU cores it may use.
    pub cpus: u32,
    /// Its process id, for people.
    pub pid: u32,
    /// Its build, for people.
    pub version: String,
}

/// What a worker is held to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// How long a lease lasts after the last heartbeat.
    pub lease: Span,
    /// How often to send one at least.
    pub heartbeat: Span,
}

/// One attempt, leased to one worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The trial.
    pub trial: TrialId,
    /// This run of it: the fencing token of everything the worker says about it.
    pub attempt: AttemptId,
    /// How often the trial ran out of memory: the worker maps it to a smaller micro-batch.
    pub degrade: u8,
    /// What to run, as the sweep asked for it.
    pub payload: Vec<u8>,
    /// Where to go on, newest first; at most two.
    pub checkpoints: Vec<CheckpointRef>,
    /// Where to hold with [`Report::Paused`]; `None`: nowhere before the end.
    pub rung: Option<Rung>,
}

/// Why an attempt is to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopCause {
    /// It is no longer the trial's attempt: cancelled, timed out, or leased to another. Nothing it says counts.
    Fenced,
    /// The scheduler is stopping: keep a checkpoint and report [`Report::Stopped`].
    Draining,
}

/// The answer to a heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Directive {
    /// Go on.
    Continue,
    /// Stop at the next safe point.
    Stop(StopCause),
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// With a result; the scheduler does not read it.
    Succeeded(Vec<u8>),
    /// With a failure of its own.
    Failed {
        /// Decides whether it is tried again.
        class: FailureClass,
        /// For people.
        message: String,
    },
    /// Because it reached its rung; the sweep decides whether it goes on from the checkpoint.
    Paused {
        /// Index of the rung.
        rung: u32,
        /// Where it goes on.
        checkpoint: CheckpointRef,
        /// What it measured there; `None` when it had nothing to measure.
        value: Option<Finite>,
    },
    /// Because it was asked to; the trial goes on from its checkpoint later, at no cost.
    Stopped,
}
