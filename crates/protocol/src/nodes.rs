//! The machines as an operator sees them, and what an operator says of them.

use std::collections::BTreeMap;
use std::fmt;

use market::Timestamp;
use serde::{Deserialize, Serialize};
use spec::{AttemptId, Bytes, NodeId, ResourceName, TrialId, WorkerId};

/// What a cordon is put on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Target {
    /// One worker.
    Worker(WorkerId),
    /// All workers of a machine, now and later.
    Node(NodeId),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Worker(worker) => write!(f, "worker {worker}"),
            Self::Node(node) => write!(f, "node {node}"),
        }
    }
}

/// What a cordon does to attempts that run; none of them lets a new one start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cordon {
    /// They run to their end.
    Finish,
    /// They are asked to stop at their next checkpoint and go on elsewhere, at no cost.
    Drain,
}

/// A GPU and what is held of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GpuView {
    /// Its index on its machine.
    pub index: u32,
    /// Its model.
    pub name: String,
    /// Its memory.
    pub memory: Bytes,
    /// Memory held; all of it by an attempt that has it alone.
    pub held: Bytes,
    /// Attempts on it.
    pub attempts: Vec<AttemptId>,
}

/// A connected worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkerView {
    /// Its id.
    pub worker: WorkerId,
    /// Its process id.
    pub pid: u32,
    /// Its build.
    pub version: String,
    /// CPU cores it may use.
    pub cpus: u32,
    /// Other resources it may use.
    pub custom: BTreeMap<ResourceName, u32>,
    /// The attempt it holds, with its trial.
    pub attempt: Option<(AttemptId, TrialId)>,
    /// A cordon on the worker itself.
    pub cordon: Option<Cordon>,
}

/// A machine with its workers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeView {
    /// Its id.
    pub node: NodeId,
    /// A cordon on the whole machine.
    pub cordon: Option<Cordon>,
    /// Until when it gets no attempt because attempts fail there as soon as they start.
    pub quarantined_until: Option<Timestamp>,
    /// Trials in a row that failed there as soon as they started.
    pub quick_failures: u32,
    /// CPU cores of its workers.
    pub cpus: u32,
    /// CPU cores held.
    pub cpus_held: u32,
    /// Its memory; `None`: unknown.
    pub memory: Option<Bytes>,
    /// Memory held.
    pub memory_held: Bytes,
    /// Its GPUs.
    pub gpus: Vec<GpuView>,
    /// Its workers.
    pub workers: Vec<WorkerView>,
}
