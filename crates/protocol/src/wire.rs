//! Wire ⇄ domain. Everything that comes in is checked here, once.

use std::collections::{BTreeMap, HashMap};

use market::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use spec::{
    AttemptId, Bytes, CheckpointRef, Digest, Finite, Metric, Progress, ProgressUnit, ResourceName, RetrySpec, Rung,
    Share, Span,
};

use crate::generated as wire;
use crate::server::PROTOCOL;
use crate::{
    Assignment, Directive, End, Ending, Gpu, Policy, Registration, Report, StopCause, Submission, Target, Terms,
};

/// What came in is not what the protocol says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("field `{field}` is malformed: {why}")]
#[allow(unreachable_pub, reason = "the error of conversions whose one side is public")]
pub struct Malformed {
    field: &'static str,
    why: String,
}

impl Malformed {
    pub(crate) fn new(field: &'static str, why: &str) -> Self {
        Self { field, why: why.to_owned() }
    }

    /// Its name, as it is counted.
    pub(crate) const fn kind(&self) -> &'static str {
        match self.field.as_bytes() {
            b"protocol" => "protocol",
            _ => "malformed",
        }
    }
}

/// Limits of what a worker may claim: far above any machine, far below what would break a sum.
const CPUS_MAX: u32 = 4_096;
const GPUS_MAX: usize = 64;
const MEMORY_MAX: Bytes = Bytes(1 << 50);
const CUSTOM_MAX: usize = 64;
const CUSTOM_COUNT_MAX: u32 = 1_000_000;

/// Longest text for people, bytes.
const TEXT_MAX: usize = 256;

/// Experiments that one may wait for.
const AFTER_MAX: usize = 32;

pub(crate) fn parse<T: std::str::FromStr<Err: std::fmt::Display>>(
    field: &'static str,
    text: &str,
) -> Result<T, Malformed> {
    text.parse().map_err(|error: T::Err| Malformed { field, why: error.to_string() })
}

pub(crate) fn required<T>(field: &'static str, value: Option<T>) -> Result<T, Malformed> {
    value.ok_or_else(|| Malformed { field, why: "it is missing".to_owned() })
}

/// The JSON of a domain type.
pub(crate) fn to_json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("views hold only text keys")
}

pub(crate) fn from_json<T: DeserializeOwned>(json: &str) -> Result<T, Malformed> {
    serde_json::from_str(json).map_err(|error| Malformed { field: "json", why: error.to_string() })
}

impl From<CheckpointRef> for wire::CheckpointRef {
    fn from(checkpoint: CheckpointRef) -> Self {
        Self { digest: checkpoint.digest.as_bytes().to_vec(), step: checkpoint.step }
    }
}

impl TryFrom<wire::CheckpointRef> for CheckpointRef {
    type Error = Malformed;
    fn try_from(checkpoint: wire::CheckpointRef) -> Result<Self, Malformed> {
        let bytes: [u8; 32] = checkpoint.digest.try_into().map_err(|bytes: Vec<u8>| Malformed {
            field: "digest",
            why: format!("a SHA-256 has 32 bytes, not {}", bytes.len()),
        })?;
        Ok(Self { digest: Digest::from_bytes(bytes), step: checkpoint.step })
    }
}

pub(crate) fn checkpoints(wire: Vec<wire::CheckpointRef>) -> Result<Vec<CheckpointRef>, Malformed> {
    wire.into_iter().map(TryInto::try_into).collect()
}

impl From<Registration> for wire::RegisterRequest {
    fn from(registration: Registration) -> Self {
        let gpus = registration.gpus.into_iter();
        Self {
            worker: registration.worker.into(),
            cpus: registration.cpus,
            pid: registration.pid,
            version: registration.version,
            protocol: PROTOCOL,
            node: registration.node.map(Into::into),
            gpus: gpus.map(|gpu| wire::Gpu { index: gpu.index, memory_bytes: gpu.memory.0, name: gpu.name }).collect(),
            memory_bytes: registration.memory.map(|memory| memory.0),
            custom: registration.custom.into_iter().map(|(name, count)| (name.into(), count)).collect(),
        }
    }
}

