//! Multi-task forecasting: direction, return and volatility from one encoding, by AdamW (Loshchilov and Hutter 2019).
//!
//! Mini-batches are shuffled anew each epoch and computed in tiles, whose gradients add up; forward and backward passes are
//! `neural`'s, on one thread. Validation goes through [`models::Predictor`], the same kernels that backtests and serving
//! compute with, so what is selected here is bit for bit what will be served. Training stops early once validation has not
//! improved for `patience` epochs, and the best weights are kept. With a cross-validation the same is done for each fold
//! first, from the same seed, and each fold's best weights are judged on rows that its training never saw.

mod losses;
mod pool;
mod progress;

use std::collections::BTreeMap;
use std::ops::Range;

use features::FeatureState;
use models::weights::Named;
use models::{Forecaster, ForecasterPanels, ForecasterTape, NetworkKind, NetworkSpec, Predictor};
use neural::sequence::Purpose;
use neural::{Adam, AdamOptions, Draw, Dropout, Layout, Vectors, decay};
use rand::seq::SliceRandom as _;
use serde::{Deserialize, Serialize};
use spec::{BundleId, Digest, FoldScore, HeadSpec, Metric, Output, RateSchedule, SupervisedSpec, TrialSpec};

use crate::checkpoint::{self, Saved};
use crate::folds::{self, Fold, Folds};
use crate::labels::Label;
use crate::learn::{fill, put, put_adam, take_adam};
use crate::lessons::Lessons;
use crate::seeds::{self, Stream};
use crate::{Ended, FoldModel, Kept, LastGood, Material, MicroBatch, Sink, TrainError, Trained, TrainingData, memory};
use losses::{TASKS, UNCERTAINTY_MAX, Weighing};
use pool::{Beside, Embeddings, Pool, folded};

/// Optimiser steps between checkpoints inside an epoch: some seconds of work for the networks this is meant for.
const CHECKPOINT_STEPS: u64 = 500;

/// Rows computed at a time: their activations stay in the last cache, and a tape for mixed precision has room for no more.
const TILE: usize = 32;

/// Rows that validation computes at once, by the predictor.
const ASKED: usize = 32;

/// Rows that validation holds the windows of at a time.
const MEASURED: usize = 1_024;

/// Rows of an epoch: their order is held as numbers of four bytes.
const ROWS_MAX: usize = u32::MAX as usize;

/// Copies of the weights at one time, at most: weights, gradient, two moments, the best, three in the order of kernels; and
/// while a checkpoint is written those that go into it, as tensors and as bytes, or as many while validation loads a predictor.
const COPIES: usize = 20;

const EPSILON: f32 = 1e-8;

type Metrics = BTreeMap<Metric, f64>;

/// Where an interrupted training stood.
type Stood = Option<(State, Named)>;

/// What is trained, and how many rows of it at once.
type Asked<'a> = (&'a TrialSpec, &'a SupervisedSpec, MicroBatch);

/// The trainings of folds that lie behind the open one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Past {
    folds: Vec<FoldScore>,
    /// Steps of their optimisers.
    steps: u64,
}

/// Where training stands, tensors apart.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    /// None in a checkpoint from before there were folds.
    #[serde(default)]
    past: Past,
    /// Epochs closed.
    epoch: u32,
    /// Steps done in the open epoch.
    batch: usize,
    /// Sum of the losses of the rows seen in the open epoch.
    loss: f64,
    /// Steps of the optimiser, over all epochs of the open training.
    steps: u64,
    /// Epochs since the best.
    stale: u32,
    /// What the best weights measured.
    best: Option<Metrics>,
    curve: Vec<(u64, Metrics)>,
}

impl State {
    /// Steps of all trainings: no checkpoint has fewer than an earlier one.
    const fn step(&self) -> u64 {
        self.past.steps + self.steps
    }
}

/// Learns to forecast.
pub(crate) fn train(
    asked: Asked<'_>,
    material: Material<'_>,
    resume: Option<Saved<'_>>,
    sink: &mut dyn Sink,
) -> Result<Ended, TrainError> {
    let mut keeper = Keeper { sink, kept: LastGood::Start };
    let trained = match material {
        Material::Whole(data) => trainings(asked, data, resume, &mut keeper),
        Material::Shelved(_) if asked.1.cross_validation.is_some() => Err(TrainError::Unshelvable),
        Material::Shelved(shelves) => stood(resume, &mut keeper)
            .and_then(|past| last(asked, (Pool::shelved(shelves), &shelves.feature_state), past, &mut keeper)),
    };
    trained.map_err(|error| error.after(keeper.kept))
}

