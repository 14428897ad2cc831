//! The report, rendered from made-up trials.

use std::collections::BTreeMap;
use std::f64::consts::TAU;

use backtest::calibration::{CoverageFigures, FollowedFigures, ReliabilityBin, ScoreFigures};
use spec::{DateRange, Digest, Dimension, Direction, ExperimentId, Metric, Objective, ParamValue, ProgressUnit};

use super::*;
use crate::sweep::{Importance, Share, Weight};

fn space() -> BTreeMap<String, Dimension> {
    let hidden = [32, 48, 64].map(ParamValue::Integer).to_vec();
    BTreeMap::from([
        ("model.cnn_lstm.dropout".to_owned(), Dimension::Uniform(0.0, 0.4)),
        ("model.cnn_lstm.hidden".to_owned(), Dimension::Choice(hidden)),
        ("task.supervised.learning_rate".to_owned(), Dimension::LogUniform(3e-4, 1e-2)),
    ])
}

/// A repeatable draw from [-1, 1).
fn wiggle(place: f64) -> f64 {
    let digest = Digest::of(&place.to_le_bytes());
    let word = u32::from_le_bytes(digest.as_bytes()[..4].try_into().unwrap());
    f64::from(word) / f64::from(1_u32 << 31) - 1.0
}

fn trial(index: u32) -> TrialLine {
    let (rate, dropout) = (3e-4 * 10f64.powf(f64::from(index) * 0.19), 0.05 * f64::from(index % 8));
    let params = BTreeMap::from([
        ("model.cnn_lstm.dropout".to_owned(), ParamValue::Real(dropout)),
        ("model.cnn_lstm.hidden".to_owned(), ParamValue::Integer(32 + 16 * i64::from(index % 3))),
        ("task.supervised.learning_rate".to_owned(), ParamValue::Real(rate)),
    ]);
    let curve: Vec<_> = (1..=15_u64)
        .map(|epoch| {
            let fall = (-(epoch as f64) / (4.0 + f64::from(index))).exp();
            let noise = 0.01 * wiggle(epoch as f64 + f64::from(index) * 31.0);
            let metrics = BTreeMap::from([
                (Metric::Loss, 0.9 + 0.3 * fall + noise),
                (Metric::ValidationLoss, 1.06 + 0.12 * fall + 2.0 * noise + 0.004 * epoch as f64),
            ]);
            (epoch, metrics)
        })
        .collect();
    let failed = index == 6;
    let objective = 0.3 + 0.9 * wiggle(f64::from(index) + 0.3);
    let metrics = BTreeMap::from([
        (Metric::ValidationSharpe, objective),
        (Metric::ValidationLoss, 1.06 + 0.03 * wiggle(f64::from(index))),
        (Metric::ValidationAccuracy, 0.41 + 0.03 * wiggle(f64::from(index) * 2.0)),
        (Metric::ValidationReturn, 0.12 * objective),
        (Metric::ValidationDrawdown, -0.08 - 0.02 * f64::from(index)),
    ]);
    TrialLine {
        index,
        parent: (index == 7).then_some(2),
        seed: 1,
        params,
        state: if failed { "failed" } else { "succeeded" },
        attempts: if failed { 3 } else { 1 },
        objective: (!failed).then_some(objective),
        folds: Vec::new(),
        metrics: if failed { BTreeMap::new() } else { metrics },
        curve: if failed { curve[..4].to_vec() } else { curve },
        note: if failed {
            "nan: loss was not finite at step 4".to_owned()
        } else {
            Digest::of(&[index as u8]).to_string()
        },
    }
}

