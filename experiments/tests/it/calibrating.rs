//! A calibrated experiment and a calibrated ensemble, from file to figures.

use artifacts::{BundleKind, Registry, Store};
use experiments::{Conclusion, Prepared, conclude, ensemble};
use models::Predictor;
use protocol::{ExperimentState, TrialView};
use spec::{BundleId, TrialOutcome};

use crate::home::{Home, YAML, now};

const TASK: &str = "supervised: { window: 4, horizon: 1, epochs: 1, learning_rate: 0.001 }";

/// Directions in units of the volatility before: an untrained network's own unit says nothing.
const CALIBRATED: &str = "supervised: { window: 4, horizon: 1, epochs: 1, learning_rate: 0.001, calibration: { passes: 4 }, \
                          labels: { triple_barrier: { width: 0.5, bars: 20 } } }";

fn ended(home: &Home) -> (Prepared, Vec<TrialView>) {
    let prepared = home.prepare(&YAML.replace(TASK, CALIBRATED));
    let views = home.succeed_all(&prepared);
    (prepared, views)
}

#[test]
fn a_calibrated_trial_is_judged_on_the_test_split_drawn_and_kept() {
    let home = Home::new();
    let (prepared, views) = ended(&home);
    let Conclusion { summary, report } =
        conclude(&prepared, ExperimentState::Succeeded, views, home.path(), now()).unwrap();
    let figures = summary.calibration.clone().unwrap();
    // Two years of sessions less the purge of one bar.
    assert_eq!((figures.rows, figures.adaptive.rows, figures.coverage), (502, 502, 0.9));
    assert!((0.8..1.0).contains(&figures.adaptive.covered), "{figures:?}");
    let followed = figures.followed.as_ref().unwrap();
    assert_eq!(followed.reliability.iter().map(|bin| bin.count).sum::<usize>(), 502);
    assert_ne!(followed.brier, figures.after.brier);
    let page = std::fs::read_to_string(report).unwrap();
    assert!(page.contains("Reliability diagram") && page.contains("over 502 rows") && !page.contains("NaN"));
    let again = home.prepare(&YAML.replace(TASK, CALIBRATED));
    assert_eq!(again.finished, Some(summary), "figures read back as they were");
}

#[test]
fn an_experiment_without_a_calibration_has_no_such_figures() {
    let home = Home::new();
    let prepared = home.prepare(YAML);
    let views = home.succeed_all(&prepared);
    let conclusion = conclude(&prepared, ExperimentState::Succeeded, views, home.path(), now()).unwrap();
    assert_eq!(conclusion.summary.calibration, None);
    assert!(!std::fs::read_to_string(conclusion.report).unwrap().contains("Reliability diagram"));
}

#[test]
fn forecasters_are_registered_as_one_calibrated_together() {
    let home = Home::new();
    let (_, views) = ended(&home);
    let bundles: Vec<BundleId> = views
        .iter()
        .map(|view| serde_json::from_slice::<TrialOutcome>(view.outcome.as_ref().unwrap()).unwrap().bundle)
        .collect();
    let mut registry = Registry::open(&home.path().join("registry.db")).unwrap();
    for (bundle, view) in bundles.iter().zip(&views) {
        registry.register(&"lone".parse().unwrap(), *bundle, &view.trial, now()).unwrap();
    }
    drop(registry);
    let file = home.path().join("deep.yaml");
    let text = "version: 1\nname: deep\nmembers: [lone@1, lone@2, lone@3]\nweights: equal\npromote: { model: deep }\n";
    std::fs::write(&file, text).unwrap();
    let summary = ensemble(home.path(), &file, "0.1.0", now()).unwrap();
    let figures = summary.calibration.clone().unwrap();
    assert_eq!((figures.rows, summary.members.len()), (502, 3));
    let store = Store::open(home.path().join("store").to_str().unwrap()).unwrap();
    let whole = store.get_bundle(summary.bundle).unwrap();
    assert_eq!(whole.manifest().kind, BundleKind::Ensemble);
    assert!(Predictor::load(&whole).unwrap().calibration().is_some(), "its own, over its members' mixture");
    assert!(figures.epistemic > 0.0, "members differ: {figures:?}");

    let unknown = file.with_file_name("unknown.yaml");
    std::fs::write(&unknown, "version: 1\nname: deep\nsweep: untried\n").unwrap();
    let error = ensemble(home.path(), &unknown, "0.1.0", now()).unwrap_err();
    assert!(error.is_bad_input() && error.to_string().contains("no experiment untried succeeded"), "{error}");
}
