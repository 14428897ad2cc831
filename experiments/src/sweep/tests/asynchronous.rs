//! Sweeps that ask whenever a point has ended: what they ask hangs on the order of ends, and on nothing else.

use std::collections::BTreeSet;

use spec::{Finite, Share};

use super::adaptive::{adaptive, succeeded};
use super::*;

/// Every trial with the ends that were told just before it was asked; `choose` says which of the open trials ends next.
fn run(mut sweep: ExperimentSweep, mut choose: impl FnMut(&[TrialSpec]) -> usize) -> Vec<(Vec<u32>, TrialSpec)> {
    assert_eq!(sweep.pace(), scheduler::Pace::Asynchronous);
    let (mut all, mut open, mut told) = (Vec::new(), Vec::new(), Vec::new());
    loop {
        match sweep.ask() {
            Ask::Batch(payloads) => {
                for payload in payloads {
                    let trial: TrialSpec = serde_json::from_slice(&payload).unwrap();
                    all.push((std::mem::take(&mut told), trial.clone()));
                    open.push(trial);
                }
                continue;
            }
            Ask::Done if open.is_empty() => return all,
            Ask::Done | Ask::Waiting => {}
        }
        let ended = open.remove(choose(&open));
        sweep.tell(ended.trial.index, succeeded(&ended));
        told.push(ended.trial.index);
    }
}

/// The same sweep anew, told what stands beside each trial.
fn replayed(mut sweep: ExperimentSweep, journal: &[(Vec<u32>, TrialSpec)]) -> Vec<TrialSpec> {
    let mut asked: Vec<TrialSpec> = Vec::new();
    for (told, _) in journal {
        for index in told {
            let ended = asked[*index as usize].clone();
            sweep.tell(*index, succeeded(&ended));
        }
        if asked.len() == journal.len() {
            break;
        }
        if let Ask::Batch(payloads) = sweep.ask() {
            asked.extend(payloads.iter().map(|payload| serde_json::from_slice::<TrialSpec>(payload).unwrap()));
        }
    }
    asked
}

fn each(sampler: &str) -> ExperimentSweep {
    adaptive(sampler, json!({ "mode": "asynchronous", "trials": 24, "batch": 4 }))
}

#[test]
fn four_are_open_and_one_more_is_asked_for_each_that_ends() {
    let trials = run(each("tpe"), |open| {
        assert!(open.len() <= 4);
        0
    });
    let told: Vec<Vec<u32>> = trials.iter().map(|(told, _)| told.clone()).collect();
    assert_eq!(told[..6], [vec![], vec![], vec![], vec![], vec![0], vec![1]]);
    assert_eq!(trials.len(), 24);
}

#[test]
fn a_replay_of_what_was_told_asks_for_the_same_points_and_another_order_for_others() {
    for sampler in ["random", "tpe", "cma_es", "gaussian_process"] {
        let newest_first = run(each(sampler), |open| open.len() - 1);
        let trials: Vec<TrialSpec> = newest_first.iter().map(|(_, trial)| trial.clone()).collect();
        assert_eq!(replayed(each(sampler), &newest_first), trials, "{sampler}");
        let oldest_first: Vec<TrialSpec> = run(each(sampler), |_| 0).into_iter().map(|(_, trial)| trial).collect();
        assert_eq!(oldest_first == trials, sampler == "random", "{sampler}");
        let points: BTreeSet<String> = trials.iter().map(|trial| format!("{:?}", trial.params)).collect();
        assert_eq!(points.len(), 24, "{sampler}: what is open counts, so no point is asked twice");
    }
}

#[test]
fn a_point_is_told_once_all_its_seeds_are() {
    let more = json!({ "mode": "asynchronous", "trials": 6, "batch": 2, "seeds": [1, 2] });
    let trials = run(adaptive("tpe", more), |_| 0);
    let told: Vec<Vec<u32>> = trials.iter().map(|(told, _)| told.clone()).collect();
    assert_eq!(told[..6], [vec![], vec![], vec![], vec![], vec![0, 1], vec![]]);
    assert_eq!(trials.len(), 12);
}

#[test]
fn halving_without_batches_stops_what_is_not_among_the_best_so_far() {
    let more = json!({ "mode": "asynchronous", "pruner": { "successive_halving": { "rungs": 2, "factor": 2 } } });
    let mut sweep = adaptive("random", more);
    assert!(matches!(sweep.ask(), Ask::Batch(payloads) if payloads.len() == 5));
    assert_eq!(sweep.rungs(3), [Share::of(0.25), Share::of(0.5)]);
    let mut goes_on = |index: u32, value: f64| !sweep.judge(0, &[(index, Finite::new(value))]).go_on.is_empty();
    let verdicts = [(3, 0.5), (0, 0.6), (1, 0.4), (4, 0.45), (2, 0.55)].map(|(index, value)| goes_on(index, value));
    assert_eq!(verdicts, [true, false, true, true, false]);
}
