//! The worker's part of a trace: the attempt itself.

use protocol::{Assignment, Report};
use telemetry::{Outcome, Span, Step, Tracer};

use crate::work::Options;

/// A span that has begun; nothing where nobody traces.
pub(super) struct Trail(Option<Span>);

impl Trail {
    pub(super) fn begin(options: &Options, assignment: &Assignment) -> Self {
        let lease = assignment.trace.filter(|_| options.tracer.is_on());
        let span = |lease: telemetry::TraceContext| {
            let Assignment { trial, attempt, .. } = assignment;
            let began = telemetry::now();
            Span {
                step: Step::Attempt,
                // The scheduler links the result to this name.
                context: lease.named(&format!("attempt {attempt}")),
                parent: Some(lease),
                began,
                ended: began,
                attributes: vec![
                    ("experiment", trial.experiment.to_string()),
                    ("trial", trial.to_string()),
                    ("attempt", attempt.to_string()),
                    ("worker", options.id.to_string()),
                ],
                outcome: Outcome::Ok,
            }
        };
        Self(lease.map(span))
    }

    pub(super) fn end(self, tracer: &Tracer, report: &Report) {
        let Some(span) = self.0 else { return };
        let outcome = match report {
            Report::Failed { class, message } => Outcome::failed(&format_args!("{class}: {message}")),
            Report::Succeeded(_) | Report::Paused { .. } | Report::Stopped => Outcome::Ok,
        };
        tracer.record(Span { ended: telemetry::now(), outcome, ..span });
    }
}
