//! The first span of a trace: handing an experiment over.

use anyhow::Result;
use protocol::{Client, ExperimentView, Submission};
use telemetry::{Outcome, Span, Step, TraceContext, Tracer};

use crate::exit::bad_input;
use crate::home::{now, random};

/// The tracer that OpenTelemetry's variables ask for; call it inside a runtime.
pub(crate) fn tracer(service: &'static str) -> Result<Tracer> {
    Tracer::configured(|name| std::env::var(name).ok(), service).map_err(bad_input)
}

/// Submits. Where a collector is configured, this begins the trace, or continues the one that `TRACEPARENT` names.
pub(crate) async fn submit(client: &Client, mut submission: Submission) -> Result<ExperimentView> {
    let tracer = tracer("tradewind")?;
    if !tracer.is_on() {
        return Ok(client.submit(submission).await?);
    }
    let experiment = submission.experiment.to_string();
    let parent: Option<TraceContext> = std::env::var("TRACEPARENT").ok().and_then(|text| text.parse().ok());
    let context = match parent {
        Some(parent) => parent.named(&experiment),
        None => TraceContext::root(random()?),
    };
    submission.policy.trace = Some(context);
    let began = now();
    let submitted = client.submit(submission).await;
    let outcome = submitted.as_ref().err().map_or(Outcome::Ok, Outcome::failed);
    let attributes = vec![("experiment", experiment)];
    tracer.record(Span { step: Step::Submit, context, parent, began, ended: now(), attributes, outcome });
    tracer.flush().await;
    Ok(submitted?)
}
