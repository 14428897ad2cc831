//! Multi-task forecasting: cross-entropy over three directions plus a Huber loss on the standardised return, by AdamW.
//!
//! Mini-batches are shuffled anew each epoch. Validation goes through [`models::Predictor`], the same tiles that backtests
//! and serving compute, so what is selected here is bit for bit what will be served. Training stops early once validation
//! has not improved for `patience` epochs, and the best weights are kept.

use std::collections::BTreeMap;

use models::weights::{self, Named};
use models::{Forecast, Initial, Mode, NetworkKind, NetworkSpec, Predictor};
use rand::seq::SliceRandom as _;
use serde::{Deserialize, Serialize};
use spec::{BundleId, Digest, Metric, Output, Progress, ProgressUnit, SupervisedSpec, TrialSpec};
use tch::nn::VarStore;
use tch::{Device, Reduction, Tensor};

use crate::checkpoint::{self, CheckpointError, Saved};
use crate::optimiser::{Adam, AdamOptions, AdamSteps};
use crate::prepare::{Label, Labels};
use crate::seeds::{self, Stream};
use crate::{Ended, Kept, LastGood, MicroBatch, Sink, TrainError, Trained, TrainingData};

/// Optimiser steps between checkpoints inside an epoch: some seconds of work for the networks this is meant for.
const CHECKPOINT_STEPS: u64 = 500;

/// Where the return loss turns from square to linear, in standard deviations: returns have fat tails.
const HUBER_BETA: f64 = 1.0;

const EPSILON: f64 = 1e-8;

type Metrics = BTreeMap<Metric, f64>;

/// Where training stands, tensors apart.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    /// Epochs closed.
    epoch: u32,
    /// Mini-batches done in the open epoch.
    batch: usize,
    /// Sum of the losses of the rows seen in the open epoch.
    loss: f64,
    /// Steps of the optimiser, over all epochs.
    steps: AdamSteps,
    /// Epochs since the best.
    stale: u32,
    /// What the best weights measured.
    best: Option<Metrics>,
    curve: Vec<(u64, Metrics)>,
}

/// Loss of each row's forecast: `[batch]` of both tasks, averaged.
fn loss(forecast: &Forecast, classes: &Tensor, returns: &Tensor, return_weight: f64) -> Tensor {
    let direction = forecast.direction.cross_entropy_loss(classes, None::<&Tensor>, Reduction::Mean, -100, 0.0);
    let value = forecast.standardised_return.smooth_l1_loss(returns, Reduction::Mean, HUBER_BETA);
    direction + value * return_weight
}

/// The same loss of one served output.
fn served_loss(label: &Label, probabilities: [f32; 3], standardised: f64, return_weight: f64) -> f64 {
    let direction = -f64::from(probabilities[usize::from(label.class)]).max(f64::from(f32::MIN_POSITIVE)).ln();
    let miss = (standardised - f64::from(label.standardised_return)).abs();
    let value = if miss < HUBER_BETA { 0.5 * miss * miss / HUBER_BETA } else { miss - 0.5 * HUBER_BETA };
    direction + return_weight * value
}

/// Learns to forecast.
pub(crate) fn train(
    (trial, task, micro_batch): (&TrialSpec, &SupervisedSpec, MicroBatch),
    data: &TrainingData,
    resume: Option<Saved<'_>>,
    sink: &mut dyn Sink,
) -> Result<Ended, TrainError> {
    let mut run = Run { micro_batch, ..Run::start(trial, task, data)? };
    if let Some(saved) = resume {
        run.restore(saved)?;
    }
    match run.go(sink) {
        Ok(true) => Ok(Ended::Finished(Box::new(run.finish()))),
        Ok(false) => Ok(Ended::Stopped),
        Err(error) => Err(error.after(run.kept)),
    }
}

/// Training examples as tensors, made once.
struct Examples {
    /// `[windows, width, window]`: a view that repeats no row.
    windows: Tensor,
    /// `[rows]`: which window, which direction, which return.
    window: Tensor,
    classes: Tensor,
    returns: Tensor,
}