impl TryFrom<wire::RegisterRequest> for Registration {
    type Error = Malformed;
    fn try_from(request: wire::RegisterRequest) -> Result<Self, Malformed> {
        if request.protocol != PROTOCOL {
            let said = request.protocol;
            let why =
                format!("the worker speaks version {said} and this scheduler {PROTOCOL}: run the same build on both");
            return Err(Malformed { field: "protocol", why });
        }
        within("cpus", request.cpus, 1..=CPUS_MAX)?;
        within("gpus", request.gpus.len(), 0..=GPUS_MAX)?;
        within("version", request.version.len(), 0..=TEXT_MAX)?;
        let mut gpus = request
            .gpus
            .into_iter()
            .map(|gpu| {
                within("gpus.name", gpu.name.len(), 0..=TEXT_MAX)?;
                Ok(Gpu { index: gpu.index, memory: amount("gpus.memory_bytes", gpu.memory_bytes)?, name: gpu.name })
            })
            .collect::<Result<Vec<_>, Malformed>>()?;
        gpus.sort();
        if let Some(twice) = gpus.windows(2).find(|pair| pair[0].index == pair[1].index) {
            return Err(Malformed { field: "gpus", why: format!("index {} is given twice", twice[0].index) });
        }
        Ok(Self {
            worker: parse("worker", &request.worker)?,
            cpus: request.cpus,
            custom: custom(request.custom)?,
            node: request.node.map(|node| parse("node", &node)).transpose()?,
            gpus,
            memory: request.memory_bytes.map(|bytes| amount("memory_bytes", bytes)).transpose()?,
            pid: request.pid,
            version: request.version,
        })
    }
}

fn within<T: PartialOrd + std::fmt::Display>(
    field: &'static str,
    value: T,
    range: std::ops::RangeInclusive<T>,
) -> Result<(), Malformed> {
    if range.contains(&value) {
        return Ok(());
    }
    Err(Malformed { field, why: format!("{value} is not within {} to {}", range.start(), range.end()) })
}

fn amount(field: &'static str, bytes: u64) -> Result<Bytes, Malformed> {
    within(field, Bytes(bytes), Bytes(0)..=MEMORY_MAX)?;
    Ok(Bytes(bytes))
}

fn custom(said: HashMap<String, u32>) -> Result<BTreeMap<ResourceName, u32>, Malformed> {
    within("custom", said.len(), 0..=CUSTOM_MAX)?;
    said.into_iter()
        .map(|(name, count)| {
            within("custom", count, 0..=CUSTOM_COUNT_MAX)?;
            Ok((parse("custom", &name)?, count))
        })
        .collect()
}

impl From<Target> for wire::Target {
    fn from(target: Target) -> Self {
        let target = match target {
            Target::Worker(worker) => wire::target::Target::Worker(worker.into()),
            Target::Node(node) => wire::target::Target::Node(node.into()),
        };
        Self { target: Some(target) }
    }
}

impl TryFrom<wire::Target> for Target {
    type Error = Malformed;
    fn try_from(target: wire::Target) -> Result<Self, Malformed> {
        Ok(match required("target", target.target)? {
            wire::target::Target::Worker(worker) => Self::Worker(parse("worker", &worker)?),
            wire::target::Target::Node(node) => Self::Node(parse("node", &node)?),
        })
    }
}

impl From<Terms> for wire::RegisterReply {
    fn from(terms: Terms) -> Self {
        Self { lease_ms: terms.lease.millis(), heartbeat_ms: terms.heartbeat.millis() }
    }
}

impl From<wire::RegisterReply> for Terms {
    fn from(reply: wire::RegisterReply) -> Self {
        Self { lease: Span::from_millis(reply.lease_ms), heartbeat: Span::from_millis(reply.heartbeat_ms) }
    }
}

impl From<Assignment> for wire::Assignment {
    fn from(assignment: Assignment) -> Self {
        Self {
            trial: assignment.trial.to_string(),
            attempt: assignment.attempt.0,
            degrade: u32::from(assignment.degrade),
            payload: assignment.payload,
            checkpoints: assignment.checkpoints.into_iter().map(Into::into).collect(),
            parent: assignment.parent.map(Into::into),
            lent: assignment.lent.into_iter().map(Into::into).collect(),
            rung: assignment.rung.map(|rung| wire::Rung { index: rung.index, share_millionths: rung.share.0 }),
            gpus: assignment.gpus,
            traceparent: assignment.trace.map(Into::into),
        }
    }
}

impl TryFrom<wire::Assignment> for Assignment {
    type Error = Malformed;
    fn try_from(assignment: wire::Assignment) -> Result<Self, Malformed> {
        Ok(Self {
            trial: parse("trial", &assignment.trial)?,
            attempt: AttemptId(assignment.attempt),
            degrade: u8::try_from(assignment.degrade)
                .map_err(|error| Malformed { field: "degrade", why: error.to_string() })?,
            gpus: assignment.gpus,
            payload: assignment.payload,
            checkpoints: checkpoints(assignment.checkpoints)?,
            parent: assignment.parent.map(CheckpointRef::try_from).transpose()?,
            lent: checkpoints(assignment.lent)?,
            rung: assignment.rung.map(|rung| Rung { index: rung.index, share: Share(rung.share_millionths) }),
            trace: assignment.traceparent.map(|text| parse("traceparent", &text)).transpose()?,
        })
    }
}

