//! What decides when and where trials run.

use super::Ranges;
use crate::{Bytes, ExperimentSpec, ResourceSpec, TaskSpec};

/// Names of other resources that one trial may need.
const CUSTOM_MAX: usize = 16;

/// Experiments that one may wait for.
const AFTER_MAX: usize = 32;

/// Steps down after running out of memory.
const DEGRADE_MAX: usize = 8;

impl Ranges {
    pub(super) fn shared(&mut self, resources: &ResourceSpec) {
        for (path, memory) in [("resources.memory", resources.memory), ("resources.gpu_memory", resources.gpu_memory)] {
            if memory == Some(Bytes(0)) {
                self.outside(path, Bytes(0), "use 1MiB or more, or leave it out".to_owned());
            }
        }
        if resources.custom.len() > CUSTOM_MAX {
            let what = format!("{} other resources", resources.custom.len());
            self.refuse("resources.custom", what, "no worker has so many", format!("use at most {CUSTOM_MAX}"));
        }
        for (name, count) in &resources.custom {
            self.within(format!("resources.custom.{name}"), *count, 1..=1_000_000);
        }
    }

    pub(super) fn order(&mut self, spec: &ExperimentSpec) {
        if spec.after.len() > AFTER_MAX {
            let what = format!("{} experiments to wait for", spec.after.len());
            self.refuse("after", what, "that is out of range", format!("use at most {AFTER_MAX}"));
        }
        for (index, other) in spec.after.iter().enumerate() {
            let path = format!("after.{index}");
            if *other == spec.name {
                self.refuse(path, format!("`{other}` waits for itself"), "it would never start", "name another");
            } else if spec.after[..index].contains(other) {
                self.refuse(path, format!("`{other}` is repeated"), "once is enough", "name each once");
            }
        }
        if spec.fallback_after.is_some() && spec.fallback.is_none() {
            let what = "`fallback_after` without `fallback`".to_owned();
            self.refuse("fallback_after", what, "nothing follows the wait", "add `fallback: local`");
        }
        if let (TaskSpec::Rl(_), false) = (&spec.task, spec.degrade.is_empty()) {
            let what = "steps down for an agent".to_owned();
            self.refuse("degrade", what, "only a forecaster's batch is split", "leave it out");
        }
        if spec.degrade.len() > DEGRADE_MAX {
            let what = format!("{} steps down", spec.degrade.len());
            self.refuse("degrade", what, "that is out of range", format!("use at most {DEGRADE_MAX}"));
        }
        for (index, step) in spec.degrade.iter().enumerate() {
            let path = format!("degrade.{index}.micro_batch");
            self.within(&path, step.micro_batch, 1..=65_536);
            if index > 0 && spec.degrade[index - 1].micro_batch <= step.micro_batch {
                let what = format!("step {index} is no smaller than the one before");
                self.refuse(path, what, "it would run out of memory again", "make each step smaller");
            }
        }
    }
}