fn test_run() -> TestRun {
    let first: Timestamp = "2021-01-04".parse().unwrap();
    let times: Vec<Timestamp> = (0..684).map(|bar| first.plus_seconds(f64::from(bar) * 86_400.0 * 1.449)).collect();
    let walk = |drift: f64, scale: f64, phase: f64| {
        let mut equity = 100_000.0;
        let step = |bar: u32| {
            let slow = (f64::from(bar) / 430.0 * TAU + phase).sin() * scale * 0.1;
            equity *= 1.0 + drift + slow + scale * (wiggle(f64::from(bar) + phase) + wiggle(f64::from(bar) - phase));
            equity
        };
        (0..684).map(step).collect::<Vec<f64>>()
    };
    let (model, benchmark) = (walk(0.000_25, 0.009, 0.7), walk(0.000_6, 0.016, 0.2));
    let exposure = (0..684).map(|bar| [700.0, 0.0, 700.0, -300.0][bar / 37 % 4]).collect();
    let figures = |name, total_return, sharpe, drawdown, fills, costs| Figures {
        name,
        total_return,
        sharpe,
        drawdown,
        fills,
        costs,
    };
    let figures = vec![
        figures("Model", 0.117, 0.41, -0.183, 86, 912.4),
        figures("Buy and hold", 0.382, 0.52, -0.312, 1, 10.0),
        figures("Zero (cash)", 0.0, f64::NAN, 0.0, 0, 0.0),
    ];
    TestRun { times, model, benchmark, exposure, figures }
}

fn importance() -> Importance {
    let share = |value: f64, low: f64, high: f64| Share { value, low, high };
    let weight = |path: &str, share| Weight { path: path.to_owned(), share };
    Importance {
        points: 24,
        dimensions: vec![
            weight("task.supervised.learning_rate", share(0.52, 0.38, 0.66)),
            weight("model.cnn_lstm.dropout", share(0.17, 0.05, 0.31)),
            weight("model.cnn_lstm.hidden", share(0.02, 0.0, 0.06)),
        ],
        together: share(0.29, 0.2, 0.41),
    }
}

/// Why two bars of one feature made a forecast.
fn explanation() -> Explanation {
    let bars: Vec<Timestamp> = ["2023-09-20", "2023-09-21"].map(|text| text.parse().unwrap()).to_vec();
    let explanation = serde_json::json!({
        "bundle": Digest::of(b"bundle"), "bar": bars[1], "row": Digest::of(b"row"), "target": "expected-return",
        "method": { "integrated_gradients": { "steps": 64 } }, "grain": "cell", "features": ["rsi_14"], "bars": bars,
        "score": 0.012, "baseline": 0.002, "values": [-0.001, 0.011], "residual": 0.0, "tolerance": 0.001,
        "range": [-0.05, 0.05], "windows": 256, "reliance": []
    });
    serde_json::from_value(explanation).unwrap()
}

fn report<'a>(experiment: &'a ExperimentId, space: &'a BTreeMap<String, Dimension>) -> Report<'a> {
    let gate = |name: &str, value, threshold, passed| GateLine { name: name.to_owned(), value, threshold, passed };
    let facts = [
        ("Code version", "0.1.0 (3f1c9ab)"),
        ("CPU", "AMD EPYC 9655"),
        ("Threads", "1"),
        ("Device", "cpu"),
        ("Seeds", "1"),
        ("Trials ever on this data", "24"),
    ];
    Report {
        experiment,
        question: "Can a small CNN+LSTM tell where a share goes next, well enough to pay for its trades?".to_owned(),
        data: "AAPL, 1d, 2013-01-02 to 2023-09-21".to_owned(),
        data_digest: Digest::of(b"data"),
        objective: Objective::ValidationSharpe,
        direction: Direction::Maximise,
        space,
        also: &[],
        insight: Insight { importance: Some(importance()), front: Vec::new() },
        unit: ProgressUnit::Epoch,
        trials: (0..8).map(trial).collect(),
        best: Some(4),
        sentence: "After costs the best trial returned +11.7 % on the test split, which beats zero but does not beat buy-and-hold (+38.2 %); the test split was seen once.".to_owned(),
        tone: Tone::Refused,
        test: Some(test_run()),
        explained: Explained::Shown(Box::new(explanation())),
        calibration: None,
        gates: vec![
            gate("excess_over_buy_and_hold", -0.265, 0.0, false),
            gate("excess_over_zero", 0.117, 0.0, true),
            gate("deflated_sharpe", 0.213, 0.95, false),
            gate("train_serve_parity", 0.0, 0.0, true),
        ],
        promotion: "quickstart v1 stands as challenger; champion did not move.".to_owned(),
        facts: facts.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
        command: "tradewind run experiments/quickstart.yaml".to_owned(),
    }
}

