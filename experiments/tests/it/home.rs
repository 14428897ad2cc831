//! A home with AAPL's daily bars, an experiment file in it, and trials that ended.

use std::path::{Path, PathBuf};

use artifacts::{Bundle, BundleKind, Kernel, Parts, Store};
use backtest::{Model, Setting};
use dataset::{Adjustment, Dataset, ImportOptions};
use experiments::sweep::ExperimentSweep;
use experiments::{Machine, Prepared};
use features::{FeatureState, Normaliser, Stream};
use market::{Interval, Timestamp};
use models::{NetworkKind, NetworkSpec};
use protocol::{TrialState, TrialView};
use spec::{AttemptId, FailureClass, Metric, TaskSpec, TrialOutcome, TrialSpec, canonical_json};
use tempfile::TempDir;

/// Three points of a tiny forecaster, and a model to promote.
pub(crate) const YAML: &str = "\
# Does an untrained network beat holding?
version: 1
name: untrained
data:
  source: aapl
  symbols: [AAPL]
  interval: 1d
  split:
    train: [2013-01-02, 2016-12-30]
    validation: [2017-01-03, 2017-12-29]
    test: [2018-01-02, 2019-12-31]
features:
  - log_return: { bars: 1 }
  - rsi: { bars: 14 }
task:
  supervised: { window: 4, horizon: 1, epochs: 1, learning_rate: 0.001 }
model:
  cnn_lstm: { channels: 4, hidden: 8 }
env:
  positions: long_short
strategy:
  edge_min: 0.0
sweep:
  trials: 3
  batch: 2
  objective: validation_sharpe
  direction: maximise
  space:
    task.supervised.learning_rate: { log_uniform: [0.0001, 0.01] }
promote:
  model: untrained
";

/// A temporary home.
pub(crate) struct Home {
    folder: TempDir,
}

