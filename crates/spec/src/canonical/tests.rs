//! Every value has the crate's form, whichever way it goes.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Map, Number, Value, json};

use super::*;

fn rule(value: &impl Serialize) -> Vec<u8> {
    serde_json_canonicalizer::to_vec(value).unwrap()
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

fn values() -> impl Strategy<Value = Value> {
    let number = prop_oneof![
        any::<i64>().prop_map(Number::from),
        any::<u64>().prop_map(Number::from),
        any::<f64>().prop_filter_map("a number", Number::from_f64),
        (-1_000_000_i64..1_000_000).prop_filter_map("a number", |value| Number::from_f64(value as f64 / 1_000.0)),
    ];
    let word = prop_oneof![4 => "[ -~]{0,6}", 1 => any::<String>(), 1 => "[a-c\"\\\\\u{7f}\u{e000}\u{10000}]{0,3}"];
    let leaf = prop_oneof![
        8 => number.prop_map(Value::Number),
        8 => word.clone().prop_map(Value::String),
        4 => any::<bool>().prop_map(Value::Bool),
        1 => Just(Value::Null),
    ];
    leaf.prop_recursive(4, 64, 8, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            proptest::collection::vec((word.clone(), inner), 0..8)
                .prop_map(|entries| Value::Object(entries.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_value_has_the_form_of_the_rule(value in values()) {
        prop_assert_eq!(text(canonical_json(&value)), text(rule(&value)));
    }
}

/// Fields that do not stand in the order of their names.
#[derive(Serialize)]
struct Unsorted {
    beta: f32,
    alpha: Vec<Inner>,
    #[serde(rename = "alpha!")]
    prefixed: i128,
    by_number: BTreeMap<u32, char>,
}

#[derive(Serialize)]
struct Inner {
    z: (),
    a: Option<bool>,
}

#[test]
fn fields_are_sorted_and_what_is_plain_does_not_need_the_crate() {
    let alpha = vec![Inner { z: (), a: None }];
    let value = Unsorted { beta: 0.1, alpha, prefixed: 7, by_number: [(10, 'x'), (9, '\u{1}')].into() };
    let written =
        r#"{"alpha":[{"a":null,"z":null}],"alpha!":7,"beta":0.10000000149011612,"by_number":{"10":"x","9":"\u0001"}}"#;
    assert_eq!(plain(&value).map(text).as_deref(), Some(written));
    assert_eq!(text(rule(&value)), written);
    let (spec, _) = crate::sample::parsed(&[]);
    let trial = crate::trial(
        &crate::resolve(&spec, &crate::sample::parsed(&[]).1, &crate::sample::facts()),
        &crate::Params::new(),
        7,
        "sample-0123abcd.3".parse().unwrap(),
        (crate::Digest::of(b"bars"), &[]),
    );
    let trial = trial.unwrap();
    assert_eq!(plain(&trial).map(text), Some(text(rule(&trial))), "a trial is plain");
}

#[test]
fn what_is_not_plain_is_left_to_the_crate() {
    for value in [json!({ "é": 1, "e": 2 }), json!({ "a\"": 1 }), json!({ "\u{e000}": 1, "\u{10000}": 2 })] {
        assert!(plain(&value).is_none() && canonical_json(&value) == rule(&value), "{value}");
    }
}
