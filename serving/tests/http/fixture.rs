//! A bundle whose weights come from a seed, and a running server of it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::Path;

use artifacts::{Bundle, BundleKind, Kernel, Parts};
use dataset::{Adjustment, ImportOptions, read_csv};
use features::{FeatureState, Normaliser, compute, observation};
use market::{Bar, Interval};
use models::{Encoder, NetworkKind, NetworkSpec, PolicyHead, Sight};
use serde_json::{Value, json};
use serving::{ApiKey, Options, ServeError, Server};
use spec::{Combination, TrialSpec};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub(crate) const KEY: &str = "0123456789abcdef0123456789abcdef";

/// Bars that the bundle's features have seen.
pub(crate) const TRAINED: usize = 120;

/// Bars in all.
pub(crate) const BARS: usize = 160;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Forecaster,
    Policy,
    /// Acts on what the forecaster has learned beside its own features.
    Learned,
}

/// The first bars of AAPL, adjusted.
pub(crate) fn bars() -> Vec<Bar> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/aapl_daily_2013_2023.csv");
    let options = ImportOptions { symbol: None, interval: Interval::Day, adjustment: Adjustment::AdjustedClose };
    let mut bars = read_csv(&path, &options).unwrap().remove(0).bars;
    bars.truncate(BARS);
    bars
}

fn trial(kind: Kind) -> TrialSpec {
    let (task, model) = match kind {
        Kind::Forecaster => (
            json!({"supervised": {"window": 4, "horizon": 1, "epochs": 1, "learning_rate": 0.001}}),
            json!({"cnn_lstm": {"channels": 4, "hidden": 8}}),
        ),
        Kind::Policy | Kind::Learned => (
            json!({"rl": {"window": 4, "steps": 1, "algorithm": {"ppo": {"learning_rate": 0.001}}}}),
            json!({"mlp": {"hidden": [8]}}),
        ),
    };
    let trial = json!({
        "trial": "fixture-1.0", "params": {}, "seed": 1,
        "data": {
            "source": "aapl", "symbols": ["AAPL"], "interval": "1d",
            "split": {
                "train": ["2013-01-02", "2013-04-30"], "validation": ["2013-05-01", "2013-05-31"],
                "test": ["2013-06-01", "2013-12-31"], "purge": 1, "embargo": 0
            }
        },
        "data_digest": "0".repeat(64),
        "features": [{"log_return": {"bars": 1}}, {"rsi": {"bars": 14}}, {"volume_z": {"bars": 20}}],
        "task": task, "model": model, "env": {}, "strategy": {}, "device": "cpu", "threads": 1
    });
    serde_json::from_value(trial).unwrap()
}

/// What a network sees, fitted on the first [`TRAINED`] bars, standing after them.
fn sight(kind: Kind) -> Sight {
    let (trial, bars) = (trial(kind), bars());
    let (trained, window) = (&bars[..TRAINED], trial.task.window());
    let normaliser = Normaliser::fit(&compute(&trial.features, trained).unwrap(), 0..TRAINED);
    let state = FeatureState::fitted(&trial.features, window, bars[0].time, normaliser).unwrap();
    let fitted = match kind {
        Kind::Forecaster | Kind::Policy => Sight::from(state),
        Kind::Learned => {
            let normaliser = Normaliser::fit(&encoder().matrix(trained).unwrap(), 0..TRAINED);
            Sight::with(state, encoder().fitted(window, normaliser).unwrap()).unwrap()
        }
    };
    let mut stream = fitted.resume();
    trained.iter().for_each(|bar| stream.advance(bar).unwrap());
    stream.sight().unwrap()
}

/// That of the forecaster.
fn encoder() -> Encoder {
    Encoder::load(&bundle(Kind::Forecaster), NonZeroUsize::new(64).unwrap()).unwrap()
}

