//! Calibrated forecasts of five bars ahead, whose outcomes overlap: none has a say before it is known, and the report
//! counts what a paper session said.

use std::ops::Range;

use artifacts::{Bundle, Store};
use dataset::Dataset;
use live::journal::Record;
use models::{Calibration, Predictor, Sight};
use serde_json::Value;
use spec::{Confidence, DateRange, Output, Spread};

use crate::site::Site;

/// Bars from a forecast to its outcome.
const AHEAD: usize = 5;

/// As the shipped calibration has them: returns that say how far away barriers are, and how far in deviations.
const KNOWN: usize = 20;
const WIDTH: f64 = 0.5;

/// A forecaster, and the bars it was trained, calibrated and tested on.
struct Trained {
    site: Site,
    summary: Value,
    bundle: Bundle,
    data: Dataset,
}

/// What a paper session said of each bar from the first of the test on, and what its account came to there.
struct Traded {
    said: Vec<(Output, Confidence)>,
    equity: Vec<f64>,
}

impl Trained {
    fn new() -> Self {
        let site = Site::new();
        let changes = [
            ("seeds: [1, 2, 3, 4, 5]", "seeds: [1]"),
            ("epochs: 40", "epochs: 2"),
            ("passes: 32", "passes: 4"),
            ("channels: 16, hidden: 24", "channels: 4, hidden: 4"),
            ("horizon: 1", "horizon: 5"),
            // As long as the horizon where nobody says it.
            ("    purge: 1\n", ""),
            // Every edge is traded, so that the accounts have something to agree on.
            ("positions: long_flat", "positions: long_short"),
            ("edge_min: 0.05", "edge_min: 0.0"),
        ];
        let summary = site.json(&["run", &site.shipped("calibration.yaml", &changes)]);
        let id = summary["best"]["bundle"].as_str().unwrap().parse().unwrap();
        let bundle = Store::of(&site.home()).unwrap().get_bundle(id).unwrap();
        let path = dataset::resolve(&site.home(), "aapl_daily");
        let (data, _) = dataset::load(&path, &bundle.manifest().trial.data.symbols[0], &[]).unwrap();
        Self { site, summary, bundle, data }
    }

    /// Bars of a split that are decided on: not the last ones, whose outcome it does not hold, nor of a later split the
    /// first ones.
    fn decided(&self, split: DateRange, embargo: u32) -> Range<usize> {
        let bars = &self.data.bars;
        let first = bars.partition_point(|bar| bar.time < split.from) + embargo as usize;
        first..bars.partition_point(|bar| bar.time <= split.to) - AHEAD
    }

    fn train(&self) -> Range<usize> {
        self.decided(self.bundle.manifest().trial.data.split.train, 0)
    }

    fn validation(&self) -> Range<usize> {
        let split = &self.bundle.manifest().trial.data.split;
        self.decided(split.validation, split.embargo)
    }

    fn test(&self) -> Range<usize> {
        let split = &self.bundle.manifest().trial.data.split;
        self.decided(split.test, split.embargo)
    }

    fn calibration(&self) -> Calibration {
        Calibration::of(&self.bundle).unwrap().unwrap()
    }

    fn log_return(&self, from: usize, to: usize) -> f64 {
        (self.data.bars[to].close / self.data.bars[from].close).ln()
    }

    /// What a forecast at `bar` is of.
    fn outcome(&self, bar: usize) -> f64 {
        self.log_return(bar, bar + AHEAD)
    }

    /// Which barrier the close after `bar` touches first: 0 the lower, 2 the upper, 1 none.
    fn direction(&self, bar: usize) -> usize {
        let returns: Vec<f64> = (bar - KNOWN..bar).map(|at| self.log_return(at, at + 1)).collect();
        let mean = returns.iter().sum::<f64>() / KNOWN as f64;
        let variance = returns.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (KNOWN - 1) as f64;
        let barrier = WIDTH * (variance * AHEAD as f64).sqrt();
        let mut after = (bar + 1..=bar + AHEAD).map(|to| self.log_return(bar, to));
        match after.find(|value| value.abs() >= barrier) {
            Some(value) if value > 0.0 => 2,
            Some(_) => 0,
            None => 1,
        }
    }

