//! An encoder is found, checked and named by its digest before anything starts.

use artifacts::gate::judge;
use artifacts::{Evidence, Moved, Registry, Store, Validated};
use experiments::sweep::ExperimentSweep;
use experiments::{Prepared, conclude, prepare, resume};
use protocol::ExperimentState;
use spec::{BundleId, Digest, EncoderRef, GateSpec, TrialOutcome, canonical_json};

use crate::home::{Home, YAML, machine, now};

/// An agent that sees through the encoder of the forecaster that [`encoder`] registers.
fn agent(encoder: &str) -> String {
    let supervised = "supervised: { window: 4, horizon: 1, epochs: 1, learning_rate: 0.001 }";
    let rl = "rl: { window: 4, steps: 600, algorithm: { ppo: { learning_rate: 0.001, rollout: 32 } } }";
    YAML.replace("task:", &format!("encoder: {encoder}\ntask:"))
        .replace(supervised, rl)
        .replace("cnn_lstm: { channels: 4, hidden: 8 }", "mlp: { hidden: [8] }")
        .replace("task.supervised.learning_rate:", "task.rl.algorithm.ppo.learning_rate:")
        .replace("name: untrained", "name: agent")
        .replace("model: untrained", "model: agent")
}

/// Runs the forecaster's experiment to `untrained@1`.
fn encoder(home: &Home) -> BundleId {
    let prepared = home.prepare(YAML);
    let trials = home.succeed_all(&prepared);
    conclude(&prepared, ExperimentState::Succeeded, trials, home.path(), now()).unwrap();
    Registry::open(&home.path().join("registry.db")).unwrap().resolve("untrained@1").unwrap().1
}

fn moved(expected: Option<BundleId>) -> Moved<'static> {
    Moved { expected, at: now(), actor: "test", evidence: Digest::of(b"moved") }
}

/// With figures that pass every gate.
fn validated(bundle: BundleId) -> Validated<BundleId> {
    let evidence = Evidence {
        test_returns: (0..500).map(|bar| 0.002 + 0.004 * f64::from(bar % 3 - 1)).collect(),
        buy_and_hold_return: 0.0,
        trial_sharpes: vec![0.0, 0.01],
        trials_ever: 2,
        parity_rows: 1,
        parity_mismatches: 0,
    };
    judge(&evidence, &GateSpec::default(), bundle).validated.unwrap()
}

fn named(prepared: &Prepared) -> Option<EncoderRef> {
    prepared.question.spec.encoder.as_ref().map(|encoder| encoder.bundle.clone())
}

fn refused(home: &Home, yaml: &str) -> String {
    prepare(home.path(), &home.file(yaml), &machine()).unwrap_err().to_string()
}

#[test]
fn an_encoder_is_hashed_by_its_digest_and_every_trial_names_it() {
    let home = Home::new();
    let bundle = encoder(&home);
    let prepared = home.prepare(&agent("{ bundle: untrained@1 }"));
    assert_eq!((named(&prepared), &prepared.notice), (Some(EncoderRef::Bundle(bundle)), &None));
    let trial = ExperimentSweep::open(&prepared.submission().payload).unwrap().trial(0).unwrap();
    assert_eq!(trial.encoder.unwrap().bundle, bundle);
    let by_digest = home.prepare(&agent(&format!("{{ bundle: {bundle} }}")));
    assert_eq!(by_digest.experiment, prepared.experiment, "however it is named, it is one question");
    // What would be done without it decides nothing once it is there.
    let either = home.prepare(&agent("{ bundle: untrained@challenger, missing: indicators }"));
    assert_eq!(either.experiment, prepared.experiment);
}

#[test]
fn without_its_encoder_an_experiment_is_refused_at_its_place_or_runs_on_indicators_and_says_so() {
    let home = Home::new();
    let said = refused(&home, &agent("{ bundle: untrained@1 }"));
    assert!(said.contains("untrained.yaml:15:20: no encoder `untrained@1`"), "{said}");
    assert!(said.contains("missing: indicators"), "{said}");
    let yaml = agent("{ bundle: untrained@1, missing: indicators }");
    let given_up = home.prepare(&yaml);
    assert_eq!(named(&given_up), None);
    let notice = given_up.notice.clone().unwrap();
    assert!(notice.contains("`untrained@1`") && notice.ends_with("agents learn on indicators alone"), "{notice}");
    given_up.begin().unwrap();
    // Once the encoder is there the file asks another question, and a run that was begun goes on as it was.
    encoder(&home);
    let learned = home.prepare(&yaml);
    assert_ne!(learned.experiment, given_up.experiment);
    let resumed = resume(home.path(), &given_up.experiment, &machine()).unwrap();
    assert_eq!(resumed.question, given_up.question);
    assert!(resumed.notice.unwrap().contains("indicators alone"));
}

#[test]
fn a_run_goes_on_with_the_encoder_it_was_begun_with_wherever_the_alias_stands() {
    let home = Home::new();
    let bundle = encoder(&home);
    let begun = home.prepare(&agent("{ bundle: untrained@challenger }"));
    begun.begin().unwrap();
    let mut registry = Registry::open(&home.path().join("registry.db")).unwrap();
    let (model, other) = ("untrained".parse().unwrap(), BundleId(Digest::of(b"other")));
    registry.register(&model, other, &"untrained-0.9".parse().unwrap(), now()).unwrap();
    registry.challenge(&model, other, &moved(Some(bundle))).unwrap();
    let resumed = resume(home.path(), &begun.experiment, &machine()).unwrap();
    assert_eq!((resumed.question, resumed.notice), (begun.question, None));
}

