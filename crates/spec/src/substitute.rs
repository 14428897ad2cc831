//! Puts drawn parameters into a spec: by dotted path, and read again by the same strict rules as a file.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::parse::{Fault, child, strict};
use crate::problem::{Finding, Problem, nearest};
use crate::{Device, Digest, EncoderRef, ExperimentSpec, Params, TrialEncoder, TrialId, TrialSpec, ranges};

/// Sections that a trial may differ in. All others hold for the whole experiment: with other bars, costs of a trial or
/// gates, trials would not be answers to one question.
const SWEPT: [&str; 5] = ["features", "task", "model", "env", "strategy"];

/// One trial of an experiment whose spec is resolved ([`crate::resolve`]).
///
/// # Errors
/// A [`Problem`] without a place when a path does not exist, a value is of the wrong kind or out of range, the device is
/// still `auto`, or the encoder still a name.
pub fn trial(
    spec: &ExperimentSpec,
    params: &Params,
    seed: u64,
    id: TrialId,
    (data_digest, companion_digests): (Digest, &[Digest]),
) -> Result<TrialSpec, Problem> {
    let fail = |finding: Finding| finding.at(None);
    let spec = substitute(spec, params).map_err(fail)?;
    if let Some(finding) = ranges::of_trial(&spec).into_iter().next() {
        return Err(fail(finding));
    }
    if spec.resources.device == Device::Auto {
        return Err(fail(Finding::new(
            "resources.device",
            "the device is `auto`",
            "a trial runs on one",
            "resolve it",
        )));
    }
    let encoder = encoder(&spec).map_err(fail)?;
    Ok(TrialSpec {
        trial: id,
        params: params.clone(),
        seed,
        data: spec.data,
        data_digest,
        companion_digests: companion_digests.to_vec(),
        features: spec.features,
        encoder,
        task: spec.task,
        model: spec.model,
        env: spec.env,
        strategy: spec.strategy,
        device: spec.resources.device,
        threads: spec.resources.cpus,
        degrade: spec.degrade,
        parent: None,
    })
}

/// The encoder by its digest: what a name stands for may change.
fn encoder(spec: &ExperimentSpec) -> Result<Option<TrialEncoder>, Finding> {
    let Some(encoder) = &spec.encoder else { return Ok(None) };
    match &encoder.bundle {
        EncoderRef::Bundle(bundle) => Ok(Some(TrialEncoder { bundle: *bundle, memory_rows: encoder.memory_rows })),
        EncoderRef::Registered(name) => {
            let what = format!("the encoder is `{name}`");
            Err(Finding::new("encoder.bundle", what, "a trial names it by digest", "resolve it"))
        }
    }
}

/// The spec with the parameters put in. A section that none lies in fits as it is, and is not read again.
pub(crate) fn substitute(spec: &ExperimentSpec, params: &Params) -> Result<ExperimentSpec, Finding> {
    if let Some(path) = params.keys().find(|path| !is_swept(path)) {
        return Err(unreachable(&to_value(spec), path));
    }
    let mut made = spec.clone();
    let ExperimentSpec { features, task, model, env, strategy, .. } = &mut made;
    put(features, "features", params)
        .and_then(|()| put(task, "task", params))
        .and_then(|()| put(model, "model", params))
        .and_then(|()| put(env, "env", params))
        .and_then(|()| put(strategy, "strategy", params))
        .map_err(|misfit| match misfit {
            Misfit::NoTarget(path) => unreachable(&to_value(spec), path),
            Misfit::Fault(fault) => fault.finding(),
        })?;
    Ok(made)
}

/// Why a parameter does not go into its section.
enum Misfit<'a> {
    NoTarget(&'a str),
    Fault(Fault),
}

/// Puts the parameters of one section into it.
fn put<'a, T: Serialize + DeserializeOwned>(section: &mut T, name: &str, params: &'a Params) -> Result<(), Misfit<'a>> {
    let mut own = params.iter().filter(|(path, _)| first(path) == name).peekable();
    if own.peek().is_none() {
        return Ok(());
    }
    let mut value = to_value(section);
    for (path, param) in own {
        let place = path.split('.').skip(1).try_fold(&mut value, child).ok_or(Misfit::NoTarget(path))?;
        *place = to_value(param);
    }
    *section = strict(&value).map_err(|fault| Misfit::Fault(fault.below(name)))?;
    Ok(())
}

fn to_value<T: Serialize>(part: &T) -> Value {
    serde_json::to_value(part).expect("a spec holds only finite numbers and text keys")
}

/// Refuses a path that leads nowhere or to what must not differ between trials.
pub(crate) fn reachable(spec: &ExperimentSpec, path: &str) -> Result<(), Finding> {
    let mut root = to_value(spec);
    match target(&mut root, path) {
        Some(_) => Ok(()),
        None => Err(unreachable(&root, path)),
    }
}

fn target<'a>(root: &'a mut Value, path: &str) -> Option<&'a mut Value> {
    is_swept(path).then(|| path.split('.').try_fold(root, child)).flatten()
}

fn is_swept(path: &str) -> bool {
    SWEPT.contains(&first(path))
}

/// The section that a path leads into.
fn first(path: &str) -> &str {
    path.split('.').next().unwrap_or_default()
}

/// Why `path` has no target. Looks for names that are like it, which takes longer than all else a trial needs.
fn unreachable(root: &Value, path: &str) -> Finding {
    let (what, why) = if is_swept(path) {
        (format!("no `{path}`"), "a trial of this experiment has no such value")
    } else {
        (format!("`{path}` cannot be swept"), "it has to be the same in all trials")
    };
    Finding::new(path, what, why, near(root, path))
}

/// What else `path` may have meant.
fn near(root: &Value, path: &str) -> String {
    let mut known = Vec::new();
    for section in SWEPT {
        leaves(root.get(section).unwrap_or(&Value::Null), section, &mut known);
    }
    match nearest(path, known.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("sweep a value below {}", SWEPT.map(|section| format!("`{section}`")).join(", ")),
    }
}

/// Paths of everything below `value` that can be replaced by a parameter.
fn leaves(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(entries) => {
            entries.iter().for_each(|(name, inner)| leaves(inner, &format!("{path}.{name}"), found))
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            items.iter().enumerate().for_each(|(index, inner)| leaves(inner, &format!("{path}.{index}"), found));
        }
        Value::Array(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            found.push(path.to_owned());
        }
    }
}

#[cfg(test)]
mod tests;
