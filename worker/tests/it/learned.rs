//! A trial that sees bars through an encoder: the same bundle whatever is remembered, and honest counts beside it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use artifacts::Store;
use spec::{BundleId, EncoderUse, FailureClass, TrialOutcome, canonical_json};
use worker::{Ended, Reporter, Runner as _, Trial};

use crate::trial::{assignment, home, payload};

fn runner(home: &Path) -> Trial {
    Trial::new(home, store(home), "test")
}

fn store(home: &Path) -> Store {
    Store::open(home.join("store").to_str().unwrap()).unwrap()
}

fn outcome(runner: &mut Trial, payload: &[u8]) -> TrialOutcome {
    let mut reporter = Reporter::detached(Arc::new(AtomicBool::new(false)));
    match runner.run(&assignment(payload, Vec::new()), &mut reporter).unwrap() {
        Ended::Succeeded(bytes) => serde_json::from_slice(&bytes).unwrap(),
        other @ (Ended::Held { .. } | Ended::Stopped) => panic!("it did not end: {other:?}"),
    }
}

/// The short trial as a forecaster of one epoch.
fn forecaster(payload: &[u8]) -> Vec<u8> {
    let mut trial: serde_json::Value = serde_json::from_slice(payload).unwrap();
    trial["task"]["supervised"]["epochs"] = 1.into();
    canonical_json(&trial)
}

/// The short trial as an agent that sees bars through `encoder` and remembers `rows` of them.
fn agent(payload: &[u8], encoder: BundleId, rows: u32) -> Vec<u8> {
    let mut trial: serde_json::Value = serde_json::from_slice(payload).unwrap();
    let ppo = serde_json::json!({"learning_rate": 0.001, "rollout": 32});
    trial["task"] = serde_json::json!({"rl": {"window": 3, "steps": 600, "algorithm": {"ppo": ppo}}});
    trial["model"] = serde_json::json!({"mlp": {"hidden": [8]}});
    trial["encoder"] = serde_json::json!({"bundle": encoder, "memory_rows": rows});
    canonical_json(&trial)
}

#[test]
fn trials_on_one_worker_share_a_memory_and_hand_in_what_they_would_alone() {
    let home = home();
    let payload = payload(home.path());
    let mut runner = runner(home.path());
    let encoder = outcome(&mut runner, &forecaster(&payload)).bundle;
    let asked = agent(&payload, encoder, 4_096);
    let (first, second) = (outcome(&mut runner, &asked), outcome(&mut runner, &asked));
    // AAPL's 2,699 bars less the encoder's warm-up of 14 and its window of 12.
    let rows = 2_699 - 14 - 11;
    // Validation's 505 bars less the purge, with two before the first in its window; and the window that the bundle keeps.
    let again = 500 + 2 + 3;
    assert_eq!(first.encoder, Some(EncoderUse { bundle: encoder, hits: again, misses: rows, forgotten: 0 }));
    assert_eq!(second.encoder, Some(EncoderUse { bundle: encoder, hits: rows + again, misses: 0, forgotten: 0 }));
    assert_eq!((second.bundle, &second.metrics), (first.bundle, &first.metrics));

    // One that remembers next to nothing, and one that begins anew, hand in the same network.
    let bundle = store(home.path()).get_bundle(first.bundle).unwrap();
    let (_, weights) = bundle.encoder().unwrap();
    assert_eq!(Some(weights), store(home.path()).get_bundle(encoder).unwrap().weights(), "it holds the encoder itself");
    let forgetful = outcome(&mut self::runner(home.path()), &agent(&payload, encoder, 8));
    assert_eq!(forgetful.metrics, first.metrics);
    assert!(forgetful.encoder.unwrap().forgotten > 2_000);
    assert_eq!(outcome(&mut self::runner(home.path()), &asked).bundle, first.bundle);
}

#[test]
fn an_encoder_that_is_not_in_the_store_or_is_damaged_fails_the_trial_by_name() {
    let home = home();
    let payload = payload(home.path());
    let mut runner = runner(home.path());
    let encoder = outcome(&mut runner, &forecaster(&payload)).bundle;
    let failed = |payload: &[u8]| {
        let mut reporter = Reporter::detached(Arc::new(AtomicBool::new(false)));
        let mut runner = self::runner(home.path());
        let failure = runner.run(&assignment(payload, Vec::new()), &mut reporter).unwrap_err();
        assert_eq!(failure.class, FailureClass::Data, "a retry meets the same: {failure}");
        failure.to_string()
    };
    let nowhere = BundleId(spec::Digest::of(b"nowhere"));
    assert!(failed(&agent(&payload, nowhere, 64)).contains(&format!("bundle {nowhere} is not in the store")));
    let folder = home.path().join("store/bundles").join(encoder.to_string());
    std::fs::write(folder.join("weights.safetensors"), b"other").unwrap();
    assert!(failed(&agent(&payload, encoder, 64)).contains("weights.safetensors was changed"));
}
