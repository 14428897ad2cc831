//! A scheduler that stopped and keeps its connections.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};

use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::body::Body;
use tonic::codegen::{Service, http};
use tonic::server::NamedService;

use super::*;

/// Refuses whatever comes, as a scheduler does whose core has ended.
#[derive(Clone)]
struct Stopped;

impl NamedService for Stopped {
    const NAME: &'static str = "tradewind.v1.Scheduler";
}

impl<T> Service<http::Request<T>> for Stopped {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: http::Request<T>) -> Self::Future {
        ready(Ok(Status::from(Refusal::Stopping).into_http()))
    }
}

#[tokio::test]
async fn a_call_that_is_sent_away_is_not_repeated_over_the_same_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let made = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&made);
    let incoming = TcpListenerStream::new(listener).map(move |stream| {
        count.fetch_add(1, Ordering::Relaxed);
        stream
    });
    let server = tonic::transport::Server::builder().add_service(Stopped).serve_with_incoming(incoming);
    let server = tokio::spawn(server);
    let client = Client::connect(&url, Token::from_random([7; 32]), Span::from_secs(5)).await.unwrap();
    for call in 1..=3 {
        let error = client.list().await.unwrap_err();
        assert!(error.is_transient(), "{error}");
        assert_eq!(made.load(Ordering::Relaxed), call, "each call has a connection of its own");
    }
    server.abort();
}