/// Where an interrupted training stood, and what lay behind it.
fn stood(resume: Option<Saved<'_>>, keeper: &mut Keeper<'_>) -> Result<(Past, Stood), TrainError> {
    let saved = resume.map(checkpoint::read::<State>).transpose()?;
    let Some((state, _)) = &saved else { return Ok((Past::default(), None)) };
    keeper.kept = LastGood::Step(state.step());
    Ok((state.past.clone(), saved))
}

/// All trainings of a trial: one for each fold, then the one whose network it hands in.
fn trainings(
    asked: Asked<'_>,
    data: &TrainingData,
    resume: Option<Saved<'_>>,
    keeper: &mut Keeper<'_>,
) -> Result<Ended, TrainError> {
    let (trial, task, _) = asked;
    let (mut past, mut saved) = stood(resume, keeper)?;
    // What makes any of the trainings impossible is found before the first.
    let labels = data.labels(task)?;
    let companions = companions(data, task)?;
    if let Some(wanted) = task.cross_validation {
        let folds = Folds::deal(wanted, (trial, task), data)?;
        while past.folds.len() < folds.count() {
            let fold = folds.open(past.folds.len())?;
            let mut run = Run::start(asked, Pool::new((&fold.rows, &fold.labels), &[]), past)?;
            if !run.go(saved.take(), keeper)? {
                return Ok(Ended::Stopped);
            }
            past = run.judged((&folds, &fold), keeper)?;
        }
    }
    last(asked, (Pool::new((&data.rows, &labels), &companions), &data.feature_state), (past, saved), keeper)
}

/// The training whose network is handed in.
fn last(
    asked: Asked<'_>,
    (pool, features): (Pool<'_>, &FeatureState),
    (past, saved): (Past, Stood),
    keeper: &mut Keeper<'_>,
) -> Result<Ended, TrainError> {
    let mut run = Run::start(asked, pool, past)?;
    if !run.go(saved, keeper)? {
        return Ok(Ended::Stopped);
    }
    Ok(Ended::Finished(Box::new(run.finish(features))))
}

fn companions<'a>(data: &'a TrainingData, task: &SupervisedSpec) -> Result<Vec<Beside<'a>>, TrainError> {
    data.companions.iter().map(|companion| Ok((&companion.rows, companion.labels(task)?))).collect()
}

/// The sink, and what can be gone back to.
struct Keeper<'s> {
    sink: &'s mut dyn Sink,
    kept: LastGood,
}

impl Keeper<'_> {
    fn keep(&mut self, step: u64, bytes: Vec<u8>) -> Result<(), TrainError> {
        if self.sink.checkpoint(step, bytes).map_err(|source| TrainError::Sink { step, source })? == Kept::Durably {
            self.kept = LastGood::Step(step);
        }
        Ok(())
    }
}

/// The network with what a step needs, allocated once.
struct Learner {
    spec: NetworkSpec,
    layout: Layout,
    network: Forecaster,
    /// The network's, then the logarithms of the tasks' uncertainties.
    weights: Vec<f32>,
    gradient: Vec<f32>,
    embeddings: Option<Embeddings>,
    uncertainties: Range<usize>,
    panels: ForecasterPanels,
    tape: ForecasterTape,
    adam: Adam,
    /// `[rows × input_width]`, and of each row its label and a key of its dropout.
    input: Vec<f32>,
    labels: Vec<Label>,
    keys: Vec<u64>,
    /// Where rows are read through.
    bytes: Vec<u8>,
}

impl Learner {
    /// With room for `rows` rows at once.
    fn new((trial, task, rows): (&TrialSpec, &SupervisedSpec, usize), pool: &Pool<'_>) -> Result<Self, TrainError> {
        let kind = if task.heads == HeadSpec::default() {
            NetworkKind::Forecaster
        } else {
            NetworkKind::MultiTask { heads: task.heads }
        };
        let (window, width) = pool.shape;
        let spec = NetworkSpec { kind, model: trial.model.clone(), window, width };
        let mut layout = Layout::default();
        let network = Forecaster::new(&mut layout, &spec)?.learning_in(task.precision);
        let embeddings = Embeddings::add(&mut layout, &network, pool);
        let uncertainties = layout.add("uncertainties", &[TASKS], Draw::Constant(0.0));
        let tapes = network.tape_bytes(rows, Purpose::Learning) + network.tape_bytes(ASKED, Purpose::Asking);
        let compared = MEASURED.min(pool.validation.len()) * spec.input_width();
        memory::foresee(tapes + (COPIES * layout.len() + compared) * size_of::<f32>())?;
        let weights = layout.draw(&mut seeds::generator(trial.seed, Stream::Weights, 0));
        let options = AdamOptions { epsilon: EPSILON, norm_max: Some(task.gradient_norm_max) };
        let tape = match &embeddings {
            None => network.tape(rows, Purpose::Learning),
            Some(_) => network.tape_with_offsets(rows),
        };
        let panels = network.panels();
        let (gradient, adam) = (vec![0.0; layout.len()], Adam::new(layout.len(), options));
        let (input, keys) = (vec![0.0; rows * spec.input_width()], Vec::with_capacity(rows));
        let (labels, bytes) = (Vec::with_capacity(rows), Vec::new());
        Ok(Self {
            spec,
            layout,
            network,
            weights,
            gradient,
            embeddings,
            uncertainties,
            panels,
            tape,
            adam,
            input,
            labels,
            keys,
            bytes,
        })
    }

