//! The shipped cross-validation, from its file to the figures of its folds, undisturbed and killed within one.

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::processes::{Running, log, until};
use crate::site::{Site, text};

/// Two short trials of the shipped experiment.
const SHORT: [(&str, &str); 5] = [
    ("trials: 8", "trials: 2"),
    ("batch: 8", "batch: 2"),
    ("epochs: 15", "epochs: 2"),
    ("folds: 5", "folds: 3"),
    ("channels: 16, hidden: 24", "channels: 4, hidden: 4"),
];

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn a_sweep_is_decided_by_the_mean_over_folds_and_says_how_far_they_are_apart() {
    let site = Site::new();
    let outcome = site.json(&["run", &site.shipped("cross-validation.yaml", &SHORT)]);
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
    let unread = ("objective: cross_validation_loss", "objective: validation_loss");
    let said = site.refused(&["run", &site.shipped("cross-validation.yaml", &[unread])], 2);
    assert!(said.contains("cross-validation.yaml:30:5: folds that nothing reads"), "{said}");
    assert!(!site.home().join("runs").try_exists().unwrap(), "nothing was begun");
}

/// Folds that lay behind when a line was logged.
fn behind(line: &Value) -> f64 {
    number(&line["metrics"]["cross_validation_folds"])
}

#[test]
fn a_trial_that_is_killed_within_a_later_fold_goes_on_there_and_ends_in_the_same_bits() {
    // One trial whose folds take longer than it takes to keep a checkpoint.
    let long = [
        ("trials: 8", "trials: 1"),
        ("batch: 8", "batch: 1"),
        ("epochs: 15", "epochs: 40"),
        ("patience: 5", "patience: 40"),
    ];
    let undisturbed = Site::new();
    let expected = undisturbed.json(&["run", &undisturbed.shipped("cross-validation.yaml", &long)]);

    let site = Site::new();
    let mut run = Running(site.start(&["run", &site.shipped("cross-validation.yaml", &long)]));
    let id = until("a fold beyond the first is learned from", || {
        let listed = site.json(&["ls"]);
        let id = listed["experiments"].get(0)?["experiment"].as_str()?.to_owned();
        (behind(log(&site, &id).last()?) >= 1.0).then_some(id)
    });
    // An older one goes once a newer one is in the journal, and that is of this fold or a later one.
    let before = site.checkpoints();
    until("a checkpoint of it is kept", || (!site.checkpoints().is_superset(&before)).then_some(()));
    kill_process(Pid::from_child(&run.0), Signal::KILL).unwrap();
    assert!(!run.0.wait().unwrap().success(), "it ended before it could be killed: make it longer");

    let seen = log(&site, &id).len();
    site.json(&["resume", &id]);
    let resumed = behind(&log(&site, &id)[seen]);
    assert!((1.0..5.0).contains(&resumed), "it went on after {resumed} folds");
    assert_eq!(site.trials(&id), undisturbed.trials(expected["experiment"].as_str().unwrap()));
}
