//! From the shipped calibration experiment to a deep ensemble that trades, replays and is served with its confidence.

use live::journal::Record;
use serde_json::Value;

use crate::site::{Site, root};

/// Two short seeds of a small network.
const SHORT: [(&str, &str); 4] = [
    ("seeds: [1, 2, 3, 4, 5]", "seeds: [1, 2]"),
    ("epochs: 40", "epochs: 2"),
    ("passes: 32", "passes: 4"),
    ("channels: 16, hidden: 24", "channels: 4, hidden: 4"),
];

#[test]
fn a_calibrated_experiment_becomes_a_deep_ensemble_and_says_how_far_to_trust_it() {
    let site = Site::new();
    let outcome = site.json(&["run", &site.shipped("calibration.yaml", &SHORT)]);
    let figures = &outcome["calibration"];
    assert!(figures["rows"].as_u64().unwrap() > 1_000, "{outcome}");
    for figure in ["ece", "ece_debiased", "brier", "crps"] {
        assert!(figures["after"][figure].as_f64().unwrap() >= 0.0, "{figures}");
    }
    assert_ne!(
        figures["followed"]["brier"].as_f64().unwrap(),
        figures["after"]["brier"].as_f64().unwrap(),
        "{figures}"
    );
    let report = std::fs::read_to_string(outcome["report"].as_str().unwrap()).unwrap();
    assert!(report.contains("Reliability diagram"));
    let shown = site.json(&["show", outcome["experiment"].as_str().unwrap()]);
    assert_eq!(&shown["calibration"], figures);
    assert!(shown["trials"][0]["metrics"]["validation_ece"].is_number(), "{shown}");

    let deep = site.json(&["ensemble", root().join("experiments/ensembles/calibration.yaml").to_str().unwrap()]);
    assert_eq!(deep["members"].as_array().unwrap().len(), 2);
    assert!(deep["calibration"]["epistemic"].as_f64().unwrap() > 0.0, "{deep}");

    let alias = deep["promotion"]["alias"].as_str().unwrap();
    let reference = format!("deep-calibration@{alias}");
    let journal = site.home().join("live/deep.journal");
    let journal = journal.to_str().unwrap();
    site.json(&["live", "--paper", "--feed", "replay:aapl_daily", "--model", &reference, "--journal", journal]);
    assert_eq!(site.json(&["replay", journal])["identical"], Value::Bool(true));
    let (_, records) = live::journal::read(journal.as_ref()).unwrap();
    let said = records.iter().rev().find_map(|record| match record {
        Record::Confidence(said) => Some(*said),
        Record::Bar(_) | Record::Fill(_) | Record::KillSwitch(_) | Record::Mark(_) | Record::Prediction(_) => None,
        Record::Decision(_) | Record::Order(_) | Record::Refusal(_) | Record::Alarm(_) | Record::Ack(_) => None,
    });
    let served = site.served(&reference);
    let confidence = &served["predictions"][0]["confidence"];
    // Doubt is a function of the row; the level of an interval and what directions follow are the session's own.
    let said: Value = serde_json::from_str(&serde_json::to_string(&said.unwrap()).unwrap()).unwrap();
    assert_eq!(
        (&confidence["aleatoric"], &confidence["epistemic"]),
        (&said["aleatoric"], &said["epistemic"]),
        "{served} {said}"
    );
    assert!(said["probabilities"].is_array() && confidence.get("probabilities").is_none(), "{served} {said}");
}

#[test]
fn a_validation_split_too_short_for_a_calibration_is_refused_at_its_place() {
    let site = Site::new();
    let quarter = ("validation: [2017-07-03, 2018-12-31]", "validation: [2017-07-03, 2017-09-29]");
    let said = site.refused(&["run", &site.shipped("calibration.yaml", &[quarter])], 2);
    assert!(said.contains("calibration.yaml:11:17: `validation` has 61 rows, 100 are needed"), "{said}");
    assert!(!site.home().join("runs").try_exists().unwrap(), "nothing was begun");
}
