//! A calibration fitted on real bars with an untrained network, judged on its own bars and on later ones.

#![allow(clippy::unwrap_used, reason = "a test panics when it fails")]

mod fixture;

use artifacts::Bundle;
use backtest::calibration::{CalibrationError, CalibrationFigures, Fitted};
use backtest::{Model, Setting};
use dataset::Dataset;
use dataset::outcome::{direction, log_return};
use fixture::{Kind, TRAINED};
use market::Bar;
use models::{Predictor, Sight, SpreadFit, moments};
use spec::{CalibrationSpec, Imbalance, LabelSpec, Output, SupervisedSpec, TaskSpec, TrialSpec, canonical_json};

const VALIDATED: usize = 520;
const BARS: usize = 1_000;

/// Two whole batches of windows and a part of one.
const LONG: usize = 2_500;

const WANTED: CalibrationSpec = CalibrationSpec { coverage: 0.9, rate: 0.02, passes: 8 };

fn task(trial: &TrialSpec) -> SupervisedSpec {
    let TaskSpec::Supervised(task) = &trial.task else { panic!("it forecasts") };
    task.clone()
}

struct Ground {
    data: Dataset,
    trial: TrialSpec,
    bundle: Bundle,
}

impl Ground {
    fn new() -> Self {
        Self::of(BARS)
    }

    fn of(bars: usize) -> Self {
        let data = fixture::bars(bars);
        let bundle = fixture::bundle(Kind::Forecaster, 7, &data);
        Self { trial: fixture::trial(Kind::Forecaster), bundle, data }
    }

    fn setting(&self, range: std::ops::Range<usize>) -> Setting<'_> {
        Setting { dataset: &self.data, range, env: &self.trial.env, strategy: &self.trial.strategy }
    }

    fn fit(&self, range: std::ops::Range<usize>) -> Result<Fitted, CalibrationError> {
        let task = task(&self.trial);
        Model::load(&self.bundle).unwrap().calibrate(&self.setting(range), (&task, &WANTED))
    }

    fn judged(&self, fitted: &Fitted, range: std::ops::Range<usize>) -> CalibrationFigures {
        let whole = self.bundle.clone().calibrated(canonical_json(&fitted.calibration));
        let figures = Model::load(&whole).unwrap().calibration(&self.setting(range), &task(&self.trial));
        figures.unwrap().unwrap()
    }
}

#[test]
fn on_its_own_rows_a_fixed_interval_holds_exactly_what_was_asked_and_probabilities_are_more_likely() {
    let ground = Ground::new();
    let fitted = ground.fit(TRAINED..VALIDATED).unwrap();
    assert_eq!(fitted.calibration.scores.len(), VALIDATED - TRAINED);
    assert!(matches!(fitted.calibration.spread, SpreadFit::Deviation(deviation) if deviation > 0.0));
    let own = ground.judged(&fitted, TRAINED..VALIDATED);
    // ⌈401 · 0.9⌉ = 361 of 400.
    assert_eq!(own.split.covered, 361.0 / 400.0);
    assert_eq!(own.after, fitted.scores);
    assert!(own.after.crps < own.before.crps, "a spread beats a point: {own:?}");
    assert_ne!(own.after.brier, own.before.brier);
}

#[test]
fn figures_on_later_rows_hang_together() {
    let ground = Ground::new();
    let figures = ground.judged(&ground.fit(TRAINED..VALIDATED).unwrap(), VALIDATED..BARS);
    // The last bar has no outcome yet.
    assert_eq!(figures.rows, BARS - VALIDATED - 1);
    assert_eq!(figures.reliability.iter().map(|bin| bin.count).sum::<usize>(), figures.rows);
    let thirds: Vec<usize> = figures.terciles.iter().map(|third| third.rows).collect();
    assert_eq!(thirds, [159, 160, 160]);
    let inside: f64 = figures.terciles.iter().map(|third| third.covered * third.rows as f64).sum();
    assert!((inside - figures.adaptive.covered * figures.rows as f64).abs() < 1e-6, "thirds make up the whole");
    assert!(figures.ece_interval[0] <= figures.after.ece_debiased && figures.after.ece_debiased <= figures.after.ece);
    assert!((0.85..0.95).contains(&figures.adaptive.covered), "{figures:?}");
    let read: CalibrationFigures = serde_json::from_slice(&serde_json::to_vec(&figures).unwrap()).unwrap();
    assert_eq!(read, figures);
    let followed = figures.followed.clone().unwrap();
    assert_eq!(followed.reliability.iter().map(|bin| bin.count).sum::<usize>(), figures.rows);
    assert!(followed.ece_debiased <= followed.ece && (0.0..2.0).contains(&followed.brier), "{followed:?}");
    assert_ne!(followed.brier, figures.after.brier, "directions move");
    // Figures from before there were adaptive directions.
    let without = serde_json::to_value(CalibrationFigures { followed: None, ..figures }).unwrap();
    assert!(without.get("followed").is_none());
    assert_eq!(serde_json::from_value::<CalibrationFigures>(without).unwrap().followed, None);
}