/// What a bundle is made of.
pub(crate) fn parts(kind: Kind) -> Parts {
    models::single_threaded();
    let trial = trial(kind);
    let sight = sight(kind);
    let network = NetworkSpec {
        kind: match kind {
            Kind::Forecaster => NetworkKind::Forecaster,
            Kind::Policy | Kind::Learned => NetworkKind::Policy {
                head: PolicyHead::Categorical { actions: 2 },
                observation_width: sight.input_width() + observation::POSITION_WIDTH,
                normalised: false,
            },
        },
        model: trial.model.clone(),
        window: trial.task.window(),
        width: sight.width(),
    };
    Parts {
        kind: match kind {
            Kind::Forecaster => BundleKind::Forecaster,
            Kind::Policy | Kind::Learned => BundleKind::Policy,
        },
        weights: models::drawn(&network, 3).unwrap(),
        network: serde_json::to_value(network).unwrap(),
        features: serde_json::to_vec(sight.features()).unwrap(),
        trial,
        code_version: "0.1.0".to_owned(),
        kernel: Kernel { cpu: "any".to_owned(), threads: 1, library: "libtorch".to_owned(), degrade: 0 },
        metrics: BTreeMap::new(),
    }
}

pub(crate) fn bundle(kind: Kind) -> Bundle {
    let bundle = Bundle::build(parts(kind));
    match sight(kind).learned() {
        None => bundle,
        Some(learned) => bundle.encoding(serde_json::to_vec(learned.state()).unwrap(), encoder().weights().to_vec()),
    }
}

/// Two policies that act by the mean of their exposures.
pub(crate) fn ensemble() -> Bundle {
    let first = bundle(Kind::Policy);
    let mut parts = parts(Kind::Policy);
    let network: NetworkSpec = serde_json::from_value(parts.network.clone()).unwrap();
    parts.weights = models::drawn(&network, 4).unwrap();
    let members = [(&first, 0.75), (&Bundle::build(parts), 0.25)];
    Bundle::ensemble(&members, Combination::Mean, BTreeMap::new()).unwrap()
}

/// Serves `bundle` on `listen` to whoever holds [`KEY`].
pub(crate) fn options(bundle: Bundle, listen: SocketAddr) -> Options {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), KEY).unwrap();
    let api_key = ApiKey::read(file.path()).unwrap();
    Options { listen, api_key, model: "fixture@challenger".to_owned(), bundle }
}

/// A free port of this machine.
pub(crate) const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// A server that runs, and a client of it.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<Result<(), ServeError>>,
    client: reqwest::Client,
}

impl Running {
    pub(crate) async fn start(kind: Kind) -> Self {
        Self::of(bundle(kind)).await
    }

    pub(crate) async fn of(bundle: Bundle) -> Self {
        let server = Server::bind(options(bundle, ANY)).await.unwrap();
        let (stop, stopped) = oneshot::channel();
        let address = server.address();
        let ended = tokio::spawn(server.run(async { drop(stopped.await) }));
        Self { address, stop, ended, client: reqwest::Client::builder().no_proxy().build().unwrap() }
    }

    pub(crate) async fn stop(self) {
        self.stop.send(()).unwrap();
        self.ended.await.unwrap().unwrap();
    }

    pub(crate) async fn get(&self, path: &str, key: Option<&str>) -> (u16, Value) {
        let request = self.client.get(format!("http://{}{path}", self.address));
        send(key.into_iter().fold(request, reqwest::RequestBuilder::bearer_auth)).await
    }

    pub(crate) async fn post(&self, path: &str, key: Option<&str>, body: Vec<u8>) -> (u16, Value) {
        let request = self.client.post(format!("http://{}{path}", self.address)).body(body);
        send(key.into_iter().fold(request, reqwest::RequestBuilder::bearer_auth)).await
    }

    /// Asks for an action, with the right key.
    pub(crate) async fn act(&self, body: &Value) -> (u16, Value) {
        self.post("/v1/act", Some(KEY), serde_json::to_vec(body).unwrap()).await
    }

    /// Asks with the right key.
    pub(crate) async fn predict(&self, body: &Value) -> (u16, Value) {
        self.post("/v1/predict", Some(KEY), serde_json::to_vec(body).unwrap()).await
    }
}

async fn send(request: reqwest::RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    (status, serde_json::from_slice(&response.bytes().await.unwrap()).unwrap())
}
