//! What the tests of this crate share: made-up bars, a trial over them, and a sink that remembers.

use std::cell::Cell;

use dataset::Dataset;
use market::{Bar, Interval, Timestamp};
use rand::Rng as _;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;
use spec::{
    DataSpec, DateRange, Device, Directions, EnvSpec, FeatureSpec, HeadSpec, Imbalance, LabelSpec, ModelSpec,
    Normalisation, Params, Precision, Progress, RateSchedule, Shortcut, SplitSpec, StrategySpec, SupervisedSpec,
    TaskSpec, TaskWeights, TrialSpec,
};

use crate::{Ended, FoldModel, Kept, Sink, SinkError, Start, TrainError, Trained, TrainingData};

pub(crate) fn uniform(rng: &mut ChaCha8Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

fn day(index: usize) -> Timestamp {
    Timestamp::from_micros(1_356_998_400_000_000 + index as i64 * 86_400_000_000)
}

/// Daily bars whose direction turns round with probability `turning`: 0.5 is noise, 1 is a clock.
pub(crate) fn bars(count: usize, turning: f64, seed: u64) -> Vec<Bar> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let (mut close, mut sign) = (100.0, 1.0);
    (0..count)
        .map(|index| {
            if uniform(&mut rng) < turning {
                sign = -sign;
            }
            let open: f64 = close;
            close = open * f64::exp(sign * (0.005 + 0.01 * uniform(&mut rng)));
            let volume = 1e6 * (1.0 + uniform(&mut rng));
            Bar { time: day(index), open, high: open.max(close), low: open.min(close), close, volume }
        })
        .collect()
}

pub(crate) fn dataset(bars: Vec<Bar>) -> Dataset {
    Dataset::new("TEST".to_owned().try_into().unwrap(), Interval::Day, bars)
}

/// 60 % train, 20 % validation, 20 % test.
pub(crate) fn split(count: usize, purge: u32) -> SplitSpec {
    let range = |from: usize, to: usize| DateRange { from: day(from), to: day(to - 1) };
    let (a, b) = (count * 6 / 10, count * 8 / 10);
    SplitSpec { train: range(0, a), validation: range(a, b), test: range(b, count), purge, embargo: 0 }
}

/// Small; with dropout between two recurrent layers, without it one is enough.
pub(crate) fn cnn_lstm(dropout: f64) -> ModelSpec {
    ModelSpec::CnnLstm {
        channels: 8,
        kernel: 3,
        hidden: 8,
        layers: if dropout > 0.0 { 2 } else { 1 },
        dropout,
        burn_in: 0,
        dilations: vec![1, 1],
        normalisation: Normalisation::Off,
        shortcut: Shortcut::Off,
        directions: Directions::Forward,
    }
}

pub(crate) fn supervised() -> SupervisedSpec {
    SupervisedSpec {
        window: 6,
        horizon: 1,
        flat_band: 0.1,
        epochs: 3,
        batch: 32,
        learning_rate: 0.01,
        weight_decay: 0.01,
        return_weight: 0.5,
        gradient_norm_max: 1.0,
        patience: 10,
        labels: LabelSpec::Horizon,
        heads: HeadSpec::default(),
        task_weights: TaskWeights::Fixed,
        imbalance: Imbalance::Off,
        schedule: RateSchedule::Constant,
        accumulate: 1,
        precision: Precision::Single,
        calibration: None,
        cross_validation: None,
    }
}

pub(crate) fn trial(data: &Dataset, task: TaskSpec, model: ModelSpec) -> TrialSpec {
    TrialSpec {
        trial: "test-1.0".parse().unwrap(),
        params: Params::new(),
        seed: 7,
        data: DataSpec {
            source: "test".to_owned(),
            symbols: vec![data.symbol.clone()],
            interval: data.interval,
            split: split(data.bars.len(), 1),
            repairs: Vec::new(),
        },
        data_digest: data.digest,
        companion_digests: Vec::new(),
        features: vec![FeatureSpec::LogReturn { bars: 1 }, FeatureSpec::RealisedVolatility { bars: 5 }],
        encoder: None,
        task,
        model,
        env: EnvSpec::default(),
        strategy: StrategySpec::default(),
        device: Device::Cpu,
        threads: 1,
        degrade: Vec::new(),
        parent: None,
    }
}

