//! The runner that trains: bars, through an encoder where there is one → training → calibration → validation backtest →
//! bundle in the store.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use artifacts::{Bundle, BundleKind, Parts, Store, StoreError};
use backtest::calibration::{self, CalibrationError, Fitted};
use backtest::{Backtest, BacktestError, Model, Setting};
use dataset::{DataError, Dataset};
use models::{Encoder, LearnedState, Remembered};
use protocol::Assignment;
use spec::{
    CheckpointRef, EncoderUse, FailureClass, Finite, Metric, Progress, Rung, Series, SupervisedSpec, TaskSpec,
    TrialEncoder, TrialOutcome, TrialSpec, canonical_json,
};
use trainer::{
    FoldModel, Kept, Material, MicroBatch, Shelves, Sink, SinkError, Start, TrainError, Trained, TrainingData,
};

use crate::folds;
use crate::machine::kernel;
use crate::runner::{CheckpointError, Ended, Failure, Reporter, Runner};

/// Checkpoints come no faster than this: each costs an `fsync` and a line in the journal.
const CHECKPOINT_EVERY: Duration = Duration::from_millis(500);

/// Trains trials of one home.
#[derive(Debug)]
pub struct Trial {
    home: PathBuf,
    store: Store,
    code_version: String,
    /// What a training may hold of its bars in memory.
    whole_bytes_max: u64,
    /// The encoder of the last attempt that had one: trials of a sweep see the same bars through the same encoder.
    encoder: Option<Encoder>,
}

impl Trial {
    /// A runner that reads data from `home` and keeps artifacts in `store`.
    #[must_use]
    pub fn new(home: &Path, store: Store, code_version: &str) -> Self {
        let (home, code_version) = (home.to_owned(), code_version.to_owned());
        Self { home, store, code_version, whole_bytes_max: trainer::WHOLE_BYTES_MAX, encoder: None }
    }

    /// The same, with trainings that may hold so much of their bars in memory. What is larger lies on disk while a forecaster
    /// learns from it, and ends in the same bundle.
    #[must_use]
    pub fn holding_at_most(self, whole_bytes_max: u64) -> Self {
        Self { whole_bytes_max, ..self }
    }

    /// What a trial learns from: on disk where it is too large for memory. `None` where `stop` said true before all was there.
    fn prepared(
        &self,
        spec: &TrialSpec,
        encoder: Option<&Encoder>,
        stop: &dyn Fn() -> bool,
    ) -> Result<Option<Prepared>, Failure> {
        let refused = |error: TrainError| failure(error.class(), &error);
        let no_data = |error: DataError| refused(error.into());
        if trainer::can_be_shelved(spec) {
            let path = dataset::resolve_below(&self.home, &spec.data.source).map_err(no_data)?;
            let series = dataset::series(&path, &spec.data.symbols, &spec.data.repairs).map_err(no_data)?;
            let bars: u64 = series.iter().map(dataset::Series::bars).sum();
            if trainer::whole_bytes(spec, bars) > self.whole_bytes_max {
                let shelves = trainer::shelve(spec, &series, (&self.home, stop)).map_err(refused)?;
                return Ok(shelves.map(|shelves| Prepared::Shelved(Box::new(shelves))));
            }
        }
        let dataset = load(&self.home, spec).map_err(no_data)?;
        let data = match encoder {
            None => {
                let companions = companions(&self.home, spec).map_err(no_data)?;
                trainer::prepare_among(spec, &dataset, &companions)
            }
            Some(encoder) => trainer::prepare_seeing(spec, &dataset, encoder),
        };
        Ok(Some(Prepared::Whole(Box::new(data.map_err(refused)?))))
    }

