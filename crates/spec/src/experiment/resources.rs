//! What one trial needs of a machine, what it gives up when memory runs out, and where it runs without a scheduler.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Bytes, ResourceName};

/// Where a trial computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Device {
    /// On the CPU.
    Cpu,
    /// On a CUDA device; refused where none is.
    Cuda,
    /// CUDA where present; resolved once, before anything starts, and recorded.
    Auto,
}

/// What one trial needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ResourceSpec {
    /// Where it computes. Default: cpu.
    pub device: Device,
    /// CPU cores, and so intra-op threads. Default: 1.
    pub cpus: u32,
    /// GPUs. Default: 0.
    pub gpus: u32,
    /// Memory of its one GPU, which it then shares with other trials that say theirs. Default: GPUs are its alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpu_memory: Option<Bytes>,
    /// Memory of the machine. Default: not counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Bytes>,
    /// Anything else that workers say they have, such as `{ licence: 1 }`. Default: nothing.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub custom: BTreeMap<ResourceName, u32>,
    /// Processes of the gang. Default: 1.
    pub processes: u32,
}

impl Default for ResourceSpec {
    fn default() -> Self {
        Self {
            device: Device::Cpu,
            cpus: 1,
            gpus: 0,
            gpu_memory: None,
            memory: None,
            custom: BTreeMap::new(),
            processes: 1,
        }
    }
}

/// One step down after a trial ran out of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DegradeSpec {
    /// Rows computed at once; gradients are summed up to the batch. Range: 1 to 65536, smaller at each step.
    pub micro_batch: u32,
}

/// Where an experiment runs when its scheduler cannot be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Fallback {
    /// On this machine, as a cluster of one; the scheduler is told once it answers again.
    Local,
}
