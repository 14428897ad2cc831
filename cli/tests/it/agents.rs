//! The road of agents: every algorithm, and an ensemble of all, from a file to orders and served actions.

use serde_json::{Value, json};
use spec::Output;

use crate::site::{Site, last_prediction};

/// What comes after the features.
const SPEC: &str = "\
task:
  rl:
    window: 4
    steps: 600
    evaluation: { times: 2 }
    algorithm:
      NAME: { learning_rate: 0.001, OWN }
model:
  mlp: { hidden: [16] }
env: { positions: long_short, action: ACTION }
sweep:
  trials: 2
  batch: 2
  objective: validation_sharpe
  direction: maximise
  space:
    task.rl.algorithm.NAME.gamma: { choice: [0.9, 0.99] }
promote:
  model: NAME
";

const MEMORY: &str = "replay: { capacity: 600, batch: 16, starts: 100 }";

/// Trains, judges and registers an agent; its reference and bundle.
fn trained(site: &Site, name: &str, own: &str, action: &str) -> (String, String) {
    let text = SPEC.replace("NAME", name).replace("OWN", own).replace("ACTION", action);
    let outcome = site.json(&["run", &site.experiment(name, &text)]);
    assert_eq!(outcome["trials"]["succeeded"], 2, "{outcome}");
    let reference = format!("{name}@{}", outcome["promotion"]["alias"].as_str().unwrap());
    (reference, outcome["best"]["bundle"].as_str().unwrap().to_owned())
}

/// Trades on paper, replays, serves: all are of one bundle and end with the same bar. Returns whether its actions are
/// continuous.
fn travels(site: &Site, reference: &str, bundle: &str) -> bool {
    let journal = site.home().join(format!("live/{bundle}.journal"));
    let journal = journal.to_str().unwrap();
    let live =
        site.json(&["live", "--paper", "--feed", "replay:aapl_daily", "--model", reference, "--journal", journal]);
    let replay = site.json(&["replay", journal]);
    assert_eq!((&replay["identical"], &replay["decisions"]), (&Value::Bool(true), &live["decisions"]), "{reference}");
    let last = last_prediction(journal);
    assert_eq!(last.bundle.to_string(), bundle);

    let answer = site.served(reference);
    assert_eq!(answer["artifact"], bundle);
    assert_eq!(answer["predictions"][0]["bar"], json!(last.bar));
    matches!(last.output, Output::Control { .. })
}

#[test]
fn every_agent_and_an_ensemble_of_all_go_from_a_file_to_orders_and_replay() {
    let site = Site::new();
    let algorithms = [
        ("ppo", "rollout: 32", "discrete"),
        ("dqn", MEMORY, "discrete"),
        ("sac", MEMORY, "continuous"),
        ("td3", MEMORY, "continuous"),
    ];
    let mut members = Vec::new();
    for (name, own, action) in algorithms {
        let (reference, bundle) = trained(&site, name, own, action);
        assert_eq!(travels(&site, &reference, &bundle), action == "continuous", "{name}");
        members.push(reference);
    }
    for (combine, continuous) in [("mean", true), ("argmax", false)] {
        let text = format!(
            "version: 1\nname: all\nmembers: [{}]\ncombine: {combine}\npromote: {{ model: all-{combine} }}\n",
            members.join(", ")
        );
        let file = site.write("ensemble.yaml", &text);
        let whole = site.json(&["ensemble", &file]);
        let shares: f64 = whole["members"].as_array().unwrap().iter().map(|m| m["shares"][1].as_f64().unwrap()).sum();
        assert!((shares - 1.0).abs() < 1e-9);
        let best = whole["members"].as_array().unwrap().iter().map(|m| m["test_return"].as_f64().unwrap());
        let best = best.fold(f64::NEG_INFINITY, f64::max);
        for together in whole["together"].as_array().unwrap() {
            let lost = best - together["test_return"].as_f64().unwrap();
            assert!((together["regret"].as_f64().unwrap() - lost).abs() < 1e-12);
        }
        assert_eq!(site.json(&["ensemble", &file]), whole, "twice is once");
        let reference = format!("all-{combine}@{}", whole["promotion"]["alias"].as_str().unwrap());
        assert_eq!(travels(&site, &reference, whole["bundle"].as_str().unwrap()), continuous);
    }
}

#[test]
fn an_ensemble_of_what_is_not_there_is_bad_input_with_its_reason() {
    let site = Site::new();
    let file = site.write("e.yaml", "version: 1\nname: e\nmembers: [a@champion, b@1]\n");
    assert!(site.refused(&["ensemble", &file], 2).contains("a@champion names no registered version"));
    let file = site.write("e.yaml", "version: 1\nname: e\nmembers: [a@champion]\n");
    assert!(site.refused(&["ensemble", &file], 2).contains("e.yaml:3:10: 1 members"));
}
