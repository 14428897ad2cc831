//! Encoders: found or not, fit for the agent's bars, and finished before its test.

use expect_test::{Expect, expect};

use crate::sample::{POLICY, edited, facts, parsed, said_on};
use crate::{
    BundleId, DataSpec, Digest, EncoderFacts, EncoderRef, Facts, ForecasterFacts, Guide, MissingEncoder, Params,
    Repair, Selection, parse, resolve, trial,
};

/// The policy sample with an encoder, and an environment short enough for its splits.
fn learned(encoder: &str) -> [(&'static str, String); 2] {
    [
        ("task:", format!("encoder: {encoder}\ntask:")),
        ("resources:", "env: { episode_bars: 32 }\nresources:".to_owned()),
    ]
}

fn edits<'a>(encoder: &'a [(&'static str, String); 2]) -> Vec<(&'static str, &'a str)> {
    POLICY.into_iter().chain(encoder.iter().map(|(old, new)| (*old, new.as_str()))).collect()
}

fn bundle() -> BundleId {
    BundleId(Digest::of(b"encoder"))
}

/// A forecaster of the sample's bars whose validation ended in September.
fn forecaster() -> ForecasterFacts {
    let data: DataSpec = parsed(&[]).0.data;
    let anchor = "2020-01-01".parse().unwrap();
    let (selection, guides) = (Selection::OnValidation, Vec::new());
    ForecasterFacts { bundle: bundle(), data, horizon: 5, anchor, selection, guides }
}

fn found(encoder: EncoderFacts) -> Facts {
    Facts { encoder: Some(encoder), ..facts() }
}

fn told(encoder: &str, facts: &Facts, expected: Expect) {
    expected.assert_eq(&said_on(&edits(&learned(encoder)), facts));
}

fn unfit(change: impl Fn(&mut ForecasterFacts), expected: Expect) {
    let mut forecaster = forecaster();
    change(&mut forecaster);
    told("{ bundle: encoder@1 }", &found(EncoderFacts::Forecaster(Box::new(forecaster))), expected);
}

#[test]
fn an_encoder_that_ended_before_the_test_is_named_by_its_digest_from_then_on() {
    unfit(|_| {}, expect![""]);
    let encoder = learned("{ bundle: encoder@1, memory_rows: 7, missing: indicators }");
    let (spec, positions) = parsed(&edits(&encoder));
    let resolved = resolve(&spec, &positions, &found(EncoderFacts::Forecaster(Box::new(forecaster()))));
    let encoder = resolved.encoder.clone().unwrap();
    assert_eq!((encoder.bundle, encoder.missing), (EncoderRef::Bundle(bundle()), MissingEncoder::Refuse));
    let made = |spec| trial(spec, &Params::new(), 1, "sample-1.0".parse().unwrap(), (Digest::of(b"bars"), &[]));
    let encoder = made(&resolved).unwrap().encoder.unwrap();
    assert_eq!((encoder.bundle, encoder.memory_rows), (bundle(), 7));
    let unresolved = made(&spec).unwrap_err();
    assert!(unresolved.to_string().contains("the encoder is `encoder@1`"), "{unresolved}");
}

#[test]
fn a_missing_encoder_is_refused_or_given_up_as_the_file_says() {
    let missing = found(EncoderFacts::Missing { why: "encoder@1 names no registered version".to_owned() });
    told(
        "{ bundle: encoder@1 }",
        &missing,
        expect![[r#"
            a.yaml:15:20: no encoder `encoder@1`, encoder@1 names no registered version, train it first, or write `missing: indicators` to learn without it
        "#]],
    );
    told("{ bundle: encoder@1, missing: indicators }", &missing, expect![""]);
    let (spec, positions) = parsed(&edits(&learned("{ bundle: encoder@1, missing: indicators }")));
    let given_up = resolve(&spec, &positions, &missing);
    let without = learned("{ bundle: encoder@1, missing: indicators }");
    let (plain, positions) = parsed(&[POLICY[0], POLICY[1], (without[1].0, without[1].1.as_str())]);
    assert_eq!(given_up, resolve(&plain, &positions, &facts()), "it is the question without an encoder");
}

#[test]
fn an_encoder_of_other_bars_is_refused_by_what_differs() {
    unfit(
        |forecaster| forecaster.data.symbols = vec!["MSFT".to_owned().try_into().unwrap()],
        expect![[r#"
            a.yaml:15:20: an encoder of MSFT, the agent trades AAPL, train an encoder on the bars of this experiment
        "#]],
    );
    unfit(
        |forecaster| forecaster.data.interval = "1h".parse().unwrap(),
        expect![[r#"
            a.yaml:15:20: an encoder of 1h bars, the agent sees 1d bars, train an encoder on the bars of this experiment
        "#]],
    );
    unfit(
        |forecaster| forecaster.data.repairs = vec![Repair::Split],
        expect![[r#"
            a.yaml:15:20: an encoder of bars with other repairs, the same faults would look different, train an encoder on the bars of this experiment
        "#]],
    );
    unfit(
        |forecaster| forecaster.anchor = "2020-01-02".parse().unwrap(),
        expect![[r#"
            a.yaml:15:20: the encoder's features start at 2020-01-02, the bars start at 2020-01-01, and indicators remember where they began, train an encoder on the bars of this experiment
        "#]],
    );
}

#[test]
fn an_encoder_that_a_bar_of_the_test_had_a_say_in_is_refused_with_both_dates() {
    unfit(
        |forecaster| forecaster.data.split.validation.to = "2020-10-01".parse().unwrap(),
        expect![[r#"
            a.yaml:15:20: bars until 2020-10-01 had a say in the encoder, the agent's test begins 2020-10-01, which nothing may have seen, start `data.split.test` after 2020-10-01, or take an encoder of earlier bars
        "#]],
    );
    // Validation ends on the day before the test, but labels reach two bars beyond what is purged.
    unfit(|forecaster| forecaster.data.split.purge = 5, expect![""]);
    unfit(
        |forecaster| forecaster.data.split.purge = 3,
        expect![[r#"
            a.yaml:15:20: bars until 2020-10-02 had a say in the encoder, the agent's test begins 2020-10-01, which nothing may have seen, start `data.split.test` after 2020-10-02, or take an encoder of earlier bars
        "#]],
    );
    unfit(
        |forecaster| forecaster.selection = Selection::OnTest,
        expect![[r#"
            a.yaml:15:20: bars until 2020-12-31 had a say in the encoder (it is or was a champion, let through on its own test split), the agent's test begins 2020-10-01, which nothing may have seen, start `data.split.test` after 2020-12-31, or take an encoder of earlier bars
        "#]],
    );
}

#[test]
fn hyper_parameters_that_come_from_figures_of_the_test_are_refused_with_the_sweep_they_come_from() {
    let begun_with = |forecaster: &mut ForecasterFacts, until: &str| {
        let mut data = forecaster.data.clone();
        data.split.validation.to = until.parse().unwrap();
        // Its own test decided nothing.
        data.split.test.to = "2021-12-31".parse().unwrap();
        forecaster.guides.push(Guide { experiment: "earlier-0a1b2c3d".parse().unwrap(), data, horizon: 1 });
    };
    unfit(|forecaster| begun_with(forecaster, "2020-09-30"), expect![""]);
    unfit(
        |forecaster| begun_with(forecaster, "2020-10-01"),
        expect![[r#"
            a.yaml:15:20: bars until 2020-10-01 had a say in the encoder (its sweep began with the figures of earlier-0a1b2c3d), the agent's test begins 2020-10-01, which nothing may have seen, start `data.split.test` after 2020-10-01, or take an encoder of earlier bars
        "#]],
    );
}

#[test]
fn only_an_agent_has_an_encoder_and_only_a_forecaster_is_one() {
    told(
        "{ bundle: encoder@1 }",
        &found(EncoderFacts::NoForecaster { bundle: bundle() }),
        expect![[r#"
            a.yaml:15:20: bundle 9ff94c3eb0c1d350b76101c553e6e70c1178b96fc7fd738182e39e2a3f1b9ebe is no forecaster, only a forecaster has an encoder, name a forecaster's bundle
        "#]],
    );
    expect![[r#"
        a.yaml:15:1: `encoder` beside `supervised`, a forecaster learns an encoder of its own, remove `encoder`, or let an agent learn: `task: { rl: … }`
    "#]]
    .assert_eq(&said_on(&[("task:", "encoder: { bundle: encoder@1 }\ntask:")], &facts()));
}

#[test]
fn a_memory_out_of_range_and_a_key_that_is_none_are_told_at_their_place() {
    told(
        "{ bundle: encoder@1, memory_rows: 0 }",
        &facts(),
        expect![[r#"
            a.yaml:15:44: `encoder.memory_rows` is 0, that is out of range, use 1 to 1000000
        "#]],
    );
    let encoder = learned("{ bundel: encoder@1 }");
    let problems = parse("a.yaml", &edited(&edits(&encoder))).unwrap_err();
    let said: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert!(said.iter().any(|said| said.starts_with("a.yaml:15:12: unknown key `bundel`")), "{said:?}");
    let problems = parse("a.yaml", &edited(&edits(&learned("{ bundle: encoder }")))).unwrap_err();
    let said = problems[0].to_string();
    assert!(said.starts_with("a.yaml:15:20:") && said.contains("NAME@VERSION"), "{said}");
}