    /// What the network sees of each bar; `None` while its window fills.
    fn windows(&self) -> Vec<Option<Vec<f32>>> {
        let mut stream = Sight::load(&self.bundle).unwrap().from_anchor().unwrap();
        self.data.bars.iter().map(|bar| stream.push(bar).unwrap().map(<[f32]>::to_vec)).collect()
    }

    /// Trades on paper with limits that bind nothing, as a backtest does.
    fn traded(&self) -> Traded {
        let model = format!("calibration@{}", self.summary["promotion"]["version"]);
        let journal = self.site.home().join("live/horizon.journal");
        let journal = journal.to_str().unwrap();
        let command = ["live", "--paper", "--feed", "replay:aapl_daily", "--model", &model, "--journal", journal];
        let limits = ["--position-max-bps", "20000", "--order-max", "10000000", "--daily-loss-max", "10000000"];
        let ended = self.site.json(&[&command[..], &limits].concat());
        assert!(ended["fills"].as_u64() > Some(0), "{ended}");
        assert_eq!(ended["refusals"], 0, "{ended}");

        let (mut predictions, mut confidences, mut equity) = (Vec::new(), Vec::new(), Vec::new());
        for record in live::journal::read(journal.as_ref()).unwrap().1 {
            match record {
                Record::Prediction(made) => predictions.push(made),
                Record::Confidence(trust) => confidences.push(trust),
                Record::Mark(mark) => equity.push(mark.equity.as_f64()),
                Record::Bar(_) | Record::Fill(_) | Record::KillSwitch(_) | Record::Decision(_) => {}
                Record::Order(_) | Record::Refusal(_) | Record::Alarm(_) | Record::Ack(_) => {}
            }
        }
        let bars: Vec<_> = self.data.bars[self.test().start..].iter().map(|bar| bar.time).collect();
        assert_eq!(predictions.iter().map(|made| made.bar).collect::<Vec<_>>(), bars);
        assert_eq!((confidences.len(), equity.len()), (bars.len(), bars.len()), "one beside each prediction");
        let said = predictions.into_iter().map(|made| made.output).zip(confidences).collect();
        Traded { said, equity }
    }
}

/// Expected return and its deviation.
fn expected(output: &Output) -> (f64, f64) {
    let Output::Forecast { expected_return, spread: Some(Spread::Deviation(deviation)), .. } = output else {
        panic!("it forecasts a return with its deviation: {output:?}")
    };
    (f64::from(*expected_return), f64::from(*deviation))
}

/// Probabilities of the calibration alone, before they follow anything.
fn unmoved(output: &Output) -> [f32; 3] {
    let Output::Forecast { probabilities, .. } = output else { panic!("it forecasts: {output:?}") };
    *probabilities
}

#[test]
fn forecasts_five_bars_ahead_are_calibrated_judged_and_traded_by_outcomes_that_are_known() {
    let trained = Trained::new();
    the_fit_shares_no_bar_with_what_was_learned(&trained);
    let traded = trained.traded();
    intervals_move_by_what_is_known(&trained, &traded.said);
    directions_move_by_what_is_known(&trained, &traded.said);
    the_report_counts_what_was_said(&trained, &traded);
}

/// The network's unit is the deviation of just these labels of the training; the scores of the fit are those of just
/// these rows of validation.
fn the_fit_shares_no_bar_with_what_was_learned(trained: &Trained) {
    let (train, validation) = (trained.train(), trained.validation());
    let (predictor, windows) = (Predictor::load(&trained.bundle).unwrap(), trained.windows());
    let first = windows.iter().position(Option::is_some).unwrap();
    let learned: Vec<f64> = (first..train.end).map(|bar| trained.outcome(bar)).collect();
    let mean = learned.iter().sum::<f64>() / learned.len() as f64;
    let variance = learned.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / learned.len() as f64;
    let unit = predictor.return_unit().unwrap();
    assert!((unit / variance.sqrt() - 1.0).abs() < 1e-6, "other rows were learned from: {unit} {}", variance.sqrt());
    assert!(train.end - 1 + AHEAD < validation.start, "the last label that was learned reads no bar of the fit");

    let calibration = trained.calibration();
    assert_eq!((calibration.horizon as usize, calibration.scores.len()), (AHEAD, validation.len()));
    let rows: Vec<&[f32]> = windows[validation.clone()].iter().map(|window| window.as_deref().unwrap()).collect();
    let said = predictor.predict(&rows).unwrap();
    for ((bar, output), score) in validation.clone().zip(&said).zip(&calibration.scores) {
        let (middle, deviation) = expected(output);
        let missed = (trained.outcome(bar) - middle).abs() / deviation;
        assert!((missed - score).abs() < 1e-9 * (1.0 + score), "bar {bar}: {missed} {score}");
    }
    assert!(validation.end - 1 + AHEAD < trained.test().start, "the last outcome of the fit is known before the test");
}

