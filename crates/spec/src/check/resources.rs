//! What a trial asks of the machine.

use crate::check::Facts;
use crate::problem::Finding;
use crate::{Device, ExperimentSpec};

pub(super) fn findings(spec: &ExperimentSpec, facts: &Facts) -> Vec<Finding> {
    let resources = &spec.resources;
    let mut findings = Vec::new();
    let mut refuse = |field: &str, what: String, why: String, hint: &str| {
        findings.push(Finding::new(format!("resources.{field}"), what, why, hint));
    };
    if resources.cpus == 0 || resources.cpus > facts.cpus {
        let why = format!("this machine gives 1 to {}", facts.cpus);
        refuse("cpus", format!("{} CPU cores", resources.cpus), why, "ask for as many as there are");
    }
    if resources.processes != 1 {
        let why = "the local engine runs a trial in one process".to_owned();
        refuse("processes", format!("{} processes", resources.processes), why, "use 1");
    }
    match resources.device {
        Device::Cuda if facts.gpus == 0 => {
            let why = "this machine or this build has none".to_owned();
            refuse("device", "a CUDA device".to_owned(), why, "use `cpu`, or `auto` to take what is there");
        }
        Device::Cuda if resources.gpus > facts.gpus => {
            let why = format!("this machine has {}", facts.gpus);
            refuse("gpus", format!("{} GPUs", resources.gpus), why, "ask for as many as there are");
        }
        Device::Cpu if resources.gpus > 0 => {
            let why = "a trial on the CPU uses none".to_owned();
            refuse("gpus", format!("{} GPUs", resources.gpus), why, "use 0, or `device: cuda`");
        }
        Device::Cpu if resources.gpu_memory.is_some() => {
            let why = "a trial on the CPU uses none".to_owned();
            refuse("gpu_memory", "memory of a GPU".to_owned(), why, "leave it out, or use `device: cuda`");
        }
        Device::Cuda if resources.gpu_memory.is_some() && resources.gpus > 1 => {
            let why = "a share is of one GPU".to_owned();
            refuse("gpu_memory", format!("a share of {} GPUs", resources.gpus), why, "use `gpus: 1`, or leave it out");
        }
        Device::Cpu | Device::Cuda | Device::Auto => {}
    }
    findings
}
