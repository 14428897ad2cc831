//! All that travels: experiment and trial specs, ids, predictions and decisions; strict and versioned.
//!
//! Holds nouns and their checks. Does not know tensors, the wire, where or when anything runs.

mod benchmark;
mod bytes;
mod canonical;
mod check;
mod digest;
mod duration;
mod encoder;
mod ensemble;
mod experiment;
mod feature;
mod fold;
mod forecast;
mod ids;
mod metric;
mod parse;
mod prediction;
mod problem;
mod ranges;
mod resolve;
mod rl;
mod rung;
#[cfg(test)]
mod sample;
mod schema;
mod section;
mod substitute;
mod sweep;
mod task;
mod trial;
mod yaml;

pub use benchmark::{BenchmarkSpec, parse_benchmark};
pub use bytes::Bytes;
pub use canonical::canonical_json;
pub use check::{DataFacts, Facts, check};
pub use digest::{BundleId, Digest, DigestError};
pub use duration::Span;
pub use encoder::{
    EncoderFacts, EncoderRef, EncoderSpec, EncoderUse, ForecasterFacts, Guide, MEMORY_ROWS, MissingEncoder, Selection,
    TrialEncoder,
};
pub use ensemble::{Combination, EnsembleSpec, MEMBERS_MAX, Weighting, parse_ensemble};
pub use experiment::{
    ActionMode, CostSpec, DataSpec, DateRange, DegradeSpec, Device, EnvSpec, ExperimentSpec, Fallback, GateSpec,
    PositionMode, PromoteSpec, Repair, ResourceSpec, RetrySpec, Reward, SplitSpec, StrategySpec, Version,
};
pub use feature::{FEATURE_BARS_MAX, FeatureSpec, Parameter, ParameterRange};
pub use fold::{CrossValidationSpec, FOLD_ROWS_MIN, FOLDS_MAX, FoldScore, FoldWindow};
pub use forecast::{
    CALIBRATION_ROWS_MIN, CalibrationSpec, Directions, HeadSpec, Imbalance, LabelSpec, Normalisation, Precision,
    QUANTILES, RateSchedule, ReturnHead, Shortcut, TaskWeights, VolatilityHead,
};
pub use ids::{AttemptId, ExperimentId, IdError, ModelName, NodeId, Owner, ResourceName, TrialId, WorkerId};
pub use metric::{FailureClass, Metric, Progress, ProgressUnit};
pub use parse::parse;
pub use prediction::{Confidence, Decision, Output, Prediction, Reason, Spread};
pub use problem::{Place, Problem};
pub use resolve::resolve;
pub use rl::{
    Algorithm, Bootstrap, DqnSpec, EpsilonSpec, EvaluationSpec, Exploration, Keep, Normalise, PpoSpec, PrioritySpec,
    QHead, ReplaySpec, RlSpec, SacSpec, Schedule, TargetUpdate, Td3Spec, Temperature,
};
pub use rung::{Finite, Rung, Share};
pub use schema::schema;
pub use section::{parse_env, parse_features};
pub use substitute::trial;
pub use sweep::{Condition, Dimension, Direction, Mode, Objective, Pruner, Sampler, SweepSpec};
pub use task::{Activation, ModelSpec, SupervisedSpec, TaskSpec};
pub use trial::{CheckpointRef, ParamValue, Params, Parent, Series, TrialOutcome, TrialSpec};
pub use yaml::Positions;