/// At each bar the interval is that of the outcomes which closed `AHEAD` bars or more after their forecast.
fn intervals_move_by_what_is_known(trained: &Trained, said: &[(Output, Confidence)]) {
    let (calibration, first) = (trained.calibration(), trained.test().start);
    let target = 1.0 - calibration.coverage;
    let (mut scores, mut steps) = (calibration.scores.clone(), Vec::new());
    for (place, (output, trust)) in said[..said.len() - AHEAD].iter().enumerate() {
        let (outcome, (middle, deviation)) = (trained.outcome(first + place), expected(output));
        scores.push((outcome - middle).abs() / deviation);
        let inside = (trust.low..=trust.high).contains(&outcome);
        steps.push(if inside { target } else { target - 1.0 });
    }
    assert!(steps.contains(&target) && steps.contains(&(target - 1.0)), "levels move both ways");
    let kept = calibration.scores.len();
    for (place, (output, trust)) in said.iter().enumerate() {
        let known = (place + 1).saturating_sub(AHEAD);
        let miss = target + calibration.rate * steps[..known].iter().sum::<f64>();
        let mut sorted = scores[known..known + kept].to_vec();
        sorted.sort_by(f64::total_cmp);
        // The ⌈(n + 1)(1 − miss)⌉-th of n, which rounding must not lift where it is whole.
        let rank = ((kept + 1) as f64 * (1.0 - miss) - 1e-9).ceil() as usize;
        let (middle, deviation) = expected(output);
        let reach = sorted[rank.clamp(1, kept) - 1] * deviation;
        for (ours, theirs) in [(miss, trust.miss), (middle - reach, trust.low), (middle + reach, trust.high)] {
            assert!((ours - theirs).abs() < 1e-9, "bar {place} of the session: {ours} is not {theirs}");
        }
    }
}

/// At each bar directions are brought from how often they were said to how often they came, as far as that is known: of
/// forecasts `AHEAD` bars before, where the session has seen the returns that draw their barriers.
fn directions_move_by_what_is_known(trained: &Trained, said: &[(Output, Confidence)]) {
    let first = trained.test().start;
    // Outcomes overlap: as many bars count as one.
    let rate = trained.calibration().rate / AHEAD as f64;
    let moved = |shares: [f64; 3], to: [f64; 3]| -> [f64; 3] {
        std::array::from_fn(|class| (1.0 - rate) * shares[class] + rate * to[class])
    };
    let (mut came, mut named) = ([1.0 / 3.0; 3], [1.0 / 3.0; 3]);
    for (place, (output, trust)) in said.iter().enumerate() {
        let (plain, followed) = (unmoved(output), trust.probabilities.unwrap());
        match place.checked_sub(AHEAD).filter(|due| *due >= KNOWN) {
            None => assert_eq!(followed, plain, "bar {place} of the session: nothing is known"),
            Some(due) => {
                let class = trained.direction(first + due);
                came = moved(came, std::array::from_fn(|own| f64::from(u8::from(own == class))));
                named = moved(named, unmoved(&said[due].0).map(f64::from));
            }
        }
        let part = |class: usize| f64::from(plain[class]) * (came[class] / named[class]).clamp(0.125, 8.0);
        let parts: [f64; 3] = std::array::from_fn(part);
        let whole = plain.map(f64::from).iter().sum::<f64>() / parts.iter().sum::<f64>();
        let near = |(ours, theirs): (f64, f32)| (ours * whole - f64::from(theirs)).abs() < 1e-6;
        assert!(parts.into_iter().zip(followed).all(near), "bar {place} of the session: {followed:?}, {parts:?}");
    }
}

