//! The port to whoever decides which trials an experiment has. Payloads and outcomes are bytes here.

use protocol::Submission;
use spec::{Finite, Share};

/// The answer to [`Sweep::ask`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// The payloads of the next batch, at least one.
    Batch(Vec<Vec<u8>>),
    /// The next batch needs the outcomes of earlier ones.
    Waiting,
    /// No trial follows.
    Done,
}

/// What a sweep is told of a trial once its whole batch has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SweepOutcome {
    /// What the trial handed in.
    Succeeded(Vec<u8>),
    /// Its budget is spent.
    Failed,
    /// It was cancelled.
    Cancelled,
    /// It was stopped early, by decision.
    Pruned,
}

/// When a sweep is told of outcomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Of a whole batch at once, in index order, the oldest batch first.
    Batches,
    /// Of each trial when it ends, and at each rung when it gets there.
    Asynchronous,
}

/// What follows from a rung.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    /// Trials that go on; the others are pruned.
    pub go_on: Vec<u32>,
    /// New trials. They join the batch above the rung, get the next indices, and are told with it.
    pub children: Vec<Child>,
}

/// A new trial that goes on from where another holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Child {
    /// The other, one of those that reached the rung.
    pub parent: u32,
    /// What it is.
    pub payload: Vec<u8>,
}

/// Decides the trials of one experiment.
///
/// The scheduler asks until the answer is not a batch; then, each time the oldest open batch has ended whole, it tells
/// its outcomes in index order and asks again. So what is asked and told, and in which order, depends on outcomes
/// alone: never on time, on the number of workers or on restarts. A restart rebuilds the sweep by the same calls, and
/// expects the same payloads.
///
/// With [`Pace::Asynchronous`] it tells each outcome as it comes and asks again. The journal keeps beside each trial which
/// outcomes came before it, so that a restart makes the same calls all the same.
pub trait Sweep: Send {
    /// The next trials. Indices are given in the order asked, from 0.
    fn ask(&mut self) -> Ask;

    /// The outcome of trial `index`.
    fn tell(&mut self, index: u32, outcome: SweepOutcome);

    /// When it is told.
    fn pace(&self) -> Pace {
        Pace::Batches
    }

    /// Where trial `index` is to hold for a decision, ascending; empty: nowhere. A function of the index alone. Of a child,
    /// rungs of its parent that lie behind it are among them.
    fn rungs(&self, _index: u32) -> Vec<Share> {
        Vec::new()
    }

    /// Which trials of a batch go on from `rung`, now that each of them reached it or ended; the others are pruned. With
    /// [`Pace::Asynchronous`]: whether one goes on, now that it reached `rung`.
    ///
    /// `reached` holds those that got there, in index order, with what they measured, whether or not they wait there
    /// still: after a restart it is called again as it was before. What is asynchronous was decided then and is not
    /// decided again, whatever is answered.
    fn judge(&mut self, _rung: u32, reached: &[(u32, Option<Finite>)]) -> Judgement {
        Judgement { go_on: reached.iter().map(|(index, _)| *index).collect(), children: Vec::new() }
    }
}

/// The payload of a submission is not a sweep.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct OpenError {
    /// For people: names thing and way out.
    pub why: String,
}

/// Opens sweeps from submissions. Any `Fn(&Submission) -> Result<Box<dyn Sweep>, OpenError>` is one.
pub trait Sweeps: Send {
    /// The sweep of `submission`, before its first `ask`.
    ///
    /// # Errors
    /// [`OpenError`] when the payload cannot be read; the submission is refused.
    fn open(&self, submission: &Submission) -> Result<Box<dyn Sweep>, OpenError>;
}

impl<F> Sweeps for F
where
    F: Fn(&Submission) -> Result<Box<dyn Sweep>, OpenError> + Send,
{
    fn open(&self, submission: &Submission) -> Result<Box<dyn Sweep>, OpenError> {
        self(submission)
    }
}
