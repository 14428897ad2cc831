//! How a cluster is run: the rules that a person may set.

use std::collections::BTreeMap;

use protocol::Offer;
use spec::{Owner, Span};

use super::{Recovery, Scope};

/// How a cluster is run.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long a lease lasts after the last heartbeat. Default: 10s.
    pub lease: Span,
    /// Which experiments are served. Default: all.
    pub scope: Scope,
    /// What becomes of attempts that ran when the scheduler ended. Default: `Readopt`.
    pub recovery: Recovery,
    /// Seed of the jitter in back-off. Default: 0.
    pub jitter_seed: u64,
    /// What one owner may hold. Default: no limit.
    pub quota: Quota,
    /// How long a trial waits for shared memory or GPUs before a machine is kept free for it. Default: 60s.
    pub reserve_after: Span,
    /// How long a trial waits before lower priorities are asked to make room. Default: 5s.
    pub preempt_after: Span,
    /// How long a trial that made room is left alone. Default: 10m.
    pub preempt_pause: Span,
    /// When a machine is left alone. Default: see [`Quarantine`].
    pub quarantine: Quarantine,
    /// The largest worker that the engine starts; `None`: unknown, as on an external cluster. Default: `None`.
    pub largest: Option<Offer>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            lease: Span::from_secs(10),
            scope: Scope::All,
            recovery: Recovery::Readopt,
            jitter_seed: 0,
            quota: Quota::default(),
            reserve_after: Span::from_secs(60),
            preempt_after: Span::from_secs(5),
            preempt_pause: Span::from_secs(600),
            quarantine: Quarantine::default(),
            largest: None,
        }
    }
}

/// Most CPU cores that the attempts of one owner may hold at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// Of an owner that has no quota of its own, and of all experiments without an owner together; `None`: no limit.
    pub default: Option<u32>,
    /// Of owners by name.
    pub owners: BTreeMap<Owner, u32>,
}

impl Quota {
    pub(super) fn of(&self, owner: Option<&Owner>) -> Option<u32> {
        owner.and_then(|owner| self.owners.get(owner)).copied().or(self.default)
    }
}

/// When a machine where attempts fail as soon as they start is left alone, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantine {
    /// Different trials that fail there in a row. Default: 5.
    pub failures: u32,
    /// An attempt that fails within this failed as soon as it started. Default: 30s.
    pub within: Span,
    /// The first quarantine; each later one is twice as long, until a trial succeeds. Default: 30s.
    pub first: Span,
    /// The longest. Default: 1h.
    pub longest: Span,
}

impl Default for Quarantine {
    fn default() -> Self {
        Self { failures: 5, within: Span::from_secs(30), first: Span::from_secs(30), longest: Span::from_secs(3_600) }
    }
}