impl From<Progress> for wire::Progress {
    fn from(progress: Progress) -> Self {
        let unit = match progress.unit {
            ProgressUnit::Epoch => wire::ProgressUnit::Epoch,
            ProgressUnit::EnvStep => wire::ProgressUnit::EnvStep,
        };
        Self {
            step: progress.step,
            steps: progress.steps,
            unit: unit.into(),
            rate: progress.rate,
            metrics: progress.metrics.into_iter().map(|(metric, value)| (metric.as_str().to_owned(), value)).collect(),
        }
    }
}

impl TryFrom<wire::Progress> for Progress {
    type Error = Malformed;

    /// Values that are not finite are left out: a diverging loss is the trainer's to judge, and JSON has no NaN.
    fn try_from(progress: wire::Progress) -> Result<Self, Malformed> {
        let unit = match progress.unit() {
            wire::ProgressUnit::Epoch => ProgressUnit::Epoch,
            wire::ProgressUnit::EnvStep => ProgressUnit::EnvStep,
            wire::ProgressUnit::Unspecified => {
                return Err(Malformed { field: "unit", why: "it is not a known unit".to_owned() });
            }
        };
        let metrics = progress
            .metrics
            .iter()
            .filter(|(_, value)| value.is_finite())
            .map(|(name, value)| Ok((parse::<Metric>("metrics", name)?, *value)))
            .collect::<Result<_, Malformed>>()?;
        let rate = if progress.rate.is_finite() { progress.rate } else { 0.0 };
        Ok(Self { step: progress.step, steps: progress.steps, unit, rate, metrics })
    }
}

impl From<Directive> for wire::HeartbeatReply {
    fn from(directive: Directive) -> Self {
        let directive = match directive {
            Directive::Continue => wire::Directive::Continue,
            Directive::Stop(StopCause::Fenced) => wire::Directive::StopFenced,
            Directive::Stop(StopCause::Draining) => wire::Directive::StopDraining,
            Directive::Stop(StopCause::Preempted) => wire::Directive::StopPreempted,
        };
        Self { directive: directive.into() }
    }
}

impl TryFrom<wire::HeartbeatReply> for Directive {
    type Error = Malformed;
    fn try_from(reply: wire::HeartbeatReply) -> Result<Self, Malformed> {
        match reply.directive() {
            wire::Directive::Continue => Ok(Self::Continue),
            wire::Directive::StopFenced => Ok(Self::Stop(StopCause::Fenced)),
            wire::Directive::StopDraining => Ok(Self::Stop(StopCause::Draining)),
            wire::Directive::StopPreempted => Ok(Self::Stop(StopCause::Preempted)),
            wire::Directive::Unspecified => {
                Err(Malformed { field: "directive", why: "it is not a known directive".to_owned() })
            }
        }
    }
}

impl From<Report> for wire::finish_request::Report {
    fn from(report: Report) -> Self {
        match report {
            Report::Succeeded(outcome) => Self::Succeeded(outcome),
            Report::Failed { class, message } => {
                Self::Failed(wire::Failure { class: class.as_str().to_owned(), message })
            }
            Report::Paused { rung, checkpoint, value } => {
                Self::Paused(wire::Paused { rung, checkpoint: Some(checkpoint.into()), value: value.map(Finite::get) })
            }
            Report::Stopped => Self::Stopped(wire::Nothing {}),
        }
    }
}

impl TryFrom<wire::finish_request::Report> for Report {
    type Error = Malformed;
    fn try_from(report: wire::finish_request::Report) -> Result<Self, Malformed> {
        Ok(match report {
            wire::finish_request::Report::Succeeded(outcome) => Self::Succeeded(outcome),
            wire::finish_request::Report::Failed(failure) => {
                Self::Failed { class: parse("class", &failure.class)?, message: failure.message }
            }
            wire::finish_request::Report::Paused(wire::Paused { rung, checkpoint, value }) => Self::Paused {
                rung,
                checkpoint: required("checkpoint", checkpoint)?.try_into()?,
                value: value.and_then(Finite::new),
            },
            wire::finish_request::Report::Stopped(wire::Nothing {}) => Self::Stopped,
        })
    }
}

