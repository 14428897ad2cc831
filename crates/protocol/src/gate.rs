//! What stands before the service: the handshake of a connection, then, for each call, who asks and whether it may.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::{Service as Call, http};
use tonic::server::NamedService;
use tonic::transport::server::{TcpConnectInfo, TlsConnectInfo};

use crate::access::{Access, Caller, Rpc};
use crate::refusals::{Refusal, Refusals};

/// Longest handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Handshakes at once: who says nothing keeps no more memory than these.
const HANDSHAKES_MAX: usize = 256;

/// Connections that wait to be served.
const ACCEPTED_MAX: usize = 64;

/// Wait after the system had no connection to give: it is out of files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Connections whose handshake went well; what went wrong is counted.
pub(crate) fn accept(
    listener: TcpListener,
    tls: TlsAcceptor,
    refusals: Refusals,
) -> ReceiverStream<io::Result<TlsStream<TcpStream>>> {
    let (accepted, connections) = mpsc::channel(ACCEPTED_MAX);
    let handshakes = Arc::new(Semaphore::new(HANDSHAKES_MAX));
    tokio::spawn(async move {
        loop {
            let Ok(permit) = Arc::clone(&handshakes).acquire_owned().await else { return };
            let stream = tokio::select! {
                stream = listener.accept() => stream,
                () = accepted.closed() => return,
            };
            let Ok((stream, _)) = stream else {
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            };
            let (tls, refusals, accepted) = (tls.clone(), refusals.clone(), accepted.clone());
            tokio::spawn(async move {
                let _permit = permit;
                // A connection without it is only slower.
                let _ = stream.set_nodelay(true);
                match tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
                    // Errs only when the server ends.
                    Ok(Ok(stream)) => drop(accepted.send(Ok(stream)).await),
                    Ok(Err(error)) => refusals.count(failed(&error)),
                    Err(_) => refusals.count("handshake"),
                }
            });
        }
    });
    ReceiverStream::new(connections)
}

/// Why a handshake failed, as it is counted.
fn failed(error: &io::Error) -> &'static str {
    match error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(_)) => "certificate",
        Some(rustls::Error::InvalidMessage(_)) => "plain_text",
        Some(_) | None => "handshake",
    }
}

/// Who is let through.
#[derive(Clone)]
pub(crate) enum Admission {
    /// Everyone.
    Open,
    /// Callers whose role may ask for the call.
    Callers(Arc<Access>),
}

/// Lets calls through to a service, and counts the refusals of both.
#[derive(Clone)]
pub(crate) struct Gate<S> {
    pub(crate) inner: S,
    pub(crate) admission: Admission,
    pub(crate) refusals: Refusals,
}

impl<S: NamedService> NamedService for Gate<S> {
    const NAME: &'static str = S::NAME;
}

impl Admission {
    fn admit<T>(&self, asked: &http::Request<T>) -> Result<Option<Caller>, Status> {
        let Self::Callers(access) = self else { return Ok(None) };
        let header = asked.headers().get("authorization").map(http::HeaderValue::as_bytes);
        let shown = asked.extensions().get::<TlsConnectInfo<TcpConnectInfo>>().and_then(TlsConnectInfo::peer_certs);
        let certificate = shown.as_ref().and_then(|chain| chain.first());
        let caller = access.admit(header, certificate)?;
        let path = asked.uri().path();
        let rpc = Rpc::of(path).ok_or_else(|| Status::unimplemented(format!("there is no call {path}")))?;
        caller.may(rpc)?;
        Ok(Some(caller))
    }
}

/// The answer of a call, on its way.
type Answer<E> = Pin<Box<dyn Future<Output = Result<http::Response<Body>, E>> + Send>>;

impl<S, T> Call<http::Request<T>> for Gate<S>
where
    S: Call<http::Request<T>, Response = http::Response<Body>, Future: Send + 'static>,
    S::Error: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Answer<S::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut asked: http::Request<T>) -> Self::Future {
        let refusals = self.refusals.clone();
        match self.admission.admit(&asked) {
            Ok(caller) => {
                if let Some(caller) = caller {
                    asked.extensions_mut().insert(caller);
                }
                let answer = self.inner.call(asked);
                Box::pin(async move {
                    let answer = answer.await;
                    if let Ok(answer) = &answer {
                        refusals.read(answer.headers());
                    }
                    answer
                })
            }
            Err(status) => {
                let answer = status.into_http();
                refusals.read(answer.headers());
                Box::pin(std::future::ready(Ok(answer)))
            }
        }
    }
}

/// Who asks, as the gate found out.
pub(crate) fn caller<T>(request: &tonic::Request<T>) -> Result<&Caller, Refusal> {
    // The gate lets nobody through without; a service that stands before none refuses everybody.
    request.extensions().get::<Caller>().ok_or(Refusal::Stranger)
}
