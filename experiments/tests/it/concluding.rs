//! What an ended sweep comes to.

use artifacts::{Alias, Registry};
use experiments::sweep::ExperimentSweep;
use experiments::{Conclusion, Prepared, conclude};
use protocol::{ExperimentState, TrialView};

use crate::home::{Home, YAML, failed, now};

/// Trials 0 and 2 succeed, trial 1 fails.
fn ended(home: &Home, prepared: &Prepared) -> Vec<TrialView> {
    let sweep = ExperimentSweep::new(prepared.question.clone()).unwrap();
    let trial = |index| sweep.trial(index).unwrap();
    vec![home.succeed(prepared, &trial(0)), failed(&trial(1)), home.succeed(prepared, &trial(2))]
}

fn concluded(home: &Home, prepared: &Prepared, trials: Vec<TrialView>) -> Conclusion {
    conclude(prepared, ExperimentState::Succeeded, trials, home.path(), now()).unwrap()
}

#[test]
fn the_best_trial_is_tested_registered_and_reported_and_the_next_run_is_a_hit() {
    let home = Home::new();
    let prepared = home.prepare(YAML);
    prepared.begin().unwrap();
    let conclusion = concluded(&home, &prepared, ended(&home, &prepared));

    let summary = &conclusion.summary;
    assert_eq!((summary.trials.succeeded, summary.trials.failed), (2, 1));
    let best = summary.best.as_ref().unwrap();
    let promotion = summary.promotion.as_ref().unwrap();
    assert_eq!((promotion.model.as_str(), promotion.version), ("untrained", 1));
    assert!(!promotion.moved && promotion.alias == Alias::Challenger, "noise does not become champion");
    let parity = promotion.gates.iter().find(|gate| gate.name == "train_serve_parity").unwrap();
    assert!(parity.passed, "{parity:?}");
    let registry = Registry::open(&home.path().join("registry.db")).unwrap();
    assert_eq!(registry.resolve("untrained@challenger").unwrap().1, best.bundle);
    assert!(
        conclusion.summary.verdict.contains("seen once")
            && conclusion.summary.verdict.contains("3 trials were ever run")
    );

    let page = std::fs::read_to_string(&conclusion.report).unwrap();
    for part in [
        "Does an untrained network beat holding?",
        "untrained version 1 stands as challenger; champion did not move.",
        "nan: loss was not finite at step 3",
        &best.bundle.to_string(),
        &prepared.dataset.digest.to_string(),
        "2018-01-02 to 2019-12-31",
    ] {
        assert!(page.contains(part), "`{part}` is missing");
    }
    assert!(!page.contains("NaN"));

    let again = home.prepare(YAML);
    assert_eq!(again.finished.as_ref(), Some(summary), "the same question is a cache hit");
    let gates_alone = YAML.replace("batch: 2", "batch: 2\n  parallel: 1");
    assert!(home.prepare(&gates_alone).finished.is_some(), "parallelism makes no other question");
    assert!(home.prepare(&YAML.replace("trials: 3", "trials: 2")).finished.is_none());
}

#[test]
fn concluding_twice_gives_the_same_verdict_and_counts_its_trials_once() {
    let home = Home::new();
    let prepared = home.prepare(YAML);
    let trials = ended(&home, &prepared);
    let first = concluded(&home, &prepared, trials.clone());
    let mut shuffled = trials;
    shuffled.reverse();
    assert_eq!(concluded(&home, &prepared, shuffled), first);
    let registry = Registry::open(&home.path().join("registry.db")).unwrap();
    assert_eq!(registry.history(&"untrained".parse().unwrap()).unwrap().len(), 1);

    let more = home.prepare(&YAML.replace("trials: 3", "trials: 4"));
    let later = concluded(&home, &more, home.succeed_all(&more));
    assert!(later.summary.verdict.contains("7 trials were ever run on this data"), "{}", later.summary.verdict);
}

#[test]
fn a_cancelled_or_failed_sweep_never_looks_at_the_test_split() {
    let home = Home::new();
    let prepared = home.prepare(YAML);
    let cancelled =
        conclude(&prepared, ExperimentState::Cancelled, ended(&home, &prepared), home.path(), now()).unwrap();
    assert!(cancelled.summary.verdict.contains("cancelled"), "{}", cancelled.summary.verdict);
    assert_eq!((&cancelled.summary.best, &cancelled.summary.promotion), (&None, &None));
    let sweep = ExperimentSweep::new(prepared.question.clone()).unwrap();
    let views = (0..3).map(|index| failed(&sweep.trial(index).unwrap())).collect();
    let lost = conclude(&prepared, ExperimentState::Failed, views, home.path(), now()).unwrap();
    assert!(lost.summary.verdict.starts_with("No trial gave a finite objective"), "{}", lost.summary.verdict);
    assert!(lost.report.is_file());
    let mut registry = Registry::open(&home.path().join("registry.db")).unwrap();
    assert!(registry.models().unwrap().is_empty(), "nothing was registered");
    let counted = registry.count_trials(prepared.dataset.digest, prepared.run_key, 0).unwrap();
    assert_eq!(counted, 3, "its trials were run and count");
    assert_eq!(home.prepare(YAML).finished, None, "what did not succeed is run again");
}

#[test]
fn a_bundle_that_was_edited_is_refused_by_its_file() {
    let home = Home::new();
    let prepared = home.prepare(YAML);
    let trials = ended(&home, &prepared);
    for entry in std::fs::read_dir(home.path().join("store/bundles")).unwrap() {
        std::fs::write(entry.unwrap().path().join("features.json"), b"{}").unwrap();
    }
    let error = conclude(&prepared, ExperimentState::Succeeded, trials, home.path(), now()).unwrap_err();
    assert!(error.to_string().contains("features.json was changed or cut short"), "{error}");
}
