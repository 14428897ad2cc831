//! Sweeps whose asks hang on outcomes: they wait for whole batches, and the same outcomes give the same asks.

use serde_json::Value;
use spec::{Finite, ModelSpec, Params, Share};

use super::*;

pub(super) fn adaptive(sampler: &str, more: Value) -> ExperimentSweep {
    let mut sweep = json!({
        "sampler": sampler, "trials": 40, "batch": 5, "objective": "validation_sharpe", "direction": "maximise",
        "space": {
            "task.supervised.learning_rate": { "log_uniform": [0.0001, 0.01] },
            "task.supervised.batch": { "log_integer": [8, 512] },
            "model.cnn_lstm.hidden": { "choice": [4, 8] },
            "model.cnn_lstm.dropout": { "uniform": [0.0, 0.5] }
        },
        "conditions": { "model.cnn_lstm.dropout": { "of": "model.cnn_lstm.hidden", "is": [8] } }
    });
    for (key, value) in more.as_object().unwrap() {
        sweep[key] = value.clone();
    }
    ExperimentSweep::new(fixture::question(sweep)).unwrap()
}

/// Best at a rate of e^-7.5 with dropout.
pub(super) fn sharpe(params: &Params) -> f64 {
    let ParamValue::Real(rate) = params["task.supervised.learning_rate"] else { panic!("a rate is real") };
    let dropout = params.get("model.cnn_lstm.dropout").map_or(1.0, |dropout| {
        let ParamValue::Real(dropout) = dropout else { panic!("dropout is real") };
        (dropout - 0.2).abs()
    });
    -(rate.ln() + 7.5).abs() - dropout
}

pub(super) fn succeeded(trial: &TrialSpec) -> SweepOutcome {
    let view = fixture::view(trial, Some(sharpe(&trial.params)));
    SweepOutcome::Succeeded(view.outcome.unwrap())
}

/// All trials, told whole batches in order; `disturb` says how trial `index` ends.
fn run(mut sweep: ExperimentSweep, disturb: impl Fn(u32, &TrialSpec) -> SweepOutcome) -> Vec<TrialSpec> {
    let mut all = Vec::new();
    loop {
        match sweep.ask() {
            Ask::Done => return all,
            Ask::Waiting => panic!("every outcome was told"),
            Ask::Batch(payloads) => {
                assert_eq!(sweep.ask(), Ask::Waiting, "the next batch hangs on this one");
                for payload in payloads {
                    let trial: TrialSpec = serde_json::from_slice(&payload).unwrap();
                    sweep.tell(trial.trial.index, disturb(trial.trial.index, &trial));
                    all.push(trial);
                }
            }
        }
    }
}

#[test]
fn every_sampler_asks_the_same_again_and_gets_better_by_what_it_saw() {
    for sampler in ["tpe", "cma_es", "gaussian_process"] {
        let trials = run(adaptive(sampler, json!({})), |_, trial| succeeded(trial));
        assert_eq!(trials.len(), 40, "{sampler}");
        assert_eq!(run(adaptive(sampler, json!({})), |_, trial| succeeded(trial)), trials, "{sampler}");
        let mean = |trials: &[TrialSpec]| trials.iter().map(|trial| sharpe(&trial.params)).sum::<f64>() / 10.0;
        assert!(mean(&trials[30..]) > mean(&trials[..10]), "{sampler} learned nothing");
    }
}

#[test]
fn a_dimension_that_does_not_count_leaves_the_files_value() {
    let trials = run(adaptive("tpe", json!({})), |_, trial| succeeded(trial));
    for trial in &trials {
        let ModelSpec::CnnLstm { hidden, dropout, .. } = trial.model else { panic!("the fixture is a CNN+LSTM") };
        let counts = trial.params.contains_key("model.cnn_lstm.dropout");
        assert_eq!(counts, hidden == 8);
        assert!(counts || dropout == 0.1, "the file's own");
    }
    assert!(trials.iter().any(|trial| trial.params.len() == 3) && trials.iter().any(|trial| trial.params.len() == 4));
}

#[test]
fn failed_cancelled_and_pruned_trials_are_survived() {
    for sampler in ["tpe", "cma_es", "gaussian_process"] {
        let trials = run(adaptive(sampler, json!({})), |index, trial| match index % 4 {
            0 => SweepOutcome::Failed,
            1 => SweepOutcome::Cancelled,
            2 => SweepOutcome::Succeeded(b"not an outcome".to_vec()),
            _ => succeeded(trial),
        });
        assert_eq!(trials.len(), 40, "{sampler}");
    }
}

#[test]
fn several_objectives_make_a_front() {
    let more = json!({ "also": ["validation_drawdown"] });
    let trials = run(adaptive("nsga_ii", more), |_, trial| {
        let view = fixture::view(trial, Some(sharpe(&trial.params)));
        let mut outcome: spec::TrialOutcome = serde_json::from_slice(&view.outcome.unwrap()).unwrap();
        outcome.metrics.insert(spec::Metric::ValidationDrawdown, -sharpe(&trial.params).abs());
        SweepOutcome::Succeeded(serde_json::to_vec(&outcome).unwrap())
    });
    assert_eq!(trials.len(), 40);
}

#[test]
fn a_point_that_fits_no_trial_gives_way_to_another() {
    // A minibatch above the memory: half of the space is none.
    let more = json!({ "space": { "task.supervised.window": { "choice": [8, "wide"] } }, "conditions": {} });
    let trials = run(adaptive("tpe", more), |_, trial| {
        SweepOutcome::Succeeded(fixture::view(trial, Some(1.0)).outcome.unwrap())
    });
    assert!(trials.iter().all(|trial| trial.params["task.supervised.window"] == ParamValue::Integer(8)));
}

