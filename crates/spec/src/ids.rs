//! Names of things. Text ids are checked once, at the edge, so a path or a log line can carry them as they are.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The text cannot be an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {what}: {rule}")]
pub struct IdError {
    text: String,
    what: &'static str,
    rule: &'static str,
}

const NAME_RULE: &str = "use 1 to 64 lower-case letters, digits, `-` or `_`, starting with a letter or digit";

fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_')
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
        #[serde(try_from = "String", into = "String")]
        #[schemars(with = "String", extend("pattern" = "^[a-z0-9][a-z0-9_-]{0,63}$"))]
        pub struct $name(String);

        impl $name {
            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                if is_name(&text) { Ok(Self(text)) } else { Err(IdError { text, what: $what, rule: NAME_RULE }) }
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::try_from(text.to_owned())
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

name!(
    /// An experiment: its name and the first hex digits of its run key, so the same question has the same id.
    ExperimentId, "an experiment id"
);
name!(
    /// A registered model, or an experiment's name.
    ModelName, "a name"
);
name!(
    /// A worker process, unique for its life.
    WorkerId, "a worker id"
);
name!(
    /// A machine that workers run on: what they share is counted there.
    NodeId, "a node id"
);
name!(
    /// Who an experiment runs for: quotas are counted by it.
    Owner, "an owner"
);
name!(
    /// Something that workers have and trials need, such as a licence.
    ResourceName, "the name of a resource"
);

/// One run of a trial on one worker. Cluster-wide and ever growing: it is the fencing token.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AttemptId(pub u64);

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A trial: its experiment and its index in the order asked. Text form: `EXPERIMENT.INDEX`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TrialId {
    /// The experiment it belongs to.
    pub experiment: ExperimentId,
    /// Its place in the sweep, from 0.
    pub index: u32,
}

impl fmt::Display for TrialId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}.{}", self.experiment, self.index))
    }
}

impl fmt::Debug for TrialId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for TrialId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let error = || IdError { text: text.to_owned(), what: "a trial id", rule: "write EXPERIMENT.INDEX" };
        let (experiment, index) = text.rsplit_once('.').ok_or_else(error)?;
        Ok(Self { experiment: experiment.parse()?, index: index.parse().map_err(|_| error())? })
    }
}

impl TryFrom<String> for TrialId {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<TrialId> for String {
    fn from(id: TrialId) -> String {
        id.to_string()
    }
}