    /// The encoder that a trial asks for, with what it remembers if it is that of the attempt before.
    fn encoder(&mut self, wanted: &TrialEncoder) -> Result<Encoder, Failure> {
        let rows = NonZeroUsize::new(wanted.memory_rows as usize).unwrap_or(NonZeroUsize::MIN);
        let kept = self.encoder.take();
        let known = kept.filter(|kept| (kept.version(), kept.memory_rows()) == (wanted.bundle, rows));
        let encoder = match known {
            Some(known) => known,
            None => {
                // Its digest is checked, so it is the one that the spec was hashed with.
                let bundle = self.store.get_bundle(wanted.bundle).map_err(|error| unread(&error))?;
                Encoder::load(&bundle, rows).map_err(|error| failure(FailureClass::Data, &error))?
            }
        };
        self.encoder = Some(encoder.clone());
        Ok(encoder)
    }

    /// Trains from the newest checkpoint that can be read; a damaged one is said, and the one before is used. Before its own
    /// there is that of its parent, if it has one.
    fn train(
        &self,
        spec: &TrialSpec,
        data: Material<'_>,
        assignment: &Assignment,
        sink: &mut StoreSink<'_>,
    ) -> Result<trainer::Ended, Failure> {
        let micro_batch = MicroBatch::of(spec.degraded(spec.steps_down(assignment.degrade)));
        for checkpoint in &assignment.checkpoints {
            let attempt = self.store.get_checkpoint(checkpoint.digest).map_err(|error| error.to_string());
            let resumed = match attempt {
                Ok(bytes) => trainer::train_in(micro_batch, (spec, data), Start::Resume(&bytes), sink),
                Err(why) => {
                    tracing::warn!(trial = %assignment.trial, step = checkpoint.step, why, "checkpoint not used");
                    continue;
                }
            };
            match resumed {
                Err(TrainError::Checkpoint(error)) => {
                    let why = error.to_string();
                    tracing::warn!(trial = %assignment.trial, step = checkpoint.step, why, "checkpoint not used");
                }
                ended => return ended.map_err(|error| failure(error.class(), &error)),
            }
        }
        let trained = match assignment.parent {
            None => trainer::train_in(micro_batch, (spec, data), Start::Anew, sink),
            Some(parent) => {
                let bytes = self.store.get_checkpoint(parent.digest);
                let bytes = bytes.map_err(|error| unread(&error))?;
                trainer::train_in(micro_batch, (spec, data), Start::Branch(&bytes), sink)
            }
        };
        trained.map_err(|error| failure(error.class(), &error))
    }

