//! Sends spans to a collector by OTLP. Whoever records one never waits: what does not fit the queue is dropped and counted.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use market::Timestamp;
use tokio::sync::{mpsc, oneshot};

use crate::context::TraceContext;
use crate::exporter::{EXPORT_MAX, Exporter};
use crate::otlp::request;

/// Spans that wait to be sent.
const SPANS_MAX: usize = 4_096;

/// Spans of one message.
const BATCH_MAX: usize = 512;

/// Bytes of a failure's message in a span.
const MESSAGE_MAX: usize = 512;

/// A step of the road from submission to result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// An experiment is handed to a scheduler, and taken in by it.
    Submit,
    /// An attempt is given to a worker.
    Lease,
    /// A worker runs it.
    Attempt,
    /// Its result is journalled.
    Result,
}

impl Step {
    /// The name of its span.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Submit => "submit",
            Self::Lease => "lease",
            Self::Attempt => "attempt",
            Self::Result => "result",
        }
    }
}

/// How a step ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As it should.
    Ok,
    /// With this failure.
    Failed(String),
}

impl Outcome {
    /// A failure, in at most [`MESSAGE_MAX`] bytes.
    #[must_use]
    pub fn failed(message: &impl fmt::Display) -> Self {
        let mut message = message.to_string();
        message.truncate(message.floor_char_boundary(MESSAGE_MAX));
        Self::Failed(message)
    }
}

/// A step with its times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// Which.
    pub step: Step,
    /// Itself.
    pub context: TraceContext,
    /// What it follows from.
    pub parent: Option<TraceContext>,
    /// When it began.
    pub began: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// What it was about, such as the trial.
    pub attributes: Vec<(&'static str, String)>,
    /// How it ended.
    pub outcome: Outcome,
}

/// The collector cannot be used as configured.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The address is not one.
    #[error(
        "OTEL_EXPORTER_OTLP_ENDPOINT `{0}` is not a collector: write http://HOST:PORT, where it speaks gRPC (4317), \
         or HTTP with OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf (4318)"
    )]
    Endpoint(String),
    /// Another way of speaking is asked for.
    #[error("OTEL_EXPORTER_OTLP_PROTOCOL `{0}` is not spoken here: use grpc or http/protobuf")]
    Protocol(String),
    /// This machine cannot speak HTTP.
    #[error("spans cannot be sent over HTTP from this machine: {0}; use OTEL_EXPORTER_OTLP_PROTOCOL=grpc")]
    Client(String),
}

enum Message {
    Span(Box<Span>),
    /// Everything before it has been sent.
    Sent(oneshot::Sender<()>),
}

/// Records spans; one that is off does nothing. Clones share their collector.
#[derive(Clone, Default)]
pub struct Tracer(Option<Arc<Queue>>);

struct Queue {
    messages: mpsc::Sender<Message>,
    dropped: AtomicU64,
}

impl fmt::Debug for Tracer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_on() { "Tracer(on)" } else { "Tracer(off)" })
    }
}

impl Tracer {
    /// A tracer of `service` to the collector that speaks gRPC at `endpoint`, `http://HOST:PORT`. Sends from a task of the
    /// present runtime.
    ///
    /// # Errors
    /// [`TelemetryError::Endpoint`].
    pub fn to(endpoint: &str, service: &'static str) -> Result<Self, TelemetryError> {
        Ok(Self::by(Exporter::grpc(endpoint)?, service))
    }

    fn by(exporter: Exporter, service: &'static str) -> Self {
        let (messages, received) = mpsc::channel(SPANS_MAX);
        tokio::spawn(send(exporter, service, received));
        Self(Some(Arc::new(Queue { messages, dropped: AtomicU64::new(0) })))
    }

