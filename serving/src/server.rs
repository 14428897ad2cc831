//! The process's side of serving: takes the port, and gives it back when told.

use std::future::{Future, IntoFuture as _};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use artifacts::Bundle;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::desk::{Desk, OpenError, Opened};
use crate::http::{Shared, router};
use crate::key::ApiKey;
use crate::model::LoadError;

/// How long requests that run may go on after the server was told to stop.
const DRAIN_MAX: Duration = Duration::from_secs(5);

/// What is served, where, and to whom.
#[derive(Debug)]
pub struct Options {
    /// Address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The key that requests must carry, on every address.
    pub api_key: ApiKey,
    /// The reference the bundle was found by, such as `quickstart@champion`.
    pub model: String,
    /// The artifact.
    pub bundle: Bundle,
}

impl Options {
    /// Where a server listens unless told otherwise: this machine alone can reach it.
    pub const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8_080);
}

/// Why nothing is served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address belongs to another process.
    #[error("{listen} is in use by another process: stop it, or choose another address with --listen")]
    InUse {
        /// The address.
        listen: SocketAddr,
    },
    /// The address cannot be listened on.
    #[error("{listen} cannot be listened on")]
    Listen {
        /// The address.
        listen: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The bundle cannot be served.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The model's thread cannot be started, or broke while loading.
    #[error("the model cannot be loaded: {why}")]
    Thread {
        /// What happened.
        why: String,
    },
    /// The socket failed while serving.
    #[error("serving on {listen} failed")]
    Failed {
        /// The address.
        listen: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

/// A loaded model with its port.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

impl Server {
    /// Takes the port, then loads the model: connections made meanwhile wait for [`Server::run`].
    ///
    /// # Errors
    /// [`ServeError::InUse`] and [`ServeError::Listen`] for the address, [`ServeError::Load`] for the bundle.
    pub async fn bind(options: Options) -> Result<Self, ServeError> {
        let Options { listen, api_key, model, bundle } = options;
        let refused = |source: io::Error| {
            if source.kind() == io::ErrorKind::AddrInUse {
                return ServeError::InUse { listen };
            }
            ServeError::Listen { listen, source }
        };
        let listener = TcpListener::bind(listen).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let Opened { desk, description, thread } = Desk::open(bundle, model).await.map_err(|error| match error {
            OpenError::Load(error) => ServeError::Load(error),
            error @ (OpenError::Thread(_) | OpenError::Ended) => ServeError::Thread { why: error.to_string() },
        })?;
        Ok(Self { listener, address, shared: Arc::new(Shared { desk, description, api_key }), thread })
    }

    /// The address it listens on.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers requests until `shutdown` completes; those that run then are finished, for a few seconds.
    ///
    /// # Errors
    /// [`ServeError::Failed`].
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send + 'static) -> Result<(), ServeError> {
        let Self { listener, address: listen, shared, thread } = self;
        tracing::info!(%listen, model = shared.description.model, artifact = %shared.description.artifact, "serving");
        let (told, stopping) = oneshot::channel::<()>();
        let graceful = async move {
            shutdown.await;
            drop(told);
        };
        let server = axum::serve(listener, router(shared)).with_graceful_shutdown(graceful);
        let overdue = async {
            // Ends with an error, when the sender is dropped; either way it is time.
            let _ = stopping.await;
            tokio::time::sleep(DRAIN_MAX).await;
        };
        tokio::select! {
            ended = server.into_future() => {
                ended.map_err(|source| ServeError::Failed { listen, source })?;
                // The last desk is gone, so the thread ends; libtorch must not compute while the process exits.
                if tokio::task::spawn_blocking(move || thread.join()).await.is_ok_and(|joined| joined.is_err()) {
                    tracing::warn!(%listen, "the model's thread had panicked");
                }
            }
            () = overdue => tracing::warn!(%listen, "requests were cut off at shutdown"),
        }
        tracing::info!(%listen, "stopped serving");
        Ok(())
    }
}

/// Serves a bundle until `shutdown` completes.
///
/// # Errors
/// As [`Server::bind`] and [`Server::run`].
pub async fn serve(options: Options, shutdown: impl Future<Output = ()> + Send + 'static) -> Result<(), ServeError> {
    Server::bind(options).await?.run(shutdown).await
}