    /// Calibrates what was learned where the trial asks so, backtests it on validation and puts it into the store as a bundle,
    /// with its encoder if it has one.
    fn hand_in(
        &self,
        spec: TrialSpec,
        (judged, encoder): (&Judged<'_>, Option<&Encoder>),
        trained: Trained,
        degrade: u8,
    ) -> Result<TrialOutcome, Failure> {
        let as_json = |error: serde_json::Error| failure(FailureClass::Bug, &error);
        let mut parts = Parts {
            kind: match spec.task {
                TaskSpec::Supervised(_) => BundleKind::Forecaster,
                TaskSpec::Rl(_) => BundleKind::Policy,
            },
            network: serde_json::to_value(&trained.network).map_err(as_json)?,
            weights: trained.weights,
            features: serde_json::to_vec(&trained.feature_state).map_err(as_json)?,
            kernel: kernel(spec.threads, degrade),
            trial: spec,
            code_version: self.code_version.clone(),
            metrics: trained.metrics,
        };
        let calibration = calibrate(&Bundle::build(parts.clone()), judged)?;
        let state = judged.learned.map(serde_json::to_vec).transpose().map_err(as_json)?;
        let whole = |parts: Parts| {
            let bundle = match &calibration {
                Some(fitted) => Bundle::build(parts).calibrated(canonical_json(&fitted.calibration)),
                None => Bundle::build(parts),
            };
            match state.clone().zip(encoder) {
                Some((state, encoder)) => bundle.encoding(state, encoder.weights().to_vec()),
                None => bundle,
            }
        };
        // The figures are part of the bundle, so they are measured on its like without them.
        let validation = validate(&whole(parts.clone()), (judged, encoder));
        let validation = validation.map_err(|error| failure(FailureClass::Bug, &error))?;
        let summary = validation.summary();
        parts.metrics.insert(Metric::ValidationSharpe, summary.sharpe);
        parts.metrics.insert(Metric::ValidationReturn, summary.total_return);
        parts.metrics.insert(Metric::ValidationDrawdown, summary.drawdown);
        if let Some(fitted) = &calibration {
            parts.metrics.insert(Metric::ValidationEce, fitted.scores.ece_debiased);
            parts.metrics.insert(Metric::ValidationBrier, fitted.scores.brier);
            parts.metrics.insert(Metric::ValidationCrps, fitted.scores.crps);
        }
        parts.metrics.retain(|_, value| value.is_finite());
        let metrics = parts.metrics.clone();
        let bundle = whole(parts);
        self.store.put_bundle(&bundle).map_err(|error| failure(FailureClass::Bug, &error))?;
        let (validation, curve, folds) = (finite(validation.series()), trained.curve, trained.folds);
        Ok(TrialOutcome { bundle: bundle.id(), metrics, validation, curve, folds, encoder: None })
    }
}

impl Runner for Trial {
    fn run(&mut self, assignment: &Assignment, reporter: &mut Reporter) -> Result<Ended, Failure> {
        let mut spec: TrialSpec =
            serde_json::from_slice(&assignment.payload).map_err(|error| failure(FailureClass::Bug, &error))?;
        let encoder = spec.encoder.as_ref().map(|wanted| self.encoder(wanted)).transpose()?;
        let before = encoder.as_ref().map(remembered).unwrap_or_default();
        let prepared = self.prepared(&spec, encoder.as_ref(), &|| reporter.should_stop())?;
        let Some(prepared) = prepared else { return Ok(Ended::Stopped) };
        check_calibration(&spec, &prepared)?;
        let market = prepared.whole().map(|data| (&spec, &data.dataset));
        let mut sink = StoreSink::new(&self.store, reporter, assignment, market);
        let ended = self.train(&spec, prepared.material(), assignment, &mut sink)?;
        let (mut leftovers, held) = (sink.kept, sink.held);
        match ended {
            trainer::Ended::Stopped => Ok(match held {
                Some(Held { value, checkpoint: Some(checkpoint) }) => Ended::Held { checkpoint, value },
                Some(Held { checkpoint: None, .. }) | None => Ended::Stopped,
            }),
            trainer::Ended::Finished(trained) => {
                let degrade = spec.steps_down(assignment.degrade);
                if let Some(parent) = &mut spec.parent {
                    parent.checkpoint = assignment.parent;
                }
                let dataset;
                let judged = match &prepared {
                    Prepared::Whole(data) => Judged::of(data),
                    Prepared::Shelved(shelves) => {
                        dataset = same(&self.home, &spec)?;
                        Judged { dataset: &dataset, validation: shelves.split.validation.clone(), learned: None }
                    }
                };
                let mut outcome = self.hand_in(spec, (&judged, encoder.as_ref()), *trained, degrade)?;
                outcome.encoder = encoder.as_ref().map(|encoder| used(encoder, before));
                leftovers.extend(held.and_then(|held| held.checkpoint));
                // The result is in the store: what led to it is only space.
                forget(&self.store, leftovers.iter(), &assignment.lent);
                Ok(Ended::Succeeded(canonical_json(&outcome)))
            }
        }
    }
}

fn remembered(encoder: &Encoder) -> Remembered {
    encoder.embedding().remembered()
}

/// What an attempt asked its encoder for, of all that was asked for in the life of the memory.
fn used(encoder: &Encoder, before: Remembered) -> EncoderUse {
    let Remembered { hits, misses, forgotten } = remembered(encoder);
    EncoderUse {
        bundle: encoder.version(),
        hits: hits - before.hits,
        misses: misses - before.misses,
        forgotten: forgotten - before.forgotten,
    }
}

fn load(home: &Path, spec: &TrialSpec) -> Result<Dataset, DataError> {
    let path = dataset::resolve_below(home, &spec.data.source)?;
    let symbol = spec.data.symbols.first().expect("a spec without symbols does not pass its check");
    Ok(dataset::load(&path, symbol, &spec.data.repairs)?.0)
}

/// The bars that a trial learned from, after it.
fn same(home: &Path, spec: &TrialSpec) -> Result<Dataset, Failure> {
    let dataset = load(home, spec).map_err(|error| failure(FailureClass::Data, &error))?;
    let (expected, actual) = (spec.data_digest, dataset.digest);
    if expected == actual {
        return Ok(dataset);
    }
    let error = TrainError::OtherData { expected, actual };
    Err(failure(error.class(), &error))
}

/// The symbols that are learned from beside the traded one.
fn companions(home: &Path, spec: &TrialSpec) -> Result<Vec<Dataset>, DataError> {
    let path = dataset::resolve_below(home, &spec.data.source)?;
    match spec.data.symbols.get(1..) {
        None | Some([]) => Ok(Vec::new()),
        Some(beside) => dataset::load_all(&path, beside, &spec.data.repairs),
    }
}

/// What a trial learns from.
enum Prepared {
    Whole(Box<TrainingData>),
    Shelved(Box<Shelves>),
}

impl Prepared {
    /// Where all is in memory.
    fn whole(&self) -> Option<&TrainingData> {
        match self {
            Self::Whole(data) => Some(data),
            Self::Shelved(_) => None,
        }
    }

