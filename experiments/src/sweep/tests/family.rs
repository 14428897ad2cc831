//! Populations: the worst stop at a rung, children of the best go on.

use scheduler::Child;
use serde_json::Value;
use spec::{Finite, Params};

use super::*;

fn family(more: Value) -> ExperimentSweep {
    let mut sweep = json!({
        "sampler": "random", "trials": 16, "batch": 8, "objective": "validation_sharpe", "direction": "maximise",
        "pruner": { "population": { "rungs": 2, "resample": 0 } },
        "space": {
            "task.supervised.learning_rate": { "log_uniform": [0.0001, 0.01] },
            "task.supervised.weight_decay": { "uniform": [0.0, 0.5] }
        }
    });
    for (key, value) in more.as_object().unwrap() {
        sweep[key] = value.clone();
    }
    ExperimentSweep::new(fixture::question(sweep)).unwrap()
}

fn asked(sweep: &mut ExperimentSweep) -> Vec<TrialSpec> {
    let Ask::Batch(payloads) = sweep.ask() else { panic!("a population") };
    payloads.iter().map(|payload| serde_json::from_slice(payload).unwrap()).collect()
}

/// What each of `indices` shows: the lower its index, the better.
fn shown(indices: impl IntoIterator<Item = u32>) -> Vec<(u32, Option<Finite>)> {
    indices.into_iter().map(|index| (index, Finite::new(f64::from(index)))).collect()
}

fn trial(child: &Child) -> TrialSpec {
    serde_json::from_slice(&child.payload).unwrap()
}

fn rate(params: &Params) -> f64 {
    let ParamValue::Real(rate) = params["task.supervised.learning_rate"] else { panic!("a rate is real") };
    rate
}

fn decay(params: &Params) -> f64 {
    let ParamValue::Real(decay) = params["task.supervised.weight_decay"] else { panic!("a decay is real") };
    decay
}

#[test]
fn the_worst_quarter_stops_and_as_many_children_go_on_from_the_best_quarter() {
    let mut sweep = family(json!({}));
    let members = asked(&mut sweep);
    let judged = sweep.judge(0, &shown(0..8));
    assert_eq!(judged.go_on, [0, 1, 2, 3, 4, 5]);
    assert_eq!(judged.children.len(), 2);
    for (child, index) in judged.children.iter().zip(8..) {
        assert!(child.parent < 2, "one of the two best has it");
        let (trial, better) = (trial(child), &members[child.parent as usize]);
        assert_eq!((trial.trial.index, trial.seed), (index, better.seed));
        let parent = trial.parent.as_ref().unwrap();
        assert_eq!((&parent.trial, parent.spec), (&better.trial, better.identity()));
        assert_eq!((parent.share, parent.checkpoint), (sweep.rungs(0)[0], None));
        let changed = rate(&trial.params) / rate(&better.params);
        let ends = [1e-4, 1e-2].contains(&rate(&trial.params));
        assert!(ends || (changed - 0.8).abs() < 1e-9 || (changed - 1.2).abs() < 1e-9, "{changed}");
        assert_eq!(sweep.rungs(index), sweep.rungs(0), "those that lie behind it are among them");
        let spec::TaskSpec::Supervised(task) = &trial.task else { panic!("the fixture is supervised") };
        assert_eq!(task.learning_rate, rate(&trial.params), "the worker reads it there");
    }
    // A child may be a parent at the next rung.
    let next =
        sweep.judge(1, &shown([0, 1, 2, 3, 4, 5, 8, 9]).into_iter().rev().map(better_by_index).collect::<Vec<_>>());
    assert_eq!(next.children.iter().filter(|child| child.parent >= 8).count(), next.children.len());
    assert_eq!(trial(&next.children[0]).parent.unwrap().trial.index, next.children[0].parent);
}

/// The other way round: the higher the index, the better.
fn better_by_index((index, value): (u32, Option<Finite>)) -> (u32, Option<Finite>) {
    (index, value.and_then(|value| Finite::new(-value.get())))
}

