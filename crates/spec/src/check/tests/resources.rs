//! What a trial may ask of machines and of other experiments.

use super::*;

#[test]
fn shares_memory_and_other_resources_out_of_range_are_told() {
    let resources = "{ device: cpu, cpus: 1 }";
    told(
        &[(resources, "{ gpu_memory: 4GiB, memory: 0B, custom: { licence: 0 } }")],
        expect![[r#"
        a.yaml:25:26: memory of a GPU, a trial on the CPU uses none, leave it out, or use `device: cuda`
        a.yaml:25:40: `resources.memory` is 0B, that is out of range, use 1MiB or more, or leave it out
        a.yaml:25:63: `resources.custom.licence` is 0, that is out of range, use 1 to 1000000
    "#]],
    );
    told(
        &[(resources, "{ memory: 4GB }")],
        expect![[r#"
        a.yaml:25:22: `4GB` is not an amount of memory, `resources.memory` cannot hold it, write 512MiB, 4GiB or 1TiB
    "#]],
    );
    let two_gpus = Facts { gpus: 2, ..facts() };
    expect![[r#"
        a.yaml:25:49: a share of 2 GPUs, a share is of one GPU, use `gpus: 1`, or leave it out
    "#]]
    .assert_eq(&said_on(&[(resources, "{ device: cuda, gpus: 2, gpu_memory: 4GiB }")], &two_gpus));
    assert_eq!(said_on(&[(resources, "{ device: cuda, gpu_memory: 4GiB }")], &two_gpus), "");
    assert_eq!(said(&[(resources, "{ memory: 512MiB, custom: { licence: 2 } }")]), "");
}

#[test]
fn waiting_deadlines_and_steps_down_out_of_range_are_told() {
    let with = |keys: &str| said(&[("resources:", &format!("{keys}\nresources:"))]);
    expect![[r#"
        a.yaml:25:9: `sample` waits for itself, it would never start, name another
        a.yaml:25:24: `other` is repeated, once is enough, name each once
    "#]]
    .assert_eq(&with("after: [sample, other, other]"));
    expect![[r#"
        a.yaml:25:26: `degrade.0.micro_batch` is 0, that is out of range, use 1 to 65536
        a.yaml:25:46: step 1 is no smaller than the one before, it would run out of memory again, make each step smaller
    "#]]
    .assert_eq(&with("degrade: [{ micro_batch: 0 }, { micro_batch: 8 }]"));
    expect![[r#"
        a.yaml:25:11: `tomorrow` is not a time, `deadline` cannot hold it, write 2021-03-04 or 2021-03-04T15:30:00Z
    "#]]
    .assert_eq(&with("deadline: tomorrow"));
    expect![[r#"
        a.yaml:25:17: `fallback_after` without `fallback`, nothing follows the wait, add `fallback: local`
    "#]]
    .assert_eq(&with("fallback_after: 10s"));
    assert_eq!(with("fallback: local\nfallback_after: 30s"), "");
    assert_eq!(
        with(
            "after: [train, test]\ndeadline: 2030-01-01T12:00:00Z\ndegrade: [{ micro_batch: 32 }, { micro_batch: 8 }]"
        ),
        ""
    );
}

#[test]
fn an_agent_has_no_batch_to_split() {
    let degrade = ("resources:", "env: { episode_bars: 64 }\ndegrade: [{ micro_batch: 8 }]\nresources:");
    expect![[r#"
        a.yaml:26:10: steps down for an agent, only a forecaster's batch is split, leave it out
    "#]]
    .assert_eq(&said(&[POLICY[0], POLICY[1], degrade]));
}

#[test]
fn keys_that_a_file_does_not_use_are_left_out_of_what_is_hashed() {
    let (spec, _) = parsed(&[]);
    let text = String::from_utf8(crate::canonical_json(&spec)).unwrap();
    for key in ["gpu_memory", "\"memory\"", "custom", "deadline", "\"after\"", "degrade", "fallback"] {
        assert!(!text.contains(key), "{key} is written");
    }
    expect!["86ca34b6"].assert_eq(&crate::Digest::of(text.as_bytes()).short());
}
