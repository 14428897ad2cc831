//! What runs an attempt, and how it speaks while it does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use protocol::Assignment;
use serde::{Deserialize, Serialize};
use spec::{CheckpointRef, FailureClass, Finite, Progress};

/// How an attempt ended without failing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ended {
    /// With this outcome.
    Succeeded(Vec<u8>),
    /// At the rung of its assignment, with all it learned in `checkpoint`, which is in the store and not handed in.
    Held {
        /// Where it goes on, should it.
        checkpoint: CheckpointRef,
        /// What it measured at the rung; `None` when it had nothing to measure.
        value: Option<Finite>,
    },
    /// Because [`Reporter::should_stop`] said so; its checkpoint is handed in.
    Stopped,
}

/// Why an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{class}: {message}")]
pub struct Failure {
    /// Decides whether it is tried again.
    pub class: FailureClass,
    /// For people: names thing, place and way out.
    pub message: String,
}

/// Runs attempts, one after the other, on one thread of its own.
pub trait Runner: Send {
    /// Runs one attempt to its end, looking at [`Reporter::should_stop`] at least every second.
    ///
    /// # Errors
    /// [`Failure`] when the attempt failed; a panic counts as a [`FailureClass::Bug`]. With [`FailureClass::WorkerLost`]
    /// the worker ends, so that its attempt is lost with it and pays nothing.
    fn run(&mut self, assignment: &Assignment, reporter: &mut Reporter) -> Result<Ended, Failure>;
}

/// A checkpoint was not taken over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum CheckpointError {
    /// The attempt no longer counts: stop, and hand in nothing.
    #[error("attempt is fenced: its checkpoint is not taken")]
    Fenced,
    /// The scheduler did not answer in time: go on, an older checkpoint stands.
    #[error("scheduler does not answer: the checkpoint is not taken, an older one stands")]
    Unreachable,
}

/// Hands a checkpoint over; answers with what the scheduler keeps now, newest first.
pub(crate) type Handover = Box<dyn FnMut(CheckpointRef) -> Result<Vec<CheckpointRef>, CheckpointError> + Send>;

/// How a running attempt speaks to the scheduler.
pub struct Reporter {
    pub(crate) progress: Box<dyn FnMut(Progress) + Send>,
    pub(crate) handover: Handover,
    pub(crate) stop: Arc<AtomicBool>,
}

impl Reporter {
    /// Says how far the attempt is. Cheap: only the latest word is sent, a few times a second. A rate of 0 is filled in.
    pub fn progress(&mut self, progress: Progress) {
        (self.progress)(progress);
    }

    /// Hands in a checkpoint whose bytes are already in the store. Returns the checkpoints kept now, newest first:
    /// others of this trial may be deleted.
    ///
    /// # Errors
    /// [`CheckpointError`]: stop when fenced, go on when unreachable.
    pub fn checkpoint(&mut self, checkpoint: CheckpointRef) -> Result<Vec<CheckpointRef>, CheckpointError> {
        (self.handover)(checkpoint)
    }

    /// Whether the attempt is to stop: keep a checkpoint, hand it in and return [`Ended::Stopped`].
    #[must_use]
    pub fn should_stop(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// The flag behind [`Self::should_stop`], for a trainer that runs below.
    #[must_use]
    pub fn stop_flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }

    /// A reporter that keeps checkpoints nowhere and is told to stop by `stop`: for running a [`Runner`] by itself.
    #[must_use]
    pub fn detached(stop: Arc<AtomicBool>) -> Self {
        Self::watched(stop, drop, drop)
    }

    /// A detached one that shows every word of progress to `progress`, and to `kept` the checkpoints that it pretends to
    /// keep, newest first.
    #[must_use]
    pub fn watched(
        stop: Arc<AtomicBool>,
        progress: impl FnMut(Progress) + Send + 'static,
        mut kept: impl FnMut(Vec<CheckpointRef>) + Send + 'static,
    ) -> Self {
        let mut newest: Vec<CheckpointRef> = Vec::new();
        let handover = move |checkpoint| {
            newest.insert(0, checkpoint);
            newest.truncate(2);
            kept(newest.clone());
            Ok(newest.clone())
        };
        Self { progress: Box::new(progress), handover: Box::new(handover), stop }
    }
}