    fn material(&self) -> Material<'_> {
        match self {
            Self::Whole(data) => Material::Whole(data),
            Self::Shelved(shelves) => Material::Shelved(shelves),
        }
    }

    /// Return, in units of the training labels, and direction of each validation row.
    fn validation_outcomes(&self, task: &SupervisedSpec) -> Result<Vec<(f64, u8)>, TrainError> {
        match self {
            Self::Whole(data) => {
                let labels = data.labels(task)?.validation;
                Ok(labels.iter().map(|label| (f64::from(label.standardised_return), label.class)).collect())
            }
            Self::Shelved(shelves) => shelves.validation_outcomes(),
        }
    }
}

/// What the network of a trial is judged on: bars of the traded symbol, which a backtest holds whole.
struct Judged<'a> {
    dataset: &'a Dataset,
    validation: Range<usize>,
    learned: Option<&'a LearnedState>,
}

impl<'a> Judged<'a> {
    fn of(data: &'a TrainingData) -> Self {
        Self { dataset: &data.dataset, validation: data.split.validation.clone(), learned: data.learned.as_ref() }
    }
}

/// Refuses a calibration that will not be possible, before the time of a training is spent on it.
fn check_calibration(spec: &TrialSpec, prepared: &Prepared) -> Result<(), Failure> {
    let TaskSpec::Supervised(task) = &spec.task else { return Ok(()) };
    if task.calibration.is_none() {
        return Ok(());
    }
    let outcomes = prepared.validation_outcomes(task).map_err(|error| failure(error.class(), &error))?;
    calibration::check_outcomes(&outcomes).map_err(|error| uncalibrated(&error))
}

/// The calibration that the trial of a bundle asks for, fitted on validation; `None` where it asks for none.
fn calibrate(bundle: &Bundle, judged: &Judged<'_>) -> Result<Option<Fitted>, Failure> {
    let TaskSpec::Supervised(task) = &bundle.manifest().trial.task else { return Ok(None) };
    let Some(wanted) = &task.calibration else { return Ok(None) };
    let model = Model::load(bundle).map_err(|error| failure(FailureClass::Bug, &error))?;
    model.calibrate(&on_validation(bundle, judged), (task, wanted)).map(Some).map_err(|error| uncalibrated(&error))
}

