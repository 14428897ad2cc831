//! One point of the space with a seed, fully resolved; and what came of it.

use std::collections::BTreeMap;

use market::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    BundleId, DataSpec, DegradeSpec, Device, Digest, EncoderUse, EnvSpec, FeatureSpec, FoldScore, Metric, ModelSpec,
    Share, StrategySpec, TaskSpec, TrialEncoder, TrialId, canonical_json,
};

/// A value of a swept parameter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(untagged)]
pub enum ParamValue {
    /// A switch.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// A real number.
    Real(f64),
    /// A word.
    Text(String),
    /// A list, such as the layers of an MLP.
    List(Vec<ParamValue>),
}

/// Swept parameters by dotted path.
pub type Params = BTreeMap<String, ParamValue>;

/// All a worker needs to run a trial: the experiment's spec with the parameters put in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrialSpec {
    /// Which trial.
    pub trial: TrialId,
    /// The swept parameters, as they were put in.
    pub params: Params,
    /// Seed of everything random.
    pub seed: u64,
    /// The bars.
    pub data: DataSpec,
    /// Content digest of the bars: a worker that reads others refuses.
    pub data_digest: Digest,
    /// The same of the other symbols that it learns from, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub companion_digests: Vec<Digest>,
    /// The feature row.
    pub features: Vec<FeatureSpec>,
    /// Learned features beside it; `None`: indicators alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoder: Option<TrialEncoder>,
    /// What is learned.
    pub task: TaskSpec,
    /// The network.
    pub model: ModelSpec,
    /// The market.
    pub env: EnvSpec,
    /// From forecast to exposure.
    pub strategy: StrategySpec,
    /// Resolved: never `auto`.
    pub device: Device,
    /// Intra-op threads.
    pub threads: u32,
    /// What it gives up, one step each time it ran out of memory.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub degrade: Vec<DegradeSpec>,
    /// Whose training it goes on from; `None`: it begins anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Parent>,
}

/// The trial whose training another goes on from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parent {
    /// Which.
    pub trial: TrialId,
    /// SHA-256 of its canonical spec, which its checkpoints carry: no other trial's is taken.
    pub spec: Digest,
    /// The share of the training that lies behind.
    pub share: Share,
    /// The checkpoint it was. Not known when a trial is asked for; written down in its bundle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<CheckpointRef>,
}

impl TrialSpec {
    /// SHA-256 of its canonical form: what its checkpoints belong to.
    #[must_use]
    pub fn identity(&self) -> Digest {
        Digest::of(&canonical_json(self))
    }
}

impl TrialSpec {
    /// Steps of the ladder that it has gone down after running out of memory `times` times: it has no more than it has.
    #[must_use]
    pub fn steps_down(&self, times: u8) -> u8 {
        times.min(u8::try_from(self.degrade.len()).unwrap_or(u8::MAX))
    }

    /// What it gives up after `steps` steps down; `None`: nothing.
    #[must_use]
    pub fn degraded(&self, steps: u8) -> Option<DegradeSpec> {
        self.degrade.get(usize::from(steps).checked_sub(1)?).copied()
    }
}

/// A checkpoint in the store, by content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckpointRef {
    /// SHA-256 of its bytes.
    pub digest: Digest,
    /// Training step it was taken after.
    pub step: u64,
}

/// A series of per-bar simple returns with their bars.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Series {
    /// Bar each return ends at.
    pub times: Vec<Timestamp>,
    /// Simple returns after costs.
    pub returns: Vec<f64>,
}

/// What a succeeded trial hands in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrialOutcome {
    /// The artifact.
    pub bundle: BundleId,
    /// Value of the sweep's objective.
    pub metrics: BTreeMap<Metric, f64>,
    /// Returns of the validation backtest.
    pub validation: Series,
    /// Learning curve: (step, metrics) as reported.
    pub curve: Vec<(u64, BTreeMap<Metric, f64>)>,
    /// What came of its folds, in the order dealt; empty without a cross-validation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub folds: Vec<FoldScore>,
    /// How often learned features were remembered; `None` without an encoder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoder: Option<EncoderUse>,
}