    fn uncertainties(&self) -> [f32; TASKS] {
        *self.weights[self.uncertainties.clone()].first_chunk().expect("a task has one each")
    }
}

/// Rows of an update.
const fn rows_per_step(task: &SupervisedSpec) -> usize {
    task.batch as usize * task.accumulate as usize
}

/// Rows computed at once, of so many.
fn tile(micro_batch: MicroBatch, rows: usize) -> usize {
    micro_batch.rows(rows).min(TILE)
}

/// One training.
struct Run<'a> {
    trial: &'a TrialSpec,
    task: &'a SupervisedSpec,
    micro_batch: MicroBatch,
    pool: Pool<'a>,
    weighing: Weighing,
    learner: Learner,
    best: Option<Vec<f32>>,
    state: State,
}

impl<'a> Run<'a> {
    fn start((trial, task, micro_batch): Asked<'a>, pool: Pool<'a>, past: Past) -> Result<Self, TrainError> {
        if pool.len() > ROWS_MAX {
            return Err(TrainError::TooManyRows { rows: pool.len(), most: ROWS_MAX });
        }
        let learner = Learner::new((trial, task, tile(micro_batch, rows_per_step(task))), &pool)?;
        let weighing = Weighing::new(&learner.network, task, pool.directions());
        let (best, state) = (None, State { past, ..State::default() });
        Ok(Self { trial, task, micro_batch, pool, weighing, learner, best, state })
    }

    /// Goes on from what was saved. True when all is learned, false when the sink asked to stop.
    fn go(&mut self, saved: Option<(State, Named)>, keeper: &mut Keeper<'_>) -> Result<bool, TrainError> {
        if let Some(saved) = saved {
            self.restore(saved)?;
        }
        while !self.is_over() {
            let (order, each) = (self.order(), rows_per_step(self.task));
            let mut steps = order[(self.state.batch * each).min(order.len())..].chunks(each).peekable();
            while let Some(rows) = steps.next() {
                if let Some(next) = steps.peek() {
                    self.pool.announce(next);
                }
                self.step(rows)?;
                if keeper.sink.should_stop() {
                    self.hand_over(keeper)?;
                    return Ok(false);
                }
                if self.state.steps.is_multiple_of(CHECKPOINT_STEPS) {
                    self.hand_over(keeper)?;
                }
            }
            let metrics = self.close_epoch()?;
            keeper.sink.progress(progress::of(self.task, &self.state, metrics));
            self.hand_over(keeper)?;
        }
        Ok(true)
    }

    fn is_over(&self) -> bool {
        self.state.epoch >= self.task.epochs || (self.state.stale > 0 && self.state.stale >= self.task.patience)
    }

    /// The rows of the open epoch, in the order they are learned from.
    fn order(&self) -> Vec<u32> {
        let mut order: Vec<u32> = (0..self.pool.len() as u32).collect();
        order.shuffle(&mut seeds::generator(self.trial.seed, Stream::Order, u64::from(self.state.epoch)));
        order
    }

