//! A collector in this process, for tests: it keeps the spans that it is told.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use prost::Message as _;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tonic::body::Body;
use tonic::codegen::{Service, http};
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

use crate::context::TraceContext;
use crate::otlp::{EXPORT, ExportReply, ExportRequest, KeyValue};

/// A span as it was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Whose it is.
    pub service: String,
    /// Its name.
    pub name: String,
    /// Its trace, in hex.
    pub trace: String,
    /// Itself, in hex.
    pub span: String,
    /// What it follows from, in hex.
    pub parent: Option<String>,
    /// How long it took.
    pub duration: Duration,
    /// What it was about.
    pub attributes: BTreeMap<String, String>,
    /// Its failure.
    pub failure: Option<String>,
}

type Spans = Arc<Mutex<Vec<Heard>>>;

/// Listens until it is dropped.
pub struct Collector {
    endpoint: String,
    spans: Spans,
    server: tokio::task::JoinHandle<()>,
}

impl Collector {
    /// Starts one that speaks gRPC, on a free port of this machine.
    ///
    /// # Errors
    /// As the system says.
    pub async fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let spans = Spans::default();
        let server = tonic::transport::Server::builder().add_service(Export(Arc::clone(&spans)));
        let server = tokio::spawn(async move {
            // Errs only when the port fails: then nothing is heard, which the test says.
            let _ = server.serve_with_incoming(TcpIncoming::from(listener)).await;
        });
        Ok(Self { endpoint, spans, server })
    }

    /// Starts one that takes protobuf over HTTP, on a free port of this machine: a call a connection, one after the
    /// other. Below `/moved` it says that it moved.
    ///
    /// # Errors
    /// As the system says.
    pub async fn start_http() -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let spans = Spans::default();
        let kept = Arc::clone(&spans);
        let server = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                // Errs when something else is said: then nothing is heard, which the test says.
                let _ = hear(socket, &kept).await;
            }
        });
        Ok(Self { endpoint, spans, server })
    }

    /// Where it listens.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// What it heard so far.
    #[must_use]
    pub fn spans(&self) -> Vec<Heard> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// The span of a context, in hex.
#[must_use]
pub fn span_id(context: &TraceContext) -> String {
    hex::encode(context.span)
}

#[derive(Clone)]
struct Export(Spans);

impl NamedService for Export {
    const NAME: &'static str = "opentelemetry.proto.collector.trace.v1.TraceService";
}

impl Service<http::Request<Body>> for Export {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, asked: http::Request<Body>) -> Self::Future {
        let export = self.clone();
        Box::pin(async move {
            if asked.uri().path() != EXPORT {
                return Ok(Status::unimplemented("this collector takes traces").into_http());
            }
            let codec = ProstCodec::<ExportReply, ExportRequest>::default();
            Ok(Grpc::new(codec).unary(export, asked).await)
        })
    }
}

impl UnaryService<ExportRequest> for Export {
    type Response = ExportReply;
    type Future = std::future::Ready<Result<Response<ExportReply>, Status>>;

    fn call(&mut self, request: Request<ExportRequest>) -> Self::Future {
        keep(&self.0, request.into_inner());
        std::future::ready(Ok(Response::new(ExportReply {})))
    }
}

/// One call over HTTP/1.1, answered and closed.
async fn hear(socket: TcpStream, spans: &Spans) -> std::io::Result<()> {
    let mut socket = BufReader::new(socket);
    let (mut lines, mut length) = (Vec::new(), 0);
    loop {
        let mut line = String::new();
        socket.read_line(&mut line).await?;
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(bytes) = line.strip_prefix("content-length:") {
            length = bytes.trim().parse::<usize>().map_err(std::io::Error::other)?;
        }
        lines.push(line);
    }
    let mut body = vec![0; length];
    socket.read_exact(&mut body).await?;
    let is_protobuf = lines.iter().any(|line| line == "content-type: application/x-protobuf");
    let answer = match lines.first().map(String::as_str) {
        Some("post /v1/traces http/1.1") if is_protobuf => "200 OK",
        Some("post /moved/v1/traces http/1.1") => "302 Found\r\nlocation: /v1/traces",
        Some(_) | None => "404 Not Found",
    };
    if answer == "200 OK" {
        keep(spans, ExportRequest::decode(body.as_slice()).map_err(std::io::Error::other)?);
    }
    let answer = format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    socket.write_all(answer.as_bytes()).await?;
    socket.flush().await
}

fn keep(spans: &Spans, request: ExportRequest) {
    let mut kept = spans.lock().unwrap_or_else(PoisonError::into_inner);
    for resource in request.resource_spans {
        let about = pairs(resource.resource.map(|resource| resource.attributes).unwrap_or_default());
        let service = about.get("service.name").cloned().unwrap_or_default();
        for span in resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            let parent = (!span.parent_span_id.is_empty()).then(|| hex::encode(&span.parent_span_id));
            let nanos = span.end_time_unix_nano.saturating_sub(span.start_time_unix_nano);
            kept.push(Heard {
                service: service.clone(),
                name: span.name,
                trace: hex::encode(&span.trace_id),
                span: hex::encode(&span.span_id),
                parent,
                duration: Duration::from_nanos(nanos),
                attributes: pairs(span.attributes),
                failure: span.status.filter(|status| status.code == 2).map(|status| status.message),
            });
        }
    }
}

fn pairs(attributes: Vec<KeyValue>) -> BTreeMap<String, String> {
    attributes.into_iter().filter_map(|pair| Some((pair.key, pair.value?.text?))).collect()
}
