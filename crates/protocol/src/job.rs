//! What is asked of the scheduler and of a worker.

use std::collections::BTreeMap;

use market::Timestamp;
use serde::{Deserialize, Serialize};
use spec::{
    AttemptId, Bytes, CheckpointRef, ExperimentId, FailureClass, Finite, ModelName, NodeId, Owner, ResourceName,
    RetrySpec, Rung, Span, TrialId, WorkerId,
};
use telemetry::TraceContext;

use crate::resources::{Demand, Gpu, Offer};

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
    /// GPUs one trial needs.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub gpus: u32,
    /// Memory of its one GPU, shared with others that say theirs; `None`: its GPUs are its alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu_memory: Option<Bytes>,
    /// Memory of the machine one trial needs; `None`: not counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Bytes>,
    /// Other resources one trial needs.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub custom: BTreeMap<ResourceName, u32>,
    /// Who it runs for; quotas are counted by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
    /// Experiments that must have succeeded first, by id or by name. The scheduler keeps ids.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<ModelName>,
    /// Time by which it must have ended; what is open then is cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
    /// Steps that a trial can go down after running out of memory; `None`: it is tried again as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub degrade_max: Option<u8>,
    /// The trace that it belongs to; `None`: nobody traces it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceContext>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
const fn is_zero(count: &u32) -> bool {
    *count == 0
}

impl Policy {
    /// What one trial needs.
    #[must_use]
    pub fn demand(&self) -> Demand {
        Demand {
            cpus: self.cpus,
            gpus: self.gpus,
            gpu_memory: self.gpu_memory,
            memory: self.memory.unwrap_or_default(),
            custom: self.custom.clone(),
        }
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            parallel: None,
            retry: RetrySpec::default(),
            timeout: Span::from_secs(3_600),
            priority: 0,
            cpus: 1,
            gpus: 0,
            gpu_memory: None,
            memory: None,
            custom: BTreeMap::new(),
            owner: None,
            after: Vec::new(),
            deadline: None,
            degrade_max: None,
            trace: None,
        }
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
    /// When it came to each of them: its place among all arrivals at rungs of its experiment, from 0.
    pub arrivals: Vec<u32>,
    /// Trials whose ends its sweep was told of just before it asked for this one, in that order.
    pub told: Vec<u32>,
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
    /// Other resources it may use.
    pub custom: BTreeMap<ResourceName, u32>,
    /// The machine it runs on; `None`: a machine of its own.
    pub node: Option<NodeId>,
    /// GPUs of that machine that it sees. Workers of one node that name the same index share that GPU.
    pub gpus: Vec<Gpu>,
    /// Memory of that machine; `None`: unknown, and nothing that asks for memory runs there.
    pub memory: Option<Bytes>,
    /// Its process id, for people.
    pub pid: u32,
    /// Its build, for people.
    pub version: String,
}

impl Registration {
    /// A worker with CPU cores only, on a machine of its own.
    #[must_use]
    pub const fn of(worker: WorkerId, cpus: u32) -> Self {
        Self {
            worker,
            cpus,
            custom: BTreeMap::new(),
            node: None,
            gpus: Vec::new(),
            memory: None,
            pid: 0,
            version: String::new(),
        }
    }

    /// What an attempt on it can have at most.
    #[must_use]
    pub fn offer(&self) -> Offer {
        Offer { cpus: self.cpus, gpus: self.gpus.clone(), memory: self.memory, custom: self.custom.clone() }
    }
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assignment {
    /// The trial.
    pub trial: TrialId,
    /// This run of it: the fencing token of everything the worker says about it.
    pub attempt: AttemptId,
    /// How often the trial ran out of memory: the worker maps it to a smaller micro-batch.
    pub degrade: u8,
    /// Indices of the GPUs it may use, ascending.
    pub gpus: Vec<u32>,
    /// What to run, as the sweep asked for it.
    pub payload: Vec<u8>,
    /// Where to go on, newest first; at most two.
    pub checkpoints: Vec<CheckpointRef>,
    /// Where a trial goes on that another began, while it has no checkpoint of its own.
    pub parent: Option<CheckpointRef>,
    /// Checkpoints of it that other trials go on from: they are not its own to delete.
    pub lent: Vec<CheckpointRef>,
    /// Where to hold with [`Report::Paused`]; `None`: nowhere before the end.
    pub rung: Option<Rung>,
    /// Its lease in the experiment's trace; `None`: nobody traces it.
    pub trace: Option<TraceContext>,
}

/// Why an attempt is to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopCause {
    /// It is no longer the trial's attempt: cancelled, timed out, or leased to another. Nothing it says counts.
    Fenced,
    /// The scheduler is stopping or its worker is drained: keep a checkpoint and report [`Report::Stopped`].
    Draining,
    /// A trial of higher priority needs its place: keep a checkpoint and report [`Report::Stopped`].
    Preempted,
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
