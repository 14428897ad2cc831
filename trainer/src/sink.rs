//! What training hands out on its way and at its end.

use std::collections::BTreeMap;
use std::ops::Range;

use features::FeatureState;
use models::{NetworkSpec, Predictor};
use spec::{FoldScore, Metric, Progress};

use crate::SinkError;

/// Receives what training emits.
pub trait Sink {
    /// How far training is. Called after every epoch or update; the rate is left at 0, since training reads no clock.
    fn progress(&mut self, progress: Progress);

    /// A checkpoint taken after `step`. What is said to be kept is durable before this returns.
    ///
    /// # Errors
    /// [`SinkError`] when training must end over it.
    fn checkpoint(&mut self, step: u64, bytes: Vec<u8>) -> Result<Kept, SinkError>;

    /// Whether training should hand over a checkpoint and end. Asked after every optimiser step (supervised) or update
    /// (RL): several times a second for the networks this is meant for.
    fn should_stop(&self) -> bool;

    /// What the network of a fold would have earned on the bars that its training never saw: annualised Sharpe ratio after
    /// costs. `None`: nobody trades here.
    ///
    /// # Errors
    /// [`SinkError`] when it cannot be said, and training must end over it.
    fn trade(&mut self, _fold: &FoldModel<'_>) -> Result<Option<f64>, SinkError> {
        Ok(None)
    }

    /// Whether checkpoints are kept at all. Where not, none is made.
    fn keeps_checkpoints(&self) -> bool {
        true
    }
}

/// The network of a fold, and what it is judged on.
#[derive(Clone, Copy, Debug)]
pub struct FoldModel<'a> {
    /// As it would be served.
    pub predictor: &'a Predictor,
    /// The features, fitted on the rows that the network was fitted on.
    pub features: &'a FeatureState,
    /// Stretches of bars to decide on, in order.
    pub tested: &'a [Range<usize>],
}

/// What became of a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It can be gone back to.
    Durably,
    /// It was passed over: the one before is as good as it was.
    Not,
}

/// How training ended.
#[derive(Debug)]
pub enum Ended {
    /// All of it.
    Finished(Box<Trained>),
    /// The sink asked for it; the checkpoint to go on from was handed over last.
    Stopped,
}

/// What was learned.
#[derive(Clone, Debug)]
pub struct Trained {
    /// The network's shape.
    pub network: NetworkSpec,
    /// Its weights as safetensors: the best on validation (supervised), the last (RL).
    pub weights: Vec<u8>,
    /// What those weights measured.
    pub metrics: BTreeMap<Metric, f64>,
    /// Learning curve: (epoch or environment step, metrics).
    pub curve: Vec<(u64, BTreeMap<Metric, f64>)>,
    /// What came of its folds, in the order dealt; empty without a cross-validation.
    pub folds: Vec<FoldScore>,
    /// The features, fitted on the training split, standing at the last bar before the test split.
    pub feature_state: FeatureState,
}