#[test]
fn the_same_values_breed_the_same_bytes_and_each_rung_and_population_others() {
    // Which of the members is the parent, and which way its rate is changed.
    let breed = |sweep: &mut ExperimentSweep, rung: u32, first: u32| {
        let judged = sweep.judge(rung, &shown(first..first + 8));
        let drawn = |child: &Child| {
            let parent = sweep.trial(child.parent).unwrap();
            (
                child.parent - first,
                rate(&trial(child).params) > rate(&parent.params),
                decay(&trial(child).params) > decay(&parent.params),
            )
        };
        judged.children.iter().map(drawn).collect::<Vec<_>>()
    };
    let (mut one, mut other) = (family(json!({})), family(json!({})));
    let _ = (asked(&mut one), asked(&mut other));
    let first = breed(&mut one, 0, 0);
    assert_eq!(breed(&mut other, 0, 0), first);
    assert_ne!(breed(&mut family_of_one(), 1, 0), first, "another rung draws others");
    for index in 0..10 {
        one.tell(index, SweepOutcome::Pruned);
    }
    let second = asked(&mut one);
    assert_eq!(second[0].trial.index, 10, "members of the second population follow the children of the first");
    assert_ne!(breed(&mut one, 0, 10), first, "another population draws others");
    for index in 10..20 {
        one.tell(index, SweepOutcome::Pruned);
    }
    assert_eq!(one.ask(), Ask::Done);
    assert_eq!(one.trials(), 16 + 2 * 2 * 2, "two populations, two rungs, two children");
}

fn family_of_one() -> ExperimentSweep {
    let mut sweep = family(json!({}));
    let _ = asked(&mut sweep);
    sweep
}

#[test]
fn a_member_that_measured_nothing_is_the_worst_and_has_no_children() {
    let mut sweep = family_of_one();
    let mut reached = shown(0..8);
    (reached[0].1, reached[3].1) = (None, None);
    let judged = sweep.judge(0, &reached);
    assert_eq!(judged.go_on, [1, 2, 4, 5, 6, 7]);
    assert!(judged.children.iter().all(|child| [1, 2].contains(&child.parent)));
    let nothing: Vec<(u32, Option<Finite>)> = (0..8).map(|index| (index, None)).collect();
    let judged = family_of_one().judge(0, &nothing);
    assert_eq!((judged.go_on.len(), judged.children.len()), (8, 0), "there is nobody to learn from");
}

#[test]
fn a_child_whose_point_makes_no_sound_trial_goes_on_as_its_parent_does() {
    let mut sweep = family(json!({
        "sampler": "tpe",
        "pruner": { "population": { "rungs": 1, "resample": 1 } },
        "space": { "task.supervised.batch": { "choice": [8, "wide"] } }
    }));
    let members = asked(&mut sweep);
    let judged = sweep.judge(0, &shown(0..8));
    for child in &judged.children {
        assert_eq!(trial(child).params, members[child.parent as usize].params);
    }
    assert_eq!(judged.children.len(), 2);
}

#[test]
fn a_sampler_learns_from_members_and_not_from_children() {
    let second = |of_children: f64| {
        let mut sweep = family(json!({ "sampler": "tpe", "trials": 24, "batch": 12 }));
        let mut members = asked(&mut sweep);
        let judged = sweep.judge(0, &shown(0..12));
        members.extend(judged.children.iter().map(trial));
        for member in &members {
            let value = if member.parent.is_some() { of_children } else { -rate(&member.params) };
            let outcome = fixture::view(member, Some(value)).outcome.unwrap();
            sweep.tell(member.trial.index, SweepOutcome::Succeeded(outcome));
        }
        asked(&mut sweep).into_iter().map(|trial| trial.params).collect::<Vec<_>>()
    };
    assert_eq!(second(100.0), second(-100.0));
}