impl Home {
    /// With the bars imported under the name `aapl`.
    pub(crate) fn new() -> Self {
        let home = Self { folder: tempfile::tempdir().unwrap() };
        home.keep(&[bars()]);
        home
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Replaces the data set `aapl`.
    pub(crate) fn keep(&self, sets: &[Dataset]) {
        dataset::write_parquet(&dataset::resolve(self.path(), "aapl"), sets).unwrap();
    }

    /// Writes an experiment file.
    pub(crate) fn file(&self, yaml: &str) -> PathBuf {
        let path = self.path().join("untrained.yaml");
        std::fs::write(&path, yaml).unwrap();
        path
    }

    pub(crate) fn prepare(&self, yaml: &str) -> Prepared {
        experiments::prepare(self.path(), &self.file(yaml), &machine()).unwrap()
    }

    /// All trials of an experiment, each ended as [`Home::succeed`] ends it.
    pub(crate) fn succeed_all(&self, prepared: &Prepared) -> Vec<TrialView> {
        let sweep = ExperimentSweep::new(prepared.question.clone()).unwrap();
        (0..sweep.trials()).map(|index| self.succeed(prepared, &sweep.trial(index).unwrap())).collect()
    }

    /// Puts an untrained bundle into the store and backtests it on validation, as a worker does.
    pub(crate) fn succeed(&self, prepared: &Prepared, trial: &TrialSpec) -> TrialView {
        let bundle = calibrated(prepared, bundle(prepared, trial));
        Store::open(self.path().join("store").to_str().unwrap()).unwrap().put_bundle(&bundle).unwrap();
        let setting = Setting {
            dataset: &prepared.dataset,
            range: prepared.split.validation.clone(),
            env: &trial.env,
            strategy: &trial.strategy,
        };
        let validation = Model::load(&bundle).unwrap().run(&setting).unwrap();
        let outcome = TrialOutcome {
            bundle: bundle.id(),
            metrics: [(Metric::ValidationSharpe, validation.summary().sharpe), (Metric::ValidationLoss, 1.1)].into(),
            validation: validation.series(),
            curve: (1..4).map(|epoch| (epoch, [(Metric::Loss, 1.0 / epoch as f64)].into())).collect(),
            folds: Vec::new(),
            encoder: None,
        };
        TrialView {
            trial: trial.trial.clone(),
            status: TrialState::Succeeded { attempt: AttemptId(1) },
            attempts: 1,
            worker_losses: 1,
            rungs: Vec::new(),
            arrivals: Vec::new(),
            told: Vec::new(),
            parent: None,
            progress: None,
            payload: canonical_json(trial),
            outcome: Some(canonical_json(&outcome)),
        }
    }
}

/// When experiments are concluded.
pub(crate) fn now() -> Timestamp {
    "2026-01-05T12:00:00Z".parse().unwrap()
}

/// With the calibration that its trial asks for, fitted on validation, as a worker does.
fn calibrated(prepared: &Prepared, bundle: Bundle) -> Bundle {
    let TaskSpec::Supervised(task) = bundle.manifest().trial.task.clone() else { return bundle };
    let Some(wanted) = &task.calibration else { return bundle };
    let trial = bundle.manifest().trial.clone();
    let range = prepared.split.validation.clone();
    let setting = Setting { dataset: &prepared.dataset, range, env: &trial.env, strategy: &trial.strategy };
    let fitted = Model::load(&bundle).unwrap().calibrate(&setting, (&task, wanted)).unwrap();
    bundle.calibrated(canonical_json(&fitted.calibration))
}

/// A trial whose loss was not finite.
pub(crate) fn failed(trial: &TrialSpec) -> TrialView {
    TrialView {
        trial: trial.trial.clone(),
        status: TrialState::Failed { class: FailureClass::Nan, message: "loss was not finite at step 3".to_owned() },
        attempts: 3,
        worker_losses: 0,
        rungs: Vec::new(),
        arrivals: Vec::new(),
        told: Vec::new(),
        parent: None,
        progress: None,
        payload: canonical_json(trial),
        outcome: None,
    }
}

/// Every bar of AAPL's file, adjusted.
pub(crate) fn bars() -> Dataset {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("data/aapl_daily_2013_2023.csv");
    let options = ImportOptions { symbol: None, interval: Interval::Day, adjustment: Adjustment::AdjustedClose };
    dataset::import_csv(&path, &options).unwrap().sets.remove(0)
}

pub(crate) fn machine() -> Machine {
    let kernel = Kernel { cpu: "any".to_owned(), threads: 1, library: "libtorch".to_owned(), degrade: 0 };
    Machine { cpus: 2, gpus: 0, kernel, code_version: "0.1.0".to_owned() }
}

fn bundle(prepared: &Prepared, trial: &TrialSpec) -> Bundle {
    let bars = &prepared.dataset.bars;
    let matrix = features::compute(&trial.features, bars).unwrap();
    let normaliser = Normaliser::fit(&matrix, prepared.split.train.clone());
    let fitted = FeatureState::fitted(&trial.features, trial.task.window(), bars[0].time, normaliser).unwrap();
    let mut stream = Stream::resume(fitted);
    for bar in &bars[..prepared.split.test.start] {
        stream.push(bar).unwrap();
    }
    let state = stream.state();
    let (model, window) = (trial.model.clone(), trial.task.window());
    let network = NetworkSpec { kind: NetworkKind::Forecaster, model, window, width: state.pipeline.width() };
    Bundle::build(Parts {
        kind: BundleKind::Forecaster,
        weights: models::drawn(&network, u64::from(trial.trial.index) + 1).unwrap(),
        network: serde_json::to_value(network).unwrap(),
        features: serde_json::to_vec(&state).unwrap(),
        trial: trial.clone(),
        code_version: "0.1.0".to_owned(),
        kernel: machine().kernel,
        metrics: [].into(),
    })
}