    /// The tracer that the environment asks for by OpenTelemetry's variables, read through `variable`; off where none is named.
    ///
    /// # Errors
    /// [`TelemetryError`].
    pub fn configured(
        variable: impl Fn(&str) -> Option<String>,
        service: &'static str,
    ) -> Result<Self, TelemetryError> {
        let said = |name: &str| variable(name).filter(|value| !value.is_empty());
        let of_traces = said("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
        let Some(endpoint) = of_traces.clone().or_else(|| said("OTEL_EXPORTER_OTLP_ENDPOINT")) else {
            return Ok(Self::default());
        };
        let protocol = said("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL").or_else(|| said("OTEL_EXPORTER_OTLP_PROTOCOL"));
        match protocol.as_deref() {
            None | Some("grpc") => Self::to(&endpoint, service),
            Some("http/protobuf") => {
                // Over HTTP the one variable names the place of traces, the other what it lies below.
                let below = || format!("{}/v1/traces", endpoint.trim_end_matches('/'));
                Ok(Self::by(Exporter::http(&of_traces.unwrap_or_else(below))?, service))
            }
            Some(other) => Err(TelemetryError::Protocol(other.to_owned())),
        }
    }

    /// Whether spans go anywhere: what costs time to say need not be said otherwise.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Records a span. Never waits.
    pub fn record(&self, span: Span) {
        let Some(queue) = &self.0 else { return };
        if queue.messages.try_send(Message::Span(Box::new(span))).is_err() {
            queue.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Spans that were dropped because the collector was too slow.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.0.as_ref().map_or(0, |queue| queue.dropped.load(Ordering::Relaxed))
    }

    /// Waits until everything that was recorded is sent, or the collector took too long.
    pub async fn flush(&self) {
        let Some(queue) = &self.0 else { return };
        let (sent, all_sent) = oneshot::channel();
        let flush = async {
            // Both err only when the runtime ends.
            let _ = queue.messages.send(Message::Sent(sent)).await;
            let _ = all_sent.await;
        };
        let _ = tokio::time::timeout(2 * EXPORT_MAX, flush).await;
    }
}

async fn send(exporter: Exporter, service: &'static str, mut received: mpsc::Receiver<Message>) {
    let mut messages = Vec::with_capacity(BATCH_MAX);
    let mut away = false;
    while received.recv_many(&mut messages, BATCH_MAX).await > 0 {
        let (mut spans, mut flushed) = (Vec::new(), Vec::new());
        for message in messages.drain(..) {
            match message {
                Message::Span(span) => spans.push(*span),
                Message::Sent(sent) => flushed.push(sent),
            }
        }
        if !spans.is_empty() {
            let sent = exporter.export(request(service, spans)).await;
            // Said once, until it is back: traces are for people, and work goes on without.
            match sent {
                Ok(()) => away = false,
                Err(why) if !away => {
                    away = true;
                    tracing::warn!(why, "collector takes no spans");
                }
                Err(_) => {}
            }
        }
        for sent in flushed {
            // Errs when nobody waits any more.
            let _ = sent.send(());
        }
    }
}

/// The wall clock, for the rims that have none of their own.
#[must_use]
#[allow(clippy::disallowed_methods, reason = "a span says when")]
pub fn now() -> Timestamp {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::collector::{self, Collector};

    fn span(context: TraceContext) -> Span {
        let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        Span {
            step: Step::Lease,
            context,
            parent: Some(context.named("submit")),
            began: at(5),
            ended: at(7),
            attributes: vec![("trial", "pairs.0".to_owned())],
            outcome: Outcome::failed(&"é".repeat(600)),
        }
    }

    #[tokio::test]
    async fn a_collector_hears_what_was_recorded() {
        let collector = Collector::start().await.unwrap();
        let tracer = Tracer::to(collector.endpoint(), "test").unwrap();
        let root = TraceContext::root([3; 32]);
        tracer.record(span(root));
        tracer.flush().await;
        let heard = collector.spans();
        assert_eq!(heard.len(), 1);
        let heard = &heard[0];
        assert_eq!((heard.name.as_str(), heard.service.as_str()), ("lease", "test"));
        assert_eq!((heard.trace.clone(), heard.duration), (root.trace_id(), Duration::from_secs(2)));
        assert_eq!(heard.parent, Some(collector::span_id(&root.named("submit"))));
        assert_eq!(heard.attributes.get("trial").map(String::as_str), Some("pairs.0"));
        assert_eq!(heard.failure.as_deref().map(str::len), Some(MESSAGE_MAX));
        assert_eq!(tracer.dropped(), 0);
    }

    #[tokio::test]
    async fn a_collector_that_speaks_http_hears_the_same() {
        let collector = Collector::start_http().await.unwrap();
        let root = TraceContext::root([3; 32]);
        let places = [("OTEL_EXPORTER_OTLP_ENDPOINT", ""), ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "/v1/traces")];
        for (heard, (variable, path)) in (1..).zip(places) {
            let get = |name: &str| match name {
                "OTEL_EXPORTER_OTLP_PROTOCOL" => Some("http/protobuf".to_owned()),
                name => (name == variable).then(|| format!("{}{path}", collector.endpoint())),
            };
            let tracer = Tracer::configured(get, "test").unwrap();
            tracer.record(span(root));
            tracer.flush().await;
            assert_eq!(collector.spans().len(), heard, "{variable}");
        }
        let heard = &collector.spans()[0];
        assert_eq!((heard.name.as_str(), heard.service.as_str()), ("lease", "test"));
        assert_eq!(heard.parent, Some(collector::span_id(&root.named("submit"))));
    }

    #[tokio::test]
    async fn a_collector_that_has_moved_has_taken_nothing() {
        let collector = Collector::start_http().await.unwrap();
        let exporter = Exporter::http(&format!("{}/moved/v1/traces", collector.endpoint())).unwrap();
        let why = exporter.export(request("test", vec![span(TraceContext::root([3; 32]))])).await.unwrap_err();
        assert!(why.contains("302"), "{why}");
        assert!(collector.spans().is_empty());
    }

    #[tokio::test]
    async fn an_address_that_cannot_be_used_is_told_without_its_secrets() {
        for address in ["https://u:s3cret@box:4318", "u:s3cret@box", "https://box/?key=s3cret"] {
            for protocol in ["grpc", "http/protobuf"] {
                let get = |name: &str| match name {
                    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" => Some(address.to_owned()),
                    "OTEL_EXPORTER_OTLP_PROTOCOL" => Some(protocol.to_owned()),
                    _ => None,
                };
                let error = Tracer::configured(get, "test").unwrap_err();
                assert!(!format!("{error} {error:?}").contains("s3cret"), "{error}");
            }
        }
    }

    #[tokio::test]
    async fn nobody_waits_for_a_collector_that_is_away_and_nothing_grows() {
        let tracer = Tracer::to("http://127.0.0.1:1", "test").unwrap();
        for index in 0..2 * SPANS_MAX {
            tracer.record(span(TraceContext::root([3; 32]).named(&index.to_string())));
        }
        assert!(tracer.dropped() >= (SPANS_MAX - BATCH_MAX) as u64, "{}", tracer.dropped());
        tracer.flush().await;
    }

    #[tokio::test]
    async fn the_environment_says_where_to_and_what_it_cannot_have_is_said() {
        let set = |pairs: &'static [(&str, &str)]| {
            let get = |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
            Tracer::configured(get, "test")
        };
        assert!(!set(&[]).unwrap().is_on());
        assert!(!set(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "")]).unwrap().is_on());
        assert!(set(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4317")]).unwrap().is_on());
        for endpoint in ["https://box:4317", "box:4317", "nonsense"] {
            let get = |name: &str| (name == "OTEL_EXPORTER_OTLP_ENDPOINT").then(|| endpoint.to_owned());
            let error = Tracer::configured(get, "test").unwrap_err();
            assert!(error.to_string().contains(&format!("`{endpoint}` is not a collector")), "{error}");
        }
        let over = |endpoint: &'static str, protocol: &'static str| {
            let pairs = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint), ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)];
            let get = |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
            Tracer::configured(get, "test")
        };
        assert!(over("http://box:4318", "http/protobuf").unwrap().is_on());
        let error = over("https://box:4318", "http/protobuf").unwrap_err().to_string();
        assert!(error.contains("`https://box:4318/v1/traces` is not a collector"), "{error}");
        let error = over("http://box:4318", "http/json").unwrap_err().to_string();
        assert_eq!(error, "OTEL_EXPORTER_OTLP_PROTOCOL `http/json` is not spoken here: use grpc or http/protobuf");
    }
}