fn rendered() -> String {
    let experiment: ExperimentId = "quickstart-3fa1b2c4".parse().unwrap();
    render(&report(&experiment, &space()))
}

#[test]
fn a_report_needs_nothing_but_itself() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.html");
    std::fs::write(&path, rendered()).unwrap();
    let page = std::fs::read_to_string(&path).unwrap();
    for outside in ["http://", "https://", "<script", "<link", "<img", "@import", "url("] {
        assert!(!page.contains(outside), "the report reaches outside through {outside}");
    }
    assert!(page.starts_with("<!DOCTYPE html>") && page.contains("prefers-color-scheme: dark"));
}

#[test]
fn every_drawn_number_is_a_number() {
    let page = rendered();
    for broken in ["NaN", "inf\"", "=\"-inf", "M-inf", "Linf"] {
        assert!(!page.contains(broken), "the page holds {broken}");
    }
}

#[test]
fn a_report_says_verdict_gates_trials_and_how_to_run_it_again() {
    let page = rendered();
    let digest = Digest::of(b"data").to_string();
    let bundle = Digest::of(&[4]).to_string();
    for part in [
        "does not beat buy-and-hold (+38.2 %)",
        "the test split was seen once",
        digest.as_str(),
        bundle.as_str(),
        "deflated sharpe",
        "train serve parity",
        "tradewind run experiments/quickstart.yaml",
        "nan: loss was not finite at step 4",
        "learning rate",
        "AMD EPYC 9655",
        "<tspan class=\"short\"> short</tspan>",
    ] {
        assert!(page.contains(part), "`{part}` is missing");
    }
    assert_eq!(page.matches("pill good").count(), 2);
    assert_eq!(page.matches("pill bad").count(), 2);
    assert_eq!(page.matches("<tr class=\"best\">").count(), 1);
    // Two learning curves, three scatters and one by index, each with an accessible name, and the equity chart.
    // Parallel coordinates and the importance follow them.
    // A map says what drives a forecast.
    assert_eq!(page.matches("role=\"img\"").count(), 10);
    assert_eq!(page.matches("class=\"curve model\"").count(), 4, "the best trial in three charts, and its equity");
    assert_eq!(page.matches("class=\"curve other\"").count(), 14, "seven other trials in two charts");
}

#[test]
fn a_report_shows_what_drives_a_forecast_or_says_why_it_does_not() {
    let (experiment, space): (ExperimentId, _) = ("why-00000000".parse().unwrap(), space());
    let mut report = report(&experiment, &space);
    let page = render(&report);
    assert!(page.contains("rsi_14 raises it by 1.00 %") && page.contains("rsi_14, 2023-09-20: −0.100 %"));
    report.explained = Explained::Refused("the attributions miss <b>too</b> much".to_owned());
    let page = render(&report);
    assert!(page.contains("has no explanation: the attributions miss &lt;b&gt;too"));
    report.explained = Explained::Nothing;
    assert!(!render(&report).contains("What drives a forecast"));
}

#[test]
fn text_from_a_spec_cannot_become_markup() {
    let experiment: ExperimentId = "quickstart-3fa1b2c4".parse().unwrap();
    let space = space();
    let mut hostile = report(&experiment, &space);
    hostile.question = "<script>alert(1)</script>".to_owned();
    hostile.trials[6].note = "\"><svg onload=x>".to_owned();
    let page = render(&hostile);
    assert!(!page.contains("<script") && !page.contains("<svg onload"));
}