/// What a store does not give now it may give at the next attempt; what is lost or damaged there stays so.
fn unread(error: &StoreError) -> Failure {
    let class = match error {
        StoreError::Encoder { source, .. } => return unread(source),
        StoreError::Transient { .. } | StoreError::Silent { .. } | StoreError::Open { .. } => FailureClass::Bug,
        StoreError::NotFound { .. }
        | StoreError::Damaged(_)
        | StoreError::Checkpoint { .. }
        | StoreError::Format { .. }
        | StoreError::Bound { .. }
        | StoreError::Place { .. }
        | StoreError::TooLarge { .. } => FailureClass::Data,
    };
    failure(class, error)
}

fn uncalibrated(error: &CalibrationError) -> Failure {
    let class = match error {
        CalibrationError::TooFewRows { .. }
        | CalibrationError::Constant { .. }
        | CalibrationError::ClassAbsent { .. } => FailureClass::Data,
        // Forecasts that no number describes come from weights that ran away.
        CalibrationError::Undefined { .. } => FailureClass::Nan,
        CalibrationError::NoForecast | CalibrationError::Backtest(_) => FailureClass::Bug,
    };
    failure(class, error)
}

fn on_validation<'a>(bundle: &'a Bundle, judged: &Judged<'a>) -> Setting<'a> {
    let trial = &bundle.manifest().trial;
    let range = judged.validation.clone();
    Setting { dataset: judged.dataset, range, env: &trial.env, strategy: &trial.strategy }
}

/// What the learned network would have earned on validation, after costs.
fn validate(bundle: &Bundle, (judged, encoder): (&Judged<'_>, Option<&Encoder>)) -> Result<Backtest, BacktestError> {
    let model = match encoder {
        None => Model::load(bundle)?,
        Some(encoder) => Model::sharing(bundle, encoder.embedding())?,
    };
    model.run(&on_validation(bundle, judged))
}

/// A series whose returns are all numbers: ruin makes the rest undefined, which is a loss of everything.
fn finite(mut series: Series) -> Series {
    series.returns.iter_mut().filter(|r| !r.is_finite()).for_each(|r| *r = -1.0);
    series
}

/// Hands progress and checkpoints of a training on.
struct StoreSink<'a> {
    store: &'a Store,
    reporter: &'a mut Reporter,
    /// Where networks of folds trade; `None` where no bars are held.
    market: Option<(&'a TrialSpec, &'a Dataset)>,
    /// What the scheduler keeps, newest first.
    kept: Vec<CheckpointRef>,
    checkpointed: Option<Instant>,
    /// When and at which step the first word came.
    began: Option<(Instant, u64)>,
    /// Where to hold.
    rung: Option<Rung>,
    held: Option<Held>,
    /// Checkpoints that others go on from.
    lent: &'a [CheckpointRef],
}

/// The rung is reached.
struct Held {
    value: Option<Finite>,
    /// The first one after it. Only the report of the rung hands it in: an attempt that went on from it without that
    /// report would have the rung behind it and nothing to say of it.
    checkpoint: Option<CheckpointRef>,
}

/// What trials are compared by at a rung: a forecaster's validation loss, an agent's evaluation on validation turned
/// round, so that less is better.
fn comparable(progress: &Progress) -> Option<f64> {
    let loss = progress.metrics.get(&Metric::ValidationLoss).copied();
    loss.or_else(|| progress.metrics.get(&Metric::EvaluationReturn).map(|score| -score))
}

impl<'a> StoreSink<'a> {
    fn new(
        store: &'a Store,
        reporter: &'a mut Reporter,
        assignment: &'a Assignment,
        market: Option<(&'a TrialSpec, &'a Dataset)>,
    ) -> Self {
        let (rung, lent) = (assignment.rung, assignment.lent.as_slice());
        Self { store, reporter, market, kept: Vec::new(), checkpointed: None, began: None, rung, held: None, lent }
    }

