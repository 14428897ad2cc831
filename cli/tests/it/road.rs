//! The road from file to order: one artifact, the same bits everywhere.

use serde_json::Value;

use crate::site::{Site, last_prediction};

fn quick(site: &Site) -> String {
    let promote = "timeout: 24h\n\npromote:\n  model: road\n";
    site.spec(&[("trials: 24", "trials: 2"), ("batch: 8", "batch: 2"), ("timeout: 24h\n", promote)])
}

#[test]
fn one_artifact_goes_from_a_file_to_orders_and_every_decision_replays() {
    let site = Site::new();
    let spec = quick(&site);
    let outcome = site.json(&["run", &spec]);
    assert_eq!(outcome["trials"]["succeeded"], 2);
    let bundle = outcome["best"]["bundle"].as_str().unwrap().to_owned();
    assert!(std::fs::read_to_string(outcome["report"].as_str().unwrap()).unwrap().contains(&bundle));
    let alias = outcome["promotion"]["alias"].as_str().unwrap();
    let reference = format!("road@{alias}");

    // The same question again trains nothing and counts no trial.
    let again = site.json(&["run", &spec]);
    assert_eq!(again, outcome);

    let history = site.json(&["history", "road"]);
    assert_eq!(history["moves"].as_array().unwrap().last().unwrap()["to"], bundle.as_str());

    let journal = site.home().join("live/road.journal");
    let journal = journal.to_str().unwrap();
    let live =
        site.json(&["live", "--paper", "--feed", "replay:aapl_daily", "--model", &reference, "--journal", journal]);
    assert!(live["decisions"].as_u64().unwrap() > 600, "{live}");
    let replay = site.json(&["replay", journal]);
    assert_eq!((&replay["identical"], &replay["decisions"]), (&Value::Bool(true), &live["decisions"]));

    let served = site.served(&reference);
    assert_eq!(served["artifact"], bundle.as_str());
    assert_eq!(served["predictions"][0], journalled_last(journal));
}

/// The last prediction that live trading wrote down, in the server's form.
fn journalled_last(journal: &str) -> Value {
    // Through text: a 32-bit number keeps its shortest form there.
    let prediction: Value = serde_json::from_str(&serde_json::to_string(&last_prediction(journal)).unwrap()).unwrap();
    let forecast = &prediction["output"]["forecast"];
    serde_json::json!({
        "bar": prediction["bar"],
        "row": prediction["row"],
        "expected_return": forecast["expected_return"],
        "probabilities": {
            "down": forecast["probabilities"][0],
            "flat": forecast["probabilities"][1],
            "up": forecast["probabilities"][2],
        },
    })
}

#[test]
fn neither_workers_nor_parallelism_change_a_result() {
    let site = Site::new();
    let spec = site.spec(&[("trials: 24", "trials: 3"), ("batch: 8", "batch: 3"), ("epochs: 8", "epochs: 3")]);
    let metrics = |site: &Site, cpus: &str| {
        let outcome = site.json(&["run", &spec, "--cpus", cpus]);
        let shown = site.json(&["show", outcome["experiment"].as_str().unwrap()]);
        let trials = shown["trials"].as_array().unwrap().clone();
        trials.iter().map(|trial| (trial["bundle"].clone(), trial["metrics"].clone())).collect::<Vec<_>>()
    };
    let one = metrics(&site, "1");
    assert_eq!(one.len(), 3);
    assert_eq!(one, metrics(&Site::new(), "2"));
}