#[test]
fn a_sweep_without_a_result_or_a_space_still_makes_a_page() {
    let experiment: ExperimentId = "empty-00000000".parse().unwrap();
    let space = BTreeMap::new();
    let mut empty = report(&experiment, &space);
    (empty.best, empty.test, empty.tone) = (None, None, Tone::Open);
    empty.gates.clear();
    for trial in &mut empty.trials {
        (trial.objective, trial.state) = (None, "failed");
        trial.metrics.clear();
        trial.curve.clear();
    }
    let page = render(&empty);
    assert!(page.contains("All trials") && !page.contains("Learning curves") && !page.contains("Promotion gates"));
    empty.trials[0].objective = Some(0.5);
    assert!(render(&empty).contains("Trial (index)"), "without a space the objective is drawn by index");
}

#[test]
fn more_trials_than_a_table_holds_are_cut_to_the_best_and_the_page_says_so() {
    let experiment: ExperimentId = "wide-00000000".parse().unwrap();
    let space = space();
    let mut wide = report(&experiment, &space);
    wide.trials = (0..300).map(|index| TrialLine { objective: Some(f64::from(index)), ..trial(index % 5) }).collect();
    for (index, trial) in (0..).zip(&mut wide.trials) {
        trial.index = index;
    }
    wide.best = Some(299);
    let page = render(&wide);
    assert!(page.contains("The best 200 of 300."));
    assert!(page.contains("<tr class=\"best\">"), "the best trial is among them");
    assert!(page.contains("the first 100 of 300 are drawn"));
}

#[test]
fn what_mattered_is_told_with_its_spread_and_every_trial_is_a_line() {
    let page = rendered();
    for part in ["Which parameters mattered", "from 24 points", "52.0 %", "38.0 % to 66.0 %", "several together", "← 2"]
    {
        assert!(page.contains(part), "`{part}` is missing");
    }
    // Seven of eight trials measured something; the best has a colour of its own.
    assert_eq!(page.matches("class=\"line l").count(), 6);
    assert!(!page.contains("Pareto front"), "there is one objective");
}

#[test]
fn a_front_is_drawn_where_there_are_several_objectives() {
    let (experiment, space): (ExperimentId, _) = ("front-00000000".parse().unwrap(), space());
    let mut several = report(&experiment, &space);
    several.also = &[Objective::ValidationDrawdown];
    several.insight.front = vec![1, 4, 5];
    let page = render(&several);
    assert!(page.contains("3 trials are beaten by no other in every objective"));
    assert_eq!(page.matches("class=\"point on\"").count(), 3);
    assert_eq!(page.matches("class=\"point off\"").count(), 4);
    assert_eq!(page.matches("curve front").count(), 1);
    several.also = &[Objective::ValidationDrawdown, Objective::ValidationReturn];
    assert_eq!(render(&several).matches("curve front").count(), 0, "in three objectives a front is no line");
}

/// The trial, with two folds.
fn folded(index: u32) -> TrialLine {
    let span = |from: &str, to: &str| DateRange { from: from.parse().unwrap(), to: to.parse().unwrap() };
    let fold = |tested, loss, sharpe| FoldScore { tested, fit_rows: 300, stop_rows: 90, test_rows: 130, loss, sharpe };
    let folds = vec![
        fold(vec![span("2014-03-03", "2014-09-05")], 1.041, Some(0.62)),
        fold(vec![span("2013-01-02", "2013-05-31"), span("2015-01-05", "2015-06-30")], 1.083, None),
    ];
    let mut trial = TrialLine { folds, objective: Some(1.062), ..trial(index) };
    trial.metrics.extend([
        (Metric::CrossValidationFolds, 2.0),
        (Metric::CrossValidationLoss, 1.062),
        (Metric::CrossValidationLossDeviation, 0.0297),
    ]);
    trial
}