    fn step(&mut self, rows: &[u32]) -> Result<(), TrainError> {
        let step = self.state.steps;
        let factors = self.weighing.factors(&self.learner.uncertainties());
        let dropout = seeds::derive(self.trial.seed, Stream::Dropout, step);
        self.learner.network.pack(&self.learner.weights, &mut self.learner.panels);
        let mut losses = [0.0; TASKS];
        let width = tile(self.micro_batch, rows.len());
        for (index, tile) in rows.chunks(width).enumerate() {
            // A row's mask is its own, however many rows are computed at once.
            let keys = (0..tile.len()).map(|row| seeds::derive(dropout, Stream::Dropout, (index * width + row) as u64));
            self.learner.keys.clear();
            self.learner.keys.extend(keys);
            let sums = self.tile(tile, (factors, rows.len()))?;
            losses.iter_mut().zip(sums).for_each(|(sum, value)| *sum += value);
        }
        let means = losses.map(|loss| loss / rows.len() as f64);
        let value: f64 = means.iter().zip(factors).map(|(loss, factor)| loss * f64::from(factor)).sum();
        if !value.is_finite() {
            return Err(TrainError::not_finite("the training loss", self.state.step()));
        }
        let rate = self.rate(step);
        let Learner { weights, gradient, uncertainties, adam, .. } = &mut self.learner;
        if self.weighing.learns_uncertainties() {
            gradient[uncertainties.clone()].copy_from_slice(&self.weighing.uncertainty_gradients(factors, means));
        }
        decay(&mut weights[..uncertainties.start], rate * self.task.weight_decay);
        adam.step(weights, gradient, rate).map_err(|_| TrainError::not_finite("the gradient", self.state.step()))?;
        weights[uncertainties.clone()].iter_mut().for_each(|log| *log = log.clamp(-UNCERTAINTY_MAX, UNCERTAINTY_MAX));
        self.state.steps += 1;
        self.state.loss += value * rows.len() as f64;
        self.state.batch += 1;
        Ok(())
    }

    /// Sums of the losses of some rows; adds the gradient of all tasks' means over `rows.1`.
    fn tile(&mut self, rows: &[u32], weights_and_rows: ([f32; TASKS], usize)) -> Result<[f64; TASKS], TrainError> {
        let Learner { network, weights, gradient, embeddings, panels, tape, input, labels, keys, bytes, spec, .. } =
            &mut self.learner;
        let (count, vectors, pool) = (rows.len(), Vectors::default(), &self.pool);
        labels.clear();
        for (to, row) in input.chunks_exact_mut(spec.input_width()).zip(rows) {
            labels.push(pool.read(*row as usize, to, bytes)?);
        }
        let symbols = || rows.iter().map(|row| pool.symbol(*row as usize));
        if let Some(embeddings) = embeddings {
            embeddings.look_up(weights, symbols(), tape.offsets());
        }
        network.forward(vectors, (&*weights, &*panels), (&*input, count, Dropout::On(keys)), tape);
        let (outputs, d_outputs) = tape.outputs_and_gradient(count);
        let width = network.outputs();
        let mut losses = [0.0; TASKS];
        for ((label, outputs), gradient) in
            labels.iter().zip(outputs.chunks_exact(width)).zip(d_outputs.chunks_exact_mut(width))
        {
            let own = self.weighing.row(label, outputs, weights_and_rows, gradient);
            losses.iter_mut().zip(own).for_each(|(sum, value)| *sum += value);
        }
        network.backward(vectors, (&*weights, &*panels, &mut *gradient), (&*input, count), tape);
        if let Some(embeddings) = embeddings {
            embeddings.learn(gradient, symbols(), tape.offsets());
        }
        Ok(losses)
    }

    /// The learning rate of a step.
    fn rate(&self, step: u64) -> f64 {
        let peak = self.task.learning_rate;
        match self.task.schedule {
            RateSchedule::Constant => peak,
            RateSchedule::WarmUpCosine { warm_up, floor } => {
                let each = self.pool.len().div_ceil(rows_per_step(self.task)) as u64;
                let steps = each * u64::from(self.task.epochs);
                let (rising, done) = (warm_up * steps as f64, step as f64 + 1.0);
                if done <= rising {
                    return peak * done / rising;
                }
                let share = ((done - rising) / (steps as f64 - rising).max(1.0)).min(1.0);
                peak * (floor + (1.0 - floor) * (1.0 + (std::f64::consts::PI * share).cos()) / 2.0)
            }
        }
    }

    /// Validates and decides what is best.
    fn close_epoch(&mut self) -> Result<Metrics, TrainError> {
        let served = self.served(&self.learner.weights)?;
        let (validation, accuracy) = self.measured(&served, self.pool.validation)?;
        if !validation.is_finite() {
            return Err(TrainError::not_finite("the validation loss", self.state.step()));
        }
        let state = &mut self.state;
        let metrics = Metrics::from([
            (Metric::Loss, state.loss / self.pool.len() as f64),
            (Metric::ValidationLoss, validation),
            (Metric::ValidationAccuracy, accuracy),
        ]);
        state.epoch += 1;
        (state.batch, state.loss) = (0, 0.0);
        state.curve.push((u64::from(state.epoch), metrics.clone()));
        let best = state.best.as_ref().and_then(|best| best.get(&Metric::ValidationLoss));
        if best.is_none_or(|best| validation < *best) {
            state.best = Some(metrics.clone());
            state.stale = 0;
            self.best = Some(self.learner.weights.clone());
        } else {
            state.stale += 1;
        }
        Ok(metrics)
    }