/// Expected calibration error of the direction named, over 15 bins, and Brier score.
fn scores(said: &[[f32; 3]], came: &[usize]) -> (f64, f64) {
    let (mut bins, mut brier) = ([(0.0_f64, 0.0_f64); 15], 0.0);
    for (probabilities, came) in said.iter().zip(came) {
        let most = probabilities.iter().copied().fold(0.0, f32::max);
        let named = probabilities.iter().position(|probability| *probability == most);
        let confidence = f64::from(most);
        let bin = &mut bins[((confidence * 15.0).ceil() as usize).clamp(1, 15) - 1];
        bin.0 += confidence;
        bin.1 += f64::from(u8::from(named == Some(*came)));
        for (class, probability) in probabilities.iter().enumerate() {
            brier += (f64::from(*probability) - f64::from(u8::from(class == *came))).powi(2);
        }
    }
    let error: f64 = bins.iter().map(|(confidence, hits)| (confidence - hits).abs()).sum();
    (error / said.len() as f64, brier / said.len() as f64)
}

/// The figures of the test split are those of what the session said there.
fn the_report_counts_what_was_said(trained: &Trained, traded: &Traded) {
    let (figures, test) = (&trained.summary["calibration"], trained.test());
    let (rows, first) = (test.len(), test.start);
    assert_eq!(rows, traded.said.len() - AHEAD, "of the last bars nobody knows yet");
    let count = |value: &Value| value.as_u64().unwrap_or_else(|| panic!("{value} is no count")) as usize;
    let total = |of: &Value, each: &str| of.as_array().unwrap().iter().map(|part| count(&part[each])).sum::<usize>();
    let counts = ["rows", "split", "adaptive"].map(|name| &figures[name]);
    assert_eq!([count(counts[0]), count(&counts[1]["rows"]), count(&counts[2]["rows"])], [rows; 3]);
    let (plain, following) = (&figures["reliability"], &figures["followed"]["reliability"]);
    let totals = [total(&figures["terciles"], "rows"), total(plain, "count"), total(following, "count")];
    assert_eq!(totals, [rows; 3]);
    let page = std::fs::read_to_string(trained.summary["report"].as_str().unwrap()).unwrap();
    assert!(page.contains(&format!("over {rows} rows of the test split")));

    let same = |name: &str, theirs: &Value, ours: f64| {
        assert!((theirs.as_f64().unwrap() - ours).abs() < 1e-9, "{name}: {theirs} is not {ours}");
    };
    let said = &traded.said[..rows];
    let inside = |(place, (_, trust)): &(usize, &(Output, Confidence))| {
        (trust.low..=trust.high).contains(&trained.outcome(first + place))
    };
    same("covered", &counts[2]["covered"], said.iter().enumerate().filter(inside).count() as f64 / rows as f64);
    let width: f64 = said.iter().map(|(_, trust)| trust.high - trust.low).sum();
    same("width", &counts[2]["width"], width / rows as f64);
    let came: Vec<usize> = test.map(|bar| trained.direction(bar)).collect();
    let calibrated: Vec<[f32; 3]> = said.iter().map(|(output, _)| unmoved(output)).collect();
    let followed: Vec<[f32; 3]> = said.iter().map(|(_, trust)| trust.probabilities.unwrap()).collect();
    for (name, probabilities) in [("after", calibrated), ("followed", followed)] {
        let (error, brier) = scores(&probabilities, &came);
        same(name, &figures[name]["ece"], error);
        same(name, &figures[name]["brier"], brier);
    }
    let earned = &trained.summary["promotion"]["gates"][0];
    assert_eq!(earned["name"], "return_over_zero");
    let cash = f64::from(trained.bundle.manifest().trial.env.cash);
    same("earned", &earned["value"], traded.equity[rows - 1] / cash - 1.0);
}
