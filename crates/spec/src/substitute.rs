//! Puts drawn parameters into a spec: by dotted path, and read again by the same strict rules as a file.

use serde_json::Value;

use crate::parse::{Fault, child, strict};
use crate::problem::{Finding, Problem, nearest};
use crate::{Device, Digest, EncoderRef, ExperimentSpec, ParamValue, Params, TrialEncoder, TrialId, TrialSpec, ranges};

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

/// The spec with the parameters put in.
pub(crate) fn substitute(spec: &ExperimentSpec, params: &Params) -> Result<ExperimentSpec, Finding> {
    let mut value = whole(spec);
    for (path, param) in params {
        put(&mut value, path, param)?;
    }
    strict(&value).map_err(Fault::finding)
}

fn whole(spec: &ExperimentSpec) -> Value {
    serde_json::to_value(spec).expect("a spec holds only finite numbers and text keys")
}

/// Refuses a path that leads nowhere or to what must not differ between trials.
pub(crate) fn reachable(spec: &ExperimentSpec, path: &str) -> Result<(), Finding> {
    let mut root = whole(spec);
    match target(&mut root, path) {
        Some(_) => Ok(()),
        None => Err(unreachable(&root, path)),
    }
}

fn put(root: &mut Value, path: &str, param: &ParamValue) -> Result<(), Finding> {
    match target(root, path) {
        Some(place) => *place = serde_json::to_value(param).expect("a parameter is JSON"),
        None => return Err(unreachable(root, path)),
    }
    Ok(())
}

fn target<'a>(root: &'a mut Value, path: &str) -> Option<&'a mut Value> {
    is_swept(path).then(|| path.split('.').try_fold(root, child)).flatten()
}

fn is_swept(path: &str) -> bool {
    SWEPT.contains(&path.split('.').next().unwrap_or_default())
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