    /// The tensors of the traded symbol's network as safetensors.
    fn to_bytes(&self, weights: &[f32]) -> Vec<u8> {
        let Learner { network, layout, embeddings, .. } = &self.learner;
        network.to_bytes(layout, &folded(embeddings.as_ref(), weights), self.pool.scales)
    }

    /// These weights as they would be served.
    fn served(&self, weights: &[f32]) -> Result<Predictor, TrainError> {
        let bytes = self.to_bytes(weights);
        Ok(Predictor::from_parts(&self.learner.spec, &bytes, BundleId(Digest::of(&bytes)))?)
    }

    /// Mean loss and accuracy of what is served on these rows.
    fn measured(&self, served: &Predictor, rows: Lessons<'_>) -> Result<(f64, f64), TrainError> {
        let (mut loss, mut right) = (0.0, 0_u32);
        let (width, most) = (self.learner.spec.input_width(), MEASURED.min(rows.len()));
        let (mut windows, mut labels, mut bytes) = (vec![0.0; most * width], Vec::with_capacity(most), Vec::new());
        for first in (0..rows.len()).step_by(MEASURED) {
            labels.clear();
            for (row, window) in (first..rows.len()).zip(windows.chunks_exact_mut(width)) {
                labels.push(rows.read(row, window, &mut bytes)?);
            }
            let inputs: Vec<&[f32]> = windows.chunks_exact(width).take(labels.len()).collect();
            for (label, output) in labels.iter().zip(served.predict(&inputs)?) {
                loss += self.weighing.served(label, &output, self.pool.scales);
                if let Output::Forecast { probabilities, .. } = output {
                    let said = probabilities.iter().copied().fold(f32::MIN, f32::max);
                    right += u32::from(probabilities[usize::from(label.class)] == said);
                }
            }
        }
        let count = rows.len() as f64;
        Ok((loss / count, f64::from(right) / count))
    }

    fn hand_over(&mut self, keeper: &mut Keeper<'_>) -> Result<(), TrainError> {
        let mut tensors = Named::new();
        put(&mut tensors, "weights", &self.learner.weights);
        if let Some(best) = &self.best {
            put(&mut tensors, "best", best);
        }
        put_adam(&mut tensors, "adam", &self.learner.adam);
        keeper.keep(self.state.step(), checkpoint::write(self.trial.identity(), &self.state, &tensors))
    }

    fn restore(&mut self, (state, tensors): (State, Named)) -> Result<(), TrainError> {
        fill(&tensors, "weights", &mut self.learner.weights)?;
        take_adam(&tensors, "adam", (&mut self.learner.adam, state.steps))?;
        if state.best.is_some() {
            let mut best = vec![0.0; self.learner.weights.len()];
            fill(&tensors, "best", &mut best)?;
            self.best = Some(best);
        }
        self.state = state;
        Ok(())
    }

    fn best(&self) -> &[f32] {
        self.best.as_ref().unwrap_or(&self.learner.weights)
    }

    /// Judges the training of a fold, and adds it to those behind.
    fn judged(self, (folds, fold): (&Folds<'_>, &Fold), keeper: &mut Keeper<'_>) -> Result<Past, TrainError> {
        let served = self.served(self.best())?;
        let (loss, _) = self.measured(&served, Lessons::Whole(&fold.rows, &fold.test))?;
        if !loss.is_finite() {
            return Err(TrainError::not_finite("the loss of a fold", self.state.step()));
        }
        let model = FoldModel { predictor: &served, features: &fold.features, tested: &fold.tested };
        let sharpe = keeper.sink.trade(&model);
        let sharpe = sharpe.map_err(|source| TrainError::Judge { fold: self.state.past.folds.len(), source })?;
        let sharpe = sharpe.filter(|sharpe| sharpe.is_finite());
        let steps = self.state.step();
        let mut judged = self.state.past.folds;
        judged.push(folds.score(fold, (loss, sharpe)));
        Ok(Past { folds: judged, steps })
    }

    fn finish(self, feature_state: &FeatureState) -> Trained {
        let weights = self.to_bytes(self.best());
        let mut metrics = self.state.best.unwrap_or_default();
        metrics.extend(folds::metrics(&self.state.past.folds));
        Trained {
            network: self.learner.spec,
            weights,
            metrics,
            curve: self.state.curve,
            folds: self.state.past.folds,
            feature_state: feature_state.clone(),
        }
    }
}

#[cfg(test)]
mod tests;
