//! Why a call is refused, and how often each reason was given.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tonic::codegen::http;
use tonic::metadata::MetadataValue;
use tonic::{Code, Status};

use crate::wire::Malformed;

/// Header that tells apart refusals that share a status code.
const KIND: &str = "refusal";

/// Why a call was refused. One variant per decision of the caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The thing asked for does not exist.
    #[error("{0}")]
    NotFound(String),
    /// The id is taken by something else.
    #[error("{0}")]
    Conflict(String),
    /// The request makes no sense; sending it again will not help.
    #[error("{0}")]
    Invalid(String),
    /// No worker could ever hold a trial of it: ask for less, or start a larger worker first.
    #[error("{0}")]
    Infeasible(String),
    /// The attempt is no longer the trial's attempt: what it says does not count.
    #[error("attempt is fenced: its trial was cancelled, timed out, or leased again")]
    Fenced,
    /// The scheduler does not know the worker, most likely because it restarted: register again.
    #[error("worker is not registered: register it again")]
    NotRegistered,
    /// The token is wrong or missing.
    #[error("token is wrong or missing: use the token file of the scheduler's home, or an invitation")]
    Unauthenticated,
    /// The caller shows no certificate that the scheduler knows.
    #[error("caller is not a member: get an invitation and `tradewind join` the scheduler")]
    Stranger,
    /// The invitation was used by someone else.
    #[error("invitation was used already: ask for another, and revoke this one if it was not you")]
    Spent,
    /// The membership is over.
    #[error("membership has expired: ask for another invitation")]
    Expired,
    /// The membership was taken back.
    #[error("membership was revoked: ask an administrator")]
    Revoked,
    /// The caller's role may not ask for it.
    #[error("{0}")]
    Forbidden(String),
    /// The scheduler is stopping: try again once it is back.
    #[error("scheduler is stopping: try again when it runs")]
    Stopping,
}

impl Refusal {
    /// Its name, as it is counted.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "not_found",
            Self::Conflict(_) => "conflict",
            Self::Invalid(_) => "invalid",
            Self::Infeasible(_) => "infeasible",
            Self::Fenced => "fenced",
            Self::NotRegistered => "not_registered",
            Self::Unauthenticated => "unauthenticated",
            Self::Stranger => "stranger",
            Self::Spent => "spent",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Forbidden(_) => "forbidden",
            Self::Stopping => "stopping",
        }
    }

    /// The refusal that a status stands for; `None` when it is a failure of another kind.
    pub(crate) fn of(status: &Status) -> Option<Self> {
        let message = || status.message().to_owned();
        let kind = status.metadata().get(KIND).and_then(|kind| kind.to_str().ok());
        match status.code() {
            Code::NotFound => Some(Self::NotFound(message())),
            Code::AlreadyExists => Some(Self::Conflict(message())),
            Code::InvalidArgument if kind == Some("infeasible") => Some(Self::Infeasible(message())),
            // What is too large to be read says so itself.
            Code::InvalidArgument | Code::OutOfRange => Some(Self::Invalid(message())),
            Code::Aborted => Some(Self::Fenced),
            Code::FailedPrecondition => Some(Self::NotRegistered),
            Code::Unauthenticated => Some(match kind {
                Some("stranger") => Self::Stranger,
                Some("spent") => Self::Spent,
                Some("expired") => Self::Expired,
                Some("revoked") => Self::Revoked,
                Some(_) | None => Self::Unauthenticated,
            }),
            Code::PermissionDenied => Some(Self::Forbidden(message())),
            Code::Ok
            | Code::Cancelled
            | Code::Unknown
            | Code::DeadlineExceeded
            | Code::ResourceExhausted
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss => None,
        }
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let code = match refusal {
            Refusal::NotFound(_) => Code::NotFound,
            Refusal::Conflict(_) => Code::AlreadyExists,
            Refusal::Invalid(_) | Refusal::Infeasible(_) => Code::InvalidArgument,
            Refusal::Fenced => Code::Aborted,
            Refusal::NotRegistered => Code::FailedPrecondition,
            Refusal::Unauthenticated | Refusal::Stranger | Refusal::Spent | Refusal::Expired | Refusal::Revoked => {
                Code::Unauthenticated
            }
            Refusal::Forbidden(_) => Code::PermissionDenied,
            Refusal::Stopping => Code::Unavailable,
        };
        status(code, refusal.to_string(), refusal.kind())
    }
}

impl From<Malformed> for Status {
    fn from(malformed: Malformed) -> Self {
        status(Code::InvalidArgument, malformed.to_string(), malformed.kind())
    }
}

fn status(code: Code, message: String, kind: &'static str) -> Status {
    let mut status = Status::new(code, message);
    status.metadata_mut().insert(KIND, MetadataValue::from_static(kind));
    status
}

/// How often calls were refused, by reason. Cheap to clone; clones share the counts.
#[derive(Clone, Debug, Default)]
pub struct Refusals(Arc<Mutex<BTreeMap<String, u64>>>);

impl Refusals {
    /// The counts by reason: those of [`Refusal::kind`], and `malformed`, `protocol`, `oversized` or `unknown_call`; for
    /// callers that got no connection, `certificate`, `plain_text` or `handshake`.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<String, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn count(&self, kind: &str) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(kind.to_owned()).or_default() += 1;
    }

    /// Counts what `headers` of an answer say. Refusals have no body, so their status is in the headers.
    pub(crate) fn read(&self, headers: &http::HeaderMap) {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let Some(code) = text("grpc-status") else { return };
        self.count_status(Code::from_bytes(code.as_bytes()), text(KIND));
    }

    /// Counts a refusal that ends a stream.
    pub(crate) fn tell(&self, status: &Status) {
        self.count_status(status.code(), status.metadata().get(KIND).and_then(|kind| kind.to_str().ok()));
    }

    fn count_status(&self, code: Code, kind: Option<&str>) {
        let kind = match (code, kind) {
            (Code::Ok, _) => return,
            (_, Some(kind)) => kind,
            (Code::OutOfRange, None) => "oversized",
            (Code::Unimplemented, None) => "unknown_call",
            (_, None) => "malformed",
        };
        self.count(kind);
    }
}