#[test]
fn folds_are_told_with_their_spread_and_where_they_lie_and_left_out_where_there_are_none() {
    let (experiment, space): (ExperimentId, _) = ("folds-00000000".parse().unwrap(), space());
    assert!(!rendered().contains("Cross-validation"));
    let mut report = report(&experiment, &space);
    report.objective = Objective::CrossValidationLoss;
    report.direction = Direction::Minimise;
    report.trials = vec![folded(3), folded(4)];
    let page = render(&report);
    for part in [
        "Loss, mean ± deviation",
        "<td class=\"chief\">1.062 ± 0.030</td>",
        "<td class=\"text\">2014-03-03 to 2014-09-05</td>",
        "2013-01-02 to 2013-05-31, 2015-01-05 to 2015-06-30",
        "<td>1.041</td><td>0.620</td>",
        "<td>1.083</td><td>–</td>",
    ] {
        assert!(page.contains(part), "`{part}` is missing");
    }
    assert_eq!(page.matches("Folds of the best trial").count(), 1);
    assert_eq!(page.matches("1.062 ± 0.030").count(), 5, "a tile, and each trial in two tables");
    assert!(!page.contains("NaN"));
}

fn calibration() -> CalibrationFigures {
    let held = |rows, covered| CoverageFigures { rows, covered, band: [0.87, 0.93], width: 0.061 };
    let scores = |ece| ScoreFigures { ece, ece_debiased: ece / 2.0, brier: 0.61, crps: 0.0087 };
    let bin = |(count, confidence, frequency)| ReliabilityBin { count, confidence, frequency };
    CalibrationFigures {
        rows: 675,
        before: scores(0.083),
        after: scores(0.026),
        ece_interval: [0.0, 0.041],
        coverage: 0.9,
        followed: Some(FollowedFigures {
            ece: 0.0231,
            ece_debiased: 0.0097,
            brier: 0.607,
            reliability: vec![bin((675, 0.44, 0.45))],
        }),
        split: held(675, 0.871),
        adaptive: held(675, 0.904),
        terciles: [held(225, 0.93), held(225, 0.9), held(225, 0.88)],
        aleatoric: 0.0182,
        epistemic: 0.0041,
        reliability: [(90, 0.38, 0.41), (430, 0.44, 0.45), (155, 0.52, 0.49)].map(bin).to_vec(),
    }
}

#[test]
fn a_calibration_is_drawn_and_told_in_figures_and_left_out_where_there_is_none() {
    let (experiment, space): (ExperimentId, _) = ("sure-00000000".parse().unwrap(), space());
    assert!(!rendered().contains("Reliability diagram"));
    let mut sure = report(&experiment, &space);
    sure.calibration = Some(calibration());
    let page = render(&sure);
    for part in [
        "Reliability diagram of the direction",
        "over 675 rows of the test split",
        "0.0 % to 4.1 % with 95 % confidence",
        "<td>0.0830</td><td>0.0260</td><td>0.0231</td>",
        "<td>0.0415</td><td>0.0130</td><td>0.00970</td>",
        "<th>Adaptive</th>",
        "Adaptive, wild third",
        "<td>88.0 %</td>",
        "430 rows\nsaid 44.0 %\ncame 45.0 %",
    ] {
        assert!(page.contains(part), "`{part}` is missing");
    }
    assert_eq!(page.matches("class=\"point on\"").count(), 3, "a point for each bin");
    assert!(!page.contains("NaN"));
    // As an earlier build kept them.
    sure.calibration = Some(CalibrationFigures { followed: None, ..calibration() });
    let page = render(&sure);
    assert!(page.contains("<td>0.0830</td><td>0.0260</td></tr>") && !page.contains("<th>Adaptive</th>"));
}