/// Keeps all it is given, and asks to stop when it was asked for the `stop_at`-th time.
#[derive(Default)]
pub(crate) struct Recorder {
    pub(crate) checkpoints: Vec<(u64, Vec<u8>)>,
    pub(crate) progress: Vec<Progress>,
    pub(crate) stop_at: Option<u32>,
    pub(crate) asked: Cell<u32>,
}

impl Sink for Recorder {
    fn progress(&mut self, progress: Progress) {
        self.progress.push(progress);
    }

    fn checkpoint(&mut self, step: u64, bytes: Vec<u8>) -> Result<Kept, SinkError> {
        self.checkpoints.push((step, bytes));
        Ok(Kept::Durably)
    }

    /// A figure that differs from fold to fold.
    fn trade(&mut self, fold: &FoldModel<'_>) -> Result<Option<f64>, SinkError> {
        Ok(fold.tested.first().map(|range| range.start as f64 / 100.0))
    }

    fn should_stop(&self) -> bool {
        self.asked.set(self.asked.get() + 1);
        self.stop_at.is_some_and(|stop| self.asked.get() >= stop)
    }
}

pub(crate) fn finished(ended: Result<Ended, TrainError>) -> Trained {
    match ended.unwrap() {
        Ended::Finished(trained) => *trained,
        Ended::Stopped => panic!("nobody asked it to stop"),
    }
}

/// Asserts that two trainings ended in the same bytes.
pub(crate) fn assert_same(actual: &Trained, expected: &Trained, when: &str) {
    assert_eq!(actual.weights, expected.weights, "weights differ, {when}");
    assert_eq!(actual.curve, expected.curve, "curves differ, {when}");
    assert_eq!(actual.metrics, expected.metrics, "metrics differ, {when}");
    assert_eq!(actual.folds, expected.folds, "folds differ, {when}");
    assert_eq!(actual.feature_state, expected.feature_state, "feature states differ, {when}");
}

/// Asserts that training ends in the same bytes from every checkpoint, and after stopping at any of `stops` questions.
pub(crate) fn assert_resumes_exactly(spec: &TrialSpec, data: &TrainingData, stops: &[u32]) {
    let mut whole = Recorder::default();
    let expected = finished(crate::train(spec, data, Start::Anew, &mut whole));
    assert!(whole.checkpoints.len() >= 2, "there must be something to resume from");
    for (step, bytes) in &whole.checkpoints {
        let actual = finished(crate::train(spec, data, Start::Resume(bytes), &mut Recorder::default()));
        assert_same(&actual, &expected, &format!("resumed after step {step}"));
    }
    for stop in stops {
        let mut sink = Recorder { stop_at: Some(*stop), ..Recorder::default() };
        let ended = crate::train(spec, data, Start::Anew, &mut sink).unwrap();
        assert!(matches!(ended, Ended::Stopped), "asked to stop at question {stop}");
        let (step, bytes) = sink.checkpoints.last().unwrap();
        let actual = finished(crate::train(spec, data, Start::Resume(bytes), &mut Recorder::default()));
        assert_same(&actual, &expected, &format!("stopped after step {step}"));
    }
}

/// Daily bars of a symbol.
pub(crate) fn set(symbol: &str, bars: Vec<Bar>) -> Dataset {
    Dataset::new(symbol.to_owned().try_into().unwrap(), Interval::Day, bars)
}

/// A forecaster's trial that trades the first set and learns from all.
pub(crate) fn trial_of(sets: &[Dataset], task: SupervisedSpec) -> TrialSpec {
    let mut of_all = trial(&sets[0], TaskSpec::Supervised(task), cnn_lstm(0.0));
    of_all.data.symbols = sets.iter().map(|set| set.symbol.clone()).collect();
    of_all.companion_digests = sets[1..].iter().map(|set| set.digest).collect();
    of_all
}