impl Examples {
    fn new(data: &TrainingData, labels: &[Label]) -> Self {
        let rows = &data.rows;
        let first = data.first_window();
        let window: Vec<i64> = labels.iter().map(|label| (label.bar - first) as i64).collect();
        let classes: Vec<i64> = labels.iter().map(|label| i64::from(label.class)).collect();
        let returns: Vec<f32> = labels.iter().map(|label| label.standardised_return).collect();
        Self {
            windows: Tensor::from_slice(&rows.values).view([-1, rows.width as i64]).unfold(0, rows.window as i64, 1),
            window: Tensor::from_slice(&window),
            classes: Tensor::from_slice(&classes),
            returns: Tensor::from_slice(&returns),
        }
    }

    /// Inputs `[batch, window × width]`, directions and returns of some rows.
    fn pick(&self, rows: &[i64]) -> (Tensor, Tensor, Tensor) {
        let rows = Tensor::from_slice(rows);
        let windows = self.windows.index_select(0, &self.window.index_select(0, &rows));
        let inputs = windows.transpose(1, 2).contiguous().view([rows.size()[0], -1]);
        (inputs, self.classes.index_select(0, &rows), self.returns.index_select(0, &rows))
    }
}

struct Run<'a> {
    trial: &'a TrialSpec,
    task: &'a SupervisedSpec,
    micro_batch: MicroBatch,
    data: &'a TrainingData,
    labels: Labels,
    examples: Examples,
    spec: NetworkSpec,
    network: models::Forecaster,
    store: VarStore,
    adam: Adam,
    best: Named,
    state: State,
    kept: LastGood,
}

impl<'a> Run<'a> {
    fn start(trial: &'a TrialSpec, task: &'a SupervisedSpec, data: &'a TrainingData) -> Result<Self, TrainError> {
        let labels = data.labels(task.horizon as usize, task.flat_band)?;
        let spec = NetworkSpec {
            kind: NetworkKind::Forecaster,
            model: trial.model.clone(),
            window: data.rows.window,
            width: data.rows.width,
        };
        let store = VarStore::new(Device::Cpu);
        seeds::seed_torch(trial.seed, Stream::Weights, 0);
        let mut network = models::Forecaster::build(&spec, &store.root(), Initial::Drawn)?;
        network.set_return_scale(labels.scale);
        let adam = Adam::new(&store, AdamOptions { epsilon: EPSILON, weight_decay: task.weight_decay });
        let examples = Examples::new(data, &labels.train);
        let (best, state, kept) = (Named::new(), State::default(), LastGood::Start);
        Ok(Self {
            trial,
            task,
            micro_batch: MicroBatch::Whole,
            data,
            labels,
            examples,
            spec,
            network,
            store,
            adam,
            best,
            state,
            kept,
        })
    }

    /// True when all is learned, false when the sink asked to stop.
    fn go(&mut self, sink: &mut dyn Sink) -> Result<bool, TrainError> {
        while !self.is_over() {
            let mut order = self.order();
            order.drain(..(self.state.batch * self.batch()).min(order.len()));
            for rows in order.chunks(self.batch()) {
                self.step(rows)?;
                if sink.should_stop() {
                    self.hand_over(sink)?;
                    return Ok(false);
                }
                if self.state.steps.0.is_multiple_of(CHECKPOINT_STEPS) {
                    self.hand_over(sink)?;
                }
            }
            let metrics = self.close_epoch()?;
            let (step, steps) = (u64::from(self.state.epoch), u64::from(self.task.epochs));
            sink.progress(Progress { step, steps, unit: ProgressUnit::Epoch, rate: 0.0, metrics });
            self.hand_over(sink)?;
        }
        Ok(true)
    }

    fn batch(&self) -> usize {
        self.task.batch as usize
    }

    fn is_over(&self) -> bool {
        self.state.epoch >= self.task.epochs || (self.state.stale > 0 && self.state.stale >= self.task.patience)
    }

    /// The rows of the open epoch, in the order they are learned from.
    fn order(&self) -> Vec<i64> {
        let mut order: Vec<i64> = (0..self.labels.train.len() as i64).collect();
        order.shuffle(&mut seeds::generator(self.trial.seed, Stream::Order, u64::from(self.state.epoch)));
        order
    }

