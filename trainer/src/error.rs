//! Why training ended without a result, and what that means for a retry.

use std::fmt;

use dataset::{DataError, FoldError};
use features::FeatureError;
use market::{Symbol, Timestamp};
use models::{LookError, ModelError, SightError};
use spec::{BundleId, Bytes, Device, Digest, FailureClass, TrialId};

use crate::checkpoint::CheckpointError;
use crate::memory::is_out_of_memory;
use crate::scratch::ScratchError;

/// The receiver of checkpoints refuses one.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SinkError(pub String);

/// The last checkpoint before a failure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LastGood {
    /// None was kept.
    #[default]
    Start,
    /// That of this step.
    Step(u64),
}

impl fmt::Display for LastGood {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start => f.write_str("no checkpoint was kept before"),
            Self::Step(step) => write!(f, "the last good checkpoint is that of step {step}"),
        }
    }
}

/// Why there is no trained network.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The bars cannot be used.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The features cannot be computed.
    #[error(transparent)]
    Feature(#[from] FeatureError),
    /// The bars are not those the trial names.
    #[error("the trial names data {expected}, but the bars hash to {actual}: import the same source again")]
    OtherData {
        /// Of the spec.
        expected: Digest,
        /// Of the bars.
        actual: Digest,
    },
    /// The trial learns from other companions.
    #[error("the trial learns from {wanted} further symbols and is given {given}: load those that its spec names")]
    Companions {
        /// Of the spec.
        wanted: usize,
        /// What is there.
        given: usize,
    },
    /// A symbol beside the traded one cannot be learned from.
    #[error("{symbol}, which is learned from beside the traded symbol, cannot be")]
    Companion {
        /// Which.
        symbol: Symbol,
        /// Why not.
        source: Box<TrainError>,
    },
    /// The encoder is not the one the trial names, or one of them is none.
    #[error(
        "the trial sees bars through {}, but is given {}: load what its spec names", named(*wanted), named(*given)
    )]
    OtherEncoder {
        /// Of the spec.
        wanted: Option<BundleId>,
        /// What is there.
        given: Option<BundleId>,
    },
    /// The encoder's indicators would remember other bars.
    #[error("the encoder's features start at {encoder}, the bars at {bars}: train an encoder on these bars")]
    OtherStart {
        /// Its first bar.
        encoder: Timestamp,
        /// The first bar.
        bars: Timestamp,
    },
    /// The encoder and the features do not go together.
    #[error(transparent)]
    Sight(#[from] SightError),
    /// A split holds too few bars with a full window and a label inside it.
    #[error(
        "split {split} keeps {rows} rows after warm-up, window and horizon, {least} are needed: \
         widen it or shorten window and horizon"
    )]
    TooFewRows {
        /// Which split.
        split: &'static str,
        /// Rows it keeps.
        rows: usize,
        /// Rows needed.
        least: usize,
    },
    /// There are more rows than are shuffled.
    #[error("the symbols have {rows} training rows, {most} are the most: leave symbols out, or shorten `train`")]
    TooManyRows {
        /// Rows of all symbols.
        rows: usize,
        /// Rows that can be learned from.
        most: usize,
    },
    /// What is set aside on disk cannot be written, or not be had back.
    #[error(transparent)]
    Scratch(#[from] ScratchError),
    /// The trial cannot learn from what lies on disk.
    #[error("agents and cross-validations learn from bars in memory: prepare them whole")]
    Unshelvable,
    /// The rows cannot be dealt into folds.
    #[error("the folds of the cross-validation cannot be dealt")]
    Folds(#[from] FoldError),
    /// A fold keeps too few rows.
    #[error(
        "fold {fold} of the cross-validation keeps {rows} rows to {purpose} after purge and embargo, {least} are needed: \
         use fewer folds, a shorter horizon or longer splits"
    )]
    FoldTooSmall {
        /// Which, from 0.
        fold: usize,
        /// What for.
        purpose: &'static str,
        /// Rows it keeps.
        rows: usize,
        /// Rows needed.
        least: usize,
    },
    /// The network of a fold could not be traded.
    #[error("fold {fold} of the cross-validation could not be traded")]
    Judge {
        /// Which, from 0.
        fold: usize,
        /// Why.
        source: SinkError,
    },
    /// A value that must be finite is not.
    #[error("{what} is not finite after {step} steps of the optimiser: lower the learning rate; {last_good}")]
    NotFinite {
        /// Which value.
        what: &'static str,
        /// Optimiser steps done.
        step: u64,
        /// What can be gone back to.
        last_good: LastGood,
    },
    /// An environment put out NaN or infinity.
    #[error(
        "{what} is not finite after environment step {step}: look at the environment's data and costs; {last_good}"
    )]
    Broken {
        /// What it is.
        what: &'static str,
        /// Environment steps taken.
        step: u64,
        /// What can be gone back to.
        last_good: LastGood,
    },
    /// The algorithm cannot act there.
    #[error("{algorithm} takes {takes} actions, and {env} has others: choose another algorithm or `env.action`")]
    Actions {
        /// Which algorithm.
        algorithm: &'static str,
        /// The kind it takes.
        takes: &'static str,
        /// Which environment.
        env: String,
    },
    /// This build does not compute there.
    #[error("device {0:?} is not available to this build: use cpu")]
    Device(Device),
    /// The checkpoint cannot be resumed; an older one may.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// It was to begin anew, but goes on from another trial.
    #[error("trial {trial} goes on from {parent}, and no checkpoint of that one was given: train {parent} again")]
    Orphan {
        /// The trial.
        trial: TrialId,
        /// Whose checkpoint is missing.
        parent: TrialId,
    },
    /// The checkpoint could not be handed over.
    #[error("the checkpoint after step {step} was not kept")]
    Sink {
        /// Where training stood.
        step: u64,
        /// Why.
        source: SinkError,
    },
    /// The environment refuses the bars or the split.
    #[error("the environment cannot be built: {why}")]
    Env {
        /// What it said.
        why: String,
    },
    /// The network cannot be built or asked.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// There is too little memory.
    #[error("memory ran out: {why}; give the trial more, or a step down in `degrade`")]
    OutOfMemory {
        /// As the allocator said.
        why: String,
    },
    /// There is too little memory, which is known before any is used.
    #[error(
        "memory would run out: the training takes {} more than there is; give the trial more, or a step down in `degrade`",
        Bytes(*wanted_bytes as u64)
    )]
    TooLittleMemory {
        /// What it takes beside what is in use.
        wanted_bytes: usize,
    },
    /// libtorch refuses.
    #[error("libtorch failed")]
    Torch(#[from] tch::TchError),
}

