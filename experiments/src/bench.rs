//! A sweep whose trials sleep a millisecond, for measuring what everything around a trial costs.

use std::time::{Duration, Instant};

use artifacts::Kernel;
use protocol::{Policy, Submission};
use scheduler::bench::{Load, Worked};
use serde_json::json;
use spec::{
    BundleId, Digest, ExperimentSpec, Metric, Sampler, Series, TaskSpec, TrialOutcome, TrialSpec, canonical_json,
};

use crate::question::{Question, normalised};
use crate::sweep::{ExperimentSweep, SweepError, open};

/// What a trial sleeps, at least.
pub const WORK: Duration = Duration::from_millis(1);

/// `trials` trials by `sampler` over a logarithmic, a whole, a chosen and a real dimension, `batch` decided at once.
///
/// # Errors
/// [`SweepError`] where the numbers make no sweep.
///
/// # Panics
/// Never: the spec is a constant but for these three.
pub fn millisecond_trials(sampler: Sampler, trials: u32, batch: u32) -> Result<Load, SweepError> {
    let question = Question {
        spec: normalised(&spec(sampler, trials, batch)),
        data_digest: Digest::of(b"none"),
        companion_digests: Vec::new(),
        seen: Vec::new(),
        code_version: env!("CARGO_PKG_VERSION").to_owned(),
        kernel: Kernel { cpu: "any".to_owned(), threads: 1, library: "none".to_owned(), degrade: 0 },
    };
    let sweep = ExperimentSweep::new(question.clone())?;
    let submission = Submission {
        experiment: question.experiment(),
        name: question.spec.name.clone(),
        payload: canonical_json(&question),
        policy: Policy::default(),
    };
    Ok(Load { sweeps: Box::new(open), submission, trials: sweep.trials(), work: Some(work) })
}

fn spec(sampler: Sampler, trials: u32, batch: u32) -> ExperimentSpec {
    let spec = json!({
        "version": 1,
        "name": "bench-sweep",
        "data": {
            "source": "none", "symbols": ["NONE"], "interval": "1d",
            "split": {
                "train": ["2013-01-02", "2018-12-31"], "validation": ["2019-01-02", "2020-12-31"],
                "test": ["2021-01-04", "2023-09-21"], "purge": 5, "embargo": 5
            }
        },
        "features": [{ "log_return": { "bars": 1 } }],
        "task": { "supervised": { "window": 8, "horizon": 5, "epochs": 2, "learning_rate": 0.001 } },
        "model": { "cnn_lstm": { "channels": 4, "hidden": 16 } },
        "sweep": {
            "sampler": sampler, "trials": trials, "batch": batch.min(trials),
            "objective": "validation_sharpe", "direction": "maximise",
            "space": {
                "task.supervised.learning_rate": { "log_uniform": [1e-5, 1e-1] },
                "model.cnn_lstm.hidden": { "integer": [16, 512] },
                "task.supervised.window": { "choice": [8, 16, 32] },
                "model.cnn_lstm.dropout": { "uniform": [0.0, 0.5] }
            }
        },
    });
    serde_json::from_value(spec).expect("the spec is written above")
}

/// Sleeps, then scores its point.
#[allow(clippy::disallowed_methods, reason = "sleeping is the work, and how long it lasted is measured")]
fn work(payload: &[u8]) -> Worked {
    let began = Instant::now();
    std::thread::sleep(WORK);
    let took = began.elapsed();
    let outcome = serde_json::from_slice::<TrialSpec>(payload).ok().and_then(|trial| outcome(payload, &trial));
    Worked { outcome: outcome.unwrap_or_default(), took }
}

fn outcome(payload: &[u8], trial: &TrialSpec) -> Option<Vec<u8>> {
    let TaskSpec::Supervised(task) = &trial.task else { return None };
    let score = -(task.learning_rate.log10() + 2.0).powi(2);
    let outcome = TrialOutcome {
        bundle: BundleId(Digest::of(payload)),
        metrics: [(Metric::ValidationSharpe, score)].into(),
        validation: Series::default(),
        curve: Vec::new(),
        folds: Vec::new(),
        encoder: None,
    };
    serde_json::to_vec(&outcome).ok()
}
