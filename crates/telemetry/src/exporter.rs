//! How spans reach a collector: OTLP over gRPC, or as protobuf over HTTP.

use std::error::Error;
use std::time::Duration;

use prost::Message as _;
use reqwest::Url;
use reqwest::header::CONTENT_TYPE;
use reqwest::redirect::Policy;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic_prost::ProstCodec;

use crate::otlp::{EXPORT, ExportReply, ExportRequest};
use crate::tracer::TelemetryError;

/// Longest wait for a collector: it may be away.
pub(crate) const EXPORT_MAX: Duration = Duration::from_secs(2);

/// A way to a collector; nothing is sent before the first export.
pub(crate) enum Exporter {
    Grpc(Channel),
    Http {
        client: reqwest::Client,
        /// Where it takes traces, path and all.
        traces: Url,
    },
}

impl Exporter {
    /// To `http://HOST:PORT`.
    pub(crate) fn grpc(endpoint: &str) -> Result<Self, TelemetryError> {
        let channel = Endpoint::from_shared(endpoint.to_owned())
            .ok()
            .filter(|found| found.uri().scheme_str() == Some("http") && found.uri().host().is_some())
            .ok_or_else(|| TelemetryError::Endpoint(without_secrets(endpoint)))?
            .connect_timeout(EXPORT_MAX)
            .timeout(EXPORT_MAX)
            .connect_lazy();
        Ok(Self::Grpc(channel))
    }

    /// To `http://HOST:PORT/PATH`.
    pub(crate) fn http(traces: &str) -> Result<Self, TelemetryError> {
        let url = Url::parse(traces).ok().filter(|url| url.scheme() == "http" && url.has_host());
        let url = url.ok_or_else(|| TelemetryError::Endpoint(without_secrets(traces)))?;
        // As over gRPC no proxy stands between, and nobody sends the spans elsewhere.
        let client = reqwest::Client::builder().no_proxy().redirect(Policy::none());
        let client = client.connect_timeout(EXPORT_MAX).timeout(EXPORT_MAX).build();
        let client = client.map_err(|error| TelemetryError::Client(chain(&error)))?;
        Ok(Self::Http { client, traces: url })
    }

    /// Sends `message`; else says why it was not taken.
    pub(crate) async fn export(&self, message: ExportRequest) -> Result<(), String> {
        match self {
            Self::Grpc(channel) => {
                let mut client = tonic::client::Grpc::new(channel.clone());
                client.ready().await.map_err(|error| chain(&error))?;
                let codec = ProstCodec::<ExportRequest, ExportReply>::default();
                let path = PathAndQuery::from_static(EXPORT);
                let sent = client.unary(tonic::Request::new(message), path, codec).await;
                sent.map(drop).map_err(|status| status.to_string())
            }
            Self::Http { client, traces } => {
                let call = client.post(traces.clone()).header(CONTENT_TYPE, "application/x-protobuf");
                let sent = call.body(message.encode_to_vec()).send().await;
                // The address may hold a password, and is known to whoever wrote it.
                let status = sent.map_err(|error| chain(&error.without_url()))?.status();
                if status.is_success() { Ok(()) } else { Err(format!("it answers {status}")) }
            }
        }
    }
}

/// An address to be shown. Of one that may hold a password or a key, before an `@` or behind a `?`, only the scheme:
/// where it cannot be read, nobody knows which part of it is the secret.
fn without_secrets(address: &str) -> String {
    if !address.contains(['@', '?']) {
        return address.to_owned();
    }
    address.split_once("://").map_or_else(|| "…".to_owned(), |(scheme, _)| format!("{scheme}://…"))
}

fn chain(error: &dyn Error) -> String {
    std::iter::successors(Some(error), |error| (*error).source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}
