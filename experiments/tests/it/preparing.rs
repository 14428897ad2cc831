//! What is checked before anything starts.

use dataset::Dataset;
use experiments::sweep::ExperimentSweep;
use experiments::{PrepareError, prepare, resume};

use crate::home::{Home, YAML, bars, machine};

fn refused(home: &Home, yaml: &str) -> String {
    prepare(home.path(), &home.file(yaml), &machine()).unwrap_err().to_string()
}

#[test]
fn a_sound_file_becomes_a_submission_that_opens_the_same_sweep_anywhere() {
    let home = Home::new();
    let prepared = home.prepare(YAML);
    assert!(prepared.experiment.as_str().starts_with("untrained-"));
    assert_eq!(prepared.question.spec.data.split.purge, 1, "an open purge is the task's horizon");
    assert_eq!(prepared.finished, None);
    let submission = prepared.submission();
    assert_eq!((submission.policy.cpus, submission.policy.parallel), (1, None));
    let sweep = ExperimentSweep::open(&submission.payload).unwrap();
    assert_eq!(sweep.trials(), 3);
    let trial = sweep.trial(2).unwrap();
    assert_eq!(trial.trial.experiment, prepared.experiment);
    assert_eq!(trial.data_digest, prepared.dataset.digest);
}

#[test]
fn every_problem_of_a_file_is_said_at_once_with_its_place() {
    let home = Home::new();
    let said = refused(&home, &YAML.replace("trials: 3", "trials: 0").replace("[AAPL]", "[APPL]"));
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines.len() >= 2, "{said}");
    assert!(lines.iter().all(|line| line.contains("untrained.yaml:")), "{said}");
    assert!(said.contains("APPL") && said.contains("AAPL"), "{said}");
    assert!(refused(&home, &YAML.replace("name:", "nmae:")).contains("untrained.yaml:3:"));
}

#[test]
fn bars_that_are_unfit_or_missing_stop_a_run_by_name() {
    let home = Home::new();
    let good = bars();
    let with = |change: fn(&mut Dataset)| {
        let mut bad = good.clone();
        change(&mut bad);
        home.keep(&[Dataset::new(bad.symbol, bad.interval, bad.bars)]);
        refused(&home, YAML)
    };
    let said = with(|set| set.bars[77].close = f64::NAN);
    assert!(said.contains("AAPL in") && said.contains("row 77") && said.contains("is not fit"), "{said}");
    assert!(with(|set| set.bars[5].low = -1.0).contains("row 5"));
    assert!(with(|set| set.bars.swap(8, 9)).contains("row 9"));
    let unknown = refused(&home, &YAML.replace("source: aapl", "source: msft"));
    assert!(unknown.contains("msft.parquet"), "{unknown}");
}

#[test]
fn another_interval_than_the_data_has_is_refused() {
    let home = Home::new();
    let said = refused(&home, &YAML.replace("interval: 1d", "interval: 1h"));
    assert!(said.contains("holds 1d bars") && said.contains("asks for 1h"), "{said}");
}

#[test]
fn a_run_is_resumed_from_its_record_and_only_by_the_same_build_machine_and_data() {
    let home = Home::new();
    let prepared = home.prepare(YAML);
    let unknown = resume(home.path(), &prepared.experiment, &machine()).unwrap_err();
    assert!(matches!(unknown, PrepareError::Unknown(_)), "{unknown}");
    prepared.begin().unwrap();
    home.file("nothing: else\n");
    let resumed = resume(home.path(), &prepared.experiment, &machine()).unwrap();
    assert_eq!((&resumed.question, &resumed.path), (&prepared.question, &prepared.path));

    let mut other = machine();
    other.code_version = "0.2.0".to_owned();
    let changed = resume(home.path(), &prepared.experiment, &other).unwrap_err();
    assert!(changed.to_string().contains("another build"), "{changed}");
    let mut set = bars();
    set.bars.pop();
    home.keep(&[Dataset::new(set.symbol, set.interval, set.bars)]);
    let changed = resume(home.path(), &prepared.experiment, &machine()).unwrap_err();
    assert!(changed.to_string().contains("another data"), "{changed}");
}
