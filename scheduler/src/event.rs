//! What the journal holds: everything that decides, and nothing that does not.

use market::Timestamp;
use protocol::{Cordon, Descent, ExperimentState, Submission, Target};
use serde::{Deserialize, Serialize};
use spec::{ExperimentId, TrialId};

use crate::trial::Change;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Event {
    /// An experiment was taken in.
    Submitted(Submission),
    /// Its sweep asked for a trial.
    Asked {
        /// Which: the next index of its experiment.
        trial: TrialId,
        /// Whose training it goes on from.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parent: Option<Descent>,
        /// Trials whose ends an asynchronous sweep was told of since it asked for the one before, in that order: with those
        /// of earlier trials, all that it had seen.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        told: Vec<u32>,
        /// What it is.
        #[serde(skip)]
        payload: Vec<u8>,
    },
    /// Something happened to a trial.
    Trial {
        /// Which.
        trial: TrialId,
        /// What.
        change: Change,
    },
    /// An experiment ended; open trials are cancelled with it.
    Ended {
        /// Which.
        experiment: ExperimentId,
        /// How: a final state.
        state: ExperimentState,
        /// Why it was cancelled, where nobody asked for that.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// No attempt starts there any more.
    Cordoned {
        /// Where.
        target: Target,
        /// What becomes of attempts that run.
        cordon: Cordon,
    },
    /// Attempts start there again.
    Uncordoned {
        /// Where.
        target: Target,
    },
}

/// An event with its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// When it was decided.
    pub at: Timestamp,
    /// What.
    pub event: Event,
}

impl Event {
    /// Its readable part, as JSON. Payloads and outcomes are bytes and go beside it.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("events hold only text keys and finite numbers")
    }

    /// The bytes that go beside the JSON; empty for most events.
    #[must_use]
    pub fn blob(&self) -> &[u8] {
        match self {
            Self::Submitted(submission) => &submission.payload,
            Self::Asked { payload, .. } => payload,
            Self::Trial { change: Change::Succeed { outcome, .. }, .. } => outcome,
            Self::Trial { .. } | Self::Ended { .. } | Self::Cordoned { .. } | Self::Uncordoned { .. } => &[],
        }
    }

    /// Puts both parts together again.
    ///
    /// # Errors
    /// The JSON is not an event of this version.
    pub fn from_parts(json: &str, blob: Vec<u8>) -> Result<Self, serde_json::Error> {
        let mut event: Self = serde_json::from_str(json)?;
        match &mut event {
            Self::Submitted(submission) => submission.payload = blob,
            Self::Asked { payload, .. } => *payload = blob,
            Self::Trial { change: Change::Succeed { outcome, .. }, .. } => *outcome = blob,
            Self::Trial { .. } | Self::Ended { .. } | Self::Cordoned { .. } | Self::Uncordoned { .. } => {}
        }
        Ok(event)
    }
}