impl From<Ending> for wire::Ending {
    fn from(ending: Ending) -> Self {
        use wire::ending::End as Wire;
        let rungs = ending.rungs.into_iter().map(|value| wire::RungValue { value: value.map(Finite::get) });
        let end = match ending.end {
            End::Succeeded(outcome) => Wire::Succeeded(outcome),
            End::Failed { class, message } => Wire::Failed(wire::Failure { class: class.as_str().to_owned(), message }),
            End::Pruned => Wire::Pruned(wire::Nothing {}),
        };
        let (rungs, arrivals) = (rungs.collect(), ending.arrivals);
        Self { payload: ending.payload, rungs, arrivals, told: ending.told, end: Some(end) }
    }
}

impl TryFrom<wire::Ending> for Ending {
    type Error = Malformed;
    fn try_from(ending: wire::Ending) -> Result<Self, Malformed> {
        use wire::ending::End as Wire;
        let end = match required("end", ending.end)? {
            Wire::Succeeded(outcome) => End::Succeeded(outcome),
            Wire::Failed(failure) => End::Failed { class: parse("class", &failure.class)?, message: failure.message },
            Wire::Pruned(wire::Nothing {}) => End::Pruned,
        };
        let rungs = ending.rungs.into_iter().map(|rung| rung.value.and_then(Finite::new)).collect();
        Ok(Self { payload: ending.payload, rungs, arrivals: ending.arrivals, told: ending.told, end })
    }
}

impl From<Submission> for wire::SubmitRequest {
    fn from(submission: Submission) -> Self {
        let policy = submission.policy;
        Self {
            experiment: submission.experiment.into(),
            name: submission.name.into(),
            payload: submission.payload,
            parallel: policy.parallel,
            attempts: policy.retry.attempts,
            backoff_ms: policy.retry.backoff.millis(),
            timeout_ms: policy.timeout.millis(),
            priority: policy.priority,
            cpus: policy.cpus,
            gpus: policy.gpus,
            gpu_memory_bytes: policy.gpu_memory.map(|memory| memory.0),
            memory_bytes: policy.memory.map(|memory| memory.0),
            custom: policy.custom.into_iter().map(|(name, count)| (name.into(), count)).collect(),
            owner: policy.owner.map(Into::into),
            after: policy.after.into_iter().map(Into::into).collect(),
            deadline_us: policy.deadline.map(Timestamp::micros),
            degrade_max: policy.degrade_max.map(u32::from),
            traceparent: policy.trace.map(Into::into),
        }
    }
}

impl TryFrom<wire::SubmitRequest> for Submission {
    type Error = Malformed;
    fn try_from(request: wire::SubmitRequest) -> Result<Self, Malformed> {
        let at_least_one = |field, value: u64| match value {
            0 => Err(Malformed { field, why: "it must be at least 1".to_owned() }),
            _ => Ok(()),
        };
        at_least_one("parallel", request.parallel.map_or(1, u64::from))?;
        at_least_one("attempts", request.attempts.into())?;
        at_least_one("timeout_ms", request.timeout_ms)?;
        at_least_one("cpus", request.cpus.into())?;
        at_least_one("gpu_memory_bytes", request.gpu_memory_bytes.unwrap_or(1))?;
        within("after", request.after.len(), 0..=AFTER_MAX)?;
        if request.gpu_memory_bytes.is_some() && request.gpus != 1 {
            return Err(Malformed { field: "gpu_memory_bytes", why: "a share is of one GPU".to_owned() });
        }
        Ok(Self {
            experiment: parse("experiment", &request.experiment)?,
            name: parse("name", &request.name)?,
            payload: request.payload,
            policy: Policy {
                parallel: request.parallel,
                retry: RetrySpec { attempts: request.attempts, backoff: Span::from_millis(request.backoff_ms) },
                timeout: Span::from_millis(request.timeout_ms),
                priority: request.priority,
                cpus: request.cpus,
                gpus: request.gpus,
                gpu_memory: request.gpu_memory_bytes.map(Bytes),
                memory: request.memory_bytes.map(Bytes),
                custom: custom(request.custom)?,
                owner: request.owner.map(|owner| parse("owner", &owner)).transpose()?,
                after: request.after.iter().map(|other| parse("after", other)).collect::<Result<_, _>>()?,
                deadline: request.deadline_us.map(Timestamp::from_micros),
                degrade_max: request
                    .degrade_max
                    .map(u8::try_from)
                    .transpose()
                    .map_err(|error| Malformed { field: "degrade_max", why: error.to_string() })?,
                trace: request.traceparent.map(|text| parse("traceparent", &text)).transpose()?,
            },
        })
    }
}

#[cfg(test)]
mod tests;
