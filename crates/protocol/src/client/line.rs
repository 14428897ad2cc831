//! One connection to a scheduler: how it is made, what each call shows, and what a failure of it means.

use std::time::Duration;

use tokio_rustls::rustls;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::transport::Endpoint;
use tonic::{Code, Request, Status};
use zeroize::Zeroizing;

use crate::client::ClientError;
use crate::{Credentials, Refusal, Token};

/// The token of a call; over TLS the certificate says who calls.
#[derive(Clone)]
pub(super) struct Bearer(pub(super) Option<MetadataValue<Ascii>>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(bearer) = &self.0 {
            request.metadata_mut().insert("authorization", bearer.clone());
        }
        Ok(request)
    }
}

pub(super) fn endpoint(url: &str, credentials: &Credentials) -> Result<Endpoint, ClientError> {
    let address = || ClientError::Address { url: url.to_owned() };
    let endpoint = Endpoint::from_shared(url.to_owned())
        .map_err(|_| address())?
        .connect_timeout(Duration::from_secs(2))
        .tcp_nodelay(true)
        .http2_keep_alive_interval(Duration::from_secs(10))
        .keep_alive_timeout(Duration::from_secs(10));
    let host = endpoint.uri().host().ok_or_else(address)?;
    match (endpoint.uri().scheme_str(), credentials) {
        (Some("http"), _) if !is_here(host) => Err(ClientError::PlainText { url: url.to_owned() }),
        (Some("http"), Credentials::Token(_)) => Ok(endpoint),
        (Some("https"), Credentials::Member(identity)) => endpoint
            .tls_config(identity.tls())
            .map_err(|error| ClientError::Untrusted { url: url.to_owned(), why: chain(&error) }),
        (_, Credentials::Token(_) | Credentials::Member(_)) => Err(address()),
    }
}

/// Whether a host is this machine: a secret may go there in plain text.
fn is_here(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    address.map_or(host == "localhost", |address| address.is_loopback())
}

pub(super) fn bearer(token: &Token) -> MetadataValue<Ascii> {
    let text = Zeroizing::new(format!("Bearer {}", token.expose()));
    let mut bearer: MetadataValue<Ascii> = text.parse().expect("a token is hex digits");
    bearer.set_sensitive(true);
    bearer
}

/// What an answer says.
pub(crate) fn heard<T>(url: &str, reply: Result<tonic::Response<T>, Status>) -> Result<T, ClientError> {
    reply.map(tonic::Response::into_inner).map_err(|status| refusal(url, &status))
}

/// What TLS says where one side does not trust the other; `None` for failures of another kind.
pub(super) fn distrust(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    let mut next = Some(error);
    while let Some(error) = next {
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        let tls = error.downcast_ref::<rustls::Error>().or_else(|| inner?.downcast_ref());
        if let Some(rustls::Error::InvalidCertificate(_) | rustls::Error::AlertReceived(_)) = tls {
            return tls.map(ToString::to_string);
        }
        next = error.source();
    }
    None
}

pub(super) fn refusal(url: &str, status: &Status) -> ClientError {
    if let Some(refusal) = Refusal::of(status) {
        return ClientError::Refused(refusal);
    }
    let (url, code) = (url.to_owned(), status.code());
    if matches!(code, Code::Unimplemented | Code::DataLoss) {
        return ClientError::Malformed { url, why: status.message().to_owned() };
    }
    if let Some(why) = distrust(status) {
        return ClientError::Untrusted { url, why };
    }
    ClientError::Unreachable { url, why: chain(status) }
}

/// An error and its causes in one line: a transport's own message names only the layer that failed.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let words = cause.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        source = cause.source();
    }
    text
}