/// An encoder in words.
fn named(encoder: Option<BundleId>) -> String {
    encoder.map_or_else(|| "no encoder".to_owned(), |encoder| format!("encoder {encoder}"))
}

impl From<LookError> for TrainError {
    fn from(error: LookError) -> Self {
        match error {
            LookError::Feature(error) => Self::Feature(error),
            LookError::Encoder(error) => Self::Model(error),
        }
    }
}

impl TrainError {
    pub(crate) const fn not_finite(what: &'static str, step: u64) -> Self {
        Self::NotFinite { what, step, last_good: LastGood::Start }
    }

    pub(crate) const fn broken(what: &'static str, step: u64) -> Self {
        Self::Broken { what, step, last_good: LastGood::Start }
    }

    pub(crate) fn of_companion(self, symbol: &Symbol) -> Self {
        Self::Companion { symbol: symbol.clone(), source: Box::new(self) }
    }

    /// The same, where it makes a checkpoint worth naming.
    #[must_use]
    pub(crate) fn after(mut self, kept: LastGood) -> Self {
        if let Self::NotFinite { last_good, .. } | Self::Broken { last_good, .. } = &mut self {
            *last_good = kept;
        }
        self
    }

    /// What kind of failure this is, as far as a retry cares.
    #[must_use]
    pub fn class(&self) -> FailureClass {
        match self {
            Self::Companion { source, .. } => source.class(),
            // The machine's fault, not the data's: another may read them.
            Self::Data(DataError::Io { .. }) => FailureClass::Bug,
            Self::Data(_)
            | Self::Feature(_)
            | Self::OtherData { .. }
            | Self::Companions { .. }
            | Self::OtherEncoder { .. }
            | Self::OtherStart { .. }
            | Self::Sight(_)
            | Self::TooFewRows { .. }
            | Self::TooManyRows { .. }
            | Self::Folds(_)
            | Self::FoldTooSmall { .. }
            | Self::Env { .. }
            | Self::Judge { .. }
            | Self::Orphan { .. } => FailureClass::Data,
            Self::NotFinite { .. }
            | Self::Broken { .. }
            | Self::Model(ModelError::Output { .. } | ModelError::NotFinite { .. }) => FailureClass::Nan,
            Self::OutOfMemory { .. } | Self::TooLittleMemory { .. } => FailureClass::Oom,
            Self::Torch(error) | Self::Model(ModelError::Torch(error)) if is_out_of_memory(&error.to_string()) => {
                FailureClass::Oom
            }
            Self::Actions { .. }
            | Self::Scratch(_)
            | Self::Unshelvable
            | Self::Device(_)
            | Self::Checkpoint(_)
            | Self::Sink { .. }
            | Self::Model(_)
            | Self::Torch(_) => FailureClass::Bug,
        }
    }
}