#[test]
fn seeds_of_a_point_go_on_together_by_their_mean() {
    let more = json!({ "seeds": [1, 2], "batch": 3, "pruner": { "successive_halving": { "rungs": 1 } } });
    let mut sweep = adaptive("random", more);
    let Ask::Batch(payloads) = sweep.ask() else { panic!("a first batch") };
    assert_eq!(payloads.len(), 6);
    assert_eq!(sweep.ask(), Ask::Waiting, "a pruned batch is judged before the next");
    assert_eq!(sweep.rungs(5), [Share::of(1.0 / 3.0)]);
    let reached =
        |values: [f64; 6]| (0..).zip(values).map(|(index, value)| (index, Finite::new(value))).collect::<Vec<_>>();
    assert_eq!(sweep.judge(0, &reached([0.1, 0.9, 0.4, 0.4, 0.6, 0.5])).go_on, [2, 3]);
}

#[test]
fn hyperband_asks_whole_brackets_until_the_trials_are_used_up() {
    let mut sweep = adaptive("random", json!({ "pruner": { "hyperband": { "rungs": 2 } } }));
    let mut sizes = Vec::new();
    while let Ask::Batch(payloads) = sweep.ask() {
        sizes.push(payloads.len());
        for payload in payloads {
            let trial: TrialSpec = serde_json::from_slice(&payload).unwrap();
            sweep.tell(trial.trial.index, SweepOutcome::Pruned);
        }
    }
    assert_eq!(sizes, [9, 5, 3, 9, 5, 3, 6]);
}

/// The second batch, when point `index` with each of two seeds came to `value`.
fn second_batch(more: Value, value: impl Fn(u32, u64) -> SweepOutcome) -> Vec<Params> {
    let mut sweep = adaptive("tpe", more);
    let asked = |sweep: &mut ExperimentSweep| -> Vec<TrialSpec> {
        let Ask::Batch(payloads) = sweep.ask() else { panic!("a batch") };
        payloads.iter().map(|payload| serde_json::from_slice(payload).unwrap()).collect()
    };
    let first = asked(&mut sweep);
    let reached: Vec<(u32, Option<Finite>)> =
        first.iter().map(|trial| (trial.trial.index, Finite::new(sharpe(&trial.params)))).collect();
    sweep.judge(0, &reached);
    for trial in &first {
        sweep.tell(trial.trial.index, value(trial.trial.index / 2, trial.seed));
    }
    asked(&mut sweep).into_iter().map(|trial| trial.params).collect()
}

#[test]
fn a_point_is_the_mean_of_its_seeds() {
    let more = || json!({ "seeds": [1, 2], "batch": 12 });
    let second = |sign: f64, scale: f64| {
        second_batch(more(), move |point, seed| {
            let mean = scale * f64::from(point * 7 % 12);
            let luck = sign * f64::from(point * 5 % 12) * if seed == 1 { 10.0 } else { -10.0 };
            let question = fixture::question(fixture::random_sweep());
            let any = ExperimentSweep::new(question).unwrap().trial(0).unwrap();
            SweepOutcome::Succeeded(fixture::view(&any, Some(mean + luck)).outcome.unwrap())
        })
    };
    assert_eq!(second(1.0, 1.0), second(-1.0, 1.0), "which seed was lucky says nothing");
    assert_ne!(second(1.0, 1.0), second(1.0, -1.0));
}

#[test]
fn a_pruned_point_counts_by_what_it_showed_and_a_failed_one_does_not() {
    let more = || json!({ "seeds": [1, 2], "batch": 12, "pruner": { "successive_halving": { "rungs": 1 } } });
    let pruned = second_batch(more(), |_, _| SweepOutcome::Pruned);
    assert_ne!(pruned, second_batch(more(), |_, _| SweepOutcome::Failed));
}

#[test]
fn what_an_earlier_sweep_saw_outside_the_space_is_left_out() {
    let mut sweep = fixture::random_sweep();
    (sweep["sampler"], sweep["seeds"]) = (json!("tpe"), json!([1]));
    let seen = |rate: f64| crate::question::Seen {
        params: [
            ("task.supervised.learning_rate".to_owned(), ParamValue::Real(rate)),
            ("model.cnn_lstm.hidden".to_owned(), ParamValue::Integer(8)),
        ]
        .into(),
        objectives: vec![rate],
    };
    let asked = |seen: Vec<crate::question::Seen>| {
        let question = crate::question::Question { seen, ..fixture::question(sweep.clone()) };
        run(ExperimentSweep::new(question).unwrap(), |_, trial| {
            SweepOutcome::Succeeded(fixture::view(trial, Some(1.0)).outcome.unwrap())
        })
    };
    let params = |trials: Vec<TrialSpec>| trials.into_iter().map(|trial| trial.params).collect::<Vec<_>>();
    let inside: Vec<_> = (1..=12).map(|place| seen(0.0008 * f64::from(place))).collect();
    let with_outside: Vec<_> = inside.iter().cloned().chain([seen(0.5)]).collect();
    assert_eq!(params(asked(inside)), params(asked(with_outside)));
}

#[test]
fn more_trials_than_a_scheduler_takes_are_refused_before_any_is_made() {
    let seeds: Vec<u32> = (0..11).collect();
    let sweep = json!({
        "trials": 100_000, "batch": 1, "seeds": seeds, "objective": "validation_sharpe", "direction": "maximise",
        "space": { "task.supervised.learning_rate": { "log_uniform": [0.0001, 0.01] } }
    });
    let error = ExperimentSweep::new(fixture::question(sweep)).unwrap_err();
    assert!(error.to_string().starts_with("sweep has 1100000 trials, 1 to 1000000 can be run"), "{error}");
}
