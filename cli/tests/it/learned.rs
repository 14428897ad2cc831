//! An agent on learned features: from two files to orders, a replay and served actions, and what happens without its encoder.

use serde_json::{Value, json};

use crate::site::{Site, last_prediction, text};

const ENCODER: &str = "\
task:
  supervised: { window: 12, horizon: 5, epochs: 1, learning_rate: 0.003 }
model:
  cnn_lstm: { channels: 4, hidden: 8 }
sweep:
  trials: 1
  objective: validation_loss
  direction: minimise
  space: {}
promote:
  model: small-encoder
";

const AGENT: &str = "\
encoder: { bundle: small-encoder@1, missing: indicators }
task:
  rl:
    window: 3
    steps: 600
    algorithm:
      ppo: { learning_rate: 0.001, rollout: 32 }
model:
  mlp: { hidden: [16] }
env: { positions: long_short }
sweep:
  trials: 1
  objective: validation_sharpe
  direction: maximise
  space: {}
  seeds: [1, 2, 3]
promote:
  model: seeing
";

/// Runs the agent's file to its summary, on one core so that trials share a memory; and what was said aloud.
fn run(site: &Site, file: &str) -> (Value, String) {
    let output = site.run(&["run", file, "--cpus", "1", "--json"]);
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{stderr}{stdout}");
    (serde_json::from_str(stdout.lines().last().unwrap()).unwrap(), stderr)
}

fn reference(outcome: &Value) -> String {
    format!("{}@{}", outcome["promotion"]["model"].as_str().unwrap(), outcome["promotion"]["version"])
}

fn journal(site: &Site, name: &str) -> String {
    site.home().join(format!("live/{name}.journal")).to_str().unwrap().to_owned()
}

fn trades<'a>(model: &'a str, journal: &'a str) -> Vec<&'a str> {
    vec!["live", "--paper", "--feed", "replay:aapl_daily", "--model", model, "--journal", journal]
}

#[test]
fn an_agent_on_learned_features_goes_from_a_file_to_orders_and_falls_back_aloud_or_not_at_all() {
    let site = Site::new();
    let agent = site.experiment("agent", AGENT);
    // Before there is an encoder, the same file learns on indicators alone.
    let (plain, said) = run(&site, &agent);
    assert!(said.contains("agents learn on indicators alone"), "{said}");
    assert!(plain["notice"].as_str().unwrap().contains("small-encoder@1"), "{plain}");
    assert!(plain["encoder"].is_null(), "{plain}");

    let encoder = site.json(&["run", &site.experiment("encoder", ENCODER)]);
    assert_eq!(reference(&encoder), "small-encoder@1");
    let (learned, said) = run(&site, &agent);
    assert!(!said.contains("indicators alone"), "{said}");
    assert_ne!(learned["experiment"], plain["experiment"], "it is another question");
    let used = &learned["encoder"];
    assert_eq!(used["bundle"], encoder["best"]["bundle"]);
    // Of three trials one computes each bar once; validation and the bundles look at bars that are known.
    let (rows, again) = (2_699 - 14 - 11, 504 + 2 + 3);
    let asked = 3 * (rows + again);
    assert_eq!(used["asked"], asked, "{used}");
    assert_eq!(used["remembered"], json!(f64::from(asked - rows) / f64::from(asked)), "{used}");
    assert_eq!(run(&site, &agent).0, learned, "twice is once");

    let (seeing, bundle) = (reference(&learned), learned["best"]["bundle"].as_str().unwrap());
    let own = journal(&site, "seeing");
    let live = site.json(&trades(&seeing, &own));
    let replay = site.json(&["replay", &own]);
    assert_eq!((&replay["identical"], &replay["decisions"]), (&Value::Bool(true), &live["decisions"]));
    let last = last_prediction(&own);
    assert_eq!(last.bundle.to_string(), bundle);
    let served = site.served(&seeing);
    assert_eq!((&served["artifact"], &served["predictions"][0]["bar"]), (&json!(bundle), &json!(last.bar)));

    let standing_by = [&trades(&seeing, &own)[..], &["--fallback", "nobody@9"]].concat();
    assert!(site.refused(&standing_by, 2).contains("nobody@9"), "a fallback is looked at before it is needed");

    broken(&site, (&seeing, bundle), &plain);
}

/// What becomes of an agent whose encoder is damaged.
fn broken(site: &Site, (seeing, bundle): (&str, &str), plain: &Value) {
    std::fs::write(site.home().join("store/bundles").join(bundle).join("encoder.safetensors"), b"nothing").unwrap();
    let own = journal(site, "broken");
    let refused = site.refused(&trades(seeing, &own), 1);
    assert!(refused.contains("encoder.safetensors was changed or cut short"), "{refused}");
    let itself = [&trades(seeing, &own)[..], &["--fallback", seeing]].concat();
    assert!(site.refused(&itself, 1).contains("encoder.safetensors"), "it cannot stand in for itself");

    let instead = reference(plain);
    let begun = journal(site, "seeing");
    let said = site.refused(&[&trades(seeing, &begun)[..], &["--fallback", &instead]].concat(), 2);
    assert!(said.contains("leave --journal out") && said.contains(&instead), "{said}");
    let output = site.run(&[&trades(seeing, &own)[..], &["--fallback", &instead, "--json"]].concat());
    let said = text(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("does not work without its encoder") && said.contains(&instead), "{said}");
    assert_eq!(site.json(&["replay", &own])["identical"], true);
    assert_eq!(json!(last_prediction(&own).bundle), plain["best"]["bundle"]);
    let served = site.served_with(seeing, &["--fallback", &instead]);
    assert_eq!((&served["artifact"], &served["model"]), (&plain["best"]["bundle"], &json!(instead)));
}
