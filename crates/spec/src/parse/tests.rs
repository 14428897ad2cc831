//! What is said of files that do not read, and that nothing panics.

use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;
use crate::sample::{FORECAST, edited, lines, parsed, said};

fn refused(edits: &[(&str, &str)], expected: Expect) {
    text_refused(&edited(edits), expected);
}

fn text_refused(text: &str, expected: Expect) {
    expected.assert_eq(&lines(&parse("a.yaml", text).expect_err("the file is wrong")));
}

#[test]
fn the_sample_is_read_and_nothing_is_wrong_with_it() {
    assert_eq!(said(&[]), "");
    let (spec, positions) = parsed(&[]);
    assert_eq!((spec.name.as_str(), spec.env.cash, spec.sweep.seeds.as_slice()), ("sample", 100_000, &[1][..]));
    let place = positions.value("data.split.train.1");
    assert_eq!((place.line, place.column), (8, 25));
    let place = positions.key("task.supervised.horizon");
    assert_eq!((place.line, place.column), (16, 29));
    assert!(positions.written("data.split.purge") && !positions.written("data.split.embargo"));
    assert_eq!(positions.value("data.split.embargo").line, 7);
}

#[test]
fn repairs_are_read_in_order_and_left_out_of_what_is_hashed_where_none_is_asked() {
    let (spec, _) = parsed(&[("interval: 1d", "interval: 15m\n  repairs: [unit_error, split, gap]")]);
    assert_eq!(spec.data.repairs, [crate::Repair::UnitError, crate::Repair::Split, crate::Repair::Gap]);
    let plain = serde_json::to_string(&parsed(&[]).0.data).unwrap();
    assert!(!plain.contains("repairs"), "{plain}");
    refused(
        &[("interval: 1d", "interval: 1d\n  repairs: [splits]")],
        expect![[r#"
        a.yaml:7:13: unknown choice `splits`, `data.repairs.0` does not offer it, did you mean `split`?
    "#]],
    );
}

#[test]
fn features_are_held_against_their_ranges_and_orders() {
    let said_of = |features: &str| said(&[("- log_return: { bars: 1 }", features)]);
    assert_eq!(said_of("- gap: {}\n  - parabolic_sar: { step: 0.02, limit: 0.2 }"), "");
    expect![[r#"
        a.yaml:13:18: `features.0.adx.bars` is 1, that is out of range, use 2 to 1000
        a.yaml:14:33: `features.1.keltner.width` is 0, that is out of range, use a number above 0
        a.yaml:15:23: `fast` is 30 and `slow` 26, `fast` is the shorter of the two, use a `fast` below `slow`
        a.yaml:16:5: `beta` compares symbols, a trial sees one symbol, remove it
    "#]]
    .assert_eq(&said_of(
        "- adx: { bars: 1 }\n  - keltner: { bars: 20, width: 0 }\n  - ichimoku: { fast: 30, slow: 26 }\n  - beta: { bars: 60 }",
    ));
}

#[test]
fn an_unknown_key_is_told_with_its_nearest_match() {
    refused(
        &[("epochs: 2", "epochs: 2, wieght_decay: 0")],
        expect![[r#"
        a.yaml:16:52: unknown key `wieght_decay`, `task.supervised` has no such key, did you mean `weight_decay`?
    "#]],
    );
    refused(
        &[("resources:", "resorces:")],
        expect![[r#"
        a.yaml:25:1: unknown key `resorces`, an experiment has no such key, did you mean `resources`?
    "#]],
    );
    refused(
        &[("purge: 5", "xyzzy: 5")],
        expect![[r#"
        a.yaml:11:5: unknown key `xyzzy`, `data.split` has no such key, use one of `train`, `validation`, `test`, `purge`, `embargo`
    "#]],
    );
}

#[test]
fn an_unknown_choice_is_told_with_its_nearest_match() {
    refused(
        &[("device: cpu", "device: gpu")],
        expect![[r#"
        a.yaml:25:22: unknown choice `gpu`, `resources.device` does not offer it, use one of `cpu`, `cuda`, `auto`
    "#]],
    );
    refused(
        &[("direction: maximise", "direction: maximize")],
        expect![[r#"
        a.yaml:22:14: unknown choice `maximize`, `sweep.direction` does not offer it, did you mean `maximise`?
    "#]],
    );
    refused(
        &[("log_return: {", "logreturn: {")],
        expect![[r#"
        a.yaml:13:5: unknown choice `logreturn`, `features.0` does not offer it, did you mean `log_return`?
    "#]],
    );
    refused(
        &[("interval: 1d", "interval: 1w")],
        expect![[r#"
        a.yaml:6:13: unknown choice `1w`, `data.interval` does not offer it, use one of `1d`, `4h`, `1h`, `30m`, `15m`, `5m`, `1m`
    "#]],
    );
}

#[test]
fn a_value_of_the_wrong_kind_is_told() {
    refused(
        &[("window: 16", "window: sixteen")],
        expect![[r#"
        a.yaml:16:25: found the text "sixteen", `task.supervised.window` is of another kind, write a whole number, 0 or more, without a decimal point
    "#]],
    );
    refused(
        &[("window: 16", "window: 16.0")],
        expect![[r#"
        a.yaml:16:25: found the number `16.0`, `task.supervised.window` is of another kind, write a whole number, 0 or more, without a decimal point
    "#]],
    );
    refused(
        &[("window: 16", "window: -1")],
        expect![[r#"
        a.yaml:16:25: found the number `-1`, `task.supervised.window` is of another kind, write a whole number, 0 or more, without a decimal point
    "#]],
    );
    refused(
        &[("learning_rate: 0.001", "learning_rate: [0.001]")],
        expect![[r#"
        a.yaml:16:67: found a list, `task.supervised.learning_rate` is of another kind, write a number
    "#]],
    );
    refused(
        &[("name: sample", "name: 7")],
        expect![[r#"
        a.yaml:2:7: found the number `7`, `name` is of another kind, write text, in quotes if it looks like a number
    "#]],
    );
    refused(
        &[("symbols: [AAPL]", "symbols: AAPL")],
        expect![[r#"
        a.yaml:5:12: found the text "AAPL", `data.symbols` is of another kind, write a list, such as `[a, b]`
    "#]],
    );
    refused(
        &[("train: [2020-01-01, 2020-06-30]", "train: [2020-01-01]")],
        expect![[r#"
        a.yaml:8:12: found a list of 1, `data.split.train` is of another kind, write a list of two, such as `[a, b]`
    "#]],
    );
    refused(
        &[("log_return: { bars: 1 }", "log_return")],
        expect![[r#"
        a.yaml:13:5: found a bare name, `features.0.log_return` is of another kind, write `name: { key: value }` with its keys
    "#]],
    );
    refused(
        &[("resources: { device: cpu, cpus: 1 }", "resources:")],
        expect![[r#"
        a.yaml:25:10: found nothing, `resources` is of another kind, write keys and values
    "#]],
    );
}

#[test]
fn a_value_that_its_type_refuses_is_told_in_the_types_words() {
    refused(
        &[("2020-06-30", "2020-06-31")],
        expect![[r#"
        a.yaml:8:25: `2020-06-31` is not a time, `data.split.train.1` cannot hold it, write 2021-03-04 or 2021-03-04T15:30:00Z
    "#]],
    );
    refused(
        &[("version: 1", "version: 2")],
        expect![[r#"
        a.yaml:1:10: version 2 is unknown, `version` cannot hold it, this build reads version 1
    "#]],
    );
    refused(
        &[("name: sample", "name: My Sample")],
        expect![[r#"
        a.yaml:2:7: `My Sample` is not a name, `name` cannot hold it, use 1 to 64 lower-case letters, digits, `-` or `_`, starting with a letter or digit
    "#]],
    );
    refused(
        &[("resources:", "timeout: 5 minutes\nresources:")],
        expect![[r#"
        a.yaml:25:10: `5 minutes` is not a duration, `timeout` cannot hold it, write 500ms, 5s, 2m or 1h
    "#]],
    );
}

#[test]
fn a_missing_key_is_told_where_it_belongs() {
    refused(
        &[(", learning_rate: 0.001", "")],
        expect![[r#"
        a.yaml:16:3: `learning_rate` is missing, `task.supervised` needs it, add `learning_rate:`
    "#]],
    );
    refused(
        &[("name: sample\n", "")],
        expect![[r#"
        a.yaml:1:1: `name` is missing, every experiment has it, add `name:`
    "#]],
    );
}

#[test]
fn faults_of_all_sections_are_told_at_once_in_the_order_of_the_file() {
    refused(
        &[
            ("name: sample", "nane: sample"),
            ("purge: 5", "purg: 5"),
            ("window: 16", "wndow: 16, horizen: 5"),
            ("trials: 4", "trials: four"),
        ],
        expect![[r#"
            a.yaml:1:1: `name` is missing, every experiment has it, add `name:`
            a.yaml:2:1: unknown key `nane`, an experiment has no such key, did you mean `name`?
            a.yaml:11:5: unknown key `purg`, `data.split` has no such key, did you mean `purge`?
            a.yaml:16:3: `window` is missing, `task.supervised` needs it, add `window:`
            a.yaml:16:17: unknown key `wndow`, `task.supervised` has no such key, did you mean `window`?
            a.yaml:16:28: unknown key `horizen`, `task.supervised` has no such key, did you mean `horizon`?
            a.yaml:20:11: found the text "four", `sweep.trials` is of another kind, write a whole number, 0 or more, without a decimal point
        "#]],
    );
}

#[test]
fn what_yaml_could_surprise_with_is_refused() {
    refused(
        &[("purge: 5", "purge: 5\n    purge: 6")],
        expect![[r#"
        a.yaml:12:5: `purge` is repeated, line 11 has it already, keep one of them
    "#]],
    );
    refused(
        &[("name: sample", "name: &n sample")],
        expect![[r#"
        a.yaml:2:7: an anchor, only plain values are read, write the bare value
    "#]],
    );
    refused(
        &[("name: sample", "name: *n")],
        expect![[r#"
        a.yaml:2:7: not YAML, while parsing node, found unknown anchor, check indentation, colons and closing brackets here
    "#]],
    );
    refused(
        &[("name: sample", "name: !!str sample")],
        expect![[r#"
        a.yaml:2:7: a tag, only plain values are read, write the bare value
    "#]],
    );
    refused(
        &[("name: sample", "? [a, b]\n: sample")],
        expect![[r#"
        a.yaml:2:3: a key that is no text, keys are names, write `name: value`
    "#]],
    );
    refused(
        &[("learning_rate: 0.001", "learning_rate: .nan")],
        expect![[r#"
        a.yaml:16:67: `.nan`, a number must be finite, write a finite number below 2^64
    "#]],
    );
    refused(
        &[("learning_rate: 0.001", "learning_rate: 1e999")],
        expect![[r#"
        a.yaml:16:67: `1e999`, a number must be finite, write a finite number below 2^64
    "#]],
    );
    refused(
        &[("window: 16", "window: 99999999999999999999")],
        expect![[r#"
        a.yaml:16:25: `99999999999999999999`, the whole number is too large, write a finite number below 2^64
    "#]],
    );
    refused(
        &[("device: cpu", "device: [cpu")],
        expect![[r#"
        a.yaml:26:1: not YAML, while parsing a flow sequence, expected ',' or ']', check indentation, colons and closing brackets here
    "#]],
    );
}

#[test]
fn a_file_that_is_no_single_document_of_sane_size_is_refused() {
    text_refused(
        &format!("{FORECAST}---\n{FORECAST}"),
        expect![[r#"
        a.yaml:26:1: a second document, a file holds one experiment, write it into a file of its own
    "#]],
    );
    text_refused(
        "",
        expect![[r#"
        a.yaml:1:1: an empty file, an experiment needs content, start with `version: 1`
    "#]],
    );
    text_refused(
        "- 1\n",
        expect![[r#"
        a.yaml:1:1: no experiment, a file holds keys and values, start with `version: 1`
    "#]],
    );
    text_refused(
        &"[".repeat(40),
        expect![[r#"
        a.yaml:1:33: more than 32 levels, no experiment nests so deep, check the brackets and indentation before here
    "#]],
    );
    text_refused(
        &" ".repeat(1024 * 1024 + 1),
        expect![[r#"
        a.yaml:1:1: a file of 1048577 bytes, the limit is 1 MiB, cut it
    "#]],
    );
    text_refused(
        &format!("name: {}", "a".repeat(5_000)),
        expect![[r#"
        a.yaml:1:7: a text of 5000 bytes, the limit is 4096, cut it
    "#]],
    );
    text_refused(
        &format!("seeds: [{}]", "1,".repeat(100_000)),
        expect![[r#"
        a.yaml:1:40003: more than 20000 values, no experiment has so many, cut it
    "#]],
    );
}

/// The classic: nine levels of nine aliases each. It is refused at its first anchor, before anything is expanded.
#[test]
fn a_bomb_of_aliases_is_refused_at_its_first_anchor() {
    let mut text = "a0: &a0 [x]\n".to_owned();
    for level in 1..9 {
        let aliases = vec![format!("*a{}", level - 1); 9].join(", ");
        text += &format!("a{level}: &a{level} [{aliases}]\n");
    }
    text_refused(
        &text,
        expect![[r#"
        a.yaml:1:5: an anchor, only plain values are read, write the bare value
    "#]],
    );
}

#[test]
fn scalars_follow_the_core_schema_in_decimal() {
    let read = |text: &str| yaml::read("a.yaml", &format!("a: {text}\n")).unwrap().0["a"].clone();
    for text in ["yes", "no", "on", "0x1F", "1_000", "2020-01-01", "1d", "'1'", "\"true\"", "1e", "inf", "+", "-."] {
        assert!(read(text).is_string(), "{text}");
    }
    assert_eq!(read("+5"), serde_json::json!(5));
    assert_eq!(read("-5"), serde_json::json!(-5));
    assert_eq!(read("1e-3"), serde_json::json!(0.001));
    assert_eq!(read(".5"), serde_json::json!(0.5));
    assert_eq!(read("5."), serde_json::json!(5.0));
    assert_eq!(read("18446744073709551615"), serde_json::json!(u64::MAX));
    assert_eq!(read("TRUE"), serde_json::json!(true));
    assert!(read("~").is_null() && read("").is_null());
}

#[test]
fn the_sections_are_those_of_the_schema() {
    let schema = crate::schema();
    let mut ours: Vec<_> = SECTIONS.iter().map(|(name, ..)| *name).collect();
    let mut theirs: Vec<_> = schema["properties"].as_object().unwrap().keys().map(String::as_str).collect();
    ours.sort_unstable();
    theirs.sort_unstable();
    assert_eq!(ours, theirs);
    let required = |name: &str| schema["required"].as_array().unwrap().iter().any(|entry| entry == name);
    for (name, presence, _) in SECTIONS {
        assert_eq!(presence == Presence::Required, required(name), "{name}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,200}") {
        let _ = parse("a.yaml", &text);
    }

    #[test]
    fn no_damage_to_a_file_makes_the_parser_panic(at in 0..FORECAST.len(), length in 0_usize..40, with in "[\\PC\n]{0,8}") {
        let end = (at + length).min(FORECAST.len());
        let damaged = format!("{}{with}{}", &FORECAST[..at], &FORECAST[end..]);
        if let Err(problems) = parse("a.yaml", &damaged) {
            prop_assert!(!problems.is_empty());
            prop_assert!(problems.iter().all(|problem| problem.place.as_ref().is_some_and(|at| at.line > 0 && at.column > 0)));
        }
    }
}