    fn step(&mut self, rows: &[i64]) -> Result<(), TrainError> {
        let step = self.state.steps.0;
        seeds::seed_torch(self.trial.seed, Stream::Dropout, step);
        self.adam.zero_gradient();
        for part in rows.chunks(self.micro_batch.rows(rows.len())) {
            let (inputs, classes, returns) = self.examples.pick(part);
            let forecast = self.network.forward(&inputs, Mode::Training);
            let loss = loss(&forecast, &classes, &returns, self.task.return_weight);
            let value = loss.double_value(&[]);
            if !value.is_finite() {
                return Err(TrainError::not_finite("the training loss", step));
            }
            // A part weighs as many rows as it has: the gradients of all add up to that of the batch's mean.
            let share = part.len() as f64 / rows.len() as f64;
            if share < 1.0 {
                (loss * share).backward()
            } else {
                loss.backward()
            }
            self.state.loss += value * part.len() as f64;
        }
        self.adam.clip(self.task.gradient_norm_max).map_err(|_| TrainError::not_finite("the gradient", step))?;
        self.state.steps = self.adam.step(self.task.learning_rate);
        self.state.batch += 1;
        Ok(())
    }

    /// Validates and decides what is best.
    fn close_epoch(&mut self) -> Result<Metrics, TrainError> {
        let step = self.state.steps.0;
        let (validation, accuracy) = self.validate()?;
        if !validation.is_finite() {
            return Err(TrainError::not_finite("the validation loss", step));
        }
        let state = &mut self.state;
        let metrics = Metrics::from([
            (Metric::Loss, state.loss / self.labels.train.len() as f64),
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
            self.best = weights::snapshot(&self.store);
        } else {
            state.stale += 1;
        }
        Ok(metrics)
    }

    /// Loss and accuracy of what would be served.
    fn validate(&self) -> Result<(f64, f64), TrainError> {
        let bytes = weights::to_bytes(&self.store);
        let predictor = Predictor::from_parts(&self.spec, &bytes, BundleId(Digest::of(&bytes)))?;
        let labels = &self.labels.validation;
        let rows: Vec<&[f32]> = labels.iter().filter_map(|label| self.data.window(label.bar)).collect();
        let (mut loss, mut right) = (0.0, 0u32);
        for (label, output) in labels.iter().zip(predictor.predict(&rows)?) {
            if let Output::Forecast { probabilities, expected_return } = output {
                let standardised = f64::from(expected_return) / self.labels.scale;
                loss += served_loss(label, probabilities, standardised, self.task.return_weight);
                let said = probabilities.iter().copied().fold(f32::MIN, f32::max);
                right += u32::from(probabilities[usize::from(label.class)] == said);
            }
        }
        let count = labels.len() as f64;
        Ok((loss / count, f64::from(right) / count))
    }

    fn hand_over(&mut self, sink: &mut dyn Sink) -> Result<(), TrainError> {
        let (steps, moments) = self.adam.state();
        let mut tensors = Named::new();
        checkpoint::put(&mut tensors, "weights", weights::named(&self.store));
        checkpoint::put(
            &mut tensors,
            "best",
            self.best.iter().map(|(name, t)| (name.clone(), t.shallow_clone())).collect(),
        );
        checkpoint::put(&mut tensors, "adam", moments);
        let step = steps.0;
        let bytes = checkpoint::write(self.trial.identity(), &self.state, &tensors);
        if sink.checkpoint(step, bytes).map_err(|source| TrainError::Sink { step, source })? == Kept::Durably {
            self.kept = LastGood::Step(step);
        }
        Ok(())
    }

    fn restore(&mut self, saved: Saved<'_>) -> Result<(), TrainError> {
        let (state, tensors): (State, Named) = checkpoint::read(saved)?;
        let content = |error: models::ModelError| CheckpointError::Content { why: error.to_string() };
        weights::assign(&mut self.store, checkpoint::under(&tensors, "weights")).map_err(content)?;
        self.adam.restore(state.steps, &checkpoint::under(&tensors, "adam"))?;
        self.best = checkpoint::under(&tensors, "best");
        self.state = state;
        self.kept = LastGood::Step(self.state.steps.0);
        Ok(())
    }

    fn finish(self) -> Trained {
        Trained {
            network: self.spec,
            weights: weights::pack(&self.best),
            metrics: self.state.best.unwrap_or_default(),
            curve: self.state.curve,
            feature_state: self.data.feature_state.clone(),
        }
    }
}

#[cfg(test)]
mod tests;
