//! The schema against the samples and the parser.

use serde_json::{Value, json};

use super::*;
use crate::sample::{FORECAST, POLICY, edited};

/// Panics unless `value` fits `schema`. Knows the keywords that our schema uses and refuses any other, so that none is
/// passed over.
pub(crate) fn fits(root: &Value, schema: &Value, value: &Value, at: &str) {
    if let Err(why) = fit(root, schema, value) {
        panic!("{at}: {why}");
    }
}

fn fit(root: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    let keywords = match schema {
        Value::Bool(true) => return Ok(()),
        Value::Object(keywords) => keywords,
        Value::Bool(false) | Value::Null | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            return Err(format!("{schema} is no schema that this walker knows"));
        }
    };
    keywords.iter().try_for_each(|(keyword, rule)| {
        let holds = match keyword.as_str() {
            "$schema" | "$defs" | "title" | "description" | "default" | "format" | "pattern" => true,
            "$ref" => return fit(root, root.pointer(&rule.as_str().unwrap()[1..]).unwrap(), value),
            "type" => {
                rule.as_array().map_or_else(|| is_a(value, rule), |kinds| kinds.iter().any(|kind| is_a(value, kind)))
            }
            "const" => value == rule,
            "enum" => rule.as_array().unwrap().contains(value),
            "oneOf" => fitting(root, rule, value) == 1,
            "anyOf" => fitting(root, rule, value) >= 1,
            "required" => rule.as_array().unwrap().iter().all(|name| value.get(name.as_str().unwrap()).is_some()),
            "minimum" => value.as_f64().is_none_or(|number| number >= rule.as_f64().unwrap()),
            "maximum" => value.as_f64().is_none_or(|number| number <= rule.as_f64().unwrap()),
            "minItems" => value.as_array().is_none_or(|items| items.len() as u64 >= rule.as_u64().unwrap()),
            "maxItems" => value.as_array().is_none_or(|items| items.len() as u64 <= rule.as_u64().unwrap()),
            "properties" => {
                return each(value, |name, inner| rule.get(name).map_or(Ok(()), |rule| fit(root, rule, inner)));
            }
            "additionalProperties" => {
                let known = schema.get("properties");
                return each(value, |name, inner| match (known.and_then(|known| known.get(name)), rule) {
                    (Some(_), _) => Ok(()),
                    (None, Value::Bool(false)) => Err(format!("{name} is no property")),
                    (None, rule) => fit(root, rule, inner),
                });
            }
            "items" => return value.as_array().into_iter().flatten().try_for_each(|item| fit(root, rule, item)),
            "prefixItems" => {
                let pairs = rule.as_array().unwrap().iter().zip(value.as_array().into_iter().flatten());
                return pairs.into_iter().try_for_each(|(rule, item)| fit(root, rule, item));
            }
            other => return Err(format!("the walker does not know the keyword {other}")),
        };
        if holds { Ok(()) } else { Err(format!("{value} breaks {keyword}: {rule}")) }
    })
}

fn fitting(root: &Value, rules: &Value, value: &Value) -> usize {
    rules.as_array().unwrap().iter().filter(|rule| fit(root, rule, value).is_ok()).count()
}

fn each(value: &Value, check: impl Fn(&str, &Value) -> Result<(), String>) -> Result<(), String> {
    value.as_object().into_iter().flatten().try_for_each(|(name, inner)| check(name, inner))
}

fn is_a(value: &Value, kind: &Value) -> bool {
    match kind.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("{other} is no type of JSON Schema"),
    }
}

fn verdict(text: &str) -> Result<(), String> {
    let schema = schema();
    let (value, _) = crate::yaml::read("a.yaml", text).unwrap();
    fit(&schema, &schema, &value)
}

#[test]
fn the_schema_names_its_draft_and_takes_both_samples() {
    assert_eq!(schema()["$schema"], json!("https://json-schema.org/draft/2020-12/schema"));
    assert_eq!(verdict(FORECAST), Ok(()));
    assert_eq!(verdict(&edited(&POLICY)), Ok(()));
}

#[test]
fn the_schema_refuses_what_the_parser_refuses() {
    for edit in [
        ("window: 16", "wndow: 16"),
        ("window: 16", "window: sixteen"),
        ("device: cpu", "device: tpu"),
        ("version: 1", "version: 2"),
        ("name: sample\n", ""),
        ("[2020-01-01, 2020-06-30]", "[2020-01-01]"),
        ("log_return: {", "logreturn: {"),
        ("resources:", "extra: 1\nresources:"),
    ] {
        let text = edited(&[edit]);
        assert!(crate::parse("a.yaml", &text).is_err(), "{edit:?}");
        assert!(verdict(&text).is_err(), "the schema takes {edit:?}");
    }
}
