//! Learned features: through which encoder an agent sees bars, beside its indicators.

use std::fmt;

use market::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{BundleId, DataSpec, ExperimentId, ModelName};

/// Bars whose features are remembered where a file does not say.
pub const MEMORY_ROWS: u32 = 4_096;

/// An encoder whose features of each bar's window stand beside the indicators.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EncoderSpec {
    /// The forecaster it is taken from: `MODEL@VERSION`, `MODEL@challenger`, `MODEL@champion`, or a bundle's digest. It
    /// becomes the digest before anything starts.
    pub bundle: EncoderRef,
    /// Bars whose features are remembered at most. No feature and no drawn point hangs on it; another number is a run of its
    /// own, since a run's trials are asked for with it. Default: 4096. Range: 1 to 1000000.
    #[serde(default = "memory_rows")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub memory_rows: u32,
    /// What happens where there is no such bundle. Default: `refuse`.
    #[serde(default)]
    pub missing: MissingEncoder,
}

/// What happens where an encoder is not to be had before training. After it nothing under a policy changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MissingEncoder {
    /// Nothing starts.
    #[default]
    Refuse,
    /// Agents learn on indicators alone, which is said and hashed.
    Indicators,
}

/// How an encoder is named.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub enum EncoderRef {
    /// A bundle by its digest.
    Bundle(BundleId),
    /// A registered model's version or alias, not resolved yet: `NAME@VERSION`, `NAME@challenger` or `NAME@champion`.
    Registered(String),
}

impl TryFrom<String> for EncoderRef {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if let Ok(bundle) = text.parse() {
            return Ok(Self::Bundle(bundle));
        }
        let registered = text.split_once('@').is_some_and(|(name, what)| {
            let version = matches!(what, "champion" | "challenger") || what.parse::<u32>().is_ok();
            version && name.parse::<ModelName>().is_ok()
        });
        if registered {
            return Ok(Self::Registered(text));
        }
        Err(format!("`{text}` names no bundle: write NAME@VERSION, NAME@challenger, NAME@champion or a digest"))
    }
}

impl From<EncoderRef> for String {
    fn from(reference: EncoderRef) -> Self {
        reference.to_string()
    }
}

impl fmt::Display for EncoderRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bundle(bundle) => write!(f, "{bundle}"),
            Self::Registered(reference) => f.write_str(reference),
        }
    }
}

/// The encoder of a trial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrialEncoder {
    /// The version of the features.
    pub bundle: BundleId,
    /// Bars whose features are remembered at most.
    pub memory_rows: u32,
}

/// How often the features of a bar were remembered in an attempt. Other from attempt to attempt: it stands beside the
/// bundle, never in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncoderUse {
    /// The version of the features.
    pub bundle: BundleId,
    /// Bars asked for that were remembered.
    pub hits: u64,
    /// Bars asked for that were computed.
    pub misses: u64,
    /// Bars that were forgotten for others.
    pub forgotten: u64,
}

/// What is found under the name of an encoder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EncoderFacts {
    /// Nothing.
    Missing {
        /// Where was looked for what.
        why: String,
    },
    /// A bundle that acts, or several in one.
    NoForecaster {
        /// Which.
        bundle: BundleId,
    },
    /// A forecaster.
    Forecaster(Box<ForecasterFacts>),
}

/// A forecaster, as far as an agent can disagree with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForecasterFacts {
    /// Which.
    pub bundle: BundleId,
    /// Its bars and how they were split.
    pub data: DataSpec,
    /// Bars after its own that a label of it looks at.
    pub horizon: u32,
    /// First bar that its features were computed from.
    pub anchor: Timestamp,
    /// What it was chosen by.
    pub selection: Selection,
    /// The sweeps that its own began with, each with the one before, as far as they are known.
    pub guides: Vec<Guide>,
}

/// An earlier sweep whose figures another began with: nothing of its networks, but the hyper-parameters that come out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guide {
    /// Which.
    pub experiment: ExperimentId,
    /// Its bars and how they were split.
    pub data: DataSpec,
    /// Bars after its own that a label of it looks at.
    pub horizon: u32,
}

/// Which bars decided that an encoder is the one that is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    /// Those of its validation split.
    OnValidation,
    /// Those of its test split as well: no champion stands without its gates.
    OnTest,
}

const fn memory_rows() -> u32 {
    MEMORY_ROWS
}
