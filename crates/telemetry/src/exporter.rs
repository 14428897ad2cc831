//! How spans reach a collector: OTLP over gRPC, or as protobuf over HTTP.

use std::error::Error;
use std::time::Duration;

use prost::Message as _;
use reqwest::Url;
use reqwest::header::CONTENT_TYPE;
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
            .ok_or_else(|| TelemetryError::Endpoint(endpoint.to_owned()))?
            .connect_timeout(EXPORT_MAX)
            .timeout(EXPORT_MAX)
            .connect_lazy();
        Ok(Self::Grpc(channel))
    }

    /// To `http://HOST:PORT/PATH`.
    pub(crate) fn http(traces: &str) -> Result<Self, TelemetryError> {
        let url = Url::parse(traces).ok().filter(|url| url.scheme() == "http" && url.has_host());
        let url = url.ok_or_else(|| TelemetryError::Endpoint(traces.to_owned()))?;
        // As over gRPC no proxy stands between.
        let client = reqwest::Client::builder().no_proxy().connect_timeout(EXPORT_MAX).timeout(EXPORT_MAX).build();
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
                sent.and_then(reqwest::Response::error_for_status)
                    .map(drop)
                    .map_err(|error| chain(&error.without_url()))
            }
        }
    }
}

fn chain(error: &dyn Error) -> String {
    std::iter::successors(Some(error), |error| (*error).source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}
