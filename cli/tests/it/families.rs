//! Populations from end to end: children go on from other trials' checkpoints, whoever runs them and whatever is killed.

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::site::Site;

/// Four members and three generations; a child replaces the worst at each.
fn family(site: &Site, epochs: &str) -> String {
    site.spec(&[
        ("trials: 24", "trials: 4"),
        ("batch: 8", "batch: 4\n  pruner: { population: { rungs: 3 } }"),
        ("epochs: 8", epochs),
        ("patience: 8", "patience: 100"),
        ("channels: 16, hidden: 32", "channels: 4, hidden: 4"),
    ])
}

#[test]
fn generations_are_the_same_on_one_worker_and_on_two_and_every_member_counts() {
    let run = |cpus: &str| {
        let site = Site::new();
        let outcome = site.json(&["run", &family(&site, "epochs: 4"), "--cpus", cpus]);
        let trials = site.trials(outcome["experiment"].as_str().unwrap());
        let report = std::fs::read_to_string(outcome["report"].as_str().unwrap()).unwrap();
        (outcome, trials, report)
    };
    let (outcome, one, report) = run("1");
    assert_eq!(one.len(), 7, "{outcome}");
    assert_eq!((&outcome["trials"]["succeeded"], &outcome["trials"]["pruned"]), (&Value::from(4), &Value::from(3)));
    assert!(report.contains("Trials ever on this data</dt><dd>7<"), "children are trials that figures are deflated by");
    for child in &one[4..] {
        let parent = child["parent"]["trial"].as_u64().unwrap() as usize;
        assert!(parent < one.len() && child["parent"]["checkpoint"]["step"].as_u64().unwrap() > 0, "{child}");
    }
    let (_, two, _) = run("2");
    assert_eq!(one, two);
}

#[test]
#[allow(clippy::disallowed_methods, reason = "waits for another process to get going")]
fn a_generation_that_is_killed_half_way_ends_in_the_same_bits() {
    let undisturbed = Site::new();
    let expected = undisturbed.json(&["run", &family(&undisturbed, "epochs: 96")]);
    let site = Site::new();
    let mut run = site.start(&["run", &family(&site, "epochs: 96"), "--json"]);
    let experiment = loop {
        std::thread::sleep(Duration::from_millis(50));
        let listed = site.json(&["ls"]);
        let Some(experiment) = listed["experiments"].get(0).and_then(|listed| listed["experiment"].as_str()) else {
            continue;
        };
        // The first child was asked: its generation is under way.
        if site.trials(experiment).len() > 4 {
            break experiment.to_owned();
        }
    };
    kill_process(Pid::from_child(&run), Signal::KILL).unwrap();
    assert!(!run.wait().unwrap().success(), "it ended before it could be killed: make it longer");
    site.json(&["resume", &experiment]);
    assert_eq!(site.trials(&experiment), undisturbed.trials(expected["experiment"].as_str().unwrap()));
}

#[test]
fn an_asynchronous_sweep_says_what_each_suggestion_had_seen() {
    let site = Site::new();
    let spec = site.spec(&[
        ("trials: 24", "trials: 10"),
        ("batch: 8", "batch: 2\n  mode: asynchronous\n  sampler: tpe"),
        ("epochs: 8", "epochs: 1"),
        ("channels: 16, hidden: 32", "channels: 4, hidden: 4"),
        // After one epoch most forecasters take the same side all along, and earn the same.
        ("objective: validation_sharpe", "objective: validation_loss"),
        ("direction: maximise", "direction: minimise"),
    ]);
    let outcome = site.json(&["run", &spec]);
    let trials = site.trials(outcome["experiment"].as_str().unwrap());
    let told: Vec<usize> = trials.iter().map(|trial| trial["told"].as_array().unwrap().len()).collect();
    assert_eq!(told, [0, 0, 1, 1, 1, 1, 1, 1, 1, 1]);
    let shown = site.json(&["show", outcome["experiment"].as_str().unwrap()]);
    let first = &shown["importance"]["dimensions"][0];
    assert_eq!(first["path"], "task.supervised.learning_rate", "{shown}");
    assert!(first["share"]["low"].as_f64().unwrap() <= first["share"]["value"].as_f64().unwrap());
}
