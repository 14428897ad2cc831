//! The registry against the schema, and the ranges of parameters.

use std::collections::BTreeSet;

use super::*;

#[test]
fn the_list_of_all_features_is_that_of_the_schema() {
    let schema = serde_json::to_value(schemars::schema_for!(FeatureSpec)).unwrap();
    let variants = schema["oneOf"].as_array().unwrap();
    let documented: BTreeSet<&str> = variants.iter().map(|one| one["required"][0].as_str().unwrap()).collect();
    let all = FeatureSpec::all();
    let listed: BTreeSet<&str> = all.iter().map(FeatureSpec::kind).collect();
    assert_eq!(listed, documented);
    assert_eq!(listed.len(), all.len(), "each feature once");
    for spec in &all {
        let written = serde_json::to_value(spec).unwrap();
        assert_eq!(written.as_object().unwrap().keys().next().unwrap(), spec.kind());
    }
}

#[test]
fn the_fields_of_a_feature_are_its_parameters_and_usual_ones_are_valid() {
    for spec in FeatureSpec::all() {
        let written = serde_json::to_value(&spec).unwrap();
        let fields: BTreeSet<&str> = written[spec.kind()].as_object().unwrap().keys().map(String::as_str).collect();
        let parameters = spec.parameters();
        assert_eq!(parameters.iter().map(|parameter| parameter.field).collect::<BTreeSet<_>>(), fields);
        assert!(parameters.iter().all(Parameter::is_valid), "{}", spec.column());
        assert_eq!(spec.misordered(), None);
    }
}

#[test]
fn order_and_ends_of_parameters_are_judged() {
    let spec = FeatureSpec::UltimateOscillator { short: 7, middle: 7, long: 28 };
    assert_eq!(spec.misordered(), Some(("short", "middle")));
    let spec = FeatureSpec::Ppo { fast: 26, slow: 12 };
    assert_eq!(spec.misordered(), Some(("fast", "slow")));
    for (bars, valid) in [(1, false), (2, true), (1_000, true), (1_001, false)] {
        assert_eq!(FeatureSpec::Rsi { bars }.parameters()[0].is_valid(), valid, "{bars}");
    }
    for (step, valid) in [(0.0, false), (f64::NAN, false), (1.0, true), (1.1, false)] {
        assert_eq!(FeatureSpec::ParabolicSar { step, limit: 0.2 }.parameters()[0].is_valid(), valid, "{step}");
    }
    assert_eq!(FeatureSpec::Macd { fast: 12, slow: 26, signal: 9 }.column(), "macd_12_26_9");
    assert_eq!(FeatureSpec::Bollinger { bars: 20, width: 2.0 }.column(), "bollinger_20_2");
}
