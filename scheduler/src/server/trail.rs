//! The scheduler's part of a trace: an experiment taken in, an attempt leased, its result journalled. Off, it costs a look at
//! an option.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use market::Timestamp;
use protocol::{Assignment, Refusal, Report, Submission};
use spec::{AttemptId, TrialId, WorkerId};
use telemetry::{Outcome, Span, Step, TraceContext, Tracer};

use crate::clock::Clock;

/// Leases remembered until their results come: more than run at once. Who is lost never reports.
const LEASES_MAX: usize = 65_536;

pub(super) struct Trail {
    tracer: Tracer,
    clock: Clock,
    /// Guards who was leased what; a result finds its trace by it.
    leases: Mutex<BTreeMap<AttemptId, (TraceContext, TrialId)>>,
}

/// A step that has begun.
pub(super) struct Begun(Span);

impl Trail {
    pub(super) fn new(tracer: Tracer, clock: Clock) -> Self {
        Self { tracer, clock, leases: Mutex::default() }
    }

    /// When something begins; `None` when nobody wants to know.
    pub(super) fn now(&self) -> Option<Timestamp> {
        self.tracer.is_on().then(|| self.clock.now())
    }

    /// An experiment comes in. Begins its trace where its client began none.
    pub(super) fn submit(&self, submission: &mut Submission) -> Option<Begun> {
        let began = self.now()?;
        let parent = submission.policy.trace;
        let context = match parent {
            Some(parent) => parent.named("taken in"),
            None => TraceContext::root(random()?),
        };
        submission.policy.trace = Some(context);
        let attributes = vec![("experiment", submission.experiment.to_string())];
        Some(begun(Step::Submit, context, parent, began, attributes))
    }

    /// `worker`, who asked at `asked`, gets `assignment`; what it does with it is a part of the lease.
    pub(super) fn lease(&self, asked: Option<Timestamp>, worker: &WorkerId, assignment: &mut Assignment) {
        let (Some(asked), Some(submitted)) = (asked, assignment.trace) else { return };
        let context = submitted.named(&format!("lease {}", assignment.attempt));
        assignment.trace = Some(context);
        let mut leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        leases.insert(assignment.attempt, (context, assignment.trial.clone()));
        if leases.len() > LEASES_MAX {
            leases.pop_first();
        }
        drop(leases);
        let attributes = about(&assignment.trial, assignment.attempt, worker);
        let leased = begun(Step::Lease, context, Some(submitted), asked, attributes);
        self.end(Some(leased), &Ok::<_, Refusal>(()));
    }

    /// A result comes in.
    pub(super) fn result(&self, worker: &WorkerId, attempt: AttemptId, report: &Report) -> Option<Begun> {
        let began = self.now()?;
        let (lease, trial) = self.leases.lock().unwrap_or_else(PoisonError::into_inner).remove(&attempt)?;
        let mut attributes = about(&trial, attempt, worker);
        attributes.push(("report", name(report).to_owned()));
        let ran = lease.named(&format!("attempt {attempt}"));
        Some(begun(Step::Result, lease.named(&format!("result {attempt}")), Some(ran), began, attributes))
    }

    /// A step has ended, now.
    pub(super) fn end<T>(&self, begun: Option<Begun>, answer: &Result<T, Refusal>) {
        let Some(Begun(span)) = begun else { return };
        let outcome = answer.as_ref().err().map_or(Outcome::Ok, Outcome::failed);
        self.tracer.record(Span { ended: self.clock.now(), outcome, ..span });
    }

    /// A step is an instant, now: its answer waits for something else.
    pub(super) fn came_in(&self, begun: Option<Begun>) {
        if let Some(Begun(span)) = begun {
            self.tracer.record(span);
        }
    }
}

fn begun(
    step: Step,
    context: TraceContext,
    parent: Option<TraceContext>,
    began: Timestamp,
    attributes: Vec<(&'static str, String)>,
) -> Begun {
    Begun(Span { step, context, parent, began, ended: began, attributes, outcome: Outcome::Ok })
}

fn about(trial: &TrialId, attempt: AttemptId, worker: &WorkerId) -> Vec<(&'static str, String)> {
    vec![
        ("experiment", trial.experiment.to_string()),
        ("trial", trial.to_string()),
        ("attempt", attempt.to_string()),
        ("worker", worker.to_string()),
    ]
}

const fn name(report: &Report) -> &'static str {
    match report {
        Report::Succeeded(_) => "succeeded",
        Report::Failed { .. } => "failed",
        Report::Paused { .. } => "paused",
        Report::Stopped => "stopped",
    }
}

fn random() -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    // Without randomness there is no trace; the work goes on.
    getrandom::fill(&mut bytes).ok().map(|()| bytes)
}