#[test]
fn an_encoder_that_saw_the_test_or_is_damaged_is_refused_whatever_the_file_says_of_a_missing_one() {
    let home = Home::new();
    let bundle = encoder(&home);
    let early = agent("{ bundle: untrained@1, missing: indicators }")
        .replace("validation: [2017-01-03, 2017-12-29]", "validation: [2017-01-03, 2017-06-30]")
        .replace("test: [2018-01-02, 2019-12-31]", "test: [2017-10-02, 2019-12-31]");
    let said = refused(&home, &early);
    assert!(said.contains("untrained.yaml:15:20: bars until 2017-12-29 had a say in the encoder"), "{said}");
    assert!(said.contains("test begins 2017-10-02"), "{said}");
    let file = home.path().join("store/bundles").join(bundle.to_string()).join("weights.safetensors");
    std::fs::write(&file, b"nothing").unwrap();
    let yaml = agent("{ bundle: untrained@1, missing: indicators }");
    let damaged = prepare(home.path(), &home.file(&yaml), &machine()).unwrap_err();
    assert!(damaged.to_string().contains("weights.safetensors was changed or cut short"), "{damaged}");
    assert!(!damaged.is_bad_input(), "no file mends a store");
    let faulty = yaml.replace("steps: 600", "steps: 0");
    let first = prepare(home.path(), &home.file(&faulty), &machine()).unwrap_err();
    assert!(first.is_bad_input() && first.to_string().contains("steps"), "the file's own faults first: {first}");
    std::fs::remove_dir_all(file.parent().unwrap()).unwrap();
    let lost = home.prepare(&agent("{ bundle: untrained@1, missing: indicators }"));
    assert!(lost.notice.unwrap().contains("is not in the store"), "only what is gone is missing");
}

#[test]
fn a_champion_is_one_by_version_and_by_digest_too_but_for_a_run_that_was_begun_before() {
    let home = Home::new();
    let bundle = encoder(&home);
    let begun = home.prepare(&agent(&format!("{{ bundle: {bundle} }}")));
    begun.begin().unwrap();
    let mut registry = Registry::open(&home.path().join("registry.db")).unwrap();
    registry.promote(&"untrained".parse().unwrap(), &validated(bundle), &moved(None)).unwrap();
    for called in ["untrained@champion", "untrained@challenger", "untrained@1", &bundle.to_string()] {
        let said = refused(&home, &agent(&format!("{{ bundle: {called} }}")));
        assert!(said.contains("bars until 2019-12-31 had a say in the encoder (it is or was a champion"), "{said}");
    }
    assert_eq!(resume(home.path(), &begun.experiment, &machine()).unwrap().question, begun.question);
}

#[test]
fn an_encoder_whose_sweep_began_with_figures_of_the_test_is_refused_with_both_dates() {
    let home = Home::new();
    encoder(&home);
    let later = YAML
        .replace("validation: [2017-01-03, 2017-12-29]", "validation: [2017-01-03, 2018-12-31]")
        .replace("test: [2018-01-02, 2019-12-31]", "test: [2019-01-02, 2019-12-31]");
    let later = home.prepare(&later);
    later.begin().unwrap();
    let yaml = agent("{ bundle: untrained@1 }");
    home.prepare(&yaml);
    // The record of the encoder's own run, as of one that began with those figures.
    let mut own = home.prepare(YAML);
    own.question.spec.sweep.warm_start = Some(later.experiment.clone());
    own.begin().unwrap();
    let said = refused(&home, &yaml);
    let source = format!("(its sweep began with the figures of {})", later.experiment);
    assert!(said.contains("bars until 2018-12-31 had a say in the encoder") && said.contains(&source), "{said}");
    assert!(said.contains("test begins 2018-01-02"), "{said}");
}

#[test]
fn what_trials_remembered_is_summed_in_the_summary_and_stands_in_the_report() {
    let home = Home::new();
    let bundle = encoder(&home);
    let prepared = home.prepare(YAML);
    let mut views = home.succeed_all(&prepared);
    for (index, view) in views.iter_mut().enumerate() {
        let mut outcome: TrialOutcome = serde_json::from_slice(view.outcome.as_deref().unwrap()).unwrap();
        let (hits, misses) = if index == 0 { (10, 90) } else { (100, 0) };
        outcome.encoder = Some(spec::EncoderUse { bundle, hits, misses, forgotten: 1 });
        view.outcome = Some(canonical_json(&outcome));
    }
    let conclusion = conclude(&prepared, ExperimentState::Succeeded, views, home.path(), now()).unwrap();
    let used = conclusion.summary.encoder.unwrap();
    assert_eq!((used.bundle, used.asked, used.remembered, used.forgotten), (bundle, 300, 0.7, 3));
    let page = std::fs::read_to_string(&conclusion.report).unwrap();
    assert!(page.contains("of 300 bars asked for, 70.0 % were remembered"), "it is not in the report");
    assert!(Store::of(home.path()).unwrap().get_bundle(bundle).is_ok());
}
