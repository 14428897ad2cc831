//! The shipped cross-validation, from its file to the figures of its folds.

use serde_json::Value;

use crate::site::{Site, root, text};

/// The shipped experiment with two short trials.
fn short(site: &Site, change: (&str, &str)) -> String {
    let mut spec = std::fs::read_to_string(root().join("experiments/cross-validation.yaml")).unwrap();
    let changes = [
        ("trials: 8", "trials: 2"),
        ("batch: 8", "batch: 2"),
        ("epochs: 15", "epochs: 2"),
        ("folds: 5", "folds: 3"),
        ("channels: 16, hidden: 24", "channels: 4, hidden: 4"),
        change,
    ];
    for (from, to) in changes {
        assert!(spec.contains(from), "cross-validation.yaml no longer says {from}");
        spec = spec.replace(from, to);
    }
    site.write("cross-validation.yaml", &spec)
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn a_sweep_is_decided_by_the_mean_over_folds_and_says_how_far_they_are_apart() {
    let site = Site::new();
    let outcome = site.json(&["run", &short(&site, ("", ""))]);
    let experiment = outcome["experiment"].as_str().unwrap();
    let shown = site.json(&["show", experiment]);
    let trials = shown["trials"].as_array().unwrap();
    let mut means = Vec::new();
    for trial in trials {
        let folds = trial["folds"].as_array().unwrap();
        assert_eq!(folds.len(), 3, "{trial}");
        let mean = folds.iter().map(|fold| number(&fold["loss"])).sum::<f64>() / 3.0;
        assert!((number(&trial["metrics"]["cross_validation_loss"]) - mean).abs() < 1e-12, "{trial}");
        assert!(number(&trial["metrics"]["cross_validation_loss_deviation"]) > 0.0, "{trial}");
        assert!(trial["metrics"]["cross_validation_sharpe"].is_number(), "{trial}");
        means.push(mean);
    }
    let best = &outcome["best"];
    let least = means.iter().copied().fold(f64::INFINITY, f64::min);
    assert!((number(&best["objective"]) - least).abs() < 1e-12, "{best} of {means:?}");
    assert!(number(&best["deviation"]) > 0.0, "{best}");

    let page = std::fs::read_to_string(outcome["report"].as_str().unwrap()).unwrap();
    assert!(page.contains("Folds of the best trial") && page.contains("Loss, mean ± deviation"));
    let table = text(&site.run(&["show", experiment]).stdout);
    assert!(table.contains("loss on folds") && table.matches(" ± ").count() == 4, "{table}");
}

#[test]
fn folds_without_an_objective_are_refused_at_their_place() {
    let site = Site::new();
    let unread = short(&site, ("objective: cross_validation_loss", "objective: validation_loss"));
    let said = site.refused(&["run", &unread], 2);
    assert!(said.contains("cross-validation.yaml:30:5: folds that nothing reads"), "{said}");
    assert!(!site.home().join("runs").try_exists().unwrap(), "nothing was begun");
}
