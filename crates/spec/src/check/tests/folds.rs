//! Cross-validation and its sweep: what goes together and what does not.

use super::*;
use crate::schema::tests::fits;
use crate::{canonical_json, schema};

const TASK: &str = "learning_rate: 0.001 }\nmodel";
const OBJECTIVE: (&str, &str) =
    ("objective: validation_sharpe\n  direction: maximise", "objective: cross_validation_loss\n  direction: minimise");

fn task(folds: &str) -> String {
    format!("learning_rate: 0.001, cross_validation: {folds} }}\nmodel")
}

/// The sample with these folds, compared by their loss.
fn folds_said(folds: &str) -> String {
    said(&[(TASK, &task(folds)), OBJECTIVE])
}

#[test]
fn every_way_to_deal_folds_can_start_and_fits_the_schema() {
    for folds in [
        "{ walk_forward: { folds: 5 } }",
        "{ walk_forward: { folds: 5, window: expanding } }",
        "{ walk_forward: { folds: 5, window: { rolling: { rows: 60 } } } }",
        "{ blocks: { folds: 4 } }",
        "{ combinatorial: { groups: 6, tested: 2 } }",
    ] {
        assert_eq!(folds_said(folds), "", "{folds}");
        let text = crate::sample::edited(&[(TASK, &task(folds)), OBJECTIVE]);
        let (root, (value, _)) = (schema(), crate::yaml::read("a.yaml", &text).unwrap());
        fits(&root, &root, &value, folds);
    }
    let (spec, _) = parsed(&[]);
    let plain = String::from_utf8(canonical_json(&spec)).unwrap();
    assert!(!plain.contains("cross_validation"), "specs without folds keep their digest: {plain}");
}

#[test]
fn folds_out_of_range_are_told_with_their_place() {
    for (folds, expected) in [
        (
            "{ walk_forward: { folds: 1 } }",
            "a.yaml:16:117: `task.supervised.cross_validation.walk_forward.folds` is 1, that is out of range, use 2 to 64",
        ),
        (
            "{ blocks: { folds: 65 } }",
            "a.yaml:16:111: `task.supervised.cross_validation.blocks.folds` is 65, that is out of range, use 2 to 64",
        ),
        (
            "{ walk_forward: { folds: 3, window: { rolling: { rows: 3 } } } }",
            "`task.supervised.cross_validation.walk_forward.window.rolling.rows` is 3, that is out of range, use 16 to",
        ),
        (
            "{ combinatorial: { groups: 4, tested: 4 } }",
            "`task.supervised.cross_validation.combinatorial.tested` is 4, that is out of range, use 1 to 3",
        ),
        (
            "{ combinatorial: { groups: 12, tested: 6 } }",
            "choices of 6 of 12 groups, they are more than 64, and each is a training, use fewer groups",
        ),
    ] {
        let said = folds_said(folds);
        assert!(said.starts_with("a.yaml:16:") && said.contains(expected), "{said}");
    }
    assert!(folds_said("{ walk_forward: { fold: 3 } }").contains("`folds`"), "a wrong key is told with the right one");
}

#[test]
fn folds_that_keep_too_few_rows_are_told_before_anything_starts() {
    // 128 rows of train and 87 of validation, and labels that reach five bars.
    let tested = folds_said("{ blocks: { folds: 40 } }");
    assert!(tested.contains(": a fold tests 5 rows, 8 are needed of 215 rows of `train` and `validation`"), "{tested}");
    assert!(tested.starts_with("a.yaml:16:"), "{tested}");
    let walked = folds_said("{ walk_forward: { folds: 8 } }");
    assert!(walked.contains("the first fold keeps 7 rows to fit on and 7 to stop by after purging"), "{walked}");
    assert_eq!(folds_said("{ walk_forward: { folds: 6 } }"), "");
    let rolling = folds_said("{ walk_forward: { folds: 5, window: { rolling: { rows: 20 } } } }");
    assert!(rolling.contains("the first fold keeps 4 rows to fit on and 6 to stop by"), "{rolling}");
}

#[test]
fn an_objective_of_folds_needs_folds_and_folds_need_an_objective() {
    let needs = said(&[OBJECTIVE]);
    assert!(needs.contains("`cross_validation_loss` without folds, no trial would measure it, add"), "{needs}");
    let also = said(&[("direction: maximise", "direction: maximise\n  also: [cross_validation_sharpe]")]);
    assert!(also.starts_with("a.yaml:23:10: `cross_validation_sharpe` without folds"), "{also}");
    let unread = said(&[(TASK, &task("{ blocks: { folds: 4 } }"))]);
    assert!(unread.starts_with("a.yaml:16:74: folds that nothing reads, each is a training"), "{unread}");
    let read = ("direction: maximise", "direction: maximise\n  also: [cross_validation_loss]");
    assert_eq!(said(&[(TASK, &task("{ blocks: { folds: 4 } }")), read]), "");
    let agent = said(&[POLICY[0], POLICY[1], OBJECTIVE, ("resources:", "env: { episode_bars: 64 }\nresources:")]);
    assert!(
        agent.contains("`cross_validation_loss` without folds") && agent.contains("use `validation_sharpe`"),
        "{agent}"
    );
}

#[test]
fn a_loss_over_folds_is_minimised_and_a_sharpe_maximised() {
    let of = |line: &str| said(&[(TASK, &task("{ blocks: { folds: 4 } }")), (OBJECTIVE.0, line)]);
    assert!(of("objective: cross_validation_loss\n  direction: maximise").contains("use `minimise`"));
    assert_eq!(of("objective: cross_validation_sharpe\n  direction: maximise"), "");
}

#[test]
fn rungs_and_a_sweep_over_folds_are_refused() {
    let of = |old: &str, new: &str| said(&[(TASK, &task("{ blocks: { folds: 4 } }")), OBJECTIVE, (old, new)]);
    for pruner in ["{ median: {} }", "{ successive_halving: {} }", "{ hyperband: {} }"] {
        let said = of("trials: 4", &format!("trials: 4\n  pruner: {pruner}"));
        assert!(said.contains("a pruner of trials with folds, rungs lie on one training"), "{said}");
    }
    let swept = of(SPACE, "task.supervised.cross_validation.blocks.folds: { integer: [3, 5] }");
    assert!(swept.contains("`task.supervised.cross_validation.blocks.folds` cannot be swept"), "{swept}");
    let shifted = of(SPACE, "task.supervised.window: { integer: [4, 8] }");
    assert!(shifted.contains("`task.supervised.window` beside folds, it moves the first bar"), "{shifted}");
}