    fn rate(&mut self, step: u64) -> f64 {
        let now = now();
        let (began, from) = *self.began.get_or_insert((now, step));
        let seconds = now.duration_since(began).as_secs_f64();
        if seconds > 0.0 { step.saturating_sub(from) as f64 / seconds } else { 0.0 }
    }
}

impl Sink for StoreSink<'_> {
    fn progress(&mut self, progress: Progress) {
        let rate = self.rate(progress.step);
        let reached =
            |rung: Rung| progress.step < progress.steps && rung.share.is_reached(progress.step, progress.steps);
        if self.held.is_none()
            && self.rung.is_some_and(reached)
            && let Some(value) = comparable(&progress)
        {
            self.held = Some(Held { value: Finite::new(value), checkpoint: None });
        }
        self.reporter.progress(Progress { rate, ..progress });
    }

    fn checkpoint(&mut self, step: u64, bytes: Vec<u8>) -> Result<Kept, SinkError> {
        if let Some(held) = &mut self.held {
            if held.checkpoint.is_none() {
                let digest = self.store.put_checkpoint(bytes).map_err(|error| SinkError(chain(&error)))?;
                held.checkpoint = Some(CheckpointRef { digest, step });
            }
            return Ok(Kept::Durably);
        }
        let now = now();
        let early = self.checkpointed.is_some_and(|last| now.duration_since(last) < CHECKPOINT_EVERY);
        if early && !self.should_stop() {
            return Ok(Kept::Not);
        }
        let digest = self.store.put_checkpoint(bytes).map_err(|error| SinkError(chain(&error)))?;
        match self.reporter.checkpoint(CheckpointRef { digest, step }) {
            Ok(kept) => {
                forget(self.store, self.kept.iter().filter(|old| !kept.contains(old)), self.lent);
                self.kept = kept;
                self.checkpointed = Some(now);
                Ok(Kept::Durably)
            }
            Err(CheckpointError::Unreachable) => Ok(Kept::Not),
            Err(error @ CheckpointError::Fenced) => Err(SinkError(error.to_string())),
        }
    }

    fn trade(&mut self, fold: &FoldModel<'_>) -> Result<Option<f64>, SinkError> {
        let sharpe = self.market.map(|market| folds::sharpe(market, fold)).transpose();
        sharpe.map_err(|error| SinkError(chain(&error)))
    }

    fn should_stop(&self) -> bool {
        self.held.is_some() || self.reporter.should_stop()
    }
}

/// Removes checkpoints that are needed no more, but for those that others go on from. A leftover file harms nobody.
fn forget<'c>(store: &Store, checkpoints: impl Iterator<Item = &'c CheckpointRef>, lent: &[CheckpointRef]) {
    for checkpoint in checkpoints.filter(|checkpoint| !lent.contains(checkpoint)) {
        let _ = store.delete_checkpoint(checkpoint.digest);
    }
}

/// Paces checkpoints and measures the rate; no result depends on it.
#[allow(clippy::disallowed_methods, reason = "the rim: pacing and display only")]
fn now() -> Instant {
    Instant::now()
}

fn failure(class: FailureClass, error: &dyn std::error::Error) -> Failure {
    Failure { class, message: chain(error) }
}

/// An error with its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_that_another_trial_goes_on_from_is_not_removed() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().to_str().unwrap()).unwrap();
        let put =
            |text: &str| CheckpointRef { digest: store.put_checkpoint(text.as_bytes().to_vec()).unwrap(), step: 1 };
        let (own, lent) = (put("own"), put("lent"));
        forget(&store, [own, lent].iter(), &[lent]);
        assert!(store.get_checkpoint(own.digest).is_err() && store.get_checkpoint(lent.digest).is_ok());
    }
}
