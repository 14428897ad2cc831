//! Checkpoints: all that a training needs to go on as if it had never stopped, under one checksum.
//!
//! ```text
//! magic 8 | SHA-256 of the rest 32 | length of the JSON 8, little-endian | JSON | safetensors
//! ```

use models::weights::{self, Named};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use spec::{Digest, TrialId, TrialSpec};

const MAGIC: &[u8; 8] = b"twckpt01";
const SUM: usize = MAGIC.len() + 32;
const PREFIX: usize = SUM + 8;

/// Why a checkpoint cannot be resumed.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The bytes do not start as a checkpoint.
    #[error("not a checkpoint of this build: it does not start with {}", String::from_utf8_lossy(MAGIC))]
    Foreign,
    /// The bytes end too early.
    #[error("the checkpoint was cut short: it has {bytes} bytes, its head alone takes {PREFIX}")]
    CutShort {
        /// Its length.
        bytes: usize,
    },
    /// The bytes are not those that were written.
    #[error("the checkpoint was changed or cut short: it hashes to {actual}, {expected} was written")]
    Changed {
        /// Written in its head.
        expected: Digest,
        /// Of its bytes.
        actual: Digest,
    },
    /// It belongs to another trial.
    #[error("the checkpoint belongs to another trial: its spec hashes to {given}, this one to {wanted}")]
    OtherTrial {
        /// Spec of the trial to resume.
        wanted: Digest,
        /// Spec of the trial that wrote it.
        given: Digest,
    },
    /// It was to be branched from, but the trial goes on from no other.
    #[error("trial {trial} has no parent: it goes on from its own checkpoints alone")]
    NoParent {
        /// The trial.
        trial: TrialId,
    },
    /// The bytes are whole, but their content is not what this build writes.
    #[error("the checkpoint cannot be read: {why}")]
    Content {
        /// What the reader said.
        why: String,
    },
}

/// Where a training begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start<'a> {
    /// At its first step. A trial with a parent does not.
    Anew,
    /// From a checkpoint of its own.
    Resume(&'a [u8]),
    /// From a checkpoint of the parent that its spec names.
    Branch(&'a [u8]),
}

/// A checkpoint, and whose it has to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Saved<'a> {
    pub(crate) bytes: &'a [u8],
    /// What it belongs to.
    pub(crate) of: Digest,
}

impl<'a> Start<'a> {
    /// The checkpoint to begin from, if any.
    pub(crate) fn saved(self, trial: &TrialSpec) -> Result<Option<Saved<'a>>, CheckpointError> {
        match (self, &trial.parent) {
            (Self::Anew, _) => Ok(None),
            (Self::Resume(bytes), _) => Ok(Some(Saved { bytes, of: trial.identity() })),
            (Self::Branch(bytes), Some(parent)) => Ok(Some(Saved { bytes, of: parent.spec })),
            (Self::Branch(_), None) => Err(CheckpointError::NoParent { trial: trial.trial.clone() }),
        }
    }
}

/// The part that is no tensor.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head<S> {
    /// SHA-256 of the canonical spec of the trial, or of whatever else decides the result.
    trial: Digest,
    state: S,
}

/// Writes a checkpoint of the trial whose spec hashes to `trial`.
///
/// # Panics
/// Never: the states of this crate serialise, and hold finite numbers alone.
#[must_use]
pub(crate) fn write<S: Serialize>(trial: Digest, state: &S, tensors: &Named) -> Vec<u8> {
    let head = Head { trial, state };
    let json = serde_json::to_vec(&head).expect("states are plain data");
    let mut rest = Vec::with_capacity(json.len() + 8);
    rest.extend((json.len() as u64).to_le_bytes());
    rest.extend(json);
    rest.extend(weights::pack(tensors));
    [MAGIC.as_slice(), Digest::of(&rest).as_bytes(), &rest].concat()
}

/// Reads a checkpoint.
///
/// # Errors
/// [`CheckpointError`] naming what is wrong with it, such as that it belongs to another trial; nothing of it is used then.
pub(crate) fn read<S: DeserializeOwned>(Saved { bytes, of: wanted }: Saved<'_>) -> Result<(S, Named), CheckpointError> {
    let magic = &bytes[..bytes.len().min(MAGIC.len())];
    if !MAGIC.starts_with(magic) {
        return Err(CheckpointError::Foreign);
    }
    if bytes.len() < PREFIX {
        return Err(CheckpointError::CutShort { bytes: bytes.len() });
    }
    let expected = Digest::from_bytes(*bytes[MAGIC.len()..SUM].first_chunk().expect("32 bytes were cut out"));
    let actual = Digest::of(&bytes[SUM..]);
    if actual != expected {
        return Err(CheckpointError::Changed { expected, actual });
    }
    let content = |why: String| CheckpointError::Content { why };
    let length = u64::from_le_bytes(*bytes[SUM..PREFIX].first_chunk().expect("8 bytes were cut out"));
    let json = usize::try_from(length).ok().and_then(|length| bytes[PREFIX..].split_at_checked(length));
    let (json, tensors) = json.ok_or_else(|| content("its JSON is longer than all of it".to_owned()))?;
    let head: Head<S> = serde_json::from_slice(json).map_err(|error| content(error.to_string()))?;
    if head.trial != wanted {
        return Err(CheckpointError::OtherTrial { wanted, given: head.trial });
    }
    let tensors = weights::unpack(tensors).map_err(|error| content(error.to_string()))?;
    Ok((head.state, tensors))
}

/// Adds `tensors` under `prefix/`.
pub(crate) fn put(all: &mut Named, prefix: &str, tensors: Named) {
    all.extend(tensors.into_iter().map(|(name, tensor)| (format!("{prefix}/{name}"), tensor)));
}

/// The tensors under `prefix/`.
pub(crate) fn under(all: &Named, prefix: &str) -> Named {
    let start = format!("{prefix}/");
    let cut = |(name, tensor): (&String, &tch::Tensor)| {
        name.strip_prefix(&start).map(|name| (name.to_owned(), tensor.shallow_clone()))
    };
    all.iter().filter_map(cut).collect()
}

#[cfg(test)]
mod tests;
