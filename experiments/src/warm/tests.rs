//! Which figures of an earlier sweep are taken, and what is said where none is.

use super::*;
use crate::fixture;
use crate::sweep::ExperimentSweep;

/// The earlier sweep's trials: six points with two seeds, over a rate and 4 or 8 hidden units.
fn trials() -> Vec<Trial> {
    let sweep = ExperimentSweep::new(fixture::question(fixture::random_sweep())).unwrap();
    let view = |index: u32| fixture::view(&sweep.trial(index).unwrap(), Some(f64::from(index)));
    trials::read((0..sweep.trials()).map(view).collect()).unwrap()
}

fn earlier() -> ExperimentId {
    "earlier-00000000".parse().unwrap()
}

/// A sweep like the earlier one, with `change` made to its file.
fn changed(change: impl FnOnce(&mut Value)) -> ExperimentSpec {
    let mut value = serde_json::to_value(fixture::spec(fixture::random_sweep())).unwrap();
    change(&mut value);
    serde_json::from_value(value).unwrap()
}

fn taken(spec: &ExperimentSpec, data_digest: Digest) -> Result<Vec<Seen>, WarmError> {
    Here { spec, digests: (data_digest, &[]) }.taken((&earlier(), &[Objective::ValidationSharpe]), trials())
}

fn refusal(change: impl FnOnce(&mut Value)) -> String {
    taken(&changed(change), Digest::of(b"bars")).unwrap_err().to_string()
}

#[test]
fn figures_of_the_same_trials_are_taken_however_their_points_are_drawn() {
    let spec = changed(|spec| {
        spec["name"] = json!("other");
        spec["data"]["source"] = json!("the same bars under another name");
        spec["sweep"]["sampler"] = json!("tpe");
        spec["sweep"]["trials"] = json!(40);
        spec["sweep"]["seeds"] = json!([7]);
        spec["resources"]["cpus"] = json!(2);
    });
    let seen = taken(&spec, Digest::of(b"bars")).unwrap();
    let means: Vec<f64> = seen.iter().map(|seen| seen.objectives[0]).collect();
    assert_eq!(means, [0.5, 2.5, 4.5, 6.5, 8.5, 10.5], "a point is the mean of its seeds");
}

#[test]
fn figures_of_anything_else_are_refused_by_what_differs() {
    let bars = taken(&changed(|_| {}), Digest::of(b"other bars")).unwrap_err().to_string();
    let digests = format!("`data.digest` was \"{}\" in {}", Digest::of(b"bars"), earlier());
    assert!(bars.contains(&digests) && bars.contains(&Digest::of(b"other bars").to_string()), "{bars}");
    let split = refusal(|spec| spec["data"]["split"]["validation"][1] = json!("2020-06-30"));
    assert!(split.contains("`data.split.validation.1` was \"2020-12-31"), "{split}");
    let folds = refusal(|spec| {
        spec["task"]["supervised"]["cross_validation"] = json!({ "blocks": { "folds": 5 } });
    });
    assert!(folds.contains("`task.supervised.cross_validation` was nothing in earlier-00000000 and is {"), "{folds}");
    let horizon = refusal(|spec| spec["task"]["supervised"]["horizon"] = json!(3));
    assert!(horizon.contains("`task.supervised.horizon` was 5 in earlier-00000000 and is 3 in this"), "{horizon}");
    let features = refusal(|spec| spec["features"] = json!([{ "log_return": { "bars": 2 } }]));
    assert!(features.contains("`features.0.log_return.bars` was 1 "), "{features}");
    let costs = refusal(|spec| spec["env"]["costs"]["commission_bps"] = json!(9));
    assert!(costs.contains("`env.costs.commission_bps` was 1 ") && costs.contains("or begin without"), "{costs}");
}

#[test]
fn of_a_dimension_that_is_no_longer_varied_only_the_points_at_its_value_are_taken() {
    let fixed = |hidden: u32| {
        changed(|spec| {
            spec["model"]["cnn_lstm"]["hidden"] = json!(hidden);
            spec["sweep"]["space"].as_object_mut().unwrap().remove("model.cnn_lstm.hidden");
        })
    };
    let points = |hidden: u32| {
        let seen = taken(&fixed(hidden), Digest::of(b"bars"));
        seen.map(|seen| seen.len()).unwrap_or_default()
    };
    assert_eq!(points(4) + points(8), 6);
    let none = taken(&fixed(16), Digest::of(b"bars")).unwrap_err().to_string();
    assert!(none.contains("`model.cnn_lstm.hidden` was ") && none.contains(" and is 16 "), "{none}");
}

#[test]
fn figures_that_other_symbols_had_a_part_in_are_refused() {
    let spec = changed(|_| {});
    let beside = [Digest::of(b"bars beside them")];
    let here = Here { spec: &spec, digests: (Digest::of(b"bars"), &beside) };
    let other = here.taken((&earlier(), &[Objective::ValidationSharpe]), trials()).unwrap_err().to_string();
    assert!(other.contains("`data.symbols_beside` was []"), "{other}");
}

#[test]
fn an_objective_that_was_never_measured_is_refused_and_one_that_came_to_nothing_is_not() {
    let spec = changed(|spec| spec["sweep"]["objective"] = json!("validation_drawdown"));
    let here = Here { spec: &spec, digests: (Digest::of(b"bars"), &[]) };
    let unmeasured = here.taken((&earlier(), &[Objective::ValidationSharpe]), trials()).unwrap_err().to_string();
    assert!(unmeasured.contains("earlier-00000000 did not measure validation_drawdown"), "{unmeasured}");
    let nothing = here.taken((&earlier(), &[Objective::ValidationDrawdown]), trials()).unwrap();
    assert!(nothing.is_empty());
    let failed = here.taken((&earlier(), &[Objective::ValidationSharpe]), Vec::new()).unwrap();
    assert!(failed.is_empty(), "where all trials failed there is nothing to hold against this sweep");
}
