//! All that travels: experiment and trial specs, ids, predictions and decisions; strict and versioned.
//!
//! Holds nouns and their checks. Does not know tensors, the wire, where or when anything runs.

mod digest;
mod duration;
mod experiment;
mod ids;
mod metric;
mod prediction;
mod task;
mod trial;

pub use digest::{BundleId, Digest, DigestError, canonical_json};
pub use duration::Span;
pub use experiment::{
    CostSpec, DataSpec, DateRange, Device, EnvSpec, ExperimentSpec, FeatureSpec, GateSpec, PositionMode, PromoteSpec,
    ResourceSpec, RetrySpec, Reward, SplitSpec, StrategySpec, Version,
};
pub use experiment::{Dimension, Direction, Objective, Pruner, Sampler, SweepSpec};
pub use ids::{AttemptId, ExperimentId, IdError, ModelName, TrialId, WorkerId};
pub use metric::{FailureClass, Metric, Progress, ProgressUnit};
pub use prediction::{Decision, Output, Prediction, Reason};
pub use task::{Algorithm, ModelSpec, PpoSpec, RlSpec, SupervisedSpec, TaskSpec};
pub use trial::{CheckpointRef, ParamValue, Params, Series, TrialOutcome, TrialSpec};
