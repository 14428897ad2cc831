//! What an OpenTelemetry collector hears of an experiment.

use std::collections::BTreeMap;

use telemetry::collector::{Collector, Heard, span_id};
use telemetry::{TraceContext, Tracer};

use super::*;

/// A scheduler on `home` and, where it is to do the work, a worker, both traced.
async fn traced(home: &Path, collector: &Collector) -> (Handle, Client) {
    let tracer = Tracer::to(collector.endpoint(), "scheduler").unwrap();
    let config = Config { tracer, grace: Span::from_millis(1), ..config(home) };
    let handle = scheduler::start(config, sweeps(), None).await.unwrap();
    let client = handle.client().await.unwrap();
    (handle, client)
}

fn by_name<'a>(spans: &'a [Heard], name: &str) -> BTreeMap<&'a str, &'a Heard> {
    let of = spans.iter().filter(|span| span.name == name);
    of.map(|span| (span.attributes.get("attempt").map_or("", String::as_str), span)).collect()
}

#[tokio::test]
async fn one_trace_links_submission_leases_attempts_and_results_across_a_restart() {
    let home = tempfile::tempdir().unwrap();
    let collector = Collector::start().await.unwrap();
    let root = TraceContext::root([9; 32]);
    let (handle, client) = traced(home.path(), &collector).await;
    let mut submission = scripts(&["succeed", "fail bug"]);
    submission.policy.trace = Some(root);
    submission.policy.retry.attempts = 1;
    client.submit(submission).await.unwrap();
    handle.stop().await.unwrap();

    let (handle, client) = traced(home.path(), &collector).await;
    let tracer = Tracer::to(collector.endpoint(), "worker").unwrap();
    let options =
        Options { tracer: tracer.clone(), ..Options::new(handle.url(), handle.token().clone(), "w".parse().unwrap()) };
    let working = tokio::spawn(worker::run(options, Rehearsal, std::future::pending()));
    let detail = ended(&client).await;
    working.abort();
    handle.stop().await.unwrap();
    tracer.flush().await;
    let attempts: usize = detail.trials.iter().map(|trial| trial.attempts as usize).sum();
    assert_eq!(attempts, 2, "each trial has one attempt");

    // The scheduler's half is sent by a task of its own; it is behind by milliseconds.
    let all = async {
        while collector.spans().len() < 1 + 3 * attempts {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), all).await.expect("every span is heard");
    let spans = collector.spans();
    assert_eq!(spans.len(), 1 + 3 * attempts, "each step is told once");
    assert!(spans.iter().all(|span| span.trace == root.trace_id()), "it is one trace");
    let submit = by_name(&spans, "submit")[""];
    assert_eq!((submit.parent.clone(), submit.service.as_str()), (Some(span_id(&root)), "scheduler"));
    let (leases, ran, results) = (by_name(&spans, "lease"), by_name(&spans, "attempt"), by_name(&spans, "result"));
    assert_eq!((leases.len(), ran.len(), results.len()), (attempts, attempts, attempts));
    for (attempt, lease) in leases {
        assert_eq!(lease.parent.as_ref(), Some(&submit.span));
        assert_eq!(ran[attempt].parent.as_ref(), Some(&lease.span));
        assert_eq!(results[attempt].parent.as_ref(), Some(&ran[attempt].span));
        assert_eq!((ran[attempt].service.as_str(), &ran[attempt].attributes["worker"]), ("worker", &"w".to_owned()));
        let failed = lease.attributes["trial"] == "rehearsal.1";
        assert_eq!(ran[attempt].failure.is_some(), failed, "{:?}", ran[attempt]);
        assert_eq!(results[attempt].attributes["report"], if failed { "failed" } else { "succeeded" });
    }
}

#[tokio::test]
async fn what_nobody_traces_has_no_context() {
    let home = tempfile::tempdir().unwrap();
    let (handle, client) = begin(home.path()).await;
    let view = client.submit(scripts(&["succeed"])).await.unwrap();
    assert_eq!(view.policy.trace, None);
    let worker = "w".parse().unwrap();
    client.register(protocol::Registration::of("w".parse().unwrap(), 1)).await.unwrap();
    assert_eq!(client.lease(&worker).await.unwrap().unwrap().trace, None);
    handle.stop().await.unwrap();
}
