//! From the text of a file to an [`ExperimentSpec`]: every key known, every type right, each fault at its place.
//!
//! Sections are read one by one, so that one run names the faults of all of them. What the values mean is
//! [`crate::check`]'s matter.

mod fault;

use market::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::problem::{Finding, Problem, suggest};
use crate::yaml::{self, Positions};
use crate::{
    DataSpec, DegradeSpec, EncoderSpec, EnvSpec, ExperimentSpec, Fallback, FeatureSpec, ModelName, ModelSpec,
    PromoteSpec, ResourceSpec, RetrySpec, Span, StrategySpec, SweepSpec, TaskSpec, Version,
};

pub(crate) use fault::{Fault, child};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Presence {
    Required,
    Optional,
}

pub(crate) type Reader = fn(&Value) -> Option<Fault>;

/// The keys of a file. A test holds this against the schema.
const SECTIONS: [(&str, Presence, Reader); 20] = [
    ("version", Presence::Required, fault_of::<Version>),
    ("name", Presence::Required, fault_of::<ModelName>),
    ("data", Presence::Required, fault_of::<DataSpec>),
    ("features", Presence::Required, fault_of::<Vec<FeatureSpec>>),
    ("encoder", Presence::Optional, fault_of::<Option<EncoderSpec>>),
    ("task", Presence::Required, fault_of::<TaskSpec>),
    ("model", Presence::Required, fault_of::<ModelSpec>),
    ("env", Presence::Optional, fault_of::<EnvSpec>),
    ("strategy", Presence::Optional, fault_of::<StrategySpec>),
    ("sweep", Presence::Required, fault_of::<SweepSpec>),
    ("resources", Presence::Optional, fault_of::<ResourceSpec>),
    ("retry", Presence::Optional, fault_of::<RetrySpec>),
    ("timeout", Presence::Optional, fault_of::<Span>),
    ("priority", Presence::Optional, fault_of::<i32>),
    ("deadline", Presence::Optional, fault_of::<Option<Timestamp>>),
    ("after", Presence::Optional, fault_of::<Vec<ModelName>>),
    ("degrade", Presence::Optional, fault_of::<Vec<DegradeSpec>>),
    ("fallback", Presence::Optional, fault_of::<Option<Fallback>>),
    ("fallback_after", Presence::Optional, fault_of::<Option<Span>>),
    ("promote", Presence::Optional, fault_of::<Option<PromoteSpec>>),
];

/// Reads an experiment file. `file_name` is how problems name it.
///
/// # Errors
/// Every [`Problem`] found, in the order of the file: all unknown keys, and one other fault per section.
pub fn parse(file_name: &str, yaml: &str) -> Result<(ExperimentSpec, Positions), Vec<Problem>> {
    let (mut value, positions) = yaml::read(file_name, yaml).map_err(|problem| vec![*problem])?;
    let findings = faults(&mut value);
    if findings.is_empty() {
        match strict(&value) {
            Ok(spec) => return Ok((spec, positions)),
            Err(fault) => return Err(vec![fault.finding().placed(&positions)]),
        }
    }
    let mut problems: Vec<_> = findings.into_iter().map(|finding| finding.placed(&positions)).collect();
    problems.sort_by(|a, b| a.place.cmp(&b.place));
    Err(problems)
}

/// Reads a value by the same rules as a file.
pub(crate) fn strict<T: DeserializeOwned>(value: &Value) -> Result<T, Fault> {
    serde_path_to_error::deserialize(value).map_err(|error| Fault::new(&error))
}

pub(crate) fn fault_of<T: DeserializeOwned>(value: &Value) -> Option<Fault> {
    strict::<T>(value).err()
}

fn faults(root: &mut Value) -> Vec<Finding> {
    let Value::Object(sections) = root else {
        return vec![Finding::new("", "no experiment", "a file holds keys and values", "start with `version: 1`")];
    };
    let mut findings = Vec::new();
    for name in sections.keys() {
        if !SECTIONS.iter().any(|(known, ..)| known == name) {
            let hint = suggest(name, SECTIONS.iter().map(|(known, ..)| *known));
            findings.push(
                Finding::new(name, format!("unknown key `{name}`"), "an experiment has no such key", hint).at_key(),
            );
        }
    }
    for (name, presence, reader) in SECTIONS {
        match sections.get_mut(name) {
            Some(value) => findings.extend(section_faults(name, value, reader)),
            None if presence == Presence::Required => {
                let hint = format!("add `{name}:`");
                findings.push(Finding::new("", format!("`{name}` is missing"), "every experiment has it", hint));
            }
            None => {}
        }
    }
    findings
}

/// All unknown keys of a section, which are taken out to look further, and the first other fault.
pub(crate) fn section_faults(name: &str, value: &mut Value, reader: Reader) -> Vec<Finding> {
    let mut findings = Vec::new();
    while let Some(fault) = reader(value) {
        let unknown = fault.unknown_key();
        findings.push(fault.below(name).finding());
        match unknown {
            Some(path) if path.remove(value) => {}
            Some(_) | None => break,
        }
    }
    findings
}

#[cfg(test)]
mod tests;
