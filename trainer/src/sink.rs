//! What training hands out on its way and at its end.

use std::collections::BTreeMap;

use features::FeatureState;
use models::NetworkSpec;
use spec::{Metric, Progress};

use crate::SinkError;

/// Receives what training emits.
pub trait Sink {
    /// How far training is. Called after every epoch or update; the rate is left at 0, since training reads no clock.
    fn progress(&mut self, progress: Progress);

    /// A checkpoint taken after `step`. It must be kept durably before this returns.
    ///
    /// # Errors
    /// [`SinkError`] when it cannot be kept; training then ends.
    fn checkpoint(&mut self, step: u64, bytes: Vec<u8>) -> Result<(), SinkError>;

    /// Whether training should hand over a checkpoint and end. Asked after every optimiser step (supervised) or update
    /// (RL): several times a second for the networks this is meant for.
    fn should_stop(&self) -> bool;

    /// Whether checkpoints are kept at all. Where not, none is made.
    fn keeps_checkpoints(&self) -> bool {
        true
    }
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
    /// The features, fitted on the training split, standing at the last bar before the test split.
    pub feature_state: FeatureState,
}