#[test]
fn rows_of_several_batches_are_fitted_on_and_judged_as_row_by_row() {
    let (ground, range) = (Ground::of(LONG), TRAINED..LONG);
    let fitted = ground.fit(range.clone()).unwrap();
    let figures = ground.judged(&fitted, range);
    let whole = ground.bundle.clone().calibrated(canonical_json(&fitted.calibration));
    let predictor = Predictor::load(&whole).unwrap();
    let mut stream = Sight::load(&whole).unwrap().from_anchor().unwrap();
    let (mut scores, mut aleatoric, mut epistemic) = (Vec::new(), 0.0, 0.0);
    // The last bar has no outcome yet.
    for (at, bar) in ground.data.bars[..LONG - 1].iter().enumerate() {
        let Some(row) = stream.push(bar).unwrap().filter(|_| at >= TRAINED) else { continue };
        let said = predictor.predict(&[row]).unwrap().remove(0);
        let (expected, deviation) = moments(&said).unwrap();
        scores.push((log_return(&ground.data.bars, at, at + 1) - expected).abs() / deviation);
        let parts = predictor.uncertainty(row, &said).unwrap().unwrap();
        aleatoric += f64::from(parts.aleatoric);
        epistemic += f64::from(parts.epistemic);
    }
    assert_eq!((figures.rows, scores.len()), (LONG - 1 - TRAINED, LONG - 1 - TRAINED));
    assert!(fitted.calibration.scores == scores, "forecasts or outcomes differ");
    let rows = scores.len() as f64;
    assert_eq!([figures.aleatoric, figures.epistemic], [aleatoric / rows, epistemic / rows]);
}

#[test]
fn at_a_rate_of_zero_no_direction_moves_and_there_is_nothing_to_judge() {
    let ground = Ground::new();
    let (task, still) = (task(&ground.trial), CalibrationSpec { rate: 0.0, ..WANTED });
    let model = Model::load(&ground.bundle).unwrap();
    let fitted = model.calibrate(&ground.setting(TRAINED..VALIDATED), (&task, &still)).unwrap();
    assert_eq!(ground.judged(&fitted, VALIDATED..BARS).followed, None);
}

#[test]
fn a_fit_reads_no_bar_beyond_its_range_and_horizon() {
    let ground = Ground::new();
    let fitted = ground.fit(TRAINED..VALIDATED).unwrap();
    let mut later = Ground::new();
    let change = |bar: &mut Bar| (bar.open, bar.high, bar.low, bar.close) = (9.0, 9.9, 8.0, 9.5);
    later.data.bars[VALIDATED + 1..].iter_mut().for_each(change);
    assert_eq!(later.fit(TRAINED..VALIDATED).unwrap(), fitted);
    later.data.bars[VALIDATED..].iter_mut().for_each(change);
    assert_ne!(later.fit(TRAINED..VALIDATED).unwrap(), fitted, "the last outcome is that of the bar after the range");
}

#[test]
fn words_that_tell_nothing_apart_become_the_base_rates_of_all_bars_until_then() {
    let (ground, mut counts) = (Ground::new(), [0.0_f32; 3]);
    let plain = task(&ground.trial);
    for bar in 20..VALIDATED {
        // Barriers are drawn in units of their own.
        counts[usize::from(direction(&ground.data.bars, bar, &plain, 1.0))] += 1.0;
    }
    let base = counts.map(|count| count / (VALIDATED - 20) as f32);
    // Who learned as if directions came as often says a third of each where it knows nothing.
    let balanced = SupervisedSpec { imbalance: Imbalance::Balanced, ..plain };
    for (task, idle) in [(&plain, base), (&balanced, [1.0 / 3.0; 3])] {
        let model = Model::load(&ground.bundle).unwrap();
        let fitted = model.calibrate(&ground.setting(TRAINED..VALIDATED), (task, &WANTED)).unwrap();
        let said = Output::Forecast { probabilities: idle, expected_return: 0.0, spread: None, volatility: None };
        let Output::Forecast { probabilities, .. } = fitted.calibration.apply(said) else {
            panic!("a forecast stays one")
        };
        let near = |(p, share): (&f32, f32)| (p - share).abs() < 1e-4;
        assert!(probabilities.iter().zip(base).all(near), "{probabilities:?} {base:?}");
    }
}

#[test]
fn rows_that_cannot_be_calibrated_on_are_named() {
    let ground = Ground::new();
    let error = ground.fit(TRAINED..TRAINED + 60).unwrap_err();
    assert!(matches!(error, CalibrationError::TooFewRows { rows: 60, least: 100 }) && error.is_data(), "{error}");
    // In units of 1, as an untrained network has them, nothing is ever but flat.
    let trial = &ground.trial;
    let plain = SupervisedSpec { labels: LabelSpec::Horizon, ..task(trial) };
    let model = Model::load(&ground.bundle).unwrap();
    let error = model.calibrate(&ground.setting(TRAINED..VALIDATED), (&plain, &WANTED)).unwrap_err();
    assert!(matches!(error, CalibrationError::ClassAbsent { direction: "down", rows: 400 }), "{error}");
    let mut still = Ground::new();
    let close = still.data.bars[TRAINED - 1].close;
    let stand = |bar: &mut Bar| (bar.open, bar.high, bar.low, bar.close) = (close, close, close, close);
    still.data.bars[TRAINED..].iter_mut().for_each(stand);
    let error = still.fit(TRAINED..VALIDATED).unwrap_err();
    assert!(matches!(error, CalibrationError::Constant { rows: 400 }), "{error}");
    let policy = Model::load(&fixture::bundle(Kind::Policy, 7, &ground.data)).unwrap();
    let error = policy.calibrate(&ground.setting(TRAINED..VALIDATED), (&plain, &WANTED)).unwrap_err();
    assert!(matches!(error, CalibrationError::NoForecast), "{error}");
}
