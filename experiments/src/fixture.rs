//! A small question and its trials, for tests.

use artifacts::Kernel;
use protocol::{TrialState, TrialView};
use serde_json::{Value, json};
use spec::{AttemptId, BundleId, Digest, FailureClass, Metric, TrialId, TrialOutcome, TrialSpec, canonical_json};

use crate::question::Question;

/// A supervised sweep over one choice and one range, in the form of a parsed file.
pub(crate) fn spec(sweep: Value) -> spec::ExperimentSpec {
    let spec = json!({
        "version": 1,
        "name": "fixture",
        "data": {
            "source": "aapl_daily", "symbols": ["AAPL"], "interval": "1d",
            "split": {
                "train": ["2013-01-02", "2018-12-31"], "validation": ["2019-01-02", "2020-12-31"],
                "test": ["2021-01-04", "2023-09-21"], "purge": 5, "embargo": 5
            }
        },
        "features": [{ "log_return": { "bars": 1 } }],
        "task": { "supervised": { "window": 8, "horizon": 5, "epochs": 2, "learning_rate": 0.001 } },
        "model": { "cnn_lstm": { "channels": 4, "hidden": 4 } },
        "sweep": sweep,
    });
    serde_json::from_value(spec).unwrap()
}

/// Six random points in batches of four, two seeds each.
pub(crate) fn random_sweep() -> Value {
    json!({
        "sampler": "random", "trials": 6, "batch": 4, "objective": "validation_sharpe", "direction": "maximise",
        "seeds": [1, 2],
        "space": {
            "task.supervised.learning_rate": { "log_uniform": [0.0001, 0.01] },
            "model.cnn_lstm.hidden": { "choice": [4, 8] }
        }
    })
}

pub(crate) fn question(sweep: Value) -> Question {
    Question {
        spec: crate::question::normalised(&spec(sweep)),
        data_digest: Digest::of(b"bars"),
        companion_digests: Vec::new(),
        seen: Vec::new(),
        code_version: "0.1.0".to_owned(),
        kernel: Kernel { cpu: "any".to_owned(), threads: 1, library: "none".to_owned(), degrade: 0 },
    }
}

/// A trial that succeeded with this objective, or failed when there is none.
pub(crate) fn view(trial: &TrialSpec, objective: Option<f64>) -> TrialView {
    let outcome = objective.map(|objective| TrialOutcome {
        bundle: BundleId(Digest::of(&trial.trial.index.to_le_bytes())),
        metrics: [(Metric::ValidationSharpe, objective)].into(),
        validation: spec::Series::default(),
        curve: Vec::new(),
        folds: Vec::new(),
        encoder: None,
    });
    let failed = TrialState::Failed { class: FailureClass::Nan, message: "loss was not finite at step 4".to_owned() };
    TrialView {
        trial: TrialId { experiment: trial.trial.experiment.clone(), index: trial.trial.index },
        status: if outcome.is_some() { TrialState::Succeeded { attempt: AttemptId(1) } } else { failed },
        attempts: 1,
        worker_losses: 0,
        rungs: Vec::new(),
        arrivals: Vec::new(),
        told: Vec::new(),
        parent: None,
        progress: None,
        payload: canonical_json(trial),
        outcome: outcome.map(|outcome| serde_json::to_vec(&outcome).unwrap()),
    }
}
