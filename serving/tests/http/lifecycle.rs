//! Ports, broken bundles and the end.

use artifacts::{Bundle, Parts};
use serving::{LoadError, ServeError, Server, serve};

use crate::fixture::{ANY, Kind, Running, bundle, options, parts};

#[tokio::test]
async fn a_port_in_use_is_named_and_free_again_after_the_end() {
    let server = Running::start(Kind::Forecaster).await;
    let address = server.address;
    let error = Server::bind(options(bundle(Kind::Forecaster), address)).await.unwrap_err();
    assert!(matches!(error, ServeError::InUse { listen } if listen == address), "{error}");
    assert!(error.to_string().starts_with(&format!("{address} is in use")), "{error}");
    // A client that keeps its connection open does not keep the server from ending.
    assert_eq!(server.get("/healthz", None).await.0, 200);
    server.stop().await;
    serve(options(bundle(Kind::Forecaster), address), async {}).await.unwrap();
}

#[tokio::test]
async fn a_bundle_that_cannot_predict_is_refused_before_it_is_served() {
    let other = parts(Kind::Policy);
    let broken = |change: fn(&mut Parts, Parts)| {
        let mut parts = parts(Kind::Forecaster);
        change(&mut parts, other.clone());
        options(Bundle::build(parts), ANY)
    };
    let error = Server::bind(broken(|parts, other| parts.weights = other.weights)).await.unwrap_err();
    assert!(matches!(error, ServeError::Load(LoadError::Network { .. })), "{error}");
    let error = Server::bind(broken(|parts, _| parts.features = b"{}".to_vec())).await.unwrap_err();
    assert!(matches!(error, ServeError::Load(LoadError::Sight(_))), "{error}");
    let error = Server::bind(broken(|parts, other| {
        parts.network = other.network;
        parts.weights = other.weights;
    }));
    assert!(matches!(error.await, Err(ServeError::Load(LoadError::Network { .. }))));
}
